"""Fixtures of the store's tests: a migrated database and a whole store, both in a fresh home.

Every test that uses them runs twice: on SQLite with the embedded Chroma, and on real PostgreSQL and
Chroma servers.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from chroma_server import ChromaServer, chroma_server

from store.database import Database
from store.embeddings import HashEmbedder
from store.home import Home
from store.store import Store


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str | None:
    """URL of an empty PostgreSQL database; None stands for a file."""
    if request.param == "sqlite":
        return None
    make: Callable[[], str] = request.getfixturevalue("new_postgres")
    return make()


@pytest.fixture
def place(tmp_path: Path, database_url: str | None) -> str | Path:
    """What `database` is opened with."""
    return database_url or tmp_path / "test.db"


@pytest.fixture
def database(place: str | Path) -> Iterator[Database]:
    database = Database(place)
    database.migrate()
    yield database
    database.close()


@pytest.fixture(scope="session")
def chroma(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChromaServer]:
    """A server for all tests: each home has a collection of its own."""
    with chroma_server(tmp_path_factory.mktemp("chroma") / "data") as server:
        yield server


@pytest.fixture
def home(tmp_path: Path, database_url: str | None, request: pytest.FixtureRequest) -> Home:
    """A home in files, or one whose records and search index are on servers."""
    chroma_url = request.getfixturevalue("chroma").url if database_url else None
    return Home(tmp_path / "home", database_url, chroma_url)


@pytest.fixture
def store(home: Home) -> Iterator[Store]:
    with Store.open(home, HashEmbedder()) as store:
        yield store
