"""Turns of a thread as the chat shows them, read from the episodes of its runs.

A turn is a question, what the agent did about it, and the answer of one version. Reads the store
and changes nothing. Called by agent.web.chat and agent.web.asking.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from agent.api.auth import Caller
from store.episodes import no_episode
from store.feedback import Feedback
from store.records import Episode, Message
from store.store import Store

PREFIX = "chat-"
"""Of the names of threads that were begun on the page."""
TITLE, TITLE_CHARS = "title", 80
MOST = 100
"""Threads of the list."""


@dataclass(frozen=True)
class Step:
    """What the model said on the way, and a call that it made."""

    text: str
    name: str = ""
    arguments: Any = None
    result: str | None = None


@dataclass(frozen=True)
class Turn:
    """One run as it is shown."""

    id: str
    question: str
    steps: Sequence[Step]
    answer: str
    version: str
    at: datetime
    seconds: float | None
    tokens: int | None
    error: str | None
    citations: Sequence[Any] = field(default_factory=tuple)
    said: Feedback | None = None


@dataclass(frozen=True)
class ThreadRow:
    """A thread in the list."""

    name: str
    title: str
    at: datetime
    waits: bool
    """For a person's yes."""


def turns_of(store: Store, caller: Caller, thread: str) -> list[Turn]:
    """A thread's turns, the oldest first."""
    found = store.episodes.of_thread(caller.thread(thread) or "")
    return [turn_of(episode, store.feedback.get(episode.id)) for episode in found]


def turn_of(episode: Episode, said: Feedback | None = None) -> Turn:
    """A run's own part of its conversation: the last question and what followed."""
    messages = episode.messages
    asked = max((i for i, m in enumerate(messages) if m.role == "user"), default=-1)
    own = messages[asked + 1 :]
    last = own[-1] if own and own[-1].role == "assistant" and not own[-1].tool_calls else None
    return Turn(
        id=episode.id,
        question=messages[asked].content if asked >= 0 else "",
        steps=_steps(own[:-1] if last else own),
        answer=last.content if last and not episode.error else "",
        version=episode.version,
        at=episode.created_at,
        seconds=episode.seconds,
        tokens=episode.tokens,
        error=episode.error,
        citations=episode.citations,
        said=said,
    )


def _steps(messages: Sequence[Message]) -> list[Step]:
    """Calls with their results; results follow the calls of a message in their order."""
    steps: list[Step] = []
    open_calls: list[int] = []
    for message in messages:
        if message.role == "tool":
            if open_calls:
                at = open_calls.pop(0)
                was = steps[at]
                steps[at] = Step(was.text, was.name, was.arguments, message.content)
            continue
        if not message.tool_calls and message.content:
            steps.append(Step(message.content))
        open_calls = []
        for place, call in enumerate(message.tool_calls):
            open_calls.append(len(steps))
            text = message.content if place == 0 else ""
            steps.append(Step(text, str(call.get("name", "")), call.get("arguments")))
    return steps


def begin(store: Store, caller: Caller, thread: str, question: str) -> None:
    """Put a new thread of the page on its list, with the first question as its title."""
    line = " ".join(question.split())
    title = line[:TITLE_CHARS] + ("..." if len(line) > TITLE_CHARS else "")
    store.threads.create(
        caller.thread(thread) or thread, caller.tenant, _tag(caller) | {TITLE: title}
    )


def threads_of(store: Store, caller: Caller) -> list[ThreadRow]:
    """The caller's threads of this page, the latest first."""
    found = store.threads.search(caller.tenant, tags=_tag(caller), limit=MOST)
    return [
        ThreadRow(
            each.name.rpartition(":")[2], str(each.tags.get(TITLE) or each.name), each.updated_at,
            each.status == "interrupted",
        )
        for each in found
    ]  # fmt: skip


def _tag(caller: Caller) -> dict[str, str]:
    # Whoever administers the server could see all threads of all; on the list are its own.
    return {"page": caller.tenant or "all"}


def own_episode(store: Store, caller: Caller, id: str) -> Episode:
    """An episode that is the caller's business. NotFoundError for any other."""
    episode = store.episodes.get(id)
    if caller.tenant and episode.owner != caller.tenant:
        raise no_episode(id)
    return episode
