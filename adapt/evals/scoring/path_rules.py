"""Scores of API paths: the paths that a reply names against those of the solution (RestBench).

Every `GET /path` of the reply counts, in its order, in a list, on lines or in prose; so do calls
that are named so. Called by adapt.evals.scoring.calls.

The check's `paths` are the solution and `endpoints` all that there are. Right is exactly the
solution. The measure `correct_path` is the published one (arXiv 2306.06624): the solution is in the
reply in its order, whatever else is, so that naming every path often would have it.
"""

import re
from collections.abc import Callable, Iterable, Sequence

from adapt.evals.items import Item
from adapt.evals.scoring.calls import brief
from adapt.evals.scoring.marks import Mark, invalid, wrong
from agent.engine import Reply

MAX_CHARS = 50_000
"""Longest reply that is read; no solution comes near."""
_PATH = re.compile(
    r"\b(GET|POST|PUT|DELETE|PATCH)[ \t:]{1,4}(?:https?://[\w.-]{1,80}(?:/v\d)?)?(/[^\s`\"'?#,;|)\]]*)"
)
_HELD = re.compile(r"\{.*\}|<.*>|:.+")
"""A part of a path that stands for a value."""


def mark_paths(item: Item, reply: Reply) -> Mark:
    """Score the paths of a reply. Placeholders may have other names, or values in their place."""
    text = "\n".join(call.name for call in reply.tool_calls) or reply.content
    if len(text) > MAX_CHARS:
        return invalid("too long to be a list of paths")
    endpoints: list[str] = item.check["endpoints"]
    said = [f"{method} {path.rstrip('.')}" for method, path in _PATH.findall(text)]
    known = {path: _endpoint(path, endpoints) for path in dict.fromkeys(said)}
    named = [known[path] for path in said]
    wanted = [_endpoint(path, endpoints) for path in item.check["paths"]]
    measures = {"correct_path": float(_within(wanted, named))}
    if not named:
        return wrong("names no path", **measures)
    for path in named:
        if path not in endpoints:
            return wrong(f"names {brief(path)}, which there is not", **measures)
    if named != wanted:
        return wrong("other paths", **measures)
    return Mark(1.0, "right", measures=measures)


SCORERS: dict[str, Callable[[Item, Reply], Mark]] = {"paths": mark_paths}


def _endpoint(path: str, endpoints: Sequence[str]) -> str:
    """The endpoint that a path is, the most literal where several fit; the path where none is."""
    parts = path.rstrip("/").split("/")
    fitting = [endpoint for endpoint in endpoints if _fits(parts, endpoint.split("/"))]
    return min(fitting, key=lambda endpoint: endpoint.count("{"), default=path)


def _fits(parts: Sequence[str], endpoint: Sequence[str]) -> bool:
    return len(parts) == len(endpoint) and all(
        part == own or (part != "" and _HELD.fullmatch(own) is not None)
        for part, own in zip(parts, endpoint, strict=True)
    )


def _within(wanted: Iterable[str], named: Iterable[str]) -> bool:
    """Whether the wanted are among the named, in their order."""
    rest = iter(named)
    return all(path in rest for path in wanted)
