"""What tests in several folders share: one real vLLM on a tiny model, started once.

Some thirty seconds of CPU: a test that needs only the protocol uses agent.fake_engine.
"""

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
