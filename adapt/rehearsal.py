"""What earlier updates taught, and what of it an update trains on again.

Holding to a version's answers keeps its mistakes too, and after ten updates little of the first is
left (docs/results.md); so earlier examples are learned again beside new ones. Called by
adapt.cycle_learning and adapt.reproduce.loki.
"""

import random
from collections.abc import Sequence

from adapt.standing import Standing
from store import Store
from store.records import Example, Version


def documents_of(store: Store, version: str) -> set[str]:
    """Digests of the documents that a version, by its name, and its parents were trained on.

    No name is no version, and nothing that it was trained on.
    """
    return set().union(*(corpus_of(store, at) for at in line_of(store, version)))


def line_of(store: Store, version: str) -> list[Version]:
    """A version, by its name, and its parents back to the base."""
    found: list[Version] = []
    name: str | None = version
    while name:
        found.append(store.versions.get(name))
        name = found[-1].parent
    return found


def corpus_of(store: Store, version: Version) -> set[str]:
    """Digests of the documents that a version's own update was made from."""
    if version.update is None:
        return set()
    corpus = store.versions.get_update(version.update).corpus_digest
    return set(store.documents.get_snapshot(corpus).documents)


def examples_of(store: Store, documents: set[str], before: int) -> list[Example]:
    """Training examples on these documents of the cycles before that one, each once.

    A refused cycle's are left out when `documents` are those of the live version: what the gate did
    not let in must not come in by a later update. So is what was taken back, or no longer holds.
    """
    standing = Standing.of(store)
    found = {
        e.digest: e
        for n in range(1, before)
        for e in store.examples.of_cycle(n, "train")
        if e.documents and documents.issuperset(e.documents) and standing.holds(e)
    }
    return list(found.values())


def rehearsed(
    new: Sequence[Example], earlier: Sequence[Example], epochs: int, seed: str
) -> list[Example]:
    """A seeded sample of earlier examples, as many for every epoch as there are new ones.

    Others in every epoch keep more than the same ones again, and training takes at most twice the
    time, however much was learned before.
    """
    return random.Random(seed).sample(list(earlier), min(len(earlier), epochs * len(new)))
