"""Where a home keeps its records and its search index, from the settings to the commands."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from chroma_server import chroma_server
from command import Run, in_process
from sqlalchemy import create_engine, text

from adapt.bench.postgres import PostgresServer
from agent.config import home_of, load_settings
from store.database import Database
from store.errors import ConfigError

PASSWORD = "s3cret-pa55"
DATABASE, CHROMA = "PERENNIAL_STORAGE__DATABASE", "PERENNIAL_STORAGE__CHROMA"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    return in_process(capsys, monkeypatch)


@pytest.mark.parametrize(
    "url",
    [f"postgresql://me:{PASSWORD}@host/name", f"postgresql://me@host/name?password={PASSWORD}"],
)
def test_a_password_in_the_file_is_refused_and_not_repeated(tmp_path: Path, url: str) -> None:
    (tmp_path / "perennial.toml").write_text(f'[storage]\ndatabase = "{url}"\n')
    with pytest.raises(ConfigError, match="holds a password") as caught:
        load_settings(tmp_path)
    assert DATABASE in caught.value.hint and PASSWORD not in str(caught.value)


def test_a_url_without_a_password_may_stand_in_the_file(tmp_path: Path) -> None:
    url = "postgresql://me@host:5432/name"
    (tmp_path / "perennial.toml").write_text(f'[storage]\ndatabase = "{url}"\n')
    assert home_of(load_settings(tmp_path)).database_url == url


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        (DATABASE, f"mysql://me:{PASSWORD}@host/name"),
        (DATABASE, PASSWORD),
        (CHROMA, "host:8000"),
        (CHROMA, "http://host:8000/path"),
    ],
)
def test_other_urls_are_refused_and_secrets_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigError, match="not the URL of a") as caught:
        load_settings(tmp_path)
    assert variable in str(caught.value) and PASSWORD not in str(caught.value)


def test_what_a_cycle_records_of_the_settings_holds_no_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(DATABASE, f"postgresql://me:{PASSWORD}@host/name")
    settings = load_settings(tmp_path)
    assert PASSWORD not in json.dumps(settings.model_dump(mode="json")) + repr(settings)
    assert PASSWORD in str(home_of(settings).database_url)


@pytest.fixture
def with_password(postgres_server: PostgresServer, new_postgres: Callable[[], str]) -> str:
    """URL of an empty database whose owner must give a password."""
    name = new_postgres().partition("?")[0].rpartition("/")[2]
    admin = create_engine(postgres_server.url(), isolation_level="AUTOCOMMIT")
    with admin.connect() as db:
        if not db.scalar(text("SELECT 1 FROM pg_roles WHERE rolname = 'keeper'")):
            db.execute(text("CREATE ROLE keeper LOGIN"))
        db.execute(text(f"ALTER ROLE keeper PASSWORD '{PASSWORD}'"))
        db.execute(text(f"ALTER DATABASE {name} OWNER TO keeper"))
    admin.dispose()
    return postgres_server.url(name, user="keeper", password=PASSWORD)


def test_commands_use_the_servers_and_the_doctor_asks_them(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, with_password: str
) -> None:
    """Nothing is kept in files instead, and the password is shown nowhere."""
    home, docs = tmp_path / "home", tmp_path / "docs"
    docs.mkdir()
    monkeypatch.setenv(DATABASE, with_password)
    with chroma_server(tmp_path / "chroma") as chroma:
        monkeypatch.setenv(CHROMA, chroma.url)
        said = [
            run("source", "add", "mine", docs, "--home", home),
            run("source", "list", "--home", home, "--json"),
            run("doctor", "--home", home, "--json"),
        ]
        chroma.stop()
        said.append(run("doctor", "--home", home, "--json"))
        assert [s["name"] for s in said[1].json] == ["mine"], said[1].err
        for state, ran in (("ok", said[2]), ("failed", said[3])):
            found = {check["name"]: check for check in ran.json}
            assert found["database"]["state"] == found["home"]["state"] == "ok"
            assert "PostgreSQL" in found["database"]["found"]
            assert found["search index"]["state"] == state
            assert chroma.url in found["search index"]["found"]
    assert PASSWORD not in "".join(ran.out + ran.err for ran in said)
    assert not (home / "perennial.db").exists()
    monkeypatch.delenv(DATABASE)
    without = run("source", "list", "--home", home)
    assert without.code == 2 and DATABASE in without.err


def test_the_doctor_names_a_database_that_is_down(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(DATABASE, f"postgresql://me:{PASSWORD}@127.0.0.1:9/name")
    ran = run("doctor", "--home", tmp_path / "home", "--json")
    found = {check["name"]: check for check in ran.json}["database"]
    assert ran.code == 1 and found["state"] == "failed" and found["hint"]
    assert "127.0.0.1:9" in found["found"] and PASSWORD not in ran.out + ran.err
    assert not (tmp_path / "home").exists()


def test_a_database_says_where_it_is_without_a_password() -> None:
    database = Database(f"postgresql://me:{PASSWORD}@host:1/name?sslmode=require")
    assert database.place == "postgresql://host:1/name"
