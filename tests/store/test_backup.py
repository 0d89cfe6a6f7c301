"""Backup and restore: what comes back is equal, and nothing comes back from a damaged file."""

import contextlib
import gzip
import io
import json
import signal
import sqlite3
import stat
import subprocess
import sys
import tarfile
import threading
import zlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from full_home import TEXTS, fill, records
from sqlalchemy import inspect, text

from store.backup import write_backup
from store.database import Database
from store.embeddings import HashEmbedder
from store.errors import ConfigError, IntegrityError, PerennialError, StateError
from store.home import Home
from store.migrations import upgrade
from store.records import digest_of
from store.restore import restore_home
from store.store import Store

ROOT = Path(__file__).resolve().parents[2]


def silent(text: str, done: int, total: int) -> None:
    """Nobody watches."""


def backed_up(home: Home, file: Path) -> Path:
    with Store.open(home, HashEmbedder()) as store:
        write_backup(store, file, silent)
    return file


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, Path]:
    """A home in files and its backup; both only to be read."""
    place = tmp_path_factory.mktemp("full")
    home = Home(place / "home")
    fill(home)
    return home, backed_up(home, place / "home.backup")


@pytest.fixture
def new_home(tmp_path: Path) -> Home:
    return Home(tmp_path / "new")


@pytest.mark.parametrize("source", ["sqlite", "postgresql"])
@pytest.mark.parametrize("target", ["sqlite", "postgresql"])
def test_every_record_comes_back_on_either_database(
    tmp_path: Path, new_postgres: Callable[[], str], source: str, target: str
) -> None:
    urls = [new_postgres() if kind == "postgresql" else None for kind in (source, target)]
    old, new = Home(tmp_path / "old", urls[0]), Home(tmp_path / "new", urls[1])
    fill(old)
    restored = restore_home(new, backed_up(old, tmp_path / "file"), silent)
    assert records(new) == records(old)
    assert restored.records["documents"] == 3 and restored.artifacts == 3
    with Store.open(new, HashEmbedder()) as store:
        for digest in store.artifacts.digests():
            store.artifacts.verify(digest)
        assert store.documents.search("harbour")[0].document == digest_of(TEXTS[0])
        assert store.versions.roll_back().number == 1  # the log of the alias can be written on
        assert store.cycles.unfinished() is not None


def test_files_come_back_and_what_belongs_to_a_process_does_not(
    full: tuple[Home, Path], new_home: Home
) -> None:
    old, file = full
    restore_home(new_home, file, silent)
    for name in (
        "perennial.toml",
        "masks/0123/mask.json",
        "digests/base.json",
        "evals/run-1/run.json",
    ):
        assert (new_home.path / name).read_bytes() == (old.path / name).read_bytes()
    with closing(sqlite3.connect(new_home.threads_database)) as threads:
        assert threads.execute("SELECT count(*) FROM said").fetchone() == (500,)
    assert not [p for p in (new_home.logs, new_home.cycles) if any(p.iterdir())]
    assert not new_home.restoring.exists()
    assert new_home.identity.read_text() != old.identity.read_text()
    assert not list(new_home.path.glob(".rest*"))


def test_a_backup_is_private_and_replaces_nothing(full: tuple[Home, Path]) -> None:
    home, file = full
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    before = file.read_bytes()
    with pytest.raises(ConfigError, match="there already"):
        backed_up(home, file)
    with pytest.raises(ConfigError, match="in the home itself"):
        backed_up(home, home.path / "x.backup")
    assert file.read_bytes() == before
    assert not [p for p in file.parent.iterdir() if p.name.startswith(".")]


def test_a_backup_under_writers_is_of_one_moment(
    tmp_path: Path, new_home: Home, database_url: str | None
) -> None:
    """Each writer adds an example and a source in one transaction: never one without the other."""
    home = Home(tmp_path / "home", database_url)
    fill(home)
    begun, stop = threading.Event(), threading.Event()

    def write() -> None:
        with Store.open(home, HashEmbedder()) as store:
            number = 0
            while not stop.is_set():
                number += 1
                with store.database.begin() as db:
                    row = {"n": number, "name": f"n{number}"}
                    db.execute(text("INSERT INTO snapshots VALUES (:name, '{}')"), row)
                    db.execute(text("INSERT INTO sources VALUES (:name, '{}')"), row)
                begun.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert begun.wait(60)
        backed_up(home, tmp_path / "file")
    finally:
        stop.set()
        writer.join()
    restore_home(new_home, tmp_path / "file", silent)
    database = Database(new_home.database)
    with database.read() as db:
        sides = [
            set(db.scalars(text(f"SELECT {column} FROM {table} WHERE {column} LIKE 'n%'")))
            for table, column in (("sources", "name"), ("snapshots", "digest"))
        ]
    database.close()
    assert sides[0] == sides[1] and sides[0]


def test_a_changed_artifact_is_refused_before_it_is_kept(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    fill(home)
    with Store.open(home, HashEmbedder()) as store:
        file = store.artifacts.path(store.artifacts.digests()[0]) / "adapter.bin"
    file.chmod(0o600)
    file.write_bytes(b"x" + file.read_bytes()[1:])
    with pytest.raises(IntegrityError, match=r"adapter\.bin differs"):
        backed_up(home, tmp_path / "file")
    assert not (tmp_path / "file").exists()


def members(file: Path) -> dict[str, bytes]:
    with tarfile.open(file, "r:gz") as tar:
        found = ((m.name, tar.extractfile(m)) for m in tar)
        return {name: source.read() for name, source in found if source}


def packed(file: Path, parts: dict[str, bytes], **infos: Any) -> Path:
    """An archive of these members, and of tar entries given as they are."""
    with gzip.open(file, "wb") as raw, tarfile.open(fileobj=raw, mode="w|") as tar:
        for info in infos.values():
            tar.addfile(info)
        for name, data in parts.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return file


def refused(home: Home, file: Path, kind: type[PerennialError], match: str) -> None:
    """The restore fails and leaves no trace."""
    with pytest.raises(kind, match=match) as caught:
        restore_home(home, file, silent)
    assert caught.value.hint
    assert not home.path.exists()


def test_a_file_cut_off_anywhere_is_refused(
    full: tuple[Home, Path], new_home: Home, tmp_path: Path
) -> None:
    data = full[1].read_bytes()
    cut = tmp_path / "cut"
    for share in (0.02, 0.3, 0.6, 0.95, 1 - 4 / len(data)):
        cut.write_bytes(data[: int(len(data) * share)])
        refused(new_home, cut, IntegrityError, "damaged at or after '")


def test_a_flipped_bit_anywhere_is_refused(
    full: tuple[Home, Path], new_home: Home, tmp_path: Path
) -> None:
    """Save where it means nothing to gzip, which has more than one way to say the same."""
    data = full[1].read_bytes()
    whole = gzip.decompress(data)
    flipped = tmp_path / "flipped"
    tried = 0
    for place in range(20, len(data), max(1, len(data) // 40)):
        flipped.write_bytes(data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :])
        with contextlib.suppress(OSError, EOFError, zlib.error):
            if gzip.decompress(flipped.read_bytes()) == whole:
                continue
        tried += 1
        named = "' of .*(damaged|missing)|damaged at or after '|belongs to no backup"
        refused(new_home, flipped, IntegrityError, named)
    assert tried > 30


def test_a_changed_member_is_named(full: tuple[Home, Path], new_home: Home, tmp_path: Path) -> None:
    """The file as such is sound: only the manifest tells."""
    parts = members(full[1])
    for name in list(parts):
        if name == "manifest.json":
            continue
        changed = packed(tmp_path / "changed", parts | {name: parts[name] + b" "})
        refused(new_home, changed, IntegrityError, f"{name}' of .* is damaged")
    name = "masks/0123/mask.json"
    without = {k: v for k, v in parts.items() if not k.endswith(name)}
    refused(new_home, packed(tmp_path / "less", without), IntegrityError, f"{name}' of .* missing")
    more = {"files/more": b"x"} | parts
    refused(new_home, packed(tmp_path / "more", more), IntegrityError, "files/more")


@pytest.mark.parametrize(
    "name",
    [
        "../out", "/etc/out", "files/../../out", "files/./x", "files//x", "files/run/lock", "x",
        "files/perennial.db", "files/.restoring/x", "files/identity.json", "files",
        "artifacts/../x/y", "artifacts/short/x", "tables/../../x", "threads.db/x",
    ],
)  # fmt: skip
def test_a_name_that_leads_elsewhere_is_refused(
    full: tuple[Home, Path], new_home: Home, tmp_path: Path, name: str
) -> None:
    bad = packed(tmp_path / "bad", {name: b"out"} | members(full[1]))
    refused(new_home, bad, IntegrityError, "belongs to no backup")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE]
)
def test_what_is_no_plain_file_is_refused(
    full: tuple[Home, Path], new_home: Home, tmp_path: Path, kind: bytes
) -> None:
    info = tarfile.TarInfo("files/link")
    info.type, info.linkname = kind, "/etc/passwd"
    bad = packed(tmp_path / "bad", members(full[1]), link=info)
    refused(new_home, bad, IntegrityError, "files/link")


def test_a_file_that_is_something_else_is_refused(new_home: Home, tmp_path: Path) -> None:
    other = tmp_path / "other"
    for data in (b"", b"text", gzip.compress(b"text" * 999)):
        other.write_bytes(data)
        refused(new_home, other, ConfigError, "no backup of Perennial")
    refused(new_home, tmp_path / "absent", ConfigError, "no file")
    refused(new_home, packed(tmp_path / "tar", {"files/x": b""}), IntegrityError, "manifest")


def test_a_home_with_anything_in_it_is_left_alone(
    full: tuple[Home, Path], tmp_path: Path, new_postgres: Callable[[], str]
) -> None:
    used = Home(tmp_path / "used")
    used.path.mkdir()
    (used.path / "mine").write_text("x")
    with pytest.raises(ConfigError, match="not empty"):
        restore_home(used, full[1], silent)
    assert [p.name for p in used.path.iterdir()] == ["mine"]
    url = new_postgres()
    with Store.open(Home(tmp_path / "other", url), HashEmbedder()) as store:
        store.cycles.start({})
    with pytest.raises(StateError, match=r"not empty: .*cycles"):
        restore_home(Home(tmp_path / "new", url), full[1], silent)
    assert not (tmp_path / "new").exists()


def older(file: Path, new: Path, revision: str) -> Path:
    """The same backup as a release with that schema would have written it."""
    parts = members(file)
    manifest = json.loads(parts.pop("manifest.json"))
    manifest["revision"] = revision
    known = columns_of(new.with_suffix(".db"), revision)
    for name in [n for n in manifest["records"] if n not in known]:
        del manifest["records"][name]
    for name in [n for n in parts if n.startswith("tables/")]:
        columns = known.get(name.split("/")[1])
        if columns is None:
            del parts[name], manifest["members"][name]
            continue
        rows = (json.loads(line) for line in parts[name].splitlines())
        lines = [json.dumps({c: v for c, v in row.items() if c in columns}) for row in rows]
        parts[name] = "".join(f"{line}\n" for line in lines).encode()
        manifest["members"][name]["sha256"] = digest_of(parts[name])
    return packed(new, parts | {"manifest.json": json.dumps(manifest).encode()})


def columns_of(place: Path, revision: str) -> dict[str, set[str]]:
    """The columns of each table at a revision; those of today at one that is not known."""
    database = Database(place)
    with database.begin() as db:
        upgrade(db, "head" if revision == "9999" else revision)
        tables = inspect(db)
        names = tables.get_table_names()
        found = {name: {c["name"] for c in tables.get_columns(name)} for name in names}
    database.close()
    return found


def test_an_older_backup_is_brought_up_to_date_and_a_newer_one_refused(
    full: tuple[Home, Path], tmp_path: Path, new_home: Home, database_url: str | None
) -> None:
    home = Home(new_home.path, database_url)
    refused(home, older(full[1], tmp_path / "newer", "9999"), ConfigError, "another release")
    restore_home(home, older(full[1], tmp_path / "older", "0001"), silent)
    # Those that there were no tables for yet.
    since = {"threads": [], "runs": [], "items": []}
    assert records(home) == records(full[0]) | since
    with Store.open(home, HashEmbedder()) as store:
        assert store.trials.list() == []


def test_settings_that_name_a_database_are_put_aside(tmp_path: Path, new_home: Home) -> None:
    home = Home(tmp_path / "home")
    fill(home)
    (home.path / "perennial.toml").write_text('[storage]\nchroma = "http://127.0.0.1:9"\n')
    restored = restore_home(new_home, backed_up(home, tmp_path / "file"), silent)
    assert restored.aside
    assert not (new_home.path / "perennial.toml").exists()
    assert "storage" in (new_home.path / "perennial.toml.from-backup").read_text()


KILLED = """
import os, signal, sys
from pathlib import Path
from store import Home
from store.restore import restore_home

def tell(text, done, total):
    if text == sys.argv[3] and done >= float(sys.argv[4]) * total:
        os.kill(os.getpid(), signal.SIGKILL)

restore_home(Home(Path(sys.argv[1]), *sys.argv[5:]), Path(sys.argv[2]), tell)
"""


@pytest.mark.parametrize(
    ("step", "share"),
    [("reading", 0), ("reading", 0.5), ("checking weights", 0.5), ("writing documents", 0),
     ("writing sources", 0)],
)  # fmt: skip
def test_a_killed_restore_says_so_and_begins_anew(
    full: tuple[Home, Path], new_home: Home, step: str, share: float
) -> None:
    command = [sys.executable, "-c", KILLED, str(new_home.path), str(full[1]), step, str(share)]
    done = subprocess.run(command, cwd=ROOT, timeout=300)
    assert done.returncode == -signal.SIGKILL
    with pytest.raises(StateError, match="did not finish") as caught:
        Store.open(new_home, HashEmbedder())
    assert "perennial restore" in caught.value.hint
    restore_home(new_home, full[1], silent)
    assert records(new_home) == records(full[0])


def test_a_restore_killed_after_its_database_was_written_begins_anew(
    full: tuple[Home, Path], tmp_path: Path, new_postgres: Callable[[], str]
) -> None:
    """The records in the database are known as its own by the home's name."""
    home = Home(tmp_path / "new", new_postgres())
    restore_home(home, full[1], silent)
    # As if it had been killed before its last step.
    home.restoring.mkdir()
    restore_home(home, full[1], silent)
    assert records(home) == records(full[0])
