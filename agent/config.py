"""Settings of one home: `perennial.toml`, then `PERENNIAL_*`, then the command line.

Later sources win, key by key; a nested key is `PERENNIAL_ENGINE__MAX_LORAS` in the environment
and `engine__max_loras=` as a keyword. Every failure is a ConfigError that names where the value
came from, the key, the value and what is allowed. The sections and their defaults are in
`agent.config_sections`. Called by the command line; the sections go to whom they configure.
"""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import EnvSettingsSource, SettingsError

from agent.config_errors import PREFIX, explain, unknown
from agent.config_knowledge import (
    FetchSettings,
    GatherSettings,
    SynthesisSettings,
    TrustSettings,
)
from agent.config_sections import (
    LORA_RANKS,
    USUAL_QUOTA,
    AgentSettings,
    BudgetSettings,
    EngineSettings,
    FleetSettings,
    GateSettings,
    ScheduleSettings,
    ServerSettings,
    Settings,
    StorageSettings,
    SwapSettings,
    UpdateSettings,
    is_loopback,
    lora_rank_for,
    quota_of,
)
from agent.config_telemetry import TelemetrySettings
from agent.config_tools import ToolsSettings
from store.errors import ConfigError
from store.home import Home

__all__ = [
    "LORA_RANKS",
    "USUAL_QUOTA",
    "AgentSettings",
    "BudgetSettings",
    "EngineSettings",
    "FetchSettings",
    "FleetSettings",
    "GateSettings",
    "GatherSettings",
    "ScheduleSettings",
    "ServerSettings",
    "Settings",
    "StorageSettings",
    "SwapSettings",
    "SynthesisSettings",
    "TelemetrySettings",
    "ToolsSettings",
    "TrustSettings",
    "UpdateSettings",
    "home_of",
    "is_loopback",
    "load_settings",
    "lora_rank_for",
    "quota_of",
]

FILE_NAME = "perennial.toml"
DEBUG = "PERENNIAL_DEBUG"
"""No setting: the command line shows tracebacks when it is 1."""


def load_settings(home: Path | str | None = None, **overrides: object) -> Settings:
    """Read the settings of `home` (default: PERENNIAL_HOME, else `.perennial`).

    `overrides` are keywords such as `model="..."`, `engine={"max_loras": 4}` or
    `engine__max_loras=4`; None means not given. The home need not exist.
    """
    home = place_of(home)
    sources = sources_of(home, overrides)
    merged: dict[str, Any] = {}
    for values in sources.values():
        _merge(merged, values)
    merged["home"] = home
    try:
        return Settings(**merged)
    except ValidationError as error:
        raise explain(error, sources) from error


def place_of(home: Path | str | None) -> Path:
    """The directory that is meant: PERENNIAL_HOME, else `.perennial`, where none is given."""
    return Path(home or os.environ.get("PERENNIAL_HOME") or ".perennial").expanduser().resolve()


def sources_of(home: Path, overrides: Mapping[str, object]) -> dict[str, dict[str, Any]]:
    """What each source sets, by its name, the weakest first. ConfigError for one that cannot be
    read."""
    file = home / FILE_NAME
    return {
        f"{file}": _from_file(file),
        "the environment": _from_environment(),
        "the command line": _nested(overrides),
    }


def _from_file(file: Path) -> dict[str, Any]:
    """The parsed TOML, empty when there is none."""
    try:
        values = tomllib.loads(file.read_bytes().decode())
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read: {error}", "write it as UTF-8 text") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file} is not TOML: {error}", "mend that line") from error
    if "home" in values:
        raise ConfigError(
            f"home cannot be set in {file}, which lies in it", "use --home or PERENNIAL_HOME"
        )
    _refuse_secrets(values, file)
    return values


def _refuse_secrets(values: Mapping[str, Any], file: Path) -> None:
    """A key or password in a file ends up in backups and repositories."""
    server, storage = values.get("server"), values.get("storage")
    if isinstance(server, dict) and "api_key" in server:
        raise ConfigError(
            f"server.api_key is set in {file}", "set PERENNIAL_SERVER__API_KEY instead"
        )
    if isinstance(storage, dict) and _holds_password(str(storage.get("database", ""))):
        raise ConfigError(
            f"storage.database in {file} holds a password",
            "leave it out there; set PGPASSWORD, or PERENNIAL_STORAGE__DATABASE to the whole URL",
        )


def _holds_password(url: str) -> bool:
    """Whether a database URL names a password, before the host or as a parameter."""
    rest = url.partition("://")[2]
    user, at, _ = rest.rpartition("@")
    return (bool(at) and ":" in user) or "password=" in url.lower()


def home_of(settings: Settings) -> Home:
    """The home of these settings, with the database and the search index that they name."""
    database = settings.storage.database
    return Home(
        settings.home,
        database_url=database.get_secret_value() if database else None,
        chroma_url=settings.storage.chroma,
    )


def _from_environment() -> dict[str, Any]:
    """What PERENNIAL_* says; a variable that means nothing is an error."""
    for name in os.environ:
        if name.upper().startswith(PREFIX) and name.upper() != DEBUG:
            first = name.upper().removeprefix(PREFIX).split("__")[0].lower()
            if first not in Settings.model_fields:
                raise unknown(first, Settings.model_fields, f"the variable {name}")
    try:
        values = EnvSettingsSource(Settings)()
    except SettingsError as error:
        raise ConfigError(
            f"a PERENNIAL_* variable cannot be read: {error}",
            "set single keys, such as PERENNIAL_ENGINE__MAX_LORAS=4",
        ) from error
    values.pop("home", None)
    return values


def _nested(overrides: Mapping[str, object]) -> dict[str, Any]:
    """Keywords with `__` as nested dicts, without those that are None."""
    values: dict[str, Any] = {}
    for key, value in overrides.items():
        if value is None:
            continue
        *sections, last = key.split("__")
        for section in reversed(sections):
            value, last = {last: value}, section
        _merge(values, {last: value})
    return values


def _merge(into: dict[str, Any], values: Mapping[str, Any]) -> None:
    """Lay `values` over `into`, key by key inside sections."""
    for key, value in values.items():
        if isinstance(value, Mapping) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = dict(value) if isinstance(value, Mapping) else value
