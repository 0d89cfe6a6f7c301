"""What tests in several folders share: one real vLLM on a tiny model, one real PostgreSQL server.

Each is started once, at the first use. The model takes some thirty seconds of CPU: a test that
needs only the protocol uses agent.fake_engine.
"""

import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from engines import healthy
from sqlalchemy import create_engine
from tiny_models import build_tiny_model

from adapt.bench.postgres import PostgresServer, temporary_server
from agent.config import EngineSettings
from agent.serve import EngineProcess


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory of a random Qwen3 model; never written to."""
    return build_tiny_model(tmp_path_factory.mktemp("tiny") / "qwen3", max_length=1024)


@pytest.fixture(scope="session")
def pico_engine(
    tiny_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EngineProcess]:
    """Real vLLM serving `tiny_model` as `base`: talk to it with `Engine(pico_engine.socket)`.

    Shared by all tests of the session: load adapters under names of your own.
    """
    home = tmp_path_factory.mktemp("engine")
    process = EngineProcess(
        tiny_model,
        served_name="base",
        run_dir=home / "run",
        log=home / "logs" / "engine.log",
        settings=EngineSettings(max_model_len=512, start_timeout_s=500),
    )
    with healthy(process):
        yield process


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A real server for the whole session; tests take a database of their own."""
    with temporary_server(durable=False) as server:
        yield server


@pytest.fixture
def new_postgres(postgres_server: PostgresServer) -> Iterator[Callable[[], str]]:
    """Makes empty databases, and gives their URLs; they are dropped after the test."""
    made: list[str] = []
    admin = create_engine(postgres_server.url(), isolation_level="AUTOCOMMIT")

    def make() -> str:
        name = f"t{secrets.token_hex(6)}"
        made.append(name)
        with admin.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        return postgres_server.url(name)

    yield make
    with admin.connect() as connection:
        for name in made:
            connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
    admin.dispose()


@pytest.fixture(scope="session")
def published_data() -> Path:
    """Folder with the files of published benchmarks, one folder each; the test is skipped where
    there is none. PUBLISHED_DATA names another than the usual place beside the repository."""
    usual = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("PUBLISHED_DATA") or usual)
    if not folder.is_dir():
        pytest.skip("the published benchmarks are not here")
    return folder
