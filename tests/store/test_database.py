"""The database: migrations, transactions, several writers, errors with a way out."""

import multiprocessing
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, func, insert, select, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

from store.database import Database
from store.errors import BusyError, ConfigError, IntegrityError, PerennialError, StateError
from store.tables import metadata, sources

ROOT = Path(__file__).resolve().parents[2]


def add(db: Connection, name: str) -> None:
    db.execute(insert(sources).values(name=name, record="{}"))


def count(database: Database) -> int:
    with database.read() as db:
        return db.scalar(select(func.count()).select_from(sources)) or 0


def test_migrations_make_exactly_the_tables_of_the_code(database: Database) -> None:
    with database.read() as db:
        assert compare_metadata(MigrationContext.configure(db), metadata) == []
        assert db.scalar(text("PRAGMA journal_mode")) == "wal"
        assert db.scalar(text("PRAGMA foreign_keys")) == 1


def test_migrating_again_changes_nothing(database: Database) -> None:
    with database.begin() as db:
        add(db, "kept")
    database.migrate()
    assert count(database) == 1


def test_tables_compile_for_postgresql() -> None:
    for table in metadata.sorted_tables:
        assert "CREATE TABLE" in str(CreateTable(table).compile(dialect=postgresql.dialect()))


def test_a_database_of_a_newer_release_is_refused(database: Database) -> None:
    with database.begin() as db:
        db.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ConfigError, match="another release"):
        database.migrate()


def test_an_error_rolls_the_whole_transaction_back(database: Database) -> None:
    with pytest.raises(ValueError), database.begin() as db:
        add(db, "lost")
        db.execute(text("CREATE TABLE lost (x INTEGER)"))
        raise ValueError
    assert count(database) == 0
    with database.read() as db:
        assert not db.scalar(text("SELECT count(*) FROM sqlite_master WHERE name = 'lost'"))


def test_a_killed_writer_leaves_nothing(tmp_path: Path, database: Database) -> None:
    code = (
        "import os, sys; from pathlib import Path; from store.database import Database\n"
        "with Database(Path(sys.argv[1])).begin() as db:\n"
        "    db.exec_driver_sql(\"INSERT INTO sources VALUES ('lost', '{}')\")\n"
        "    os.kill(os.getpid(), 9)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "test.db")], cwd=ROOT, timeout=300
    )
    assert done.returncode == -9
    with database.begin() as db:
        add(db, "kept")
    assert count(database) == 1


def test_readers_neither_wait_for_a_writer_nor_see_its_half(database: Database) -> None:
    with database.begin() as db:
        add(db, "half")
        assert count(database) == 0
    assert count(database) == 1


def _write(path: Path, name: str, times: int) -> None:
    database = Database(path)
    database.migrate()
    for _ in range(times):
        with database.begin() as db:
            # Reading before writing is what fails or loses updates without BEGIN IMMEDIATE.
            last = db.scalar(select(func.count()).select_from(sources)) or 0
            add(db, f"{last:04}-{name}")
    database.close()


def test_processes_that_open_and_write_at_once_lose_nothing(tmp_path: Path) -> None:
    """Each row's number is the count before it: no gap and no double if writers take turns."""
    spawn = multiprocessing.get_context("spawn")
    writers = [
        spawn.Process(target=_run_writer, args=(str(tmp_path / "w.db"), f"p{i}")) for i in range(3)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(300)
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    database = Database(tmp_path / "w.db")
    with database.read() as db:
        names = sorted(db.scalars(select(sources.c.name)))
    assert [name[:4] for name in names] == [f"{i:04}" for i in range(30)]
    database.close()


def _run_writer(path: str, name: str) -> None:
    _write(Path(path), name, 10)


def test_threads_that_write_at_once_lose_nothing(tmp_path: Path, database: Database) -> None:
    threads = [
        threading.Thread(target=_write, args=(tmp_path / "test.db", f"t{i}", 20)) for i in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    assert count(database) == 80


def test_a_lock_held_too_long_is_busy(tmp_path: Path, database: Database) -> None:
    hasty = Database(tmp_path / "test.db", wait=0.1)
    with database.begin(), pytest.raises(BusyError, match=r"locked .* 0\.1 s"), hasty.begin():
        pass
    with hasty.begin() as db:
        add(db, "later")
    hasty.close()


def test_a_full_disk_says_so_and_changes_nothing(database: Database) -> None:
    with pytest.raises(PerennialError, match="no space left") as caught, database.begin() as db:
        add(db, "small")
        pages = db.scalar(text("PRAGMA page_count"))
        # The page limit is SQLite's own way to run out of space; it holds for this connection.
        db.execute(text(f"PRAGMA max_page_count = {pages}"))
        db.execute(insert(sources).values(name="big", record="x" * 1_000_000))
    assert "free some space" in caught.value.hint
    assert count(database) == 0


@pytest.fixture
def garbage(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "garbage.db"
    path.write_bytes(b"this is no database at all. " * 200)
    yield path


def test_a_damaged_file_is_an_integrity_error(garbage: Path) -> None:
    with pytest.raises(IntegrityError, match=r"garbage\.db is damaged") as caught:
        Database(garbage).migrate()
    assert caught.value.hint


def test_a_place_that_cannot_be_written_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written"):
        Database(tmp_path / "absent" / "x.db").migrate()


def test_a_bad_url_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="URL"):
        Database("://nowhere")


def test_a_conflict_is_a_state_error(database: Database) -> None:
    with pytest.raises(StateError, match="UNIQUE"), database.begin() as db:
        add(db, "same")
        add(db, "same")
    assert count(database) == 0


def test_the_file_is_plain_sqlite(tmp_path: Path, database: Database) -> None:
    with database.begin() as db:
        add(db, "seen")
    with sqlite3.connect(tmp_path / "test.db") as plain:
        assert plain.execute("SELECT name FROM sources").fetchall() == [("seen",)]
    plain.close()
