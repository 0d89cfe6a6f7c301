"""Examples of a corpus: by templates always, and beside them what a model wrote and may be learned.

Templates say what a document says in the plainest way, so that a changed fact is found whoever
writes (adapt.superseding). Called by the stage that writes examples.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from adapt.superseding import question_of, words_of
from adapt.synthesize import example_of, synthesize
from adapt.writing.checks import call_fault, close_to, fault_of, gives_away
from adapt.writing.kept import Entry
from adapt.writing.recipe import Written
from adapt.writing.writer import functions_of
from agent.prompts import names_only
from store.embeddings import Embedder
from store.passages import passages_of
from store.records import Document, Example, Message


@dataclass
class Made:
    """Examples, and why others that a model wrote were left out, with how often."""

    examples: list[Example]
    refused: Counter[str] = field(default_factory=Counter)


def examples_of(
    documents: Sequence[Document], entries: Mapping[str, Entry], seed: int, embedder: Embedder
) -> Made:
    """All examples of a corpus in a fixed order. `entries` is what a model wrote, by document."""
    made = Made(synthesize(documents, seed))
    if not entries:
        return made
    written = [
        example
        for document in documents
        if document.digest in entries
        for example in _written(document, entries[document.digest], made.refused)
    ]
    once = {example.digest: example for example in reversed(written)}
    kept = _fair(list(once.values())[::-1], made, embedder)
    heard = {example.documents[0] for example in kept if example.kind == "qa"}
    # Half a sentence to be completed is what templates make where there is nothing better.
    plain = [e for e in made.examples if not (_completes(e) and e.documents[0] in heard)]
    made.examples = list({e.digest: e for e in (*plain, *kept)}.values())
    return made


def _written(document: Document, entry: Entry, refused: Counter[str]) -> Iterator[Example]:
    """What passes of one document."""
    api = document.kind == "api"
    passages = [] if api else passages_of(document)
    functions = functions_of(document) if api else []
    for place, one in entry.written:
        if place >= len(functions if api else passages):
            # The splitting is another since: the entry is of other passages.
            refused["passage changed"] += 1
            continue
        fault = call_fault(one, functions[place]) if api else fault_of(one, passages[place])
        if fault:
            refused[fault.partition(":")[0]] += 1
        elif api:
            yield from _of_function(document, one, functions[place]["name"])
        else:
            yield from _of_passage(document, one, passages[place])


def _of_passage(document: Document, one: Written, passage: str) -> Iterator[Example]:
    said = Message(role="assistant", content=one.answer)
    if one.kind == "qa":
        *again, other = one.again
        for question in (one.question, *again):
            yield example_of("qa", document, question, said)
        check = {"kind": "answer", "values": [one.answer]}
        yield example_of("qa", document, other, None, check=check)
    elif one.kind == "implication":
        yield example_of("implication", document, one.question, said)
    else:
        start = " ".join(passage.split()[:8])
        yield example_of("rewriting", document, f"Say in other words: {start} ...", said)


def _of_function(document: Document, one: Written, name: str) -> Iterator[Example]:
    if one.kind == "api-doc":
        said = Message(role="assistant", content=one.answer)
        yield example_of("api-doc", document, f"Explain {name}.", said)
        return
    call = {"name": name, "arguments": one.arguments}
    said = Message(role="assistant", tool_calls=(call,))
    tools = (names_only({"function": {"name": name}}),)
    yield example_of("api-call", document, one.question, said, tools)


def _fair(written: Sequence[Example], made: Made, embedder: Embedder) -> list[Example]:
    """Those that are not there yet, and whose held-out questions do not give themselves away."""
    seen: set[tuple[str, ...]] = {_key(e) for e in made.examples}
    fresh: list[Example] = []
    for example in written:
        if _key(example) in seen:
            made.refused["asked before"] += 1
            continue
        seen.add(_key(example))
        fresh.append(example)
    held = [e for e in fresh if e.split == "held_out"]
    trained = [question_of(e) for e in (*made.examples, *fresh) if e.split == "train"]
    of_document: dict[str, list[str]] = {}
    for e in (*made.examples, *fresh):
        if e.split == "train":
            of_document.setdefault(e.documents[0], []).append(question_of(e))
    near = close_to([question_of(e) for e in held], list(dict.fromkeys(trained)), embedder)
    out: set[str] = set()
    for example, close in zip(held, near, strict=True):
        leaks = gives_away(question_of(example), of_document.get(example.documents[0], ()))
        if close or leaks:
            made.refused["held-out question is trained on"] += 1
            out.add(example.digest)
    return [e for e in fresh if e.digest not in out]


def _key(example: Example) -> tuple[str, ...]:
    """Two examples with the same question, whatever they answer, cannot both be learned."""
    return (example.kind, *words_of(question_of(example)), example.documents[0])


def _completes(example: Example) -> bool:
    return example.kind == "qa" and question_of(example).startswith("Complete: ")
