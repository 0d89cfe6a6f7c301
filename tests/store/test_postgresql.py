"""What is PostgreSQL's own: what goes wrong with a server, with a way out and without passwords."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, insert, text

from adapt.bench.postgres import PostgresServer, find_programs, temporary_server
from store.database import Database
from store.embeddings import HashEmbedder
from store.errors import BusyError, ConfigError, IntegrityError, PerennialError, UserError
from store.home import Home
from store.store import Store
from store.tables import sources

PASSWORD = "s3cret-pa55"


@pytest.fixture
def url(new_postgres: Callable[[], str]) -> str:
    return new_postgres()


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    database = Database(url, wait=2)
    database.migrate()
    yield database
    database.close()


def refused(url: str) -> PerennialError:
    """The error of opening it; no word of it holds the password."""
    database = Database(url, wait=2)
    with pytest.raises(PerennialError) as caught:
        database.migrate()
    database.close()
    said = caught.value
    assert said.hint and PASSWORD not in repr(said) + str(said.__cause__)
    return said


def test_a_wrong_password_says_where_to_give_it(postgres_server: PostgresServer) -> None:
    admin = create_engine(postgres_server.url())
    with admin.begin() as db:
        db.execute(text("DROP ROLE IF EXISTS keeper"))
        db.execute(text("CREATE ROLE keeper LOGIN PASSWORD 'another'"))
    admin.dispose()
    wrong = refused(postgres_server.url(user="keeper", password=PASSWORD))
    assert isinstance(wrong, ConfigError) and "PERENNIAL_STORAGE__DATABASE" in wrong.hint
    missing = refused(postgres_server.url(user="keeper"))
    assert isinstance(missing, ConfigError) and "PGPASSWORD" in missing.hint


def test_a_user_without_rights_is_told_what_to_grant(
    postgres_server: PostgresServer, url: str
) -> None:
    admin = create_engine(postgres_server.url())
    with admin.begin() as db:
        db.execute(text("DROP ROLE IF EXISTS reader"))
        db.execute(text("CREATE ROLE reader LOGIN"))
    admin.dispose()
    name = url.partition("?")[0].rpartition("/")[2]
    found = refused(postgres_server.url(name, user="reader"))
    assert isinstance(found, ConfigError) and "GRANT" in found.hint


def test_what_is_not_there_is_named(postgres_server: PostgresServer) -> None:
    absent = refused(postgres_server.url("absent", password=PASSWORD))
    assert isinstance(absent, ConfigError) and "createdb" in absent.hint
    assert '"absent" does not exist' in absent.message
    nobody = refused(postgres_server.url(user="somebody", password=PASSWORD))
    assert isinstance(nobody, ConfigError) and "createuser" in nobody.hint


def test_a_server_that_does_not_answer_is_named_with_its_place() -> None:
    said = refused(f"postgresql://user:{PASSWORD}@127.0.0.1:9/name")
    assert "postgresql://127.0.0.1:9/name does not answer" in said.message
    said = refused(f"postgres://user:{PASSWORD}@no-such-host.invalid/name")
    assert "no-such-host.invalid" in said.message


@pytest.mark.parametrize(
    "url", [f"mysql://u:{PASSWORD}@h/d", f"postgresql://u:{PASSWORD}@h:port/d", "://nowhere"]
)
def test_a_url_of_something_else_is_refused(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Database(url)
    assert "postgresql://" in caught.value.hint
    assert PASSWORD not in repr(caught.value) + str(caught.value.__cause__)


def test_a_full_disk_says_so_and_changes_nothing(database: Database) -> None:
    """The server's own error, raised on purpose: its disk cannot be filled here."""
    full = "DO $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$"
    with pytest.raises(PerennialError, match="no space left") as caught, database.begin() as db:
        db.execute(insert(sources).values(name="lost", record="{}"))
        db.execute(text(full))
    assert "free some space" in caught.value.hint
    with database.read() as db:
        assert db.scalar(text("SELECT count(*) FROM sources")) == 0


@pytest.mark.parametrize("name", ["x" * 300, "a\0b"])
def test_a_value_that_does_not_fit_is_the_callers_to_mend(database: Database, name: str) -> None:
    with pytest.raises(UserError, match="cannot hold a value"), database.begin() as db:
        db.execute(insert(sources).values(name=name, record="{}"))


def test_readers_cannot_write(database: Database) -> None:
    with pytest.raises(ConfigError, match="read-only"), database.read() as db:
        db.execute(insert(sources).values(name="lost", record="{}"))


def test_connections_that_are_all_in_use_are_busy(url: str) -> None:
    database = Database(url, wait=0.1)
    held = [database.read() for _ in range(30)]
    for each in held:
        each.__enter__()
    try:
        with pytest.raises(BusyError, match="in use"), database.read():
            pass
    finally:
        for each in held:
            each.__exit__(None, None, None)
        database.close()


def test_a_server_restarted_between_two_uses_is_not_noticed_in_one_it_is_said() -> None:
    """The transaction under way is rolled back; the next one finds the server again."""
    with temporary_server(durable=False) as server:
        database = Database(server.url(), wait=2)
        database.migrate()
        with database.begin() as db:
            db.execute(insert(sources).values(name="kept", record="{}"))
        server.stop()
        assert "does not answer" in refused(server.url()).message
        server.start()
        with pytest.raises(PerennialError, match="was lost") as caught, database.begin() as db:
            db.execute(insert(sources).values(name="lost", record="{}"))
            server.stop()
            server.start()
            db.execute(insert(sources).values(name="lost too", record="{}"))
        assert "rolled back" in caught.value.hint
        with database.read() as db:
            assert db.scalars(text("SELECT name FROM sources")).all() == ["kept"]
        database.close()


def test_a_database_has_one_home_and_a_home_one_database(tmp_path: Path, url: str) -> None:
    own, other = Home(tmp_path / "own", url), Home(tmp_path / "other", url)
    Store.open(own, HashEmbedder()).close()
    with pytest.raises(ConfigError, match="belongs to another home"):
        Store.open(other, HashEmbedder())
    with pytest.raises(ConfigError, match="on a PostgreSQL server") as caught:
        Store.open(Home(own.path), HashEmbedder())
    assert "PERENNIAL_STORAGE__DATABASE" in caught.value.hint
    assert not own.database.exists()
    Store.open(own, HashEmbedder()).close()


def test_a_home_with_a_file_is_not_opened_on_a_server(tmp_path: Path, url: str) -> None:
    home = Home(tmp_path / "home")
    Store.open(home, HashEmbedder()).close()
    for _ in range(2):
        with pytest.raises(ConfigError, match=r"perennial\.db") as caught:
            Store.open(Home(home.path, url), HashEmbedder())
        assert "perennial backup" in caught.value.hint
        home.identity.unlink(missing_ok=True)
    engine = create_engine(Database(url)._url)
    with engine.connect() as db:
        assert db.scalar(text("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")) == 0
    engine.dispose()


def test_a_damaged_identity_is_an_integrity_error(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    Store.open(home, HashEmbedder()).close()
    home.identity.write_text("{}")
    with pytest.raises(IntegrityError, match=r"identity\.json"):
        Store.open(home, HashEmbedder())


def test_the_programs_that_were_found_can_be_run() -> None:
    assert (find_programs() / "postgres").is_file()
