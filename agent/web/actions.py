"""What the pages need from the layer above: the worker, its losses, scores, lineage, sources.

Does nothing by itself. Implemented by adapt.web, given to the application in `AppState.pages`.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

Report = dict[str, Any]
"""Small JSON that a page shows."""


@dataclass(frozen=True)
class NewSource:
    """A source as somebody wants it. Empty text means: not said."""

    name: str
    location: str = ""
    kind: str = ""
    trust: float = 1.0
    schedule: str = ""
    """A cron line; empty: at every update."""
    options: list[str] = field(default_factory=list)
    """`NAME=VALUE`, as the command line takes them."""


@dataclass(frozen=True)
class PageActions:
    """Each may raise a PerennialError, which the page shows with its way out. Those that return at
    once block and are called in threads."""

    worker: Callable[[], Report]
    """`schedule`, `next`, `running` (a cycle's number), `progress`, `waiting`: as /admin/status."""
    losses: Callable[[int], list[Report]]
    """The steps of a cycle's training so far: `step`, `steps`, `loss`, `tokens_per_second`."""
    waiting: Callable[[], list[str]]
    """Digests of accepted documents that no ended cycle has tried."""
    judged: Callable[[str], Report | None]
    """A gate report by its digest, made readable: see adapt.web.judged. None for none."""
    scores: Callable[[int], Report]
    """Of so many versions, the newest that were examined, `rows`: `version`, `suite`, `mean`,
    `low`, `high` (95%), `items`, `slices`; and how many `versions` were examined at all."""
    lineage: Callable[[str], Report]
    """What is behind a version, by its name."""
    came_of: Callable[[str], Report]
    """What came of a document, by its digest."""
    advice: Callable[[], str | None]
    """One line that proposes consolidation."""
    next_visits: Callable[[], dict[str, str]]
    """When each source is visited next, in words, by name."""
    add_source: Callable[[NewSource], Report]
    """Remember a source. UserError when it can never work, or is there already."""
    test_source: Callable[[str], Awaitable[Report]]
    """What a visit would bring; nothing is taken in."""
