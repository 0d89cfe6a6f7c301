"""The home directory: where everything of one deployment lies, and who holds it.

One process at a time may hold a home (`lock`). This module knows paths, the lock and the status
file of the running process; what is inside the files is the business of the other store modules.
Called by the command line, the server and the tests.
"""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from store.errors import BusyError, ConfigError
from store.files import write_atomic

_PATIENCE_S = 0.25


class Home:
    """Paths of one home directory. Nothing is made on disk before `create`."""

    def __init__(
        self, path: Path, database_url: str | None = None, chroma_url: str | None = None
    ) -> None:
        # Absolute, or a later change of the working directory would split the home in two.
        self.path = Path(path).expanduser().absolute()
        self.database_url = database_url
        """Of the PostgreSQL database that is used instead of the file `database`."""
        self.chroma_url = chroma_url
        """Of the Chroma server that is used instead of the folder `chroma`."""
        self.database = self.path / "perennial.db"
        self.threads_database = self.path / "threads.db"
        self.artifacts = self.path / "artifacts"
        self.chroma = self.path / "chroma"
        self.keywords = self.path / "keywords.db"
        """The words of the search index; made from the documents, whatever the database is."""
        self.vectors = self.path / "vectors.db"
        """Vectors of tools' descriptions by digest; made again where it is missing."""
        self.run = self.path / "run"
        """Sockets and locks; only the owner may enter."""
        self.logs = self.path / "logs"
        self.cycles = self.path / "cycles"
        self.evals = self.path / "evals"
        """Run folders of `perennial eval run`; made by the first run."""

        self.identity = self.path / "identity.json"
        """Which home this is, and what its database is; made by the first opening."""
        self.restoring = self.path / ".restoring"
        """What a restore has read so far; gone when the home is whole."""

    def exists(self) -> bool:
        """Whether a store was ever opened here: a look inside must not make a home."""
        return self.database.is_file() or self.identity.is_file()

    def create(self) -> None:
        """Make the folders that are missing. Raises ConfigError when that cannot be done."""
        try:
            # Conversations are in it: a new home is its owner's alone, whatever the umask.
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            for folder in (self.artifacts, self.chroma, self.logs, self.cycles):
                folder.mkdir(parents=True, exist_ok=True)
            self.run.mkdir(mode=0o700, exist_ok=True)
            # An older or looser umask must not leave the sockets open to other users.
            self.run.chmod(0o700)
        except OSError as error:
            raise ConfigError(
                f"the home {self.path} cannot be used: {error.strerror or error}",
                "choose another with --home or PERENNIAL_HOME",
            ) from error

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold this home until the block ends. Raises BusyError naming the holder's pid.

        The lock goes with the process: a killed holder leaves none behind.
        """
        self.create()
        with (self.run / "lock").open("a+") as file:
            if not _take(file):
                raise BusyError(
                    f"the home {self.path} is in use by process {_read_pid(file)}",
                    "stop that process, talk to it over its URL, or choose another --home",
                )
            _write_pid(file, str(os.getpid()))
            try:
                yield
            finally:
                _write_pid(file, "")

    def locked_by(self) -> int | None:
        """Pid of the process that holds this home, None when nobody does."""
        try:
            file = (self.run / "lock").open("r")
        except FileNotFoundError:
            return None
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return _read_pid(file)
        return None

    def write_status(self, status: dict[str, Any]) -> None:
        """Publish what the running process offers: `url`, `pid`, `engine` (its socket)."""
        self.create()
        write_atomic(self.run / "status.json", json.dumps(status, indent=1))

    def read_status(self) -> dict[str, Any] | None:
        """The last published status, None when there is none. Its process may be gone by now."""
        try:
            status = json.loads((self.run / "status.json").read_text())
        except (FileNotFoundError, ValueError):
            return None
        return status if isinstance(status, dict) else None


def _take(file: IO[str]) -> bool:
    """Take the exclusive lock; patient for a moment, as `locked_by` holds a shared one briefly."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)


def _write_pid(file: IO[str], text: str) -> None:
    file.seek(0)
    file.truncate()
    file.write(text)
    file.flush()


def _read_pid(file: IO[str]) -> int:
    """The holder's pid; 0 when it has not written it within a moment."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        file.seek(0)
        text = file.read().strip()
        if text.isdigit():
            return int(text)
        if time.monotonic() > deadline:
            return 0
        time.sleep(0.01)
