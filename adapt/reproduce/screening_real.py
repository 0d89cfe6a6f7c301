"""Real documents for the suite of screening: published data, drawn by half and seed.

Every document belongs to one of two halves by its digest, so that rules which were developed on one
are judged on texts that they were not made for. Reads files and stores nothing. Called by
adapt.reproduce.screening.
"""

import json
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from store.errors import NotFoundError
from store.normal import new_document
from store.records import Document

Half = Literal["develop", "report"]
SHARES = {"bank": 0.17, "sealtools": 0.5, "bfcl": 0.03, "squad": 0.3}
"""Of the documents that are drawn; a kind with fewer gives what it has."""
_FETCHED = datetime(2026, 1, 1, tzinfo=UTC)


def real_documents(folder: Path, half: Half, seed: int, count: int) -> dict[str, list[Document]]:
    """At most `count` documents of one half, by the data set they come from, in a drawn order.

    NotFoundError where the folder lacks a data set.
    """
    rng = random.Random(f"real/{half}/{seed}")
    drawn: dict[str, list[Document]] = {}
    left = count
    for name in sorted(SHARES, key=lambda each: SHARES[each]):
        found = {d.digest: d for d in _READERS[name](folder) if half_of(d) == half}
        own = [found[digest] for digest in sorted(found)]
        last = len(drawn) == len(SHARES) - 1
        wanted = left if last else round(count * SHARES[name])
        drawn[name] = rng.sample(own, min(wanted, left, len(own)))
        left -= len(drawn[name])
    return drawn


def half_of(document: Document) -> Half:
    """Which half a document belongs to."""
    return "develop" if int(document.digest[:2], 16) % 2 == 0 else "report"


def _bank(folder: Path) -> Iterator[Document]:
    for row in _rows(folder / "tau2" / "docs" / "banking_knowledge_documents.jsonl"):
        yield _document("bank", row["id"], row["content"], row["title"])


def _squad(folder: Path) -> Iterator[Document]:
    path = folder / "squad_seal" / "dev" / "squad_val.json"
    for number, row in enumerate(json.loads(_text(path))):
        yield _document("squad", f"{row['title']}/{number}", row["context"], row["title"])


def _sealtools(folder: Path) -> Iterator[Document]:
    for row in _rows(folder / "sealtools" / "docs" / "tool.jsonl"):
        yield _api("sealtools", row["field"], row["api_name"], row["api_description"],
                   row["parameters"], row["required"])  # fmt: skip


def _bfcl(folder: Path) -> Iterator[Document]:
    for path in sorted((folder / "bfcl" / "docs" / "multi_turn_func_doc").glob("*.jsonl")):
        for row in _rows(path):
            given = row["parameters"]
            yield _api("bfcl", path.stem, row["name"], row["description"], given["properties"],
                       given["required"])  # fmt: skip


_READERS: dict[str, Callable[[Path], Iterator[Document]]] = {
    "bank": _bank, "sealtools": _sealtools, "bfcl": _bfcl, "squad": _squad,
}  # fmt: skip


def _api(
    source: str, tool: str, name: str, description: str, given: dict[str, Any], required: list[str]
) -> Document:
    """One function as a ToolBench-shaped tool."""
    parts: dict[str, list[dict[str, Any]]] = {"required": [], "optional": []}
    for parameter, spec in given.items():
        kind = "required" if parameter in required else "optional"
        said = {"name": parameter, "type": str(spec.get("type", "")).upper()}
        parts[kind].append(said | {"description": str(spec.get("description", ""))})
    api = {
        "name": name, "description": description,
        "required_parameters": parts["required"], "optional_parameters": parts["optional"],
    }  # fmt: skip
    text = json.dumps({"tool_name": tool.split("/")[-1], "api_list": [api]})
    return _document(source, f"{tool}/{name}", text, name, "api")


def _document(
    source: str, address: str, text: str, title: str, kind: Literal["prose", "api"] = "prose"
) -> Document:
    return new_document(
        source=source, address=f"{source}/{address}", text=text, title=title, kind=kind,
        fetched_at=_FETCHED,
    )  # fmt: skip


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    for line in _text(path).splitlines():
        if line.strip():
            yield json.loads(line)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError as error:
        raise NotFoundError(
            f"{path} cannot be read: {error}", "--data names the folder of the published data"
        ) from error
