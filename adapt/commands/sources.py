"""`perennial source`: where documents come from, and what was seen there."""

import asyncio
from typing import Any

from adapt.commands import Options
from adapt.gather.adding import NEEDS_NO_PLACE, add_source, new_source, next_of, when
from adapt.gather.kinds import kind_of
from adapt.gather.looking import Looked, look, report
from adapt.show import table
from agent.config import home_of
from store import Store
from store.source_records import Source, Visit

SHOWN = 20
"""Addresses that `source test` shows to a person; --json has all."""


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
    fields: dict[str, Any] = {"trust": trust, "schedule": schedule}
    fields |= {"max_documents": max_documents} if max_documents else {}
    fields |= {"max_bytes": max_bytes} if max_bytes else {}
    source = new_source(name, location, kind, given, **fields)
    settings = options.settings()
    with Store.open(home_of(settings)) as store:
        add_source(store, settings, source)
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
            "next": next_of(source, visit),
        }
        for source in sources
    ]
    shown = [
        {
            "name": row["name"], "kind": row["kind"], "location": row["location"],
            "trust": row["trust"], "documents": row["documents"],
            "visited": _visited(last.get(row["name"])),
            "next": "paused" if row["paused"] else row["next"] or when(row["kind"]),
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
    found = report(name, looked)
    options.put(found, _shown(name, looked, found["counts"]))
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


def _in_words(source: Source) -> str:
    return source.kind if source.kind in NEEDS_NO_PLACE else f"{source.kind} {source.location}"


def _then(source: Source) -> str:
    if source.kind == "posted":
        return "post to it: POST /documents"
    if source.schedule:
        return f"visited by cron {source.schedule} while `perennial up` runs"
    return "learn it with `perennial update`"


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
            "change": words.get(one.change, one.change), "title": title,
            "address": one.address,
            "why": one.reason or "; ".join(f"held: {f.words}" for f in one.held),
        }
        for one, title in looked.told
        if one.change != "unchanged"
    ]  # fmt: skip
    if rows:
        lines.append(table(rows[:SHOWN], "change", "title", "address", "why"))
    if len(rows) > SHOWN:
        lines.append(f"and {len(rows) - SHOWN} more (--json has all)")
    return Group(*lines)
