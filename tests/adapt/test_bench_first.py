"""The benchmark of a new home: both ways to ask get the answer, from a server on a fake engine."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import fake_runtime
import pytest

import perennial
from adapt.bench.first import QUESTION, asking, over_http
from store import Home

ROOT = Path(perennial.__file__).parent
ANSWER = f"{fake_runtime.BASE.version_name} heard {QUESTION}"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a running `perennial up` on a fake engine, in another process."""
    home = Home(tmp_path_factory.mktemp("served"))
    process = subprocess.Popen(
        [sys.executable, fake_runtime.__file__, str(home.path), "0"], cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 300
        while (status := home.read_status()) is None:
            assert process.poll() is None and time.monotonic() < deadline, "it did not start"
            time.sleep(0.05)
        yield status["url"]
        process.terminate()
        process.wait(120)
    finally:
        process.kill()
        process.wait()


def test_the_question_is_answered_over_http(url: str) -> None:
    assert over_http(url) == ANSWER


def test_the_question_is_answered_on_the_chat_page(url: str) -> None:
    with asking() as (by, ask):
        if by == "HTTP":
            pytest.skip("there is no chromium on this machine")
        assert ask(url).strip() == ANSWER
