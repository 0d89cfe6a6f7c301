"""What most tests of the agent begin with: a store with a live version, and a scripted engine."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from agent_app import LIVE, NEXT, open_store, reckoner

from agent.fake_engine import FakeVllm
from store.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A live base version and a candidate that is its child."""
    with open_store(tmp_path) as store:
        yield store


@pytest.fixture
def fake() -> FakeVllm:
    """It holds both, and works out what it is asked. Files that need another have their own."""
    return FakeVllm(reckoner, served_name=LIVE, adapters={NEXT: "/adapter"})
