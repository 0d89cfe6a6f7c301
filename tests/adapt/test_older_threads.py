"""Conversations of older programs go on: the assistant remembers what was said under them."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from fake_runtime import BASE, settings_of
from older_home import REVISIONS, THREAD, unpack

from adapt.assistant import open_assistant
from adapt.runtime import Runtime
from adapt.swap import Swapper
from agent.engine import Engine
from agent.fake_engine import FakeVllm
from agent.fleet import Fleet
from store import Home, Store
from store.embeddings import HashEmbedder
from tools.registry import Registry


def answer(model: str, messages: list[dict[str, Any]], tools: list[dict[str, Any]]) -> str:
    """Everything that was said to it before."""
    return " / ".join(m["content"] for m in messages if m["role"] in ("user", "assistant"))


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_thread_goes_on(revision: str, tmp_path: Path) -> None:
    path = unpack(revision, tmp_path / "home")

    async def work() -> list[str]:
        home = Home(path)
        with home.lock(), Store.open(home, HashEmbedder()) as store:
            vllm = FakeVllm(answer, served_name=BASE.version_name)
            async with Engine(Path("-"), transport=vllm) as engine:
                fleet = Fleet.of(engine, BASE.version_name)
                settings = settings_of(path)
                runtime = Runtime(settings, home, store, BASE, fleet, Swapper(store, fleet))
                run = next(r for r in store.episodes.list() if r.messages[-2].content == THREAD[0])
                async with open_assistant(runtime) as assistant:
                    said = []
                    for question in ("And now?", "Still?"):
                        asked = [{"role": "user", "content": question}]
                        result = await assistant.agent.run(
                            asked, Registry([]), BASE.version_name, run.thread
                        )
                        said.append(result.answer)
        return said

    first, second = asyncio.run(asyncio.wait_for(work(), 60))
    heard = [f"v0-bbbbbb heard {said}" for said in THREAD]
    assert first == " / ".join([THREAD[0], heard[0], THREAD[1], heard[1], "And now?"])
    assert second == f"{first} / {first} / Still?"
