"""The names of assistants and threads as clients of the protocol know them.

One graph serves all: an assistant is the live version, or a pinned one. Called by the routes of
this package.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import NAMESPACE_URL, uuid5

from agent.api.auth import Caller
from agent.api.errors import ApiError
from agent.api.model_list import ALIASES
from agent.api.state import AppState
from store.records import Version

GRAPH = "agent"
"""The graph's name, which stands for the live assistant wherever one is named."""
_BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Assistant:
    """What can be asked by its id. `model` is an alias or a version's name."""

    id: str
    model: str
    version: Version | None = None

    @property
    def pinned(self) -> bool:
        """Whether it is one version for ever."""
        return self.version is not None

    def created_at(self) -> datetime:
        """When it was made; the live assistant was always there."""
        return self.version.created_at if self.version else _BEGAN


def id_of(model: str) -> str:
    """The id of the assistant of a version, or of the live one: the same on every server."""
    return str(uuid5(NAMESPACE_URL, f"perennial:{model}"))


LIVE = Assistant(id_of(ALIASES[0]), ALIASES[0])


def assistants(state: AppState) -> list[Assistant]:
    """The live assistant, then the versions that were good enough to be asked, latest first."""
    versions = sorted(state.store.versions.list(), key=lambda v: v.number, reverse=True)
    return [LIVE, *(Assistant(id_of(v.name), v.name, v) for v in versions)]


def assistant_of(state: AppState, named: str) -> Assistant:
    """The assistant of an id, a graph's or a version's name. 404."""
    if named in (GRAPH, LIVE.id, *ALIASES):
        return LIVE
    for one in assistants(state):
        if named in (one.id, one.model):
            return one
    raise ApiError(
        404, f"there is no assistant {named!r}; {GRAPH!r} is the live one, and each version is one "
        "by its name", param="assistant_id", code="not_found",
    )  # fmt: skip


def shown_thread(name: str, caller: Caller) -> str:
    """What a caller calls the thread of that name among those of all."""
    return name.removeprefix(f"{caller.tenant}:") if caller.tenant else name


def full_name(thread: str, caller: Caller) -> str:
    """The name among those of all callers of what this one calls so."""
    full = caller.thread(thread)
    assert full is not None, thread
    return full


def no_thread(thread: str) -> ApiError:
    """404 for a thread that there is not, or that is another key's."""
    return ApiError(404, f"there is no thread {thread!r}", param="thread_id", code="not_found")


def no_run(run: str) -> ApiError:
    """404 for a run that is not of that thread."""
    words = f"there is no run {run!r} on that thread"
    return ApiError(404, words, param="run_id", code="not_found")
