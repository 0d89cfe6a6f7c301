"""What the HTTP application works with, handed over ready-made by the command line.

Opens and closes nothing. The actions of administration are implemented above this layer (adapt)
and given as callables.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from agent.api.langgraph.live import RunBook
from agent.api.postings import Posting
from agent.api.usage import Usage
from agent.config_sections import Settings
from agent.fleet import Inference
from agent.runs import Agent
from agent.web.actions import PageActions
from store.store import Store
from tools.registry import Embedder, Registry

Report = dict[str, Any]
"""JSON that an action answers with."""


@dataclass(frozen=True)
class Actions:
    """What /admin can do. PerennialErrors become OpenAI-shaped refusals."""

    status: Callable[[], Awaitable[Report]]
    update: Callable[[], Awaitable[Report]]
    """Start a cycle in the background and return at once; BusyError while one is running."""
    roll_back: Callable[[], Awaitable[Report]]
    """StateError when there is nothing to go back to."""
    promote: Callable[[str], Awaitable[Report]]
    """NotFoundError for an unknown version, StateError for one that may not go live."""
    verify: Callable[[str], Awaitable[Report]]
    """StageError when an engine serves something else under that name."""
    consolidate: Callable[[], Awaitable[Report]]
    """Make whole weights of the live version; takes minutes. StateError while an update runs."""
    withdraw: Callable[[list[str]], Awaitable[Report]]
    """Withdraw documents by their digests, and begin a cycle where the line must be made anew."""


@dataclass(frozen=True)
class AppState:
    """Everything the application needs."""

    agent: Agent
    store: Store
    engine: Inference
    settings: Settings
    registry: Callable[[str], Registry]
    """The tools of one thread (a fresh id where the client names none)."""
    live: Callable[[], str]
    """Name of the live version. EngineUnavailable while there is none."""
    route: Callable[[str], str] | None = None
    """Which version a run of a thread gets under an alias, read once at its start. Without it the
    live one."""
    rated: Callable[[], None] | None = None
    """Told when feedback is stored."""
    embedder: Embedder | None = None
    """Ranks tools when `agent.tools_shown` is `retrieved`."""
    post: Callable[[str, Sequence[Posting]], Awaitable[list[Report]]] | None = None
    """Takes documents in to a source, by its name. Without it /documents answers 404."""
    actions: Actions | None = None
    """Without them /admin answers 404."""
    pages: PageActions | None = None
    """What the pages need beside these. Without it there is the chat alone."""
    own_key: str = ""
    """A key of this process, for commands of whoever may read the home; empty for none."""
    passage: Callable[[], AbstractAsyncContextManager[None]] = nullcontext
    """Inside, an engine is up and its weights stay: what asks the agent outside of /v1, whose
    requests wait by themselves, does so inside. EngineUnavailable when none came up."""
    runs: RunBook = field(default_factory=RunBook)
    """The runs of the LangGraph protocol that are under way. Whoever serves closes it."""
    waits: Callable[[], str] = lambda: ""
    """Why a request would have to wait now, in words; empty where it would not."""
    usage: Usage = field(default_factory=Usage)
    """What callers have asked for so far."""
