"""Fixtures of the store's tests: a migrated database and a whole store, both in a fresh home."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from store.database import Database
from store.embeddings import HashEmbedder
from store.home import Home
from store.store import Store


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "test.db")
    database.migrate()
    yield database
    database.close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(Home(tmp_path / "home"), HashEmbedder()) as store:
        yield store
