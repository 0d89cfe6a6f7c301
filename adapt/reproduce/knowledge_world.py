"""Made-up places whose facts are learned, changed and withdrawn; and the questions on them.

Everything follows from a seed. Examples are written and superseded as a cycle does it. It trains
and asks nothing. Called by adapt.reproduce.knowledge.
"""

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from adapt.evals.encyclopedia import Fact, facts, value_of
from adapt.reproduce.world import ASKED, Abilities, said
from adapt.superseding import superseded
from adapt.synthesize import synthesize
from store.records import Document, Example, digest_of

PLACES, FACTS, PER_DOCUMENT = 24, 3, 2
"""Places, facts of each, and places that one document tells of."""
CHANGED, WITHDRAWN = 4, 3
"""Documents that get a new edition, in which every other fact is another, and that are withdrawn;
the other five stay as they are."""
_DATES = (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 7, 1, tzinfo=UTC))
_SEED = 3000


@dataclass(frozen=True)
class KnowledgeWorld:
    """The documents of one seed, and what is asked of them in words that training does not use."""

    first: Sequence[Document]
    """First editions of all."""
    second: Sequence[Document]
    """Second editions of those that change."""
    outdated: Mapping[str, str]
    """Digest of a first edition to that of its second."""
    withdrawn: Collection[str]
    asked: Abilities
    """By what became of the fact: `new` and `old` answers of changed ones, `restated`, `withdrawn`,
    `untouched`."""

    def learned(self, without: Collection[str] = ()) -> list[Example]:
        """What the first update trains on."""
        return _train([d for d in self.first if d.digest not in without])

    def changes(self) -> list[Example]:
        """What the second update trains on."""
        return _train(self.second)

    def all_that_holds(self) -> list[Example]:
        """What a line that is made anew trains on: the newest editions, less what is withdrawn."""
        gone = {*self.outdated, *self.withdrawn}
        return _train([d for d in (*self.first, *self.second) if d.digest not in gone])

    def holding(self, earlier: Sequence[Example], newer: Sequence[Example]) -> list[Example]:
        """Earlier examples less those that newer ones supersede."""
        found = {(s.example, s.document) for s in superseded(newer, earlier, self.outdated, 2)}
        return [e for e in earlier if (e.digest, e.documents[0]) not in found]


def make_knowledge(seed: int) -> KnowledgeWorld:
    """The world of a seed; others share no place with it."""
    rng = random.Random(f"knowledge/{seed}")
    world = facts(_SEED + seed, PLACES, FACTS)
    size = PER_DOCUMENT * FACTS
    groups = [world[start : start + size] for start in range(0, len(world), size)]
    first = [_document(place, group, 0, rng) for place, group in enumerate(groups)]
    second: list[Document] = []
    found: dict[str, list[Fact]] = {n: [] for n in ("new", "old", "restated", "withdrawn")}
    for place, group in enumerate(groups[:CHANGED]):
        edited = [_changed(fact, rng) if i % 2 == 0 else fact for i, fact in enumerate(group)]
        second.append(_document(place, edited, 1, rng))
        found["new"] += edited[::2]
        found["old"] += group[::2]
        found["restated"] += group[1::2]
    gone = range(CHANGED, CHANGED + WITHDRAWN)
    found["withdrawn"] = [fact for place in gone for fact in groups[place]]
    found["untouched"] = [fact for group in groups[CHANGED + WITHDRAWN :] for fact in group]
    return KnowledgeWorld(
        first=first,
        second=second,
        outdated={a.digest: b.digest for a, b in zip(first, second, strict=False)},
        withdrawn={first[place].digest for place in gone},
        asked={n: [said(f.question(ASKED), f.value) for f in some] for n, some in found.items()},
    )


def _changed(fact: Fact, rng: random.Random) -> Fact:
    """The same property with another value."""
    value = fact.value
    while value == fact.value:
        value = value_of(fact.relation, rng)
    return Fact(fact.entity, fact.relation, value)


def _document(place: int, group: Sequence[Fact], edition: int, rng: random.Random) -> Document:
    names = list(dict.fromkeys(fact.entity for fact in group))
    text = f"# A guide to {' and '.join(names)}\n"
    for name in names:
        told = [fact.statement(rng.randrange(3)) for fact in group if fact.entity == name]
        text += f"\n## {name}\n\n{' '.join(told)}\n"
    return Document(
        digest=digest_of(text), source="study", address=f"guide-{place:02d}.md", title=names[0],
        text=text, kind="prose", fetched_at=_DATES[edition], published_at=_DATES[edition],
    )  # fmt: skip


def _train(documents: Sequence[Document]) -> list[Example]:
    return [e for e in synthesize(documents, 0) if e.split == "train"]
