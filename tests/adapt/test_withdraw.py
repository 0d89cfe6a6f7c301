"""Withdrawal: the line is made anew without a document, on a tiny model and the fake engine."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cycle_driver import build_runtime
from tiny_models import build_tiny_model, write_general_corpus

from adapt.cycle import run_cycle
from adapt.evals.encyclopedia import articles
from adapt.events import silent
from adapt.forgetting import probe_suite
from adapt.lineage import answer_lineage, document_lineage
from adapt.rehearsal import documents_of, examples_of
from adapt.runtime import Runtime
from adapt.superseding import answer_of, question_of
from adapt.withdraw import affected, mark, proof_of, rebuild_due
from store import Home, Store
from store.embeddings import HashEmbedder
from store.errors import NotFoundError
from store.records import Cycle, CycleStage, CycleState, Episode, Message, utc_now
from tools.virtual_api.catalogue import build_catalogue


@dataclass
class Story:
    """Two updates, then the second's document is withdrawn, then one of the first's."""

    runtime: Runtime
    lives: list[str] = field(default_factory=list)
    cycles: list[Cycle] = field(default_factory=list)
    first: str = ""
    second: str = ""
    seen: dict[str, Any] = field(default_factory=dict)
    known: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)

    @property
    def store(self) -> Store:
        return self.runtime.store

    def prose(self, learned: set[str]) -> str:
        """The one prose document of these."""
        (found,) = [d for d in learned if self.store.documents.get(d).kind == "prose"]
        return found

    async def cycle(self) -> Cycle:
        done = await run_cycle(self.runtime, silent)
        assert done.state is CycleState.PROMOTED, done.error or done.stages[-1].outputs
        self.cycles.append(done)
        self.lives.append(self.runtime.live())
        return done


def answers(story: Story, name: str, messages: list[dict[str, Any]]) -> Any:
    """A version knows what its line learned, and nothing else."""
    known = story.known.setdefault((name, len(story.cycles)), {})
    if not known:
        known |= {"": "", **_knowledge(story.store, name)}
    return known.get(messages[-1]["content"], "I do not know.")


def _knowledge(store: Store, name: str) -> dict[str, Any]:
    """Right answers by question, on all documents of a version's line."""
    learned = documents_of(store, name)
    known: dict[str, Any] = {}
    for number in range(1, len(store.cycles.list()) + 1):
        for example in store.examples.of_cycle(number):
            if not learned.issuperset(example.documents) or example.kind == "api-doc":
                continue
            check = example.check or {}
            calls = list(example.messages[-1].tool_calls)
            if check.get("kind") == "call":
                calls = [{"name": check["name"], "arguments": check["arguments"]}]
            known[question_of(example)] = calls or answer_of(example)
    return known


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    root = tmp_path_factory.mktemp("withdrawn")
    model = write_general_corpus(build_tiny_model(root / "model", max_length=1024))
    inbox = root / "inbox"
    inbox.mkdir()
    home = Home(root / "home")
    with pytest.MonkeyPatch.context() as patch, home.lock(), Store.open(
        home, HashEmbedder()
    ) as store:  # fmt: skip
        patch.setenv("OMP_NUM_THREADS", "1")
        runtime, fake = build_runtime(home, store, model, inbox)
        # A few dozen questions cannot rule out a loss of the usual margin.
        margins = {"kept": 0.5, "relearned": 0.5}
        gate = runtime.settings.gate.model_copy(update={"margins": margins})
        runtime.settings = runtime.settings.model_copy(update={"gate": gate})
        told = Story(runtime)
        fake.answer = lambda name, messages, tools: answers(told, name, messages)
        asyncio.run(tell(told, inbox))
        yield told


async def tell(story: Story, inbox: Path) -> None:
    store = story.store
    for tool in build_catalogue(0).category("Museums")[:2]:
        (inbox / f"{tool.name}.json").write_text(json.dumps(tool.to_json()))
    (inbox / "one.md").write_text(next(iter(articles(3, 4).values())))
    await story.cycle()
    story.first = story.prose(documents_of(store, story.lives[-1]))
    (inbox / "two.md").write_text("\n".join(articles(4, 8).values()))
    await story.cycle()
    story.second = story.prose(documents_of(store, story.lives[-1]) - {story.first})
    story.seen["second"] = document_lineage(store, story.second)
    mark(store, [story.second])
    await story.cycle()
    story.seen["first"] = affected(store, [story.first])
    mark(store, [story.first])
    await story.cycle()
    await story.runtime.engine.close()


def test_without_its_only_document_a_version_gives_way_to_the_one_before(story: Story) -> None:
    """Nothing is left to learn again: the first update is live once more."""
    first, second, back, _ = story.lives
    assert [c.state for c in story.cycles] == [CycleState.PROMOTED] * 4, [
        c.error or c.stages[-1].outputs for c in story.cycles
    ]
    assert first != second and back == first
    assert [s.stage for s in story.cycles[2].stages] == [CycleStage.GATHER, CycleStage.SWAP]


def test_a_line_is_made_anew_from_the_version_before_the_document(story: Story) -> None:
    """From the base, on all else; its parent is the base, so that nothing counts as learned."""
    rebuilt = story.store.versions.get(story.lives[-1])
    assert rebuilt.parent == story.store.versions.first().name
    left = documents_of(story.store, rebuilt.name)
    assert len(left) == 2 and {story.first, story.second}.isdisjoint(left)
    assert not rebuild_due(story.store)


def test_the_gate_asks_for_the_withdrawn_and_needs_nothing_learned(story: Story) -> None:
    """Live answered all of it, the candidate as much as what never saw it."""
    proof = proof_of(story.cycles[-1])
    assert proof is not None and proof["items"] >= 30
    assert (proof["live"], proof["candidate"], proof["never"]) == (1.0, 0.0, 0.0)
    report = story.store.reports.gate_of(story.lives[-1])
    assert report is not None and "is forgotten" in report.words
    assert {"relearned", "kept"} <= {t.suite for t in report.tests}
    assert "learned" not in {t.suite for t in report.tests}


def test_what_learned_from_a_document_is_shown_before(story: Story) -> None:
    shown = story.seen["first"]
    assert shown["rebuild"] and shown["examples"] == sum(shown["examples_by_cycle"].values()) > 30
    assert [v["name"] for v in shown["versions"]] == story.lives[:2]
    with pytest.raises(NotFoundError):
        affected(story.store, ["f" * 64])


def test_nothing_of_a_withdrawn_document_is_learned_again_or_asked(story: Story) -> None:
    everything = {d.digest for d in story.store.documents.list()}
    assert story.first in everything
    again = examples_of(story.store, everything, before=99)
    assert again and not any({story.first, story.second} & set(e.documents) for e in again)


def test_a_question_that_another_document_answers_proves_nothing(story: Story) -> None:
    """It is left out of the proof and counted: the same example from a text that may be learned."""
    store = story.store
    suite, none = probe_suite(store, [story.first], 4)
    assert none == 0
    own = [e for e in store.examples.of_cycle(1) if e.documents == (story.first,)][:3]
    store.examples.add(5, [e.model_copy(update={"documents": ("other",)}) for e in own])
    fewer, elsewhere = probe_suite(store, [story.first], 5)
    assert elsewhere == 3 and len(fewer.items) == len(suite.items) - 3


def test_lineage_leads_from_an_answer_to_sources_and_from_a_document_to_versions(
    story: Story,
) -> None:
    store = story.store
    said = (Message(role="user", content="hi"), Message(role="assistant", content="yes"))
    store.episodes.add(
        Episode(id="e1", thread="t", version=story.lives[1], messages=said, steps=1,
                created_at=utc_now())
    )  # fmt: skip
    behind = answer_lineage(store, "e1")
    assert (behind["episode"]["question"], behind["episode"]["answer"]) == ("hi", "yes")
    assert [v["name"] for v in behind["line"]] == [
        story.lives[1], story.lives[0], store.versions.first().name
    ]  # fmt: skip
    assert [u["cycle"] for u in behind["updates"]] == [2, 1]
    assert behind["sources"] == {"inbox": 4} and len(behind["documents"]) == 4
    came = document_lineage(store, story.second)
    assert [v["name"] for v in came["versions"]] == [story.lives[1]]
    assert (came["episodes"], came["live"], len(came["updates"])) == (1, False, 1)
    assert story.seen["second"]["live"]
    assert {e["cycle"] for e in came["examples"]} == {2}
