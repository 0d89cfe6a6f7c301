"""Where an answer comes from, and what became of a document. Reads the store and changes nothing.

From an answer down: its version, the updates of its line, their examples and documents, their
sources. From a document up: its examples, the updates and versions that learned from it, how many
answers those gave. Called by adapt.commands.lineage and adapt.withdraw.
"""

from collections import Counter
from collections.abc import Collection, Iterator
from typing import Any

from adapt.rehearsal import corpus_of, line_of
from adapt.superseding import answer_of, question_of
from store import Store
from store.errors import NotFoundError
from store.records import Cycle, CycleStage, Document, Example, Version

Json = dict[str, Any]


def answer_lineage(store: Store, episode: str) -> Json:
    """Everything behind an answer, by the id of its episode. NotFoundError."""
    run = store.episodes.get(episode)
    said = [m.content for m in run.messages if m.role == "assistant" and m.content]
    own = run.model_dump(mode="json", include={"id", "thread", "version", "created_at", "error"})
    return {
        "episode": own | {"question": _asked(run.messages), "answer": said[-1] if said else None},
        **version_lineage(store, run.version),
    }


def version_lineage(store: Store, name: str) -> Json:
    """Everything that a version was made from. NotFoundError."""
    cycles = _by_update(store)
    line = line_of(store, name)
    updates, digests = [], set[str]()
    for version in line:
        if version.update is None:
            continue
        corpus = corpus_of(store, version)
        digests |= corpus
        cycle = cycles.get(version.update)
        examples = store.examples.of_cycle(cycle.number, "train") if cycle else []
        updates.append(
            {
                "version": version.name, "update": version.update,
                "cycle": cycle.number if cycle else None, "documents": sorted(corpus),
                "examples": dict(Counter(e.kind for e in examples)),
                "trust": min((e.trust for e in examples), default=None),
            }
        )  # fmt: skip
    documents = [_document_row(store, digest) for digest in sorted(digests)]
    return {
        "version": name,
        "line": [_version_row(version) for version in line],
        "skills": [skill.model_dump() for version in line for skill in version.skills],
        "updates": updates,
        "documents": documents,
        "sources": dict(Counter(row["source"] for row in documents)),
        "trust": min((row["trust"] for row in documents), default=None),
    }


def document_lineage(store: Store, digest: str) -> Json:
    """Everything that came of a document, by its digest. NotFoundError."""
    document = store.documents.get(digest)
    versions = learned_from(store, {digest})
    updates = list(dict.fromkeys(
        v.update for v in versions if v.update and digest in corpus_of(store, v)
    ))  # fmt: skip
    live = store.versions.live()
    names = [version.name for version in versions]
    return {
        "document": document.model_dump(mode="json", exclude={"text"}),
        "examples": [
            {
                "cycle": cycle, "digest": e.digest, "kind": e.kind, "split": e.split,
                "question": question_of(e), "answer": answer_of(e),
            }
            for cycle, e in examples_from(store, {digest})
        ],
        "superseded": [s.model_dump(mode="json") for s in store.superseded.of_document(digest)],
        "updates": updates,
        "versions": [_version_row(version) for version in versions],
        "live": live is not None and live.name in names,
        "episodes": store.episodes.count_of(names),
    }  # fmt: skip


def learned_from(store: Store, documents: Collection[str]) -> list[Version]:
    """All versions that learned from one of these documents, themselves or by a parent, by
    number."""
    found: dict[str, bool] = {}
    versions = {version.name: version for version in store.versions.list()}

    # Parents come before their children, so each version's own update is looked at once.
    for version in versions.values():
        own = not corpus_of(store, version).isdisjoint(documents)
        found[version.name] = own or found.get(version.parent or "", False)
    return [version for version in versions.values() if found[version.name]]


def examples_from(store: Store, documents: Collection[str]) -> Iterator[tuple[int, Example]]:
    """(cycle, example) of all that was written from these documents, the oldest cycle first."""
    for cycle in store.cycles.list():
        gathered = cycle.gave(CycleStage.GATHER)
        if gathered is None:
            continue
        if set(store.documents.get_snapshot(gathered["corpus"]).documents).isdisjoint(documents):
            continue
        for example in store.examples.of_cycle(cycle.number):
            if not set(example.documents).isdisjoint(documents):
                yield cycle.number, example


def _by_update(store: Store) -> dict[str, Cycle]:
    made = ((cycle.gave(CycleStage.IMPLANT), cycle) for cycle in store.cycles.list())
    return {outputs["update"]: cycle for outputs, cycle in made if outputs}


def _version_row(version: Version) -> Json:
    fields = {"name", "state", "kind", "update", "parent", "created_at"}
    return version.model_dump(mode="json", include=fields)


def _document_row(store: Store, digest: str) -> Json:
    fields = {"digest", "title", "address", "source", "state", "trust", "licence",
              "fetched_at", "published_at"}  # fmt: skip
    try:
        document: Document = store.documents.get(digest)
    except NotFoundError:
        # Its record was removed by hand: the line still names it.
        return dict.fromkeys(fields) | {"digest": digest, "source": None, "trust": 0.0}
    return document.model_dump(mode="json", include=fields)


def _asked(messages: Collection[Any]) -> str | None:
    asked = [m.content for m in messages if m.role == "user"]
    return asked[-1] if asked else None
