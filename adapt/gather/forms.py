"""The form that a text must have to become a document: size, encoding, the shape of an API.

What a text says is data, and is judged by adapt.gather.screening. Called by adapt.gather.visit and
by the kinds of sources that read files.
"""

import json
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from adapt.gather.protocol import Draft, Seen, Unusable
from store.errors import DocumentError
from store.normal import new_document
from store.records import Document
from store.source_records import Place, PlaceState, Source
from tools.virtual_api.catalogue import function_name

TEXT_ENDINGS = {".md", ".markdown", ".txt"}
API_ENDINGS = {".json"}


def document_of(source: Source, draft: Draft, max_bytes: int) -> Document:
    """The document of a draft, in state NEW. DocumentError says what is wrong with its form."""
    text = draft.text
    refuse_large(len(text.encode(errors="replace")), max_bytes)
    if draft.kind == "api":
        text = json.dumps(parse_api(text), ensure_ascii=False)
    return new_document(
        source=source.name,
        address=draft.address,
        text=text,
        title=draft.title,
        kind=draft.kind,
        trust=source.trust,
        licence=draft.licence,
        published_at=draft.published_at,
    )


def refuse_large(size: int, max_bytes: int) -> None:
    """Raises DocumentError for so many bytes when they are over the limit."""
    if size > max_bytes:
        raise DocumentError(
            f"{size} bytes is over the limit of {max_bytes}",
            "split it, or raise update.max_document_bytes",
        )


def file_as_seen(address: str, data: bytes, stamp: str = "", licence: str | None = None) -> Seen:
    """A file's bytes as a draft; its ending tells the kind. Unusable where it is not text."""
    ending = PurePath(address).suffix.lower()
    try:
        refuse_ending(ending)
        text = decode(data)
    except DocumentError as error:
        return Unusable(address, error.message, stamp)
    kind = "api" if ending in API_ENDINGS else "prose"
    return Draft(
        address=address, text=text, kind=kind, stamp=stamp, licence=licence, bytes_read=len(data)
    )


def refuse_ending(ending: str) -> None:
    """Raises DocumentError for the ending of a file that is not read."""
    if ending not in TEXT_ENDINGS | API_ENDINGS:
        raise DocumentError(
            f"{ending or 'no ending'} is not a kind that is read", "use .md, .txt or .json"
        )


def decode(data: bytes) -> str:
    """Bytes as text. DocumentError where they are none."""
    if b"\0" in data:
        raise DocumentError("is binary", "only text is read")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DocumentError(f"is not UTF-8 (byte {error.start})", "save it as UTF-8") from error


def stamp_at(known: Mapping[str, Place], address: str) -> str | None:
    """The stamp of what was taken in from an address; None where nothing was. What was refused is
    read again: the limit may have been raised."""
    place = known.get(address)
    return place.stamp if place is not None and place.state is PlaceState.PRESENT else None


def printable(path: PurePath) -> str:
    """A path as text that can be stored: names of files may be any bytes."""
    return bytes(path).decode(errors="backslashreplace")


def parse_api(text: str) -> dict[str, Any]:
    """A ToolBench tool from JSON. DocumentError names the place that does not fit."""
    if not text.strip():
        raise DocumentError("is empty", "write something in it, or remove it")
    try:
        tool = json.loads(text)
    except json.JSONDecodeError as error:
        raise DocumentError(f"is not JSON: {error.msg} in line {error.lineno}") from error
    except (ValueError, RecursionError) as error:
        raise DocumentError(f"is not JSON: {error}") from error
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
