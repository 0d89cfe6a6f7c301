"""Attribution by several processes: the bits of one, its errors, its state."""

import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import build_tiny_model

from adapt.loki.attribution import attribute
from adapt.loki.scores import TABLES
from adapt.loki.workers import attribute_in_workers
from store.errors import ConfigError, StageError

HERE = str(Path(__file__).parent)
PROMPTS = [[(7 * i + j) % 500 for j in range(20 + i)] for i in range(60)]


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_model(tmp_path_factory.mktemp("model"), layers=2)


@pytest.fixture
def models() -> Iterator[Any]:
    """The module of loaders, which worker processes find under the same name."""
    sys.path.insert(0, HERE)
    try:
        import attribution_models

        yield attribution_models
    finally:
        sys.path.remove(HERE)


def test_workers_give_the_bits_of_one_process(models: Any, model_dir: Path, tmp_path: Path) -> None:
    """The workers are interrupted first; one process then goes on from their state."""
    load, state, seen = models.loader(model_dir), tmp_path / "state", []
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        whole = attribute(load("cpu"), PROMPTS, 10)

        def stop(at: Any) -> None:
            if at.done >= 20:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            attribute_in_workers(
                load, PROMPTS, 10, workers=2, threads=1, progress=stop, state=state
            )
        mixed = attribute(load("cpu"), PROMPTS, 10, progress=seen.append, state=state)
    finally:
        torch.set_num_threads(before)
    fresh = attribute_in_workers(load, PROMPTS, 10, workers=2, threads=1)
    assert 20 <= seen[0].done < 60
    for table in TABLES:
        assert np.array_equal(getattr(fresh, table), getattr(whole, table)), table
        assert np.array_equal(getattr(mixed, table), getattr(whole, table)), table
    assert not multiprocessing.active_children()


def test_errors_of_workers_reach_the_caller(models: Any, model_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="prompt 1 has no tokens"):
        attribute_in_workers(models.loader(model_dir), [[1], []], 10, workers=1)
    with pytest.raises(OSError, match="nowhere"):
        attribute_in_workers(models.loader(tmp_path / "nowhere"), [[1]], 10, workers=1)
    with pytest.raises(StageError, match="worker died"):
        attribute_in_workers(models.dying_loader(), [[1]], 10, workers=1)


def test_settings_are_refused_before_any_process_starts(models: Any, model_dir: Path) -> None:
    load = models.loader(model_dir)
    with pytest.raises(ConfigError, match="0 workers"):
        attribute_in_workers(load, PROMPTS, 10, workers=0)
    with pytest.raises(ConfigError, match="unknown definition"):
        attribute_in_workers(load, PROMPTS, 10, workers=1, definition="other")


def test_a_worker_dies_with_its_parent(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; import attribution_models\n"
        "from adapt.loki.workers import attribute_in_workers\n"
        "load = attribution_models.waiting_loader(Path(sys.argv[1]))\n"
        "attribute_in_workers(load, [[1]], 10, workers=1)"
    )
    pid_file = tmp_path / "pid"
    paths = f"{Path(HERE).parent.parent}:{HERE}"
    parent = subprocess.Popen(
        [sys.executable, "-c", code, str(pid_file)],
        env={**os.environ, "PYTHONPATH": paths},
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    try:
        while not (pid_file.is_file() and pid_file.read_text()):
            assert parent.poll() is None and time.monotonic() < deadline, "no worker started"
            time.sleep(0.05)
    finally:
        parent.kill()
        parent.wait()
    worker = Path("/proc") / pid_file.read_text() / "cmdline"
    # A zombie that nobody has collected has no command line.
    while worker.exists() and worker.read_bytes():
        assert time.monotonic() < deadline, "the worker runs on"
        time.sleep(0.05)
