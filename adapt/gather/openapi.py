"""Sources that are OpenAPI documents (or Swagger 2): a file or a URL, in JSON or YAML.

The operations of one tag become one API document in ToolBench's shape, so that they are learned
like other APIs and a changed operation is news for its tag alone. Answers are left out. Made by
adapt.gather.kinds.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from adapt.gather.folder import stamp_of
from adapt.gather.options import refuse_options
from adapt.gather.protocol import Draft, Seen, Unchanged
from adapt.gather.schemas import Json, api_json, tool_json
from adapt.gather.stamps import Validators
from agent.config import Settings
from store.errors import DocumentError, UserError
from store.source_records import Place, PlaceState, Source
from tools.fetch import Fetcher
from tools.openapi_document import Operation, flat, operations, parsed, plain_words

_ACCEPT = "application/json, application/yaml, text/yaml, */*;q=0.5"
_DEPTH = 3
"""How deep references are followed: what is inside an object of a parameter is not learned."""


class OpenApi:
    """Reads OpenAPI documents."""

    lists_all = True

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def check(self, source: Source) -> None:
        """UserError when a location is neither a URL nor a file."""
        refuse_options(source)
        if not is_url(source.location) and not Path(source.location).is_file():
            raise UserError(f"{source.location} is no file", "give a file or a URL")

    async def visit(self, source: Source, known: Mapping[str, Place]) -> AsyncIterator[Seen]:
        """As SourceKind.visit."""
        present = {a: p for a, p in known.items() if p.state is PlaceState.PRESENT}
        stamp = next((place.stamp for place in present.values() if place.stamp), "")
        read = await (self._fetched if is_url(source.location) else self._file)(source, stamp)
        if read is None:
            for address in present:
                yield Unchanged(address)
            return
        text, stamp = read
        drafts = await asyncio.to_thread(drafts_of, source, text, stamp)
        for draft in drafts:
            yield draft

    async def _file(self, source: Source, stamp: str) -> tuple[str, str] | None:
        path = Path(source.location)
        try:
            now = await asyncio.to_thread(stamp_of, path)
            if now and now == stamp:
                return None
            most = self._settings.fetch.max_bytes
            if path.stat().st_size > most:
                raise _unreadable(source, f"{path.stat().st_size} bytes is over {most}")
            return (await asyncio.to_thread(path.read_bytes)).decode("utf-8-sig"), now
        except (OSError, UnicodeDecodeError) as error:
            raise _unreadable(source, str(error)) from error

    async def _fetched(self, source: Source, stamp: str) -> tuple[str, str] | None:
        had = Validators.model_validate_json(stamp) if stamp else Validators()
        async with Fetcher(self._settings.fetch) as fetcher:
            answer = await fetcher.fetch(
                source.location, etag=had.etag, last_modified=had.modified, accept=_ACCEPT
            )
        if answer.status == 304:
            return None
        if answer.status != 200:
            raise _unreadable(source, f"its server answers with status {answer.status}")
        now = Validators.of(answer)
        whole = now.etag is not None or now.modified is not None
        return answer.text, now.model_dump_json(by_alias=True) if whole else ""


def is_url(location: str) -> bool:
    """Whether it is to be fetched."""
    return location.startswith(("http://", "https://"))


def drafts_of(source: Source, text: str, stamp: str = "") -> list[Draft]:
    """One draft for each tag of an OpenAPI document, in the order in which they appear. What has
    no tag is under the first part of its path. DocumentError when it is none."""
    try:
        document = parsed(text)
        found = list(operations(document, _DEPTH))
    except ValueError as error:
        raise _unreadable(source, str(error)) from error
    about = document.get("info")
    info: Mapping[str, Any] = about if isinstance(about, Mapping) else {}
    name = flat(info.get("title")) or source.name
    groups: dict[str, dict[str, Json]] = {}
    for operation in found:
        made = _api(operation)
        groups.setdefault(_group(operation), {}).setdefault(made["name"], made)
    if not groups:
        raise _unreadable(source, "it has no operations")
    last = next(reversed(groups))
    size = len(text.encode(errors="replace")) // len(groups)
    return [
        Draft(
            address=f"{source.location}#{group}",
            text=tool_json(name, plain_words(info.get("description")), group, apis.values()),
            title=f"{name}: {group}",
            kind="api",
            # At the last one only: a visit that a bound ended before it has not seen all.
            stamp=stamp if group == last else "",
            licence=_licence(info),
            bytes_read=size,
        )
        for group, apis in groups.items()
    ]


def _api(operation: Operation) -> Json:
    """One operation, with what its first body holds beside its parameters."""
    properties = {p.name: p.schema for p in operation.parameters}
    required = [p.name for p in operation.parameters if p.required]
    for body in operation.bodies[:1]:
        inner, needed = body.schema.get("properties"), body.schema.get("required")
        for name, about in inner.items() if isinstance(inner, Mapping) else ():
            properties.setdefault(str(name), about)
        required += [str(name) for name in needed] if isinstance(needed, list) else []
    schema = {"properties": properties, "required": required}
    return api_json(operation.name, operation.description, schema, operation.method.upper())


def _group(operation: Operation) -> str:
    parts = operation.path.split("/")
    first = next((part for part in parts if part and not part.startswith("{")), "")
    return operation.tags[0] if operation.tags else first or "/"


def _licence(info: Mapping[str, Any]) -> str | None:
    licence = info.get("license")
    if not isinstance(licence, Mapping):
        return None
    return flat(licence.get("identifier") or licence.get("name")) or None


def _unreadable(source: Source, why: str) -> DocumentError:
    return DocumentError(
        f"source {source.name}: {source.location} is not read: {why}",
        "give an OpenAPI document, in JSON or YAML",
    )
