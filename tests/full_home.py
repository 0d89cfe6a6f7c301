"""A home with something of everything that is kept, small and without a model."""

import random
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from store.embeddings import HashEmbedder
from store.evidence import EvalReport, GateReport, ItemOutcome, SuiteTest, Verdict
from store.home import Home
from store.records import (
    CycleStage,
    CycleState,
    Document,
    DocumentState,
    Episode,
    Example,
    Message,
    Probe,
    SkillVector,
    Update,
    Version,
    VersionState,
    digest_of,
)
from store.source_records import Source
from store.store import Store
from store.thread_runs import ThreadRun

NOW = datetime(2026, 1, 1, 12, 30, 0, 123456, tzinfo=UTC)
TEXTS = (
    "The harbour of Velm opens in April. Ünï\x00 \U0001f680",
    "Goats eat thistles.",
    "Withdrawn.",
)


def fill(home: Home) -> None:
    """Make the home and everything in it."""
    with Store.open(home, HashEmbedder()) as store:
        _documents(store)
        _versions(store)
        _work(store)
        store.documents.catch_up()
    _files(home)


def _documents(store: Store) -> None:
    store.sources.add(Source(name="Döcs", location="/srv/docs", added_at=NOW))
    store.documents.add_all(
        Document(
            digest=digest_of(text), source="Döcs", address=f"{i}.md", title=f"T{i}", text=text,
            kind="prose", fetched_at=NOW + timedelta(seconds=i), state=DocumentState.ACCEPTED,
        )
        for i, text in enumerate(TEXTS)
    )  # fmt: skip
    store.documents.snapshot([digest_of(TEXTS[0])])
    store.documents.withdraw(digest_of(TEXTS[2]))
    message = Message(role="user", content="Wann? \x00")
    store.examples.add(
        1, [Example(digest=d, kind="qa", messages=(message,), documents=("x",)) for d in "zam"]
    )


def _versions(store: Store) -> None:
    store.versions.add_skill(SkillVector(
        digest="s", base_digest="b", template_digest="t", domain="travel", recipe={}, rounds=2
    ))  # fmt: skip
    probe = Probe(prompts=("p",), token_ids=((1, 2),), logprobs=((-0.1, -3.3333333333333335),))
    for number in range(4):
        digest = _artifact(store, number) if number else "b" * 64
        if number:
            store.versions.add_update(Update(
                digest=f"u{number}", base_digest="b", mask_digest="m", corpus_digest="c",
                examples_digest="e", settings={"rank": 8}, seed=1, created_at=NOW,
            ))  # fmt: skip
        store.versions.create(Version(
            name=f"v{number}-{digest[:6]}", number=number, digest=digest,
            kind="adapter" if number else "base", base_digest="b" * 64, template_digest="t",
            update=f"u{number}" if number else None, path=digest if number else "",
            probe=probe if number else None, state=VersionState.PROMOTED, created_at=NOW,
        ))  # fmt: skip
        store.versions.go_live(f"v{number}-{digest[:6]}")
    store.versions.roll_back()


def _artifact(store: Store, number: int) -> str:
    folder = store.home.path.parent / f"{store.home.path.name}-made-{number}"
    (folder / "deep").mkdir(parents=True)
    (folder / "adapter.bin").write_bytes(random.Random(number).randbytes(60_000))
    (folder / "deep" / "config.json").write_text(f'{{"n": {number}}}')
    return store.artifacts.put(folder)


def _work(store: Store) -> None:
    number = store.cycles.start({"seed": 1}).number
    store.cycles.stage_started(number, CycleStage.GATHER, {})
    store.cycles.stage_done(number, CycleStage.GATHER, {"new": 2}, 1.5)
    store.cycles.finish(number, CycleState.FAILED, "no engine")
    store.cycles.start({"seed": 2})
    live = store.versions.live()
    assert live is not None
    store.reports.add_eval(EvalReport(
        digest="r", version=live.name, suite="kept", suite_digest="s", decoding={}, engine={},
        outcomes=(ItemOutcome(item="i", slice="qa", score=0.5),), created_at=NOW,
    ))  # fmt: skip
    test = SuiteTest(
        suite="kept", kind="non_inferiority", items=1, live=0.5, candidate=0.5, difference=0.0,
        interval=(0.0, 0.0), margin=0.03, e_value=float("inf"), e_against=0.0, mcnemar_p=1.0,
        verdict=Verdict.ABSTAIN, words="too few",
    )  # fmt: skip
    store.reports.add_gate(GateReport(
        digest="g", candidate=live.name, live="v0", reports=("r",), tests=(test,), alpha=0.05,
        verdict=Verdict.ABSTAIN, words="too few", created_at=NOW,
    ))  # fmt: skip
    store.episodes.add(Episode(
        id="e", thread="t", version=live.name, messages=(Message(role="user", content="hi"),),
        steps=1, created_at=NOW,
    ))  # fmt: skip
    store.threads.tag("t", {"topic": "rain", "deep": {"n": 1}})
    store.runs.add(ThreadRun(
        id="r", thread="t", assistant="a", created_at=NOW, updated_at=NOW, metadata={},
        strategy="enqueue",
    ))  # fmt: skip
    store.items.put("", ("users", "ann"), "likes", {"tea": True})


def _files(home: Home) -> None:
    _write(home.path / "masks" / "0123" / "mask.json", "{}")
    _write(home.path / "digests" / "base.json", '{"a": 1}')
    _write(home.path / "perennial.toml", 'model = "pico"\n[update]\nepochs = 3\n')
    _write(home.path / "evals" / "run-1" / "run.json", "[]")
    for left_out in ("logs/engine.log", "cycles/0001/gather/x", "run/status.json"):
        _write(home.path / left_out, "not kept")
    with closing(sqlite3.connect(home.threads_database)) as threads:
        threads.execute("PRAGMA journal_mode = WAL")
        threads.execute("CREATE TABLE said (words TEXT)")
        threads.executemany("INSERT INTO said VALUES (?)", [(f"line {i}",) for i in range(500)])
        threads.commit()


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def records(home: Home) -> dict[str, object]:
    """What the store's own questions answer, for comparison."""
    with Store.open(home, HashEmbedder()) as store:
        versions = store.versions.list()
        return {
            "live": store.versions.live(),
            "history": store.versions.history(),
            "before": store.versions.before_live(),
            "versions": versions,
            "updates": [store.versions.get_update(v.update) for v in versions if v.update],
            "skills": store.versions.skills(),
            "cycles": store.cycles.list(),
            "documents": store.documents.list(),
            "snapshot": store.documents.snapshot([digest_of(TEXTS[0])]),
            "examples": store.examples.of_cycle(1),
            "evals": [store.reports.evals_of(v.name) for v in versions],
            "gates": store.reports.gates(),
            "episodes": store.episodes.list(),
            "threads": store.threads.search(None, tags={"deep": {"n": 1}}),
            "runs": store.runs.list("t"),
            "items": store.items.search("", (), {}, 10, 0),
            "sources": store.sources.list(),
            "artifacts": store.artifacts.digests(),
        }
