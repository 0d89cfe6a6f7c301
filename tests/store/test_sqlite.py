"""What is SQLite's own: its modes, its errors with a way out, and that the file is a plain one."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select, text

from store.database import Database
from store.errors import ConfigError, IntegrityError, PerennialError
from store.tables import sources


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "test.db")
    database.migrate()
    yield database
    database.close()


def test_readers_and_writers_share_and_keys_are_checked(database: Database) -> None:
    with database.read() as db:
        assert db.scalar(text("PRAGMA journal_mode")) == "wal"
        assert db.scalar(text("PRAGMA foreign_keys")) == 1


def test_a_full_disk_says_so_and_changes_nothing(database: Database) -> None:
    with pytest.raises(PerennialError, match="no space left") as caught, database.begin() as db:
        db.execute(insert(sources).values(name="small", record="{}"))
        pages = db.scalar(text("PRAGMA page_count"))
        # The page limit is SQLite's own way to run out of space; it holds for this connection.
        db.execute(text(f"PRAGMA max_page_count = {pages}"))
        db.execute(insert(sources).values(name="big", record="x" * 1_000_000))
    assert "free some space" in caught.value.hint
    with database.read() as db:
        assert db.scalar(select(func.count()).select_from(sources)) == 0


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


def test_the_file_is_plain_sqlite(tmp_path: Path, database: Database) -> None:
    with database.begin() as db:
        db.execute(insert(sources).values(name="seen", record="{}"))
    with sqlite3.connect(tmp_path / "test.db") as plain:
        assert plain.execute("SELECT name FROM sources").fetchall() == [("seen",)]
    plain.close()
