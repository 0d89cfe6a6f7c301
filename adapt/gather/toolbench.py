"""Sources that are ToolBench tools: a folder of JSON files, or a .jsonl file with one on each line.

Files as ToolBench publishes them lack parts that a document must have: a tool's name, an API's
description; what stands in for them is said in tools.toolbench. Lines may also have the shape of
Seal-Tools, or with the option `text` be documents of any shape: `text`, `title` and `id` name their
fields. Made by adapt.gather.kinds.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from adapt.gather.folder import look_through, stamp_of
from adapt.gather.forms import decode, printable, refuse_large, stamp_at
from adapt.gather.options import refuse_options, text
from adapt.gather.protocol import Draft, Seen, Unchanged, Unusable
from adapt.gather.schemas import Json, api_json, flat, tool_json
from store.errors import DocumentError, UserError
from store.records import digest_of
from store.source_records import Place, Source
from tools.toolbench import completed

LINES = ".jsonl"
_OPTIONS = ("text", "title", "id")
_AT_ONCE = 100


class ToolBench:
    """Reads tools. `max_bytes`: a larger file, or line, is not read."""

    lists_all = True

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes

    def check(self, source: Source) -> None:
        """UserError when there is no such folder or file."""
        refuse_options(source, _OPTIONS)
        for name in _OPTIONS:
            text(source, name)
        path = Path(source.location)
        if path.is_file() and path.suffix.lower() == LINES:
            return
        if not path.is_dir():
            raise UserError(
                f"{path} is neither a folder nor a {LINES} file", "give where the tools are"
            )
        if source.options:
            raise UserError(
                f"options are for a {LINES} file", f"{path} is a folder: leave them out"
            )

    async def visit(self, source: Source, known: Mapping[str, Place]) -> AsyncIterator[Seen]:
        """As SourceKind.visit."""
        path = Path(source.location)
        one_file = path.suffix.lower() == LINES and not path.is_dir()
        seen = self._lines(source, path, known) if one_file else self._files(source, known)
        while some := await asyncio.to_thread(lambda: list(islice(seen, _AT_ONCE))):
            for one in some:
                yield one

    def _files(self, source: Source, known: Mapping[str, Place]) -> Iterator[Seen]:
        found = look_through(source)
        for path, reason in found.refused.items():
            yield Unusable(printable(path), reason)
        for path in found.files:
            address = printable(path)
            if path.suffix.lower() != ".json":
                yield Unusable(address, "is no .json file: each is one tool")
                continue
            try:
                stamp = stamp_of(path)
                if stamp and stamp_at(known, address) == stamp:
                    yield Unchanged(address)
                    continue
                refuse_large(path.stat().st_size, self._max_bytes)
                data = path.read_bytes()
                category = path.parent.name if path.parent != Path(source.location) else ""
                tool = as_tool(_object(decode(data)), category or source.name)
                yield Draft(address, tool, kind="api", stamp=stamp, bytes_read=len(data))
            except FileNotFoundError:
                continue
            except OSError as error:
                yield Unusable(address, f"cannot be read: {error.strerror or error}")
            except DocumentError as error:
                yield Unusable(address, error.message)

    def _lines(self, source: Source, path: Path, known: Mapping[str, Place]) -> Iterator[Seen]:
        taken: set[str] = set()
        try:
            with path.open("rb") as file:
                for number, line in enumerate(file, 1):
                    if line.strip():
                        yield self._line(source, number, line, known, taken)
        except OSError as error:
            raise DocumentError(
                f"source {source.name}: {path} cannot be read: {error.strerror or error}",
                f"put it back, or remove the source: perennial source remove {source.name}",
            ) from error

    def _line(
        self, source: Source, number: int, line: bytes, known: Mapping[str, Place], taken: set[str]
    ) -> Seen:
        """One line. Its address is by what it calls itself, so that lines may be moved."""
        address = f"{source.location}#{number}"
        try:
            refuse_large(len(line), self._max_bytes)
            value = _object(decode(line))
            named = f"{source.location}#{_id(source, value) or number}"
            address = address if named in taken else named
            taken.add(address)
            stamp = digest_of(line.strip())[:32]
            if stamp_at(known, address) == stamp:
                return Unchanged(address)
            field = text(source, "text")
            if field is None:
                made, title, kind = as_tool(value, source.name), "", "api"
            else:
                made, kind = _field(value, field), "prose"
                title = _field(value, text(source, "title") or "title", required=False)
        except DocumentError as error:
            return Unusable(address, f"line {number}: {error.message}")
        return Draft(address, made, title, kind, stamp, bytes_read=len(line))


def as_tool(value: Json, category: str) -> str:
    """A tool in the shape that documents have, completed where its file lacks something.
    DocumentError for what is no tool at all."""
    if "api_name" in value:
        return _seal_tool(value)
    try:
        tool = completed(value)
    except ValueError as error:
        raise DocumentError(str(error)) from error
    tool.setdefault("category", category)
    return json.dumps(tool, ensure_ascii=False)


def _seal_tool(value: Json) -> str:
    """A tool of Seal-Tools: one API, named within its field."""
    field = flat(value.get("field"))
    area, _, name = field.rpartition("/")
    required = value.get("required")
    schema = {"properties": value.get("parameters"), "required": required}
    api = api_json(str(value["api_name"]), str(value.get("api_description") or ""), schema)
    return tool_json(name or str(value["api_name"]), field, area or name, [api])


def _object(text: str) -> Json:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DocumentError(f"is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise DocumentError("is not a JSON object")
    return value


def _id(source: Source, value: Json) -> str:
    names = [name] if (name := text(source, "id")) else ["id", "api_name", "tool_name"]
    return next((flat(value[name]) for name in names if value.get(name)), "")


def _field(value: Json, name: str, *, required: bool = True) -> str:
    found: Any = value.get(name)
    if isinstance(found, str):
        return found
    if required:
        raise DocumentError(f"has no text {name!r}")
    return ""
