"""A source as somebody wants it becomes one that is remembered, or is refused with the way out.

Called by `perennial source add` and the sources page.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from adapt.gather.due import cron_of, next_visit
from adapt.gather.kinds import guessed, kind_of
from agent.config import Settings
from store import Store
from store.errors import UserError
from store.records import utc_now
from store.source_records import Source, SourceKind, Visit

NEEDS_NO_PLACE = ("posted", "episodes")
_PATHS = ("folder", "git", "toolbench", "openapi")


def new_source(
    name: str, location: str | None, kind: str | None, given: Sequence[str], **fields: Any
) -> Source:
    """The source, its kind guessed where none is said. `given` are `NAME=VALUE` options, `fields`
    those of Source that are set. UserError where it cannot be one."""
    kinds = get_args(SourceKind)
    if kind is not None and kind not in kinds:
        raise UserError(f"{kind!r} is no kind of source", f"there are: {', '.join(kinds)}")
    if location is None and kind not in NEEDS_NO_PLACE:
        raise UserError(f"where is {name!r}?", "give a folder, a file, a URL or a command line")
    if location is not None and kind in NEEDS_NO_PLACE:
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
    ).model_copy(update=fields)


def add_source(store: Store, settings: Settings, source: Source) -> None:
    """Remember a source. UserError when it can never work, or is there already."""
    if source.schedule is not None:
        cron_of(source.schedule)
        if source.kind == "posted":
            raise UserError("a source that is posted to is never visited", "leave out --schedule")
    kind_of(source, store, settings).check(source)
    store.sources.add(source)


def next_of(source: Source, last: Visit | None) -> str | None:
    """When a source with a schedule of its own is visited next; None for any other."""
    if source.schedule is None or source.paused:
        return None
    time = next_visit(source, last.started_at if last else source.added_at)
    return time.isoformat(timespec="minutes") if time else None


def when(kind: str) -> str:
    """When a source without a schedule of its own is visited."""
    return "when posted to" if kind == "posted" else "every update"


def _options(given: Sequence[str]) -> dict[str, Any]:
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
