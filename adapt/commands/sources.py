"""`perennial source`: where documents come from, and what was seen there."""

import asyncio
import json
from pathlib import Path
from typing import Any, get_args

from adapt.commands import Options
from adapt.gather.due import cron_of, next_visit
from adapt.gather.kinds import guessed, kind_of
from adapt.gather.looking import Looked, look
from adapt.show import table
from agent.config import home_of
from store import Store
from store.errors import UserError
from store.records import utc_now
from store.source_records import Source, SourceKind, Visit

SHOWN = 20
"""Addresses that `source test` shows to a person; --json has all."""
_NEEDS_NO_PLACE = ("posted", "episodes")
_PATHS = ("folder", "git", "toolbench", "openapi")


def add(
    options: Options,
    name: str,
    location: str | None,
    kind: str | None,
    *,
    trust: float,
    schedule: str | None,
    max_documents: int | None,
    max_bytes: int | None,
    given: list[str],
) -> int:
    """Remember a source. UserError when it can never work, or is there already."""
    source = _source(name, location, kind, given).model_copy(
        update={"trust": trust, "schedule": schedule}
        | ({"max_documents": max_documents} if max_documents else {})
        | ({"max_bytes": max_bytes} if max_bytes else {})
    )
    if schedule is not None:
        cron_of(schedule)
        if source.kind == "posted":
            raise UserError("a source that is posted to is never visited", "leave out --schedule")
    settings = options.settings()
    with Store.open(home_of(settings)) as store:
        kind_of(source, store, settings).check(source)
        store.sources.add(source)
    options.put(source.model_dump(mode="json"), f"{name}: {_in_words(source)}; {_then(source)}")
    return 0


def show_all(options: Options) -> int:
    """List the sources."""
    with options.read_store() as store:
        sources = store.sources.list()
        documents = store.documents.count_by_source()
        last = store.visits.last()
    rows = [
        source.model_dump(mode="json")
        | {
            "documents": documents.get(source.name, 0),
            "visit": visit.model_dump(mode="json") if (visit := last.get(source.name)) else None,
            "next": _next(source, visit),
        }
        for source in sources
    ]
    shown = [
        {
            "name": row["name"], "kind": row["kind"], "location": row["location"],
            "trust": row["trust"], "documents": row["documents"],
            "visited": _visited(last.get(row["name"])),
            "next": "paused" if row["paused"] else row["next"] or _when(row["kind"]),
        }
        for row in rows
    ]  # fmt: skip
    columns = ("name", "kind", "location", "trust", "documents", "visited", "next")
    none = "no sources; add one: perennial source add NAME LOCATION"
    options.put(rows, table(shown, *columns) if rows else none)
    return 0


def test(options: Options, name: str) -> int:
    """Show what a visit would bring, and take nothing. 1 when the source cannot be read."""
    settings = options.settings()
    with options.read_store() as store:
        source = store.sources.get(name)
        looked = asyncio.run(look(store, source, kind_of(source, store, settings), settings))
    counts: dict[str, int] = {}
    for told, _ in looked.told:
        counts[told.change] = counts.get(told.change, 0) + 1
    found = {
        "source": name, "counts": counts, "bound": looked.bound, "error": looked.error,
        "addresses": [
            {
                "address": told.address, "change": told.change, "title": title,
                "document": told.document, "reason": told.reason,
                "held": [finding.model_dump(mode="json") for finding in told.held],
            }
            for told, title in looked.told
        ],
    }  # fmt: skip
    options.put(found, _shown(name, looked, counts))
    return 1 if looked.error else 0


def pause(options: Options, name: str, *, paused: bool) -> int:
    """Visit a source no more, or again."""
    with options.read_store() as store:
        source = store.sources.change(name, paused=paused)
    said = "is not visited until `perennial source resume`" if paused else "is visited again"
    options.put(source.model_dump(mode="json"), f"{name} {said}")
    return 0


def remove(options: Options, name: str) -> int:
    """Forget a source."""
    with options.read_store() as store:
        store.sources.remove(name)
    options.put({"removed": name}, f"{name} is forgotten; its documents stay")
    return 0


def _source(name: str, location: str | None, kind: str | None, given: list[str]) -> Source:
    kinds = get_args(SourceKind)
    if kind is not None and kind not in kinds:
        raise UserError(f"{kind!r} is no kind of source", f"there are: {', '.join(kinds)}")
    if location is None and kind not in _NEEDS_NO_PLACE:
        raise UserError(f"where is {name!r}?", "give a folder, a file, a URL or a command line")
    if location is not None and kind in _NEEDS_NO_PLACE:
        raise UserError(f"a source of kind {kind} has no location", f"leave out {location!r}")
    if location is None:
        # What users correct is there once; what is posted to is told apart by its name.
        place = kind if kind == "episodes" else name
        made: Any = kind
    else:
        made = kind or guessed(location)
        local = made in _PATHS and not location.startswith(("http://", "https://"))
        place = str(Path(location).expanduser().resolve()) if local else location
    return Source(
        name=name, kind=made, location=str(place), added_at=utc_now(), options=_options(given)
    )


def _options(given: list[str]) -> dict[str, Any]:
    """`k=v` pairs: a value that is a JSON number or truth value is one; a key that stands again
    makes a list."""
    options: dict[str, Any] = {}
    for pair in given:
        key, equals, text = pair.partition("=")
        if not key or not equals:
            raise UserError(f"the option {pair!r} is not NAME=VALUE", "such as --option depth=2")
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        value = value if isinstance(value, bool | int | float) else text
        if key in options:
            before = options[key]
            options[key] = [*(before if isinstance(before, list) else [before]), value]
        else:
            options[key] = value
    return options


def _in_words(source: Source) -> str:
    return source.kind if source.kind in _NEEDS_NO_PLACE else f"{source.kind} {source.location}"


def _then(source: Source) -> str:
    if source.kind == "posted":
        return "post to it: POST /documents"
    if source.schedule:
        return f"visited by cron {source.schedule} while `perennial up` runs"
    return "learn it with `perennial update`"


def _when(kind: str) -> str:
    return "when posted to" if kind == "posted" else "every update"


def _next(source: Source, last: Visit | None) -> str | None:
    if source.schedule is None or source.paused:
        return None
    time = next_visit(source, last.started_at if last else source.added_at)
    return time.isoformat(timespec="minutes") if time else None


def _visited(visit: Visit | None) -> str:
    if visit is None:
        return "never"
    if visit.error:
        return f"{visit.started_at:%Y-%m-%d %H:%M} failed: {visit.error}"
    what = {
        "new": visit.added, "changed": visit.changed, "gone": visit.gone,
        "refused": visit.refused, "held": visit.held,
    }  # fmt: skip
    said = ", ".join(f"{count} {word}" for word, count in what.items() if count)
    over = f"; more waits: {visit.bound}" if visit.bound else ""
    return f"{visit.started_at:%Y-%m-%d %H:%M} {said or 'nothing new'}{over}"


def _shown(name: str, looked: Looked, counts: dict[str, int]) -> Any:
    from rich.console import Group

    words = {"added": "new"}
    said = ", ".join(f"{count} {words.get(change, change)}" for change, count in counts.items())
    lines: list[Any] = [f"{name}: {said or 'nothing there'}; nothing was taken in"]
    if looked.bound:
        lines.append("one visit takes no more: what is over waits for the next")
    if looked.error:
        lines.append(f"it could not be read to its end: {looked.error}")
    rows = [
        {
            "change": words.get(told.change, told.change), "title": title,
            "address": told.address,
            "why": told.reason or "; ".join(f"held: {f.words}" for f in told.held),
        }
        for told, title in looked.told
        if told.change != "unchanged"
    ]  # fmt: skip
    if rows:
        lines.append(table(rows[:SHOWN], "change", "title", "address", "why"))
    if len(rows) > SHOWN:
        lines.append(f"and {len(rows) - SHOWN} more (--json has all)")
    return Group(*lines)
