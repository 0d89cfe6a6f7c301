"""What examples/deploy holds: units, a container, a compose file, that fit the program as it is."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

import perennial
from agent.config import load_settings
from agent.config_reference import settings

ROOT = Path(perennial.__file__).parent
DEPLOY = ROOT / "examples" / "deploy"
UNITS = sorted([*DEPLOY.glob("*.service"), *DEPLOY.glob("*.timer")])
PAGES = [DEPLOY, ROOT / "docs" / "deploy.md", ROOT / "docs" / "upgrade.md"]
NOT_SETTINGS = {"PERENNIAL_HOME", "PERENNIAL_DEBUG", "PERENNIAL_"}


def texts() -> dict[str, str]:
    """Every file of examples/deploy and the pages about it."""
    files = [f for place in PAGES for f in (place.iterdir() if place.is_dir() else [place])]
    return {file.name: file.read_text() for file in files}


def compose(name: str) -> Any:
    return yaml.safe_load((DEPLOY / name).read_text())


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    """With this environment's programs in place of an installation's, which must be there."""
    bin = Path(sys.executable).parent
    for unit in UNITS:
        text = unit.read_text().replace("/usr/local/lib/perennial/.venv/bin", str(bin))
        (tmp_path / unit.name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", *(str(tmp_path / unit.name) for unit in UNITS)],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    own = [line for line in done.stderr.splitlines() if str(tmp_path) in line]
    assert (done.returncode, own) == (0, []), done.stderr


def test_every_variable_that_is_named_is_a_setting() -> None:
    known = {setting.variable for setting in settings()} | NOT_SETTINGS
    wrong = [
        f"{name}: {variable}"
        for name, text in texts().items()
        for variable in re.findall(r"PERENNIAL_[A-Z_]*", text)
        if variable not in known
    ]
    assert wrong == []


def test_every_key_that_the_pages_set_is_one(tmp_path: Path) -> None:
    """Each block of TOML is read as the settings of a home."""
    blocks = 0
    for page in PAGES[1:]:
        for block in re.findall(r"```toml\n(.*?)```", page.read_text(), re.DOTALL):
            (tmp_path / "perennial.toml").write_text(block)
            load_settings(tmp_path)
            blocks += 1
    assert blocks >= 3


def test_every_command_that_is_run_is_one() -> None:
    """`perennial WORD` in units, images and the pages' blocks of commands."""
    group = typer.main.get_command(perennial.app)
    known = set(group.commands)  # type: ignore[attr-defined]
    before = r"^|\.venv/bin/|&& |exec perennial "
    run: set[str] = set()
    for name, text in texts().items():
        parts = re.findall(r"```\n(.*?)```", text, re.DOTALL) if name.endswith(".md") else [text]
        for part in parts:
            line = re.sub(r" --home \S+", "", part)
            run |= set(re.findall(rf"(?:{before})perennial ([a-z]+)", line, re.M))
    assert {"up", "backup", "doctor", "key"} <= run <= known, run - known


def test_the_compose_file_holds_together() -> None:
    """What is used is declared, what is built exists, and no port is open to other machines."""
    made = compose("compose.yaml")
    services = made["services"]
    for name, service in services.items():
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            assert source in made["volumes"] or source.startswith("."), (name, volume)
        for other in service.get("depends_on", {}):
            assert "healthcheck" in services[other]
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
        if build := service.get("build"):
            assert (DEPLOY / build["context"] / build["dockerfile"]).is_file()
    assert set(compose("compose.gpu.yaml")["services"]) <= set(services)


def test_no_file_holds_a_key_or_a_password() -> None:
    """They are asked for when it is started, or are in files that root alone reads."""
    for service in compose("compose.yaml")["services"].values():
        for name, value in service["environment"].items():
            if "KEY" in name or "PASSWORD" in name:
                assert value.startswith("${") and ":?" in value, name
    example = (DEPLOY / "environment.example").read_text()
    assert re.search(r"^PERENNIAL_SERVER__API_KEY=$", example, re.M)


def test_the_image_is_made_of_what_is_shipped() -> None:
    """All that is copied exists, the packages are all of the wheel's, and it runs as no root."""
    lines = (DEPLOY / "Containerfile").read_text().replace("\\\n", " ").splitlines()
    copied: set[str] = set()
    for line in lines:
        if line.startswith("COPY ") and "--from" not in line:
            *sources, _ = line.split()[1:]
            copied |= set(sources)
    assert {"store", "tools", "agent", "adapt", "perennial.py", "requirements"} <= copied
    assert all((ROOT / source).exists() for source in copied)
    ignored = (DEPLOY / "Containerfile.dockerignore").read_text().splitlines()
    assert {line[1:] for line in ignored if line.startswith("!")} == copied
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert users and users[-1] not in ("root", "0")
