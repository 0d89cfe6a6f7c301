"""Examples that a model writes: over real HTTP, checked, kept, and within a budget."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_runtime import fake_runtime, settings_of
from openai_endpoint import MODEL, Endpoint, served

from adapt.superseding import question_of
from adapt.synthesize import synthesize
from adapt.writing.checks import call_fault, close_to, fault_of, gives_away
from adapt.writing.examples import examples_of
from adapt.writing.recipe import MAX_TOKENS, Written, read_written
from adapt.writing.writer import Writer, functions_of, open_writer
from store.embeddings import HashEmbedder
from store.errors import ConfigError, EngineError
from store.records import Document, digest_of, utc_now
from tools.virtual_api.catalogue import build_catalogue

PASSAGE = (
    "The library of Oz opens at nine on weekdays because the clerks of Emer arrive with the first "
    "train. Members borrow seven books for thirty days."
)
TOOL = build_catalogue(0).category("Museums")[0].to_json()


def document(text: str, kind: Any = "prose") -> Document:
    return Document(
        digest=digest_of(text), source="s", address="a", title="Oz", text=text, kind=kind,
        fetched_at=utc_now(),
    )  # fmt: skip


PROSE, API = document(PASSAGE), document(json.dumps(TOOL), "api")
QA = {
    "kind": "qa", "question": "When does the library of Oz open on weekdays?",
    "again": "At what hour can one enter the Oz library on a Monday?",
    "other": "From which time are its doors unlocked in Oz, for readers?", "answer": "nine",
}  # fmt: skip
IMPLIED = {
    "kind": "implication", "question": "Why does the library of Oz not open at eight?",
    "answer": "The clerks have not arrived by then.",
    "because": "the clerks of Emer arrive with the first train",
}  # fmt: skip
REWRITTEN = {
    "kind": "rewriting",
    "answer": "On weekdays the library in Oz opens at nine, as its clerks come by the first train "
    "from Emer. Seven books may be borrowed for thirty days.",
}


def right_call() -> dict[str, Any]:
    """A call of the tool's first function, with every value in the request."""
    function = functions_of(API)[0]
    properties = function["parameters"]["properties"]
    values: dict[str, Any] = {}
    for name in function["parameters"]["required"]:
        spec = properties[name]
        number = {"integer": 7, "number": 7.5, "boolean": True}
        text = "2030-05-06" if spec.get("format") == "date" else "Blue Fox"
        values[name] = (spec.get("enum") or [number.get(spec["type"], text)])[0]
    said = ", ".join(str(v) for v in values.values())
    return {"kind": "api-call", "request": f"I would like this please: {said}", "arguments": values}


def lines(*said: dict[str, Any]) -> str:
    return "\n".join(["```json", *(json.dumps(one) for one in said), "{broken", "```"])


def answer(prompt: str) -> str:
    if "Function:" in prompt:
        return lines(right_call(), {"kind": "api-call", "request": "go", "arguments": {"x": 1}})
    return lines(QA, IMPLIED, REWRITTEN, {**QA, "question": "Who?", "answer": "Dorothy"})


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with served(answer) as endpoint:
        yield endpoint


def write(home: Path, endpoint: Endpoint, documents: list[Document], cycle: int = 1, **more: Any):
    """What the endpoint wrote of documents, and the writer, in a home."""
    given = {"writer": "endpoint", "endpoint": endpoint.url, "model": MODEL} | more

    async def work() -> tuple[Any, Writer]:
        settings = settings_of(home, synthesis=given)
        async with fake_runtime(settings) as runtime, open_writer(runtime, cycle) as writer:
            assert writer is not None
            return await writer.write(documents, lambda _: None), writer

    return asyncio.run(work())


def test_an_endpoint_writes_over_http_with_the_key_of_the_environment(
    endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Questions in three wordings, an implication, a rewriting, calls; what is wrong is counted."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    entries, writer = write(tmp_path / "home", endpoint, [PROSE, API])
    assert endpoint.keys == {"Bearer sk-test"} and writer.spent.calls == len(endpoint.asked) == 6
    assert writer.spent.tokens == 6 * 16
    made = examples_of([PROSE, API], entries, 0, HashEmbedder())
    plain = {e.digest for e in synthesize([PROSE, API], 0)}
    new = [e for e in made.examples if e.digest not in plain]
    kinds = {(e.kind, e.split) for e in new}
    assert {("qa", "train"), ("qa", "held_out"), ("implication", "train"),
            ("rewriting", "train"), ("api-call", "train")} <= kinds  # fmt: skip
    held = [question_of(e) for e in new if e.split == "held_out"]
    assert held == [QA["other"]]
    assert not {question_of(e) for e in made.examples if e.split == "train"} & set(held)
    assert made.refused["the answer is not in the passage"] == 1
    # The call of the first of five functions fits no other.
    assert made.refused["the call does not fit the schema"] == 5 + 4
    assert not any(question_of(e).startswith("Complete: ") for e in made.examples)
    assert all(e.trust == 1.0 and e.dated for e in new)


def test_what_was_written_is_kept_and_goes_on_after_a_death(
    endpoint: Endpoint, tmp_path: Path
) -> None:
    """A document is asked about once; another recipe's or writer's answers are not taken."""
    home = tmp_path / "home"
    first, _ = write(home, endpoint, [PROSE])
    endpoint.refuse = (500, "down")
    with pytest.raises(ExceptionGroup) as failed:
        write(home, endpoint, [PROSE, API])
    assert failed.group_contains(EngineError)
    asked = len(endpoint.asked)
    endpoint.refuse = None
    again, writer = write(home, endpoint, [PROSE, API])
    assert again[PROSE.digest] == first[PROSE.digest]
    assert len(endpoint.asked) == asked + 5
    # What the same cycle spent before its process died counts.
    assert writer.spent.calls == 6
    _, later = write(home, endpoint, [PROSE, API], cycle=2)
    assert later.spent.calls == 0


@pytest.mark.parametrize(
    ("budget", "asked"),
    [({"max_calls": 3}, 3), ({"max_tokens": MAX_TOKENS + 20}, 2), ({"max_seconds": 0}, 0)],
)
def test_nothing_is_asked_beyond_the_budget(
    endpoint: Endpoint, tmp_path: Path, budget: dict[str, int], asked: int
) -> None:
    """Those over it have the templates' examples."""
    documents = [document(PASSAGE.replace("Oz", f"Oz{n}").replace("Members", f"All {n}"))
                 for n in range(12)]  # fmt: skip
    entries, writer = write(tmp_path / "home", endpoint, documents, **budget)
    assert len(endpoint.asked) == writer.spent.calls == len(entries) == asked
    made = examples_of(documents, entries, 0, HashEmbedder())
    assert {d for e in made.examples for d in e.documents} == {d.digest for d in documents}


def test_the_live_version_writes_through_its_engine(tmp_path: Path) -> None:
    async def work() -> None:
        settings = settings_of(tmp_path / "home", synthesis={"writer": "live"})
        async with fake_runtime(settings) as runtime, open_writer(runtime, 1) as writer:
            assert writer is not None and writer.model == runtime.live()
            entries = await writer.write([PROSE], lambda _: None)
            # It is too small to write JSON: the templates' examples are what is learned.
            assert entries[PROSE.digest].written == ()
            made = examples_of([PROSE], entries, 0, HashEmbedder())
            assert made.examples == synthesize([PROSE], 0)

    asyncio.run(work())


def test_an_endpoint_that_is_not_described_is_refused(tmp_path: Path) -> None:
    async def work() -> None:
        settings = settings_of(tmp_path / "home", synthesis={"writer": "endpoint"})
        async with fake_runtime(settings) as runtime:
            with pytest.raises(ConfigError, match=r"synthesis\.endpoint"):
                async with open_writer(runtime, 1):
                    pass

    asyncio.run(work())


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({}, ""),
        ({"answer": "ten"}, "not in the passage"),
        ({"again": ("Who?", "Who?")}, "twice"),
        ({"question": "Does it open at nine?"}, "holds its answer"),
        ({"kind": "implication", "because": "the sun rises"}, "follows from"),
        ({"kind": "rewriting", "answer": f"{PASSAGE} It has 40 rooms."}, "does not say 40"),
        ({"kind": "rewriting", "answer": "It opens."}, "shorter"),
    ],
)
def test_only_what_the_passage_says_is_learned(change: dict[str, Any], fault: str) -> None:
    fields: dict[str, Any] = {
        "kind": "qa", "question": "When does it open?", "again": ("At what hour?", "From when?"),
        "answer": "nine",
    }  # fmt: skip
    found = fault_of(Written(**(fields | change)), PASSAGE)
    assert (fault in found) if fault else not found


def test_only_calls_that_fit_the_schema_and_are_asked_for_are_learned() -> None:
    """The request holds every value and no parameter's name."""
    function, right = functions_of(API)[0], right_call()
    call = Written("api-call", right["request"], arguments=right["arguments"])
    assert call_fault(call, function) == ""
    for name in right["arguments"]:
        fewer = {n: v for n, v in right["arguments"].items() if n != name}
        wrong = Written("api-call", right["request"], arguments=fewer)
        assert "fit the schema" in call_fault(wrong, function)
    unsaid = Written("api-call", "please", arguments=right["arguments"])
    assert "does not say" in call_fault(unsaid, function)
    assert "lacks the name" in call_fault(Written("api-doc", answer="It books."), function)


def test_a_held_out_question_that_gives_itself_away_is_not_asked() -> None:
    """By its n-grams, or where the embedder cannot tell it from a training question."""
    trained = ["When does the library of Oz open on weekdays?"]
    assert gives_away("So when does the library of Oz open on weekdays?", trained)
    assert not gives_away("From which hour may readers enter?", trained)
    turned = "On weekdays, when does the library open of Oz?"
    assert close_to([turned, "From which hour?"], trained, HashEmbedder()) == [True, False]


def test_lines_that_are_no_json_of_the_recipe_are_counted() -> None:
    text = f'Here:\n{json.dumps(QA)},\n{{"kind": "poem"}}\n{{"kind": "qa"}}\n[1]'
    found, unread = read_written(text, ("qa",))
    assert ([one.answer for one in found], unread) == (["nine"], 2)
