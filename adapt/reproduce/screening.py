"""The suite of screening: hostile documents among real ones, through the gathering that runs.

Every document is taken in and judged as in a visit, then indexed and turned into examples; what is
counted is where the hostile ones got to, and which real ones were held. It needs no model and no
network. Called by the command `perennial reproduce screening` and by tests.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adapt.gather.judging import judge
from adapt.reproduce.screening_campaigns import (
    claims_of_facts,
    flood,
    poisoned,
    series,
    shadowing,
    untrusted,
)
from adapt.reproduce.screening_hostile import Carriers, Hostile, hostile_documents
from adapt.reproduce.screening_real import Half, real_documents
from adapt.show import wilson
from adapt.synthesize import synthesize
from agent.config import Settings
from store import Store
from store.embeddings import HashEmbedder
from store.home import Home
from store.normal import new_document
from store.records import Document, DocumentState, utc_now
from store.source_records import Source, Visit

REAL = 2000
VISITS = 6
"""Of the source in which real and hostile documents are mixed."""
_TRUST = {"handbook": 1.0, "web": 0.6, "partner": 0.6, "forum": 0.1}


@dataclass
class _Run:
    """One suite at work: what was given of which kind, by digest."""

    store: Store
    settings: Settings
    sources: dict[str, Source]
    real: dict[str, str] = field(default_factory=dict)
    hostile: dict[str, str] = field(default_factory=dict)

    def visit(self, name: str, documents: Sequence[Document]) -> None:
        """As adapt.gather.taking does: taken in, judged, and the visit recorded."""
        source, began = self.sources[name], utc_now()
        taken = self.store.documents.take(documents, self.settings.gather.near_duplicate)
        new = [d for d in documents if d.digest in set(taken.new)]
        held = judge(self.store, source, new, self.settings)
        own = sum(d.digest in held for d in new)
        seconds = (utc_now() - began).total_seconds()
        visit = Visit(source=name, started_at=began, seconds=seconds, added=len(new), held=own)
        self.store.visits.add(visit)

    def add_real(self, name: str, kind: str, given: Iterable[Document]) -> list[Document]:
        """Real documents as documents of a source."""
        made = [
            new_document(
                source=name, address=d.address, text=d.text, title=d.title, kind=d.kind,
                trust=self.sources[name].trust,
            )
            for d in given
        ]  # fmt: skip
        self.real |= {d.digest: kind for d in made}
        return made

    def add_hostile(self, name: str, given: Iterable[Hostile]) -> list[Document]:
        """Hostile documents as documents of a source."""
        made = []
        for each in given:
            address = f"{name}/{each.name}/{len(self.hostile)}"
            document = new_document(
                source=name, address=address, text=each.text, title=each.title, kind=each.kind,
                trust=self.sources[name].trust,
            )  # fmt: skip
            self.hostile[document.digest] = each.name
            made.append(document)
        return made


def run(
    data: Path, home: Path, half: Half, seed: int, *, real: int = REAL,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:  # fmt: skip
    """Counts by kind for one half of the data and of the wordings; `home` is a folder to fill."""
    drawn = real_documents(data, half, seed, real)
    with Store.open(Home(home), HashEmbedder()) as store:
        sources = {
            name: Source(name=name, location=name, trust=trust, added_at=utc_now())
            for name, trust in _TRUST.items()
        }
        at_work = _Run(store, Settings(), sources)
        _gather(at_work, drawn, half, seed, progress)
        progress("indexing, and writing examples")
        return _counted(at_work) | {"half": half, "seed": seed}


def _gather(
    run: _Run, drawn: dict[str, list[Document]], half: Half, seed: int,
    progress: Callable[[str], None],
) -> None:  # fmt: skip
    rng = random.Random(f"order/{half}/{seed}")
    bank, apis, squad = drawn["bank"], drawn["sealtools"], drawn["squad"]
    filler = [d.text for d in squad]
    told, wrong = claims_of_facts(half, seed)
    own = [
        *run.add_real("handbook", "bank", bank[::2]),
        *run.add_real("handbook", "sealtools", apis[: len(apis) // 10]),
    ]
    facts = [
        new_document(source="handbook", address=f"facts/{title}", text=text, title=title)
        for title, text in told
    ]
    progress("the trusted source")
    run.visit("handbook", [*own, *facts])
    carriers = Carriers([(d.title, d.text) for d in [*bank, *squad]], [d.text for d in apis])
    hostile = [
        *hostile_documents(half, seed, carriers), *poisoned(own, half, seed), *wrong,
        *shadowing(own, half, seed), *series(filler, half, seed),
    ]  # fmt: skip
    mixed = [
        *run.add_hostile("web", hostile),
        *run.add_real("web", "bank", bank[1::2]),
        *run.add_real("web", "sealtools", apis[len(apis) // 10 :]),
        *run.add_real("web", "bfcl", drawn["bfcl"]),
        *run.add_real("web", "squad", squad[VISITS:]),
    ]
    rng.shuffle(mixed)
    for number in range(VISITS):
        progress(f"visit {number + 1} of {VISITS} to the mixed source")
        run.visit("web", mixed[number::VISITS])
    for each in run.add_real("partner", "squad", squad[:VISITS]):
        run.visit("partner", [each])
    run.visit("partner", run.add_hostile("partner", flood(half, seed)))
    run.visit("forum", run.add_hostile("forum", untrusted(filler, half, seed)))


def _counted(run: _Run) -> dict[str, Any]:
    store = run.store
    accepted = store.documents.list(DocumentState.ACCEPTED)
    trained = {d for e in synthesize(accepted, 0) for d in e.documents}
    store.documents.catch_up()
    held = store.documents.digests(DocumentState.QUARANTINED)
    reach = {d.digest for d in accepted}
    searched = _searched(store, set(run.hostile) - reach)
    hostile = [
        _row(kind, [d for d, k in run.hostile.items() if k == kind], reach, "accepted")
        for kind in dict.fromkeys(run.hostile.values())
    ]
    real = [
        _row(kind, [d for d, k in run.real.items() if k == kind], held, "held")
        for kind in dict.fromkeys(run.real.values())
    ]
    reasons = Counter(
        finding.kind
        for digest in held & set(run.real)
        for finding in store.reviews.get(digest).findings
        if finding.hold
    )
    return {
        "hostile": hostile,
        "hostile_all": _row("all", list(run.hostile), reach, "accepted"),
        "hostile_in_training": len(trained & set(run.hostile)),
        "hostile_held_in_search": len(searched),
        "real": real,
        "real_all": _row("all", list(run.real), held, "held"),
        "real_held_for": dict(reasons.most_common()),
        "missed": [
            {"kind": run.hostile[d.digest], "title": d.title, "digest": d.digest}
            for d in accepted
            if d.digest in run.hostile
        ],
    }


def _searched(store: Store, held: set[str]) -> set[str]:
    """Those that a search for their own words shows."""
    found: set[str] = set()
    for document in store.documents.get_all(sorted(held)):
        query = " ".join(document.text.split()[:60]) or document.title
        found |= {p.document for p in store.documents.search(query, 8)} & held
    return found


def _row(kind: str, all_of: Sequence[str], among: set[str], what: str) -> dict[str, Any]:
    """Of how many of a kind something is true, with Wilson's 95% interval."""
    count = len(among.intersection(all_of))
    low, high = wilson(count, len(all_of))
    return {"kind": kind, "documents": len(all_of), what: count, "share": count / len(all_of),
            "low": low, "high": high}  # fmt: skip
