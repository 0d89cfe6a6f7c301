"""A runtime whose engine is agent.fake_engine: real store, home lock, swapper; no model.

Run as a script it is `perennial up` on such a runtime: `fake_runtime.py HOME PORT`.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from adapt.base import BaseModel
from adapt.runtime import Runtime, ensure_base
from adapt.show import CycleView
from adapt.swap import Swapper
from adapt.up import up
from agent.config import Settings, load_settings
from agent.engine import Engine
from agent.fake_engine import FakeVllm
from agent.fleet import Fleet
from store import Home, Store
from store.embeddings import HashEmbedder
from store.records import Probe, Version, VersionState, utc_now

BASE = BaseModel(path=Path("/nowhere"), digest="b" * 64, template_digest="c" * 64)


def settings_of(home: Path, **overrides: Any) -> Settings:
    """Settings of a test: any free port, tools by name so that nothing is embedded."""
    given = {"server__port": 0, "agent__tools_shown": "names"} | overrides
    return load_settings(home, **given)


def answer(model: str, messages: list[dict[str, Any]], tools: list[dict[str, Any]]) -> str:
    """Says which version it is and what it was asked."""
    return f"{model} heard {messages[-1]['content']}"


@asynccontextmanager
async def fake_runtime(
    settings: Settings, progress: Callable[..., None] | None = None
) -> AsyncIterator[Runtime]:
    """As adapt.runtime.open_runtime, with the base live and one more version promoted."""
    home = Home(settings.home)
    with home.lock(), Store.open(home, HashEmbedder()) as store:
        vllm = FakeVllm(answer, served_name=BASE.version_name)
        async with Engine(Path("-"), transport=vllm) as engine:
            ensure_base(store, BASE)
            if len(store.versions.list()) == 1:
                add_version(store)
            fleet = Fleet.of(engine, BASE.version_name)
            yield Runtime(settings, home, store, BASE, fleet, Swapper(store, fleet))


def add_version(store: Store, number: int = 1) -> Version:
    """A promoted adapter version with bytes and a probe that the fake engine fulfils."""
    folder = store.home.path / f"made-{number}"
    folder.mkdir()
    (folder / "adapter.txt").write_text(f"adapter {number}")
    digest = store.artifacts.put(folder)
    version = Version(
        name=f"v{number}-{digest[:6]}",
        number=number,
        digest=digest,
        kind="adapter",
        base_digest=BASE.digest,
        parent=BASE.version_name,
        template_digest=BASE.template_digest,
        path=digest,
        probe=Probe(prompts=("hi",), token_ids=((0,),), logprobs=((0.0,),)),
        state=VersionState.PROMOTED,
        created_at=utc_now(),
    )
    store.versions.create(version)
    return version


if __name__ == "__main__":
    made = settings_of(Path(sys.argv[1]), server__port=int(sys.argv[2]))
    with CycleView() as view:
        sys.exit(asyncio.run(up(made, view, fake_runtime)))
