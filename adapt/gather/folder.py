"""Takes documents in from sources. A file that cannot be used is reported, never dropped silently.

Reads Markdown, text and ToolBench-shaped API JSON from a folder. It judges form only (size,
encoding, shape, repetition); what a text says is data. Called by adapt.cycle and the command line.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from store import Store
from store.errors import DocumentError
from store.records import Document, DocumentState, digest_of, utc_now
from store.source_records import Source
from tools.virtual_api.catalogue import function_name

TEXT_ENDINGS = {".md", ".markdown", ".txt"}
API_ENDINGS = {".json"}
_AT_ONCE = 200
"""Files that are stored in one transaction."""


@dataclass(frozen=True)
class Refused:
    """A file that was not taken in, and why."""

    address: str
    reason: str


@dataclass(frozen=True)
class Gathered:
    """What one gathering brought: digests of new documents, files refused, files already known."""

    added: tuple[str, ...]
    refused: tuple[Refused, ...]
    known: int


def gather(store: Store, max_bytes: int, progress: Callable[[str], None] | None = None) -> Gathered:
    """Read every source and store what is new as accepted documents."""
    added: list[str] = []
    refused: list[Refused] = []
    read = 0
    for source in store.sources.list():
        documents = _documents(source, max_bytes, refused, progress or (lambda _: None))
        # Some at a time: a transaction for each of a million files would take hours.
        while some := list(islice(documents, _AT_ONCE)):
            read += len(some)
            added += store.documents.add_all(some)
    known = read - len(added)
    # What came in otherwise and was not judged yet.
    for digest in store.documents.digests(DocumentState.NEW):
        store.documents.accept(digest)
        added.append(digest)
    return Gathered(tuple(sorted(added)), tuple(refused), known)


def _documents(
    source: Source, max_bytes: int, refused: list[Refused], progress: Callable[[str], None]
) -> Iterator[Document]:
    """The usable files of a source as accepted documents; the others join `refused`."""
    for path in files_of(source):
        progress(str(path))
        try:
            document = read_document(source, path, max_bytes)
        except DocumentError as error:
            refused.append(Refused(str(path), error.message))
            continue
        yield document.model_copy(update={"state": DocumentState.ACCEPTED})


def files_of(source: Source) -> Iterator[Path]:
    """The files of a folder source, in the order of their names, hidden ones left out."""
    root = Path(source.location)
    if not root.is_dir():
        raise DocumentError(
            f"source {source.name}: {root} is not a folder",
            f"make it, or remove the source: perennial source remove {source.name}",
        )
    for path in sorted(root.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(root).parts)
        if path.is_file() and not hidden:
            yield path


def read_document(source: Source, path: Path, max_bytes: int) -> Document:
    """One file as a document. DocumentError says what is wrong with it."""
    ending = path.suffix.lower()
    if ending not in TEXT_ENDINGS | API_ENDINGS:
        raise DocumentError(
            f"{ending or 'no ending'} is not a kind that is read", "use .md, .txt or .json"
        )
    size = path.stat().st_size
    if size > max_bytes:
        raise DocumentError(
            f"{size} bytes is over the limit of {max_bytes}",
            "split it, or raise update.max_document_bytes",
        )
    text = _decode(path.read_bytes())
    if ending in API_ENDINGS:
        tool = parse_api(text)
        title, kind = str(tool["tool_name"]), "api"
        text = json.dumps(tool, ensure_ascii=False, sort_keys=True)
    else:
        title, kind = _title(text, path), "prose"
    return Document(
        digest=digest_of([kind, text]),
        source=source.name,
        address=str(path),
        title=title,
        text=text,
        kind=kind,
        fetched_at=utc_now(),
        trust=source.trust,
    )


def _decode(data: bytes) -> str:
    if b"\0" in data:
        raise DocumentError("is binary", "only text is read")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DocumentError(f"is not UTF-8 (byte {error.start})", "save it as UTF-8") from error
    text = "\n".join(line.rstrip() for line in text.splitlines()).strip()
    if not text:
        raise DocumentError("is empty", "write something in it, or remove it")
    return text


def _title(text: str, path: Path) -> str:
    first = text.splitlines()[0]
    return first.lstrip("# ").strip() if first.startswith("#") else path.stem


def parse_api(text: str) -> dict[str, Any]:
    """A ToolBench tool from JSON. DocumentError names the place that does not fit."""
    try:
        tool = json.loads(text)
    except json.JSONDecodeError as error:
        raise DocumentError(f"is not JSON: {error.msg} in line {error.lineno}") from error
    if not isinstance(tool, dict):
        raise DocumentError("is not a JSON object with tool_name and api_list")
    _require(tool, "tool", {"tool_name": str, "api_list": list})
    for number, api in enumerate(tool["api_list"]):
        place = f"api_list[{number}]"
        if not isinstance(api, dict):
            raise DocumentError(f"{place} is not an object")
        _require(api, place, {"name": str, "description": str})
        for part in ("required_parameters", "optional_parameters"):
            api.setdefault(part, [])
            if not isinstance(api[part], list):
                raise DocumentError(f"{place}.{part} is not a list")
            for i, parameter in enumerate(api[part]):
                if not isinstance(parameter, dict):
                    raise DocumentError(f"{place}.{part}[{i}] is not an object")
                _require(parameter, f"{place}.{part}[{i}]", {"name": str})
    names = [function_name(a["name"], tool["tool_name"]) for a in tool["api_list"]]
    if not names:
        raise DocumentError("api_list is empty")
    if len(set(names)) != len(names):
        raise DocumentError(f"two APIs share the name {max(names, key=names.count)}")
    return tool


def _require(value: dict[str, Any], place: str, fields: dict[str, type]) -> None:
    for name, kind in fields.items():
        if not isinstance(value.get(name), kind) or not value[name]:
            wanted = {"str": "a text", "list": "a list"}[kind.__name__]
            raise DocumentError(f"{place}.{name} must be {wanted} that is not empty")
