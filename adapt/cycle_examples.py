"""The stage of an update cycle that writes examples, and notes which earlier ones no longer hold.

It can be run again after a kill, with the same digests. Called by adapt.cycle.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import get_args

from adapt.cycle_context import Context, Outputs
from adapt.superseding import superseded
from adapt.writing.examples import examples_of
from adapt.writing.writer import open_writer
from store import Store
from store.records import Document, DocumentState, Example, Split, digest_of


async def synthesize_examples(context: Context, corpus: Outputs) -> Outputs:
    """Write the examples of the corpus into the store.

    Of a text that has a newer edition none are written, and its earlier ones no longer hold; nor
    do those whose question a newer document answers otherwise.
    """
    store = context.runtime.store
    snapshot = store.documents.get_snapshot(corpus["corpus"])
    outdated = store.superseded.outdated(snapshot.documents)
    documents = [
        document
        for document in store.documents.get_all(d for d in snapshot.documents if d not in outdated)
        # One may have been held or withdrawn since the corpus was put together.
        if document.state is DocumentState.ACCEPTED
    ]
    made, told = await _made(context, documents)
    store.examples.add(context.number, made)
    found = await asyncio.to_thread(
        lambda: superseded(
            made, _earlier(store, context.number, outdated), outdated, context.number
        )
    )
    store.superseded.add(found)
    counts = Counter(e.split for e in made)
    return {
        "examples": digest_of([e.digest for e in made]),
        **{split: counts[split] for split in get_args(Split)},
        "superseded": len({s.example for s in found}),
        **told,
    }


async def _made(context: Context, documents: list[Document]) -> tuple[list[Example], Outputs]:
    """The examples, and what the stage tells of a model that wrote some of them."""
    runtime = context.runtime

    def progress(done: int) -> None:
        context.progress(done, len(documents), "documents")

    async with open_writer(runtime, context.number) as writer:
        entries = await writer.write(documents, progress) if writer else {}
    seed, embedder = runtime.settings.update.seed, runtime.store.embedder
    made = await asyncio.to_thread(examples_of, documents, entries, seed, embedder)
    if writer is None:
        return made.examples, {}
    told = {
        "written": len(entries),
        "over_budget": len(documents) - len(entries),
        "unread": sum(entry.unread for entry in entries.values()),
        "refused_examples": dict(made.refused),
        "spent": asdict(writer.spent),
    }
    return made.examples, told


def _earlier(store: Store, before: int, outdated: Mapping[str, str]) -> Iterator[Example]:
    """Examples of earlier cycles that may be contradicted: answers, and what is of old editions."""
    for number in range(1, before):
        for example in store.examples.of_cycle(number):
            if example.kind != "api-call" or not outdated.keys().isdisjoint(example.documents):
                yield example
