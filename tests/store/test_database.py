"""The database, as a file and on a server: migrations, transactions, several writers."""

import multiprocessing
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, func, insert, inspect, select, text

from store.database import Database
from store.errors import BusyError, ConfigError, StateError
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


def test_migrating_again_changes_nothing(database: Database) -> None:
    with database.begin() as db:
        add(db, "kept")
    database.migrate()
    assert count(database) == 1


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
        assert "lost" not in inspect(db).get_table_names()


def test_a_killed_writer_leaves_nothing(place: str | Path, database: Database) -> None:
    code = (
        "import os, sys; from store.database import Database\n"
        "with Database(sys.argv[1]).begin() as db:\n"
        "    db.exec_driver_sql(\"INSERT INTO sources VALUES ('lost', '{}')\")\n"
        "    os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(place)], cwd=ROOT, timeout=300)
    assert done.returncode == -9
    with database.begin() as db:
        add(db, "kept")
    assert count(database) == 1


def test_readers_neither_wait_for_a_writer_nor_see_its_half(database: Database) -> None:
    with database.begin() as db:
        add(db, "half")
        assert count(database) == 0
    assert count(database) == 1


def _write(place: str | Path, name: str, times: int) -> None:
    database = Database(place, wait=60)
    database.migrate()
    for _ in range(times):
        with database.begin() as db:
            # Reading before writing is what fails or loses updates without BEGIN IMMEDIATE.
            last = db.scalar(select(func.count()).select_from(sources)) or 0
            add(db, f"{last:04}-{name}")
    database.close()


def test_processes_that_open_and_write_at_once_lose_nothing(place: str | Path) -> None:
    """Each row's number is the count before it: no gap and no double if writers take turns."""
    spawn = multiprocessing.get_context("spawn")
    writers = [spawn.Process(target=_write, args=(place, f"p{i}", 10)) for i in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(300)
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    database = Database(place)
    with database.read() as db:
        names = sorted(db.scalars(select(sources.c.name)))
    assert [name[:4] for name in names] == [f"{i:04}" for i in range(30)]
    database.close()


def test_threads_that_write_at_once_lose_nothing(place: str | Path, database: Database) -> None:
    threads = [threading.Thread(target=_write, args=(place, f"t{i}", 20)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    assert count(database) == 80


def test_a_lock_held_too_long_is_busy(place: str | Path, database: Database) -> None:
    hasty = Database(place, wait=0.1)
    with database.begin(), pytest.raises(BusyError, match=r"locked .* 0\.1 s"), hasty.begin():
        pass
    with hasty.begin() as db:
        add(db, "later")
    hasty.close()


def test_a_conflict_is_a_state_error(database: Database) -> None:
    with pytest.raises(StateError, match=r"(?i)unique"), database.begin() as db:
        add(db, "same")
        add(db, "same")
    assert count(database) == 0
