"""A home that learned, was consolidated, and learned again: on a tiny model and the fake engine.

The consolidation dies at every point first. Everything but the engine and the first update's rows
is real. Called by tests/adapt/test_consolidate.py.
"""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cycle_driver import build_runtime
from tiny_models import build_tiny_adapter, build_tiny_model, write_general_corpus

from adapt.base import BaseModel
from adapt.consolidate import consolidate
from adapt.cycle import run_cycle
from adapt.cycle_judging import report_of
from adapt.cycle_suites import GENERAL
from adapt.evals.encyclopedia import articles
from adapt.evals.suites import general_suite
from adapt.events import Event, silent
from adapt.gather import gather
from adapt.probe import make_probe
from adapt.runtime import Runtime
from adapt.synthesize import synthesize
from agent.fake_engine import FakeVllm
from store import Home, Store
from store.embeddings import HashEmbedder
from store.records import (
    Cycle,
    CycleStage,
    CycleState,
    DocumentState,
    Update,
    Version,
    VersionState,
    utc_now,
)
from tools.virtual_api.catalogue import build_catalogue

POINTS = (
    ("compose", "started"), ("compose", "progress"), ("compose", "done"), ("swap", "started"),
    ("swap", "done"), ("attribute", "started"), ("attribute", "done"),
)  # fmt: skip


class Died(BaseException):
    """Stands for the end of the process."""


@dataclass
class Story:
    """An update, a consolidation, and an update by a cycle; and what was seen on the way."""

    runtime: Runtime
    fake: FakeVllm
    first: BaseModel
    learned: str = ""
    """The version of the first update."""
    cycle: Cycle | None = None
    """The second update's."""
    lives: list[str] = field(default_factory=list)
    """What was live after each death."""
    merged: str = ""

    def version(self, name: str) -> Version:
        return self.runtime.store.versions.get(name)

    def path(self, name: str) -> Path:
        return self.runtime.store.artifacts.path(self.version(name).path)

    def gave(self, stage: CycleStage) -> dict[str, Any]:
        assert self.cycle is not None
        return next(s.outputs for s in self.cycle.stages if s.stage is stage) or {}


@contextmanager
def told(root: Path) -> Iterator[Story]:
    """The whole story, in a folder; the home is open until the end."""
    model = build_tiny_model(root / "model", max_length=1024)
    write_general_corpus(model)
    inbox = root / "inbox"
    inbox.mkdir()
    tools = build_catalogue(0).category("Museums")
    home = Home(root / "home")
    with pytest.MonkeyPatch.context() as patch, home.lock(), Store.open(
        home, HashEmbedder()
    ) as store:  # fmt: skip
        patch.setenv("OMP_NUM_THREADS", "1")
        runtime, fake = build_runtime(home, store, model, inbox)
        runtime.swap.weights_at = lambda v: (
            model if v.kind == "base" else store.artifacts.path(v.path)
        )
        gate = runtime.settings.gate.model_copy(update={"margins": {"kept": 0.5}})
        runtime.settings = runtime.settings.model_copy(update={"gate": gate})
        _answer_on_weights(runtime, fake)
        story = Story(runtime, fake, runtime.base)

        async def scenario() -> None:
            _put(inbox, tools[0].to_json(), articles(3, 4))
            await report_of(runtime, general_suite(7, GENERAL), runtime.live())
            story.learned = await _first_update(runtime, root)
            await runtime.swap.promote(story.learned)
            for point in POINTS:
                with pytest.raises(Died):
                    await consolidate(runtime, _dying(point))
                story.lives.append(runtime.live())
            story.merged = (await consolidate(runtime, silent)).name
            _put(inbox, tools[1].to_json(), articles(4, 4))
            story.cycle = await run_cycle(runtime, silent)
            await runtime.engine.close()

        asyncio.run(scenario())
        yield story


def _put(inbox: Path, tool: object, pages: dict[str, str]) -> None:
    """Add a tool and an article to the inbox."""
    place = len(list(inbox.iterdir()))
    (inbox / f"tool-{place}.json").write_text(json.dumps(tool))
    for name, text in pages.items():
        (inbox / f"{place}-{name}").write_text(text)


async def _first_update(runtime: Runtime, root: Path) -> str:
    """A version that was trained on the inbox, as an update leaves it; its rows are random."""
    store, base = runtime.store, runtime.base
    await gather(store, runtime.settings)
    documents = store.documents.list(DocumentState.ACCEPTED)
    store.examples.add(1, synthesize(documents, 0))
    cycle = store.cycles.start({})
    store.cycles.finish(cycle.number, CycleState.PROMOTED)
    corpus = store.documents.snapshot([d.digest for d in documents])
    adapter = build_tiny_adapter(base.path, root / "adapter", scale=0.05)
    digest = store.artifacts.put(adapter)
    store.versions.add_update(
        Update(
            digest=digest, base_digest=base.digest, mask_digest="m", corpus_digest=corpus.digest,
            examples_digest="e", settings={}, seed=0, created_at=utc_now(),
        )
    )  # fmt: skip
    return version_of(runtime, adapter, digest, digest)


def version_of(runtime: Runtime, adapter: Path, digest: str, update: str | None = None) -> str:
    """A promoted version of an adapter, with its probe."""
    base = runtime.base
    version = Version(
        name=f"v1-{digest[:6]}", number=1, digest=digest, kind="adapter", base_digest=base.digest,
        update=update, parent=runtime.live(), template_digest=base.template_digest, path=digest,
        probe=make_probe(base.path, adapter, ["the quick brown fox", "answer"]),
        state=VersionState.PROMOTED, created_at=utc_now(),
    )  # fmt: skip
    runtime.store.versions.create(version)
    return version.name


def _dying(point: tuple[str, str]) -> Any:
    def watch(event: Event) -> None:
        if (event.stage.value, event.kind) == point:
            raise Died

    return watch


def _answer_on_weights(runtime: Runtime, fake: FakeVllm) -> None:
    """Have the engine answer by its present weights: whole ones know what was merged into them."""
    answer, logprobs = fake.answer, fake.logprobs
    whole: dict[str, str] = {}

    def on_weights() -> str | None:
        """The merged version whose weights the engine has."""
        if fake.weights not in whole:
            merged = [v for v in runtime.store.versions.list() if v.kind == "merged"]
            whole.update({str(runtime.store.artifacts.path(v.path)): v.name for v in merged})
        return whole.get(fake.weights)

    def answered(name: str, messages: Any, tools: Any) -> Any:
        new = runtime.store.examples.of_cycle(2, "held_out")
        is_new = messages[-1]["content"] in {e.messages[-1].content for e in new}
        if name == fake.served_name and (is_new or on_weights() is None):
            return "I do not know."
        return answer(name, messages, tools)

    def probed(name: str, prompt: Any) -> dict[int, float]:
        return logprobs((on_weights() if name == fake.served_name else None) or name, prompt)

    fake.answer, fake.logprobs = answered, probed
