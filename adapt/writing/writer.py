"""Has a model write of documents, passage by passage, within a budget.

The model is the live version or any other OpenAI-compatible endpoint: both are asked through the
engine client. What it writes is not judged here. Called by adapt.writing.examples.
"""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from adapt.runtime import Runtime
from adapt.writing.kept import Entry, Kept, Spent
from adapt.writing.recipe import MAX_TOKENS, Written, api_prompt, prose_prompt, read_written
from agent.config import SynthesisSettings
from agent.engine import Engine, Sampling
from agent.engine_remote import KEY_VARIABLE, Remote
from agent.fleet import Inference
from store.errors import ConfigError
from store.passages import passages_of
from store.records import Document
from tools.virtual_api.catalogue import function_schema

AT_ONCE = 4
"""Documents that are written of at once."""
_BEHIND = 10
"""Priority in the engine: users come first."""


@dataclass
class Writer:
    """One model that writes, and what it may spend in one cycle."""

    engine: Inference
    model: str
    kept: Kept
    budget: SynthesisSettings
    cycle: int
    ours: bool
    """Whether the engine is one of ours, which serves by priority."""
    spent: Spent = field(default_factory=Spent)
    under_way: int = 0
    """Questions that are not answered yet."""

    async def write(
        self, documents: Sequence[Document], progress: Callable[[int], None]
    ) -> dict[str, Entry]:
        """What was written of each document, by digest; those over the budget are left out.

        EngineError when the model does not answer: what is written already is kept.
        """
        found = {d.digest: e for d in documents if (e := self.kept.get(d.digest)) is not None}
        for entry in found.values():
            if entry.cycle == self.cycle:
                # By this stage, before it was killed.
                self.spent += entry.spent
        waiting = iter([d for d in documents if d.digest not in found])

        async def work() -> None:
            for document in waiting:
                if self._over():
                    return
                entry, whole = await self._of(document)
                found[document.digest] = entry
                # Half of one is for this cycle alone: the next has a budget of its own.
                if whole:
                    await asyncio.to_thread(self.kept.put, document.digest, entry)
                progress(len(found))

        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(work())
        return found

    def _over(self) -> bool:
        """Whether one more question could be over the budget, those under way counted."""
        budget, spent = self.budget, self.spent
        return (
            spent.calls + self.under_way >= budget.max_calls
            or spent.tokens + (1 + self.under_way) * MAX_TOKENS > budget.max_tokens
            or spent.seconds >= budget.max_seconds
        )

    async def _of(self, document: Document) -> tuple[Entry, bool]:
        """What is written of a document, and whether the budget allowed all of it."""
        written: list[tuple[int, Written]] = []
        unread, spent = 0, Spent()
        for place, (prompt, kinds) in enumerate(prompts_of(document)):
            if self._over():
                return Entry(self.cycle, tuple(written), unread, spent), False
            said, took = await self._ask(prompt)
            spent += took
            found, lost = read_written(said, kinds)
            written += [(place, one) for one in found]
            unread += lost
        return Entry(self.cycle, tuple(written), unread, spent), True

    async def _ask(self, prompt: str) -> tuple[str, Spent]:
        asked: list[dict[str, Any]] = [{"role": "user", "content": prompt}]
        own: Sampling = {"priority": _BEHIND} if self.ours else {}
        self.under_way += 1
        began = time.monotonic()
        try:
            said = await self.engine.chat(self.model, asked, max_tokens=MAX_TOKENS, **own)
        finally:
            self.under_way -= 1
        took = Spent(1, said.prompt_tokens + said.completion_tokens, time.monotonic() - began)
        self.spent += took
        return said.content, took


def prompts_of(document: Document) -> list[tuple[str, tuple[str, ...]]]:
    """What is said about each passage or function of a document, and the kinds it asks for."""
    if document.kind == "api":
        return [
            (api_prompt(function), ("api-call", "api-doc")) for function in functions_of(document)
        ]
    return [
        (prose_prompt(document.title, passage), ("qa", "implication", "rewriting"))
        for passage in passages_of(document)
    ]


def functions_of(document: Document) -> list[dict[str, Any]]:
    """The functions of an API document."""
    tool = json.loads(document.text)
    return [function_schema(tool["tool_name"], api)["function"] for api in tool["api_list"]]


@asynccontextmanager
async def open_writer(runtime: Runtime, cycle: int) -> AsyncIterator[Writer | None]:
    """The writer that the settings name; None for templates. ConfigError for one that is not
    described."""
    settings = runtime.settings.synthesis
    if settings.writer == "templates":
        yield None
    elif settings.writer == "live":
        # By the base: what one version of a line wrote of a text serves the next.
        kept = Kept(runtime.home, ("live", runtime.base.first.digest))
        yield Writer(runtime.engine, runtime.live(), kept, settings, cycle, ours=True)
    else:
        if not settings.endpoint or not settings.model:
            raise ConfigError(
                "synthesis.writer is endpoint, and synthesis.endpoint or synthesis.model is unset",
                f"give the URL and the model's name, and its key in {KEY_VARIABLE}",
            )
        url = Remote.of(settings.endpoint).url
        kept = Kept(runtime.home, ("endpoint", url, settings.model))
        async with Engine.at(
            settings.endpoint, os.environ.get(KEY_VARIABLE, ""), settings.timeout_s
        ) as engine:
            yield Writer(engine, settings.model, kept, settings, cycle, ours=False)
