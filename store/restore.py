"""Reads a backup into an empty home, which is whole at the end or says that it is not.

Everything is unpacked beside the home's places and checked there: every digest, every artifact.
Only then the records go into the database, in one transaction, and the files to their places. The
folder `.restoring` is there all the while: no store opens with it, and the next restore begins
anew. Called by adapt.commands.backup.
"""

import json
import os
import re
import secrets
import shutil
import tomllib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from store.archive import read_archive
from store.backup import THREADS, is_plain
from store.database import Database
from store.dump import finish, load, prepare, tables
from store.errors import ConfigError, IntegrityError
from store.files import Artifacts, write_atomic
from store.home import Home

SETTINGS = "perennial.toml"
ASIDE = "perennial.toml.from-backup"
"""Where settings go that name a database or a search index, which are another home's."""

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Restored:
    """What came back."""

    home: str
    created: str
    """When the backup was made."""
    records: dict[str, int]
    artifacts: int
    files: int
    aside: bool
    """Whether the settings were put aside as ASIDE."""


def restore_home(home: Home, file: Path, progress: Progress) -> Restored:
    """Fill an empty home from a backup.

    Raises ConfigError for a home that is not empty and for a file that is no backup, IntegrityError
    naming what is damaged, StateError for a database that is not empty. After any of them the home
    is as it was; after a kill it says that it is not whole.
    """
    begun = home.restoring.is_dir()
    if not begun and home.path.is_dir() and any(home.path.iterdir()):
        raise ConfigError(
            f"the home {home.path} is not empty", "give a new one with --home; nothing was changed"
        )
    if not file.is_file():
        raise ConfigError(f"there is no file {file}", "give the file of a backup")
    existed = home.path.is_dir()
    home.restoring.mkdir(parents=True, exist_ok=True)
    with home.lock():
        work = _Work(home)
        try:
            restored = work.run(file, progress)
        except BaseException:
            if not work.placing:
                _empty(home, remove=not existed)
            raise
    return restored


class _Work:
    """One restore."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._stage = home.restoring
        self.placing = False
        """Whether records are in the database, or files at their places: then it is not undone."""
        self._own = self._identity()

    def _identity(self) -> str:
        """The name that the home will have; an interrupted try has given one already, by which its
        records in a database are known."""
        file = self._stage / "identity.json"
        if not file.is_file() and self._home.identity.is_file():
            os.rename(self._home.identity, file)
        if not file.is_file():
            kind = "postgresql" if self._home.database_url else "sqlite"
            said = {"id": secrets.token_hex(8), "database": kind}
            write_atomic(file, json.dumps(said) + "\n")
        return json.loads(file.read_text())["id"]

    def run(self, file: Path, progress: Progress) -> Restored:
        """From the file to the whole home."""
        self._sweep()
        folder = self._stage / "members"
        size = file.stat().st_size
        manifest = read_archive(
            file, folder, _allowed, lambda done: progress("reading", done, size)
        )
        digests = self._check_artifacts(folder, manifest, progress)
        records = self._load(folder, manifest, progress)
        files = sum(1 for p in (folder / "files").rglob("*") if p.is_file())
        aside = self._place(folder, digests)
        # The marker goes last, and not before everything else is on the disk.
        os.sync()
        gone = self._home.path / f".restored-{self._own}"
        os.rename(self._stage, gone)
        shutil.rmtree(gone)
        return Restored(
            str(self._home.path), str(manifest.get("created")), records, len(digests), files, aside
        )

    def _sweep(self) -> None:
        """Remove what an interrupted try has left, except the name and the lock."""
        kept = (self._stage / "identity.json", self._stage, self._home.run)
        for path in [*self._stage.iterdir(), *self._home.path.iterdir()]:
            if path not in kept:
                _remove(path)
        self._home.create()

    def _check_artifacts(
        self, folder: Path, manifest: dict[str, Any], progress: Progress
    ) -> list[str]:
        artifacts = Artifacts(folder / "artifacts")
        digests = [str(digest) for digest in manifest.get("artifacts", [])]
        there = artifacts.digests()
        if sorted(digests) != there:
            odd = sorted(set(digests) ^ set(there))
            raise IntegrityError(f"the artifact {odd[0]} is not whole", "use another backup")
        for number, digest in enumerate(digests):
            progress("checking weights", number, len(digests))
            artifacts.verify(digest)
        return digests

    def _load(self, folder: Path, manifest: dict[str, Any], progress: Progress) -> dict[str, int]:
        """All records, in one transaction; counts by table."""
        said: dict[str, int] = manifest.get("records", {})
        place = self._home.database_url or self._stage / "perennial.db"
        database = Database(place)
        counts: dict[str, int] = {}
        try:
            with database.begin() as db:
                prepare(db, str(manifest.get("revision")), self._own)
                for name in [n for n in tables() if n in said]:
                    progress(f"writing {name}", sum(counts.values()), sum(said.values()))
                    counts[name] = load(db, name, _lines(folder / "tables" / name))
                if counts != said:
                    raise IntegrityError(
                        f"the backup holds records {counts} and says {said}", "use another backup"
                    )
                finish(db, self._own)
            self.placing = self._home.database_url is not None
        finally:
            database.close()
        return counts

    def _place(self, folder: Path, digests: Iterable[str]) -> bool:
        """Move everything to its place; whether the settings were put aside."""
        home = self._home
        self.placing = True
        for digest in digests:
            os.rename(folder / "artifacts" / digest, home.artifacts / digest)
        files = folder / "files"
        aside = _names_storage(files / SETTINGS)
        if aside:
            os.rename(files / SETTINGS, files / ASIDE)
        for path in files.iterdir() if files.is_dir() else ():
            os.rename(path, home.path / path.name)
        if (folder / THREADS).is_file():
            os.rename(folder / THREADS, home.threads_database)
        if home.database_url is None:
            for path in self._stage.glob(f"{home.database.name}*"):
                os.rename(path, home.path / path.name)
        os.rename(self._stage / "identity.json", home.identity)
        return aside


def _allowed(name: PurePosixPath) -> bool:
    """Whether a member of this name can be in a backup."""
    kind, *rest = name.parts
    if kind == "files":
        return bool(rest) and is_plain(PurePosixPath(*rest))
    if kind == "tables":
        # A table of a newer release is told of by its revision, when the manifest is read.
        return len(rest) == 2 and re.fullmatch("[a-z_]+", rest[0]) is not None
    if kind == "artifacts":
        return len(rest) > 1 and re.fullmatch("[0-9a-f]{64}", rest[0]) is not None
    return str(name) == THREADS


def _lines(folder: Path) -> Iterator[bytes]:
    for part in sorted(folder.glob("*.jsonl")):
        with part.open("rb") as file:
            yield from file


def _names_storage(settings: Path) -> bool:
    """Whether settings say where the records are: those of the home that was backed up."""
    try:
        return "storage" in tomllib.loads(settings.read_text())
    except FileNotFoundError:
        return False
    except (ValueError, OSError):
        # What cannot be read is left for people to look at.
        return True


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _empty(home: Home, *, remove: bool) -> None:
    """Take everything away again: the home was empty, or was not there."""
    for path in home.path.iterdir():
        _remove(path)
    if remove:
        home.path.rmdir()
