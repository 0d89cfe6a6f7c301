"""Settings: precedence of the three sources, and an error that shows the way for every mistake."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from agent.config import Settings, load_settings, lora_rank_for, quota_of
from store.errors import ConfigError


@pytest.fixture
def environment() -> Iterator[dict[str, str]]:
    """Variables put in here are set for the test; PERENNIAL_* of the caller are not seen."""
    before = {k: os.environ.pop(k) for k in list(os.environ) if k.startswith("PERENNIAL_")}
    added = _Environment()
    yield added
    for name in added:
        os.environ.pop(name, None)
    os.environ.update(before)


class _Environment(dict[str, str]):
    def __setitem__(self, name: str, value: str) -> None:
        super().__setitem__(name, value)
        os.environ[name] = value


pytestmark = pytest.mark.usefixtures("environment")


def write(home: Path, text: str) -> Path:
    home.mkdir(exist_ok=True)
    (home / "perennial.toml").write_text(text)
    return home


def test_the_defaults_need_no_file(tmp_path: Path) -> None:
    settings = load_settings(tmp_path / "none")
    assert settings.home == tmp_path / "none"
    assert settings.model == "pico"
    assert Path(settings.model_source).parts[-2:] == ("agent", "pico")
    assert settings.engine.max_lora_rank == 128 and settings.gate.alpha == 0.05
    assert not (tmp_path / "none").exists()


def test_a_choice_of_numbers_can_come_from_the_environment(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    environment["PERENNIAL_ENGINE__MAX_LORA_RANK"] = "256"
    assert load_settings(tmp_path / "none").engine.max_lora_rank == 256


def test_the_command_line_beats_the_environment_beats_the_file(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    write(tmp_path, 'model = "file"\n[engine]\nmax_loras = 2\nkv_cache_gib = 2\nmax_model_len = 99')
    environment["PERENNIAL_ENGINE__MAX_LORAS"] = "3"
    environment["PERENNIAL_ENGINE__KV_CACHE_GIB"] = "3"
    settings = load_settings(tmp_path, engine__max_loras=4, model=None)
    assert settings.model == "file"
    engine = settings.engine
    assert (engine.max_loras, engine.kv_cache_gib, engine.max_model_len) == (4, 3, 99)
    assert load_settings(tmp_path, engine={"max_loras": 5}).engine.max_loras == 5


def test_the_home_comes_from_the_argument_then_the_variable(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    environment["PERENNIAL_HOME"] = str(tmp_path / "a")
    assert load_settings().home == tmp_path / "a"
    assert load_settings(tmp_path / "b").home == tmp_path / "b"


def test_settings_are_frozen(tmp_path: Path) -> None:
    settings = load_settings(tmp_path)
    with pytest.raises(ValidationError):
        settings.engine.max_loras = 1  # type: ignore[misc]
    with pytest.raises(ValidationError):
        settings.model = "x"  # type: ignore[misc]


def test_every_setting_says_what_it_is() -> None:
    """The docstrings are the help texts, so none may be missing."""
    for name, field in Settings.model_fields.items():
        inner = getattr(field.annotation, "model_fields", None)
        for key, leaf in (inner or {name: field}).items():
            assert leaf.description, f"{name}.{key}"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("modle = 'x'", r"unknown setting modle from .*perennial\.toml .*did you mean model\?"),
        ("[engine]\nmax_lora = 1", r"did you mean engine\.max_loras?"),
        ("[gate]\nzzz = 1", "known keys: alpha, margin, margins, min_gain, min_items"),
        ("[engine]\nmax_lora_rank = 27", r"engine\.max_lora_rank = 27 .*1, 8, 16.* or 512"),
        ("[server]\nport = 'http'", r"server\.port = 'http' from .*valid integer"),
        ("[gate]\nalpha = 2", r"gate\.alpha = 2 .*less than 1.*Default: 0\.05"),
        ("[agent]\ntools_shown = 'all'", "'schemas', 'names' or 'retrieved'"),
        ("engine = 3", "engine.*valid dictionary"),
        ("[engine\nmax_loras = 1", "is not TOML.*line 1"),
        ("home = 'x'", "home cannot be set in"),
        ("[server]\napi_key = 'secret-words'", "set PERENNIAL_SERVER__API_KEY"),
        ("[gate.margins]\nx = 2", r"gate\.margins\.x from .*less than 1"),
        ("[tools.mcp.files]\nurll = 'x'", r"unknown setting tools\.mcp\.files\.urll .*\.url\?"),
        ("[tools.mcp.files]\ntimeout_s = 3", r"tools\.mcp\.files from .*a command or a url"),
        ("[tools.mcp.'a b']\nurl = 'http://x'", "'a b' is no name"),
        ("[tools.rules.'x*']\npermission = 'ask'", r"rules\.x\*\.permission = 'ask' .*'confirm'"),
        ("[schedule]\ncron = 'daily'", "five fields"),
        ("[schedule]\ncron = '0 3 * * *'\ninterval_minutes = 5", "exclude each other"),
    ],
)
def test_a_mistake_in_the_file_is_named_with_the_way_out(
    tmp_path: Path, text: str, words: str
) -> None:
    with pytest.raises(ConfigError, match=words) as raised:
        load_settings(write(tmp_path, text))
    assert "secret-words" not in str(raised.value)


def test_a_file_that_is_not_text_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "perennial.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_settings(tmp_path)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("PERENNIAL_SERVR__PORT", "1", "the variable PERENNIAL_SERVR__PORT .*server"),
        ("PERENNIAL_SERVER__PROT", "1", r"unknown setting server\.prot .*server\.port"),
        ("PERENNIAL_GATE__ALPHA", "x", "the variable PERENNIAL_GATE__ALPHA: .*valid number"),
        ("PERENNIAL_ENGINE", "x", "set single keys"),
    ],
)
def test_a_mistake_in_a_variable_is_named_with_the_variable(
    tmp_path: Path, environment: dict[str, str], name: str, value: str, words: str
) -> None:
    environment[name] = value
    with pytest.raises(ConfigError, match=words):
        load_settings(tmp_path)


def test_the_key_of_the_environment_is_told_to_nobody(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    environment["PERENNIAL_SERVER__API_KEY"] = "secret-words"
    assert "secret-words" not in repr(load_settings(tmp_path))


@pytest.mark.parametrize(
    ("given", "width", "quota"), [(None, 192, 60.0), (None, 4096, 3.125), (30.0, 4096, 30.0)]
)
def test_the_quota_is_what_the_engine_serves_unless_it_is_given(
    tmp_path: Path, given: float | None, width: int, quota: float
) -> None:
    """A quota that the user sets is not bent: the update refuses it with the way out."""
    settings = load_settings(tmp_path, update__quota_percent=given)
    assert quota_of(settings.update, settings.engine, width) == quota


def test_the_engine_rank_is_the_next_that_vllm_allows() -> None:
    assert [lora_rank_for(r) for r in (1, 2, 64, 65, 257, 512)] == [1, 8, 64, 128, 320, 512]
    with pytest.raises(ConfigError, match="rank 513"):
        lora_rank_for(513)


def test_a_local_model_becomes_absolute_and_a_hub_name_stays(tmp_path: Path) -> None:
    assert load_settings(tmp_path, model=str(tmp_path)).model_source == str(tmp_path)
    assert load_settings(tmp_path, model="Qwen/Qwen3-8B").model_source == "Qwen/Qwen3-8B"
