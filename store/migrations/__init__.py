"""How the tables come to be: ordered Alembic revisions, run from the package itself.

A new revision is a file in versions/, written by hand, with the next number. It runs inside the
caller's transaction, so a failing one leaves nothing. Called by store/database.py only.
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
    return MigrationContext.configure(connection).get_current_revision() == newest


def upgrade(connection: Connection) -> None:
    """Run the revisions that are missing. Raises ConfigError when the database is newer."""
    try:
        command.upgrade(_config(connection), "head")
    except CommandError as error:
        raise ConfigError(
            f"the database was written by another release of Perennial: {error}",
            "use the release that wrote it, or a newer one",
        ) from error


def _config(connection: Connection) -> Config:
    config = Config()
    # Alembic reads this through a ConfigParser, where a bare % is syntax.
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
