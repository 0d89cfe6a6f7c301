"""Examples from documents: complete, repeatable, and without leaks into what is held out."""

import json
from typing import Literal

from adapt.questions import ask_about
from adapt.synthesize import CALLS, HELD_OUT_CALLS, REFUSALS, synthesize
from store.records import Document, Example, digest_of, utc_now
from tools.virtual_api.catalogue import build_catalogue, schema_of
from tools.virtual_api.executor import validate
from tools.virtual_api.tasks import refuses

CATALOGUE = build_catalogue(0)
TOOL = CATALOGUE.category("Museums")[0]


def document(text: str, kind: Literal["prose", "api"]) -> Document:
    """An accepted document."""
    return Document(
        digest=digest_of(text), source="s", address="a", title="t", text=text, kind=kind,
        fetched_at=utc_now(), trust=0.5,
    )  # fmt: skip


DOCUMENTS = [
    document(json.dumps(TOOL.to_json()), "api"),
    document("# Oz\n\nThe capital of Oz is Emer. Oz has Yellow as its road colour.", "prose"),
]


def of_kind(examples: list[Example], kind: str, split: str) -> list[Example]:
    """Some of the examples."""
    return [e for e in examples if e.kind == kind and e.split == split]


def test_every_api_has_eight_rows_and_calls() -> None:
    """PaST's eight documentation rows, and calls to train on and to hold out."""
    made = synthesize(DOCUMENTS, 0)
    assert len(of_kind(made, "api-doc", "train")) == 8 * len(TOOL.apis)
    assert len(of_kind(made, "api-call", "train")) == CALLS * len(TOOL.apis)
    assert len(of_kind(made, "api-call", "held_out")) == HELD_OUT_CALLS * len(TOOL.apis)


def test_the_same_corpus_and_seed_give_the_same_examples() -> None:
    """Digests agree; another seed gives other calls."""
    again = [e.digest for e in synthesize(DOCUMENTS, 0)]
    assert again == [e.digest for e in synthesize(DOCUMENTS, 0)]
    assert again != [e.digest for e in synthesize(DOCUMENTS, 1)]


def test_written_calls_are_valid_and_hide_the_parameter_names() -> None:
    """The executor accepts every written call, and no query holds a parameter name as a word."""
    for example in of_kind(synthesize(DOCUMENTS, 0), "api-call", "train"):
        call = example.messages[-1].tool_calls[0]
        api = CATALOGUE.by_function[call["name"]]
        assert validate(api, call["arguments"]) is None, call
        words = example.messages[1].content.replace(",", " ").split()
        assert not {p.name for p in api.parameters} & set(words)


def test_requests_lack_words_of_the_description_but_never_all() -> None:
    """Some requests have the whole description, others a part, in its order."""
    seen: set[bool] = set()
    for example in of_kind(synthesize(DOCUMENTS, 0), "api-call", "train"):
        name = example.messages[-1].tool_calls[0]["name"]
        words = schema_of(CATALOGUE.by_function[name])["function"]["description"].lower().split()
        asked = example.messages[1].content.lower().replace(",", "").split()
        assert set(words) & set(asked), asked
        seen.add(" ".join(words) in " ".join(asked))
    assert seen == {True, False}


def test_requests_that_nothing_serves_are_refused() -> None:
    """Only APIs of other documents are shown; with one document there is nothing to show."""
    other = document(json.dumps(CATALOGUE.category("Museums")[1].to_json()), "api")
    made = of_kind(synthesize([*DOCUMENTS, other], 0), "api-none", "train")
    assert len(made) == 2 * REFUSALS * len(TOOL.apis)
    for example in made:
        assert refuses(example.messages[-1].content)
        own = {a.function for t in CATALOGUE.category("Museums") for a in t.apis
               if digest_of(json.dumps(t.to_json())) in example.documents}  # fmt: skip
        assert own
        assert not own & {t["function"]["name"] for t in example.tools}
    assert not of_kind(synthesize(DOCUMENTS, 0), "api-none", "train")


def test_no_held_out_question_is_trained_on() -> None:
    """What the gate asks is not among the training questions."""
    made = synthesize(DOCUMENTS, 0)
    asked = {split: {e.messages[1].content for e in made if e.split == split}
             for split in ("train", "held_out")}  # fmt: skip
    assert not asked["train"] & asked["held_out"]


def test_only_the_answer_carries_loss_and_trust_is_the_documents() -> None:
    """Questions are not learned by heart; trust comes along."""
    for example in synthesize(DOCUMENTS, 0):
        assert [m.loss for m in example.messages if m.role != "assistant"] == [False, False]
        assert example.trust == 0.5


def test_statements_become_questions_in_any_order() -> None:
    """Three ways to state a fact give the same questions and answer."""
    ways = ("The capital of Oz is Emer.", "Emer is the capital of Oz.",
            "Oz has Emer as its capital.")  # fmt: skip
    assert {ask_about(way)[0] for way in ways} == {ask_about(ways[0])[0]}
    assert ask_about(ways[0])[0].answer == "Emer"


def test_other_sentences_become_completions() -> None:
    """A sentence of no known form is asked by its beginning; nothing is lost."""
    asked = ask_about("Visitors should bring warm clothes because the halls are cold.")
    assert asked[0].questions[0].startswith("Complete: Visitors should bring")
    assert asked[0].answer.endswith("cold.")
