"""How often the right document is among the four that are found, and the right tools among the six
that are shown: by vectors, by words, by both.

Asks real questions of real documents, from a file of SQuAD questions as SEAL publishes it (a list
of objects with `title`, `context` and `questions`); each context is a document. Called by
`perennial bench search --data FILE`.
"""

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from adapt.bench.search_tools import run_tools
from store import Home, Store
from store.errors import ConfigError
from store.normal import new_document

QUESTIONS = 500
"""Asked of all, evenly over the file."""
_WAYS = {"vectors": ("vectors",), "words": ("words",), "both": ("vectors", "words")}


def run(progress: Callable[[str], None], data: Path | None = None) -> dict[str, Any]:
    """Of tools, and with a file of questions of documents too: recall at 1 and at 4 of each way,
    and milliseconds of a search. ConfigError for a file that cannot be read."""
    if data is None:
        return run_tools(progress)
    return _documents(progress, _read(data)) | run_tools(progress)


def _documents(progress: Callable[[str], None], contexts: list[dict[str, Any]]) -> dict[str, Any]:
    with (
        tempfile.TemporaryDirectory(prefix="search-") as folder,
        Store.open(Home(Path(folder))) as store,
    ):
        documents = [
            new_document(source="squad", address=f"{number}.md", text=context["context"],
                         title=context["title"])
            for number, context in enumerate(contexts)
        ]  # fmt: skip
        store.documents.take(documents)
        for document in documents:
            store.documents.accept(document.digest)
        began = time.perf_counter()
        store.documents.catch_up(lambda done: progress(f"{done} of {len(documents)} embedded"))
        indexing = time.perf_counter() - began
        asked = [
            (question["question"], document.digest)
            for context, document in zip(contexts, documents, strict=True)
            for question in context["questions"]
        ]
        asked = asked[:: max(len(asked) // QUESTIONS, 1)][:QUESTIONS]
        rows = [_asked(store, name, by, asked, progress) for name, by in _WAYS.items()]
    return {
        "documents": len(documents), "questions": len(asked), "indexing_seconds": indexing,
        "rows": rows,
    }  # fmt: skip


def _read(data: Path) -> list[dict[str, Any]]:
    try:
        contexts = json.loads(data.read_text())
        contexts = [
            {name: context[name] for name in ("title", "context", "questions")}
            for context in contexts
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{data} holds no questions: {error!r}", "a list of title, context, questions"
        ) from error
    return contexts


def _asked(
    store: Store, name: str, by: tuple[str, ...], asked: list[tuple[str, str]],
    progress: Callable[[str], None],
) -> dict[str, Any]:  # fmt: skip
    first = four = 0
    began = time.perf_counter()
    for number, (question, wanted) in enumerate(asked):
        progress(f"{name}: {number} of {len(asked)} questions")
        found = [passage.document for passage in store.documents.search(question, 4, by)]
        first += found[:1] == [wanted]
        four += wanted in found
    each = (time.perf_counter() - began) / max(len(asked), 1)
    return {
        "by": name, "recall_at_1": first / len(asked), "recall_at_4": four / len(asked),
        "search_ms": 1000 * each,
    }  # fmt: skip
