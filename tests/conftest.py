"""What tests in several folders share: one real vLLM on a tiny model, started once.

Some thirty seconds of CPU: a test that needs only the protocol uses agent.fake_engine.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from engines import healthy
from tiny_models import build_tiny_model

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
def published_data() -> Path:
    """Folder with the files of published benchmarks, one folder each; the test is skipped where
    there is none. PUBLISHED_DATA names another than the usual place beside the repository."""
    usual = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("PUBLISHED_DATA") or usual)
    if not folder.is_dir():
        pytest.skip("the published benchmarks are not here")
    return folder
