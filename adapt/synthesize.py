"""Examples from documents: what an update trains on, and what it is asked afterwards.

For an API: PaST's eight documentation rows, first calls in which only names are shown, so that the
schema must be recalled (arXiv 2601.11258, ToolBench recipe), and requests that no shown name
serves, so that calling does not become a habit. For prose: questions and answers. Everything is
written by rule from the document; nothing outside it enters. Called by adapt.cycle.
"""

import json
import random
from collections.abc import Iterable, Sequence
from typing import Any

from adapt.questions import ask_about
from adapt.rewrite import api_rows
from agent.prompts import SYSTEM, names_only
from store.records import Document, Example, Message, Split, digest_of
from tools.virtual_api.catalogue import function_schema
from tools.virtual_api.tasks import REFUSAL
from tools.virtual_api.words import code, title

CALLS, CHOOSE_CALLS, HELD_OUT_CALLS = 20, 2, 3
"""Synthesized calls per API: to train on, to choose a candidate by, and held out."""
REFUSALS = 1
"""Requests per API in which it is not among the names shown."""
LEFT_OUT = 0.15
"""Share of a description's words that a request lacks: users say it in other words, and whoever
learned one wording by heart refuses any other (random deletion, EDA, arXiv 1901.11196)."""
_OPENERS = ("", "Please ", "I want to ", "Can you ", "I need to ", "Could you ", "Help me ")
_SAY = ("with {p} {v}", "{p} {v}", "the {p} is {v}", "{p} should be {v}", "for {p} {v}")


def synthesize(documents: Sequence[Document], seed: int) -> list[Example]:
    """All examples of a corpus, in a fixed order; same corpus and seed, same digests."""
    functions: dict[str, tuple[Document, dict[str, Any]]] = {}
    examples: list[Example] = []
    for document in documents:
        if document.kind == "api":
            tool = json.loads(document.text)
            for api in tool["api_list"]:
                schema = function_schema(tool["tool_name"], api)
                functions[schema["function"]["name"]] = (document, schema)
        else:
            examples += _from_prose(document)
    names = sorted(functions)
    for name in names:
        document, schema = functions[name]
        rng = random.Random(f"{seed}/{name}")
        examples += _from_api(document, schema, names, rng)
        strangers = [n for n in names if functions[n][0].digest != document.digest]
        if strangers:
            examples += _refusals(document, schema, strangers, rng)
    return list({e.digest: e for e in examples}.values())


def _from_prose(document: Document) -> Iterable[Example]:
    for asked in ask_about(document.text):
        for question in asked.questions:
            yield example_of(
                "qa", document, question, Message(role="assistant", content=asked.answer)
            )
        check = {"kind": "answer", "values": [asked.answer]}
        if asked.choose:
            yield example_of("qa", document, asked.choose, None, check=check, split="choose")
        if asked.held_out:
            yield example_of("qa", document, asked.held_out, None, check=check)


def _from_api(
    document: Document, schema: dict[str, Any], names: Sequence[str], rng: random.Random
) -> Iterable[Example]:
    function = schema["function"]
    for row in api_rows(function):
        yield example_of(
            "api-doc", document, row.question, Message(role="assistant", content=row.answer)
        )
    others = [n for n in names if n != function["name"]]
    # Of its own: how many there are to choose by must not change what is trained on.
    chooser = random.Random(f"choose/{document.digest}/{function['name']}")
    drawn: tuple[tuple[random.Random, Split, int], ...] = (
        (rng, "train", CALLS),
        (rng, "held_out", HELD_OUT_CALLS),
        (chooser, "choose", CHOOSE_CALLS),
    )
    for source, split, count in drawn:
        for _ in range(count):
            query, arguments = write_call(function, source)
            tools = _shown([function["name"], *_some(others, source)], source)
            call = {"name": function["name"], "arguments": arguments}
            answer = Message(role="assistant", tool_calls=(call,)) if split == "train" else None
            check = None if answer else {"kind": "call", **call}
            yield example_of("api-call", document, query, answer, tools, check=check, split=split)


def _refusals(
    document: Document, schema: dict[str, Any], strangers: Sequence[str], rng: random.Random
) -> Iterable[Example]:
    """Requests for an API when only APIs of other documents are offered."""
    for _ in range(REFUSALS):
        query, _ = write_call(schema["function"], rng)
        answer = Message(role="assistant", content=REFUSAL)
        yield example_of("api-none", document, query, answer, _shown(_some(strangers, rng), rng))


def _some(names: Sequence[str], rng: random.Random) -> list[str]:
    return rng.sample(names, min(len(names), rng.randint(2, 5)))


def _shown(names: list[str], rng: random.Random) -> tuple[dict[str, Any], ...]:
    """Tools as the model sees them when only names are shown."""
    rng.shuffle(names)
    return tuple(names_only({"function": {"name": n}}) for n in names)


def write_call(function: dict[str, Any], rng: random.Random) -> tuple[str, dict[str, Any]]:
    """A request in the document's own words, without parameter names, and its arguments."""
    parameters = function["parameters"]
    arguments: dict[str, Any] = {}
    said: list[str] = []
    for name, spec in parameters["properties"].items():
        if name not in parameters["required"] and rng.random() < 0.5:
            continue
        value = _value(spec, rng)
        arguments[name] = value
        meaning = spec.get("description") or name
        if isinstance(value, bool):
            said.append(f"{'with' if value else 'without'} {meaning}")
        else:
            quoted = isinstance(value, str) and spec.get("format") != "date"
            text = f'"{value}"' if quoted else str(value)
            said.append(rng.choice(_SAY).format(p=meaning, v=text))
    rng_order = rng.sample(said, len(said)) if rng.random() < 0.3 else said
    request = rng.choice(_OPENERS) + _fewer_words(function["description"], rng)
    text = ", ".join([request, *rng_order[:-1]]) if len(said) > 1 else request
    if said:
        text += (" and " if len(said) > 1 else ", ") + rng_order[-1]
    return text[0].upper() + text[1:], arguments


def _fewer_words(text: str, rng: random.Random) -> str:
    """The text without some of its words, never without all."""
    words = text.split()
    return " ".join(w for w in words if rng.random() >= LEFT_OUT) or text


def _value(spec: dict[str, Any], rng: random.Random) -> Any:
    if spec.get("enum"):
        return rng.choice(spec["enum"])
    if spec["type"] == "integer":
        return rng.randrange(2, 10 ** rng.choice((1, 2, 2, 3)) + 2)
    if spec["type"] == "number":
        return rng.randrange(11, 999) / 10
    if spec["type"] == "boolean":
        return rng.random() < 0.5
    if spec.get("format") == "date":
        return f"20{rng.randrange(27, 40)}-{rng.randrange(1, 13):02d}-{rng.randrange(1, 29):02d}"
    if any(w in spec.get("description", "") for w in ("code", "reference", "number")):
        return code(rng)
    return title(rng)


def example_of(
    kind: str,
    document: Document,
    question: str,
    answer: Message | None,
    tools: tuple[dict[str, Any], ...] = (),
    check: dict[str, Any] | None = None,
    split: Split | None = None,
) -> Example:
    """One example on a document: to train on where there is an answer, else to be asked."""
    split = split or ("train" if answer else "held_out")
    messages = [Message(role="system", content=SYSTEM), Message(role="user", content=question)]
    if answer:
        messages.append(answer.model_copy(update={"loss": True}))
    body = [kind, [m.model_dump(mode="json") for m in messages], tools, check, split]
    return Example(
        digest=digest_of(body),
        kind=kind,
        messages=tuple(messages),
        tools=tools,
        documents=(document.digest,),
        split=split,
        check=check,
        dated=document.published_at or document.fetched_at,
        trust=document.trust,
    )
