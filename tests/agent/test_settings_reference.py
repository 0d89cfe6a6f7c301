"""The reference of the settings, and `perennial settings`: as the code has them, secrets hidden."""

import json
from pathlib import Path

import pytest
from command import Run, in_process

import perennial
from agent.config import load_settings
from agent.config_reference import reference, sections, settings

ROOT = Path(perennial.__file__).parent


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    return in_process(capsys, monkeypatch)


def test_the_page_of_all_settings_is_what_the_code_says() -> None:
    page = (ROOT / "docs" / "settings.md").read_text()
    assert page == reference(), "perennial settings --reference > docs/settings.md"


def test_every_setting_says_what_it_is_and_so_does_every_section() -> None:
    assert [s.key for s in settings() if not s.meaning or not s.kind] == []
    assert [name for name, about in sections().items() if not about] == []
    assert len({s.key for s in settings()}) == len(settings()) > 80


def test_every_variable_of_the_reference_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each, alone, with the value that it has by itself."""
    read = 0
    for setting in settings():
        if not setting.variable or setting.default is None:
            continue
        said = setting.default
        text = said if isinstance(said, str) else json.dumps(said)
        with monkeypatch.context() as one:
            one.setenv(setting.variable, text)
            value = load_settings(tmp_path / "home")
            for part in setting.key.split("."):
                value = getattr(value, part)
        assert (list(value) if isinstance(value, tuple) else value) == said, setting.key
        read += 1
    assert read > 60


def test_the_values_of_a_home_tell_where_they_come_from(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file, a variable, the defaults; no secret is shown, and no home is made."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "perennial.toml").write_text(
        '[engine]\nmax_loras = 3\n[tools.mcp.files]\ncommand = ["files"]\npermission = "deny"\n'
    )
    monkeypatch.setenv("PERENNIAL_SERVER__API_KEY", "sk-hidden")
    monkeypatch.setenv("PERENNIAL_GATE__ALPHA", "0.1")
    ran = run("settings", "--home", home, "--json")
    assert "sk-hidden" not in ran.out + run("settings", "--home", home).out
    found = {row["key"]: row for row in ran.json}
    for key, value, place in [
        ("engine.max_loras", 3, str(home / "perennial.toml")),
        ("gate.alpha", 0.1, "the variable PERENNIAL_GATE__ALPHA"),
        ("server.api_key", "(set)", "the variable PERENNIAL_SERVER__API_KEY"),
        ("server.port", 8321, "the defaults"),
    ]:
        assert (found[key]["value"], found[key]["from"]) == (value, place)
    assert found["tools.mcp.NAME.permission"]["value"] == {"files": "deny"}
    assert run("settings", "--home", tmp_path / "none").code == 0
    assert not (tmp_path / "none").exists()


def test_settings_of_a_section_alone_and_of_none(run: Run, tmp_path: Path) -> None:
    rows = run("settings", "server", "--json", "--home", tmp_path).json
    assert {row["key"].partition(".")[0] for row in rows} == {"server"} and len(rows) > 3
    assert [
        r["key"] for r in run("settings", "server.port", "--json", "--home", tmp_path).json
    ] == ["server.port"]
    ran = run("settings", "sever", "--home", tmp_path)
    assert ran.code == 2 and "no setting 'sever'" in ran.err
    assert run("settings", "--reference").out == reference()
