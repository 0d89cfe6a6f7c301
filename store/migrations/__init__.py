"""How the tables come to be: ordered Alembic revisions, run from the package itself.

A new revision is a file in versions/, written by hand, with the next number. It runs inside the
caller's transaction, so a failing one leaves nothing. Called by store/database.py and, for backups
of older tables, store/dump.py.
"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection

from store.errors import ConfigError


def current(connection: Connection) -> bool:
    """Whether the database has the newest tables."""
    newest = ScriptDirectory.from_config(_config(connection)).get_current_head()
    return current_revision(connection) == newest


def current_revision(connection: Connection) -> str | None:
    """The revision of the database's tables, None where there are none."""
    return MigrationContext.configure(connection).get_current_revision()


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Run the revisions that are missing. Raises ConfigError when the database is newer, or the
    revision unknown, as of a newer release."""
    try:
        command.upgrade(_config(connection), revision)
    except CommandError as error:
        raise ConfigError(
            f"this was written by another release of Perennial: {error}",
            "use the release that wrote it, or a newer one",
        ) from error


def _config(connection: Connection) -> Config:
    config = Config()
    # Alembic reads this through a ConfigParser, where a bare % is syntax.
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
