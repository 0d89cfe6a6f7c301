"""The sections of the settings about running for a year: engines, swaps, storage and budgets.

As agent.config_sections, which puts all sections together and is where others get them.
"""

from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator

from agent.config_base import Section


class FleetSettings(Section):
    """The engines that serve together. One of our own, unless told otherwise."""

    engines: int = Field(default=1, ge=0)
    """Engines that are started here; 0 when all are elsewhere."""
    cards: tuple[str, ...] = ()
    """GPUs of the engines started here, in turn, as CUDA_VISIBLE_DEVICES names them. Unset: all on
    the first that is visible."""
    urls: tuple[str, ...] = ()
    """Other vLLM servers of the same model, such as http://10.0.0.7:8000, which see the home's
    artifacts under the same path. Their adapter endpoints must be on and open to us alone."""


class SwapSettings(Section):
    """How a version takes over from another."""

    keep: int = Field(default=2, ge=0)
    """Earlier versions that stay loaded, so that going back needs no load."""
    drain_s: float = Field(default=120.0, gt=0.0)
    """How long runs on old weights may take before weights are replaced in place, in seconds."""
    canary_share: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Share of new threads that a promoted version answers before it is live; 0 goes live at
    once."""
    canary_runs: int = Field(default=100, ge=1)
    """Runs a canary must answer before it goes live."""
    watch_runs: int = Field(default=200, ge=0)
    """Runs after which a new live version is no longer watched; 0 watches none."""


class StorageSettings(Section):
    """Where what is kept is kept. Unset: SQLite and Chroma in the home."""

    database: SecretStr | None = None
    """URL of a PostgreSQL database, postgresql://user@host/name. A password is read from
    PERENNIAL_STORAGE__DATABASE, PGPASSWORD or ~/.pgpass, never from perennial.toml."""
    chroma: str | None = None
    """URL of a Chroma server, http://host:8000."""

    @field_validator("database")
    @classmethod
    def _postgresql(cls, value: SecretStr | None) -> SecretStr | None:
        """Refuses other databases without repeating the value, which may hold a password."""
        kind = value.get_secret_value().partition("://")[0] if value else "postgresql"
        if kind not in ("postgresql", "postgresql+psycopg", "postgres"):
            raise ValueError("not the URL of a PostgreSQL database, postgresql://user@host/name")
        return value

    @field_validator("chroma")
    @classmethod
    def _server(cls, value: str | None) -> str | None:
        """Refuses what is more than a scheme, a host and a port."""
        if value is None:
            return None
        url = urlsplit(value)
        more = url.path.strip("/") or url.query or url.username or url.password
        if url.scheme not in ("http", "https") or not url.hostname or more:
            raise ValueError("not the URL of a Chroma server, http://host:8000")
        return value


class BudgetSettings(Section):
    """What updates may use."""

    cycle_minutes: float | None = Field(default=None, gt=0.0)
    """An update that takes longer, its interruptions not counted, is stopped and counts as failed;
    a swap under way is not stopped."""
    disk_gib: float | None = Field(default=None, gt=0.0)
    """Most that the home's artifacts may take; older versions' weights go first, those in use
    never."""
    versions: int = Field(default=50, ge=2)
    """Versions whose weights are kept. Their records stay for ever."""
