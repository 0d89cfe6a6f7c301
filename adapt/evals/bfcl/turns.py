"""Plays BFCL's conversations: questions turn by turn, calls run by its classes, states compared.

The rules are the leaderboard's: up to 20 steps of calls per turn, more end the item; a turn ends
with a reply that calls nothing; after it states and replies are compared with those that the gold
calls give. The calls run in adapt.evals.bfcl.sandbox. Called by adapt.evals.asking.
"""

import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from adapt.evals.asking import Asker, Played, as_message, shown
from adapt.evals.bfcl.sandbox import Sandbox
from adapt.evals.items import Item
from adapt.evals.scoring.calls import Called, calls_of
from adapt.evals.scoring.marks import Mark, invalid, wrong
from agent.engine import Reply, ToolCall
from agent.history import Wire, to_wire
from store.errors import ToolFailed

STEPS = 20
"""Most replies with calls in one turn."""
Chat = Callable[[list[Wire], Sequence[Wire]], Awaitable[Reply]]


@dataclass
class _Talk:
    """A conversation under way."""

    messages: list[Wire]
    answer: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    unreadable: str = ""
    """Why the last reply that ended a turn could not be read."""
    idle_calls: bool = False
    """Whether a turn that wants no calls had some."""
    tools: list[Wire] = field(default_factory=list)

    def add(self, reply: Reply) -> None:
        self.answer = shown(reply)
        self.prompt_tokens += reply.prompt_tokens
        self.completion_tokens += reply.completion_tokens

    def played(self, mark: Mark) -> Played:
        counts = (self.prompt_tokens, self.completion_tokens)
        return Played(mark, self.answer, self.messages, *counts)


async def play(asker: Asker, item: Item) -> Played:
    """The conversation with a model. NotFoundError where bfcl-eval is not installed."""
    return await converse(item, asker.chat)


async def converse(item: Item, chat: Chat) -> Played:
    """The conversation with whatever answers. Stops at the first turn that fails.

    Measures: `progress`, the share of turns passed; `strict`, 1 where also no call was made in a
    turn that wants none, which the published score does not ask.
    """
    check = item.check
    talk = _Talk(to_wire(item.messages), tools=list(item.tools))
    total, passed = len(check["turns"]), 0
    try:
        async with Sandbox("tools") as box:
            started = await box.ask(
                "start", classes=check["classes"], functions=check["functions"],
                config=check["config"], long_context=check["long_context"],
            )  # fmt: skip
            for turn in check["turns"]:
                if turn["added"]:
                    talk.tools += turn["added"]
                    talk.messages.append({"role": "user", "content": started["more"]})
                talk.messages += turn["messages"]
                fault = await _turn(box, talk, chat, turn["calls"])
                if fault:
                    words = f"turn {passed + 1} of {total}: {fault}"
                    return talk.played(_failed(words, talk, passed / total))
                passed += 1
    except ToolFailed as error:
        return talk.played(_failed(error.message, talk, passed / total))
    measures = {"progress": 1.0, "strict": float(not talk.idle_calls)}
    return talk.played(Mark(1.0, "right", measures=measures))


async def _turn(box: Sandbox, talk: _Talk, chat: Chat, gold: Sequence[Any]) -> str:
    """One turn to its end; what is wrong after it, "" for nothing."""
    talk.unreadable = ""
    for step in range(STEPS + 1):
        reply = await chat(talk.messages, talk.tools)
        talk.add(reply)
        called = calls_of(reply)
        if isinstance(called, Mark) or not called:
            # Without its calls: nothing answers them, and chat templates refuse such a history.
            talk.messages.append({"role": "assistant", "content": reply.content})
            if isinstance(called, Mark):
                talk.unreadable = called.detail
            elif not step and not reply.content.strip():
                talk.unreadable = "empty answer"
            ended = await box.ask("turn", calls=gold)
            return ended["fault"]
        if step == STEPS:
            return f"more than {STEPS} steps"
        talk.idle_calls = talk.idle_calls or not gold
        calls = [[call.name, call.arguments] for call in called]
        answered = await box.ask("run", calls=calls)
        _add_calls(talk.messages, reply, called, answered["replies"])
    raise AssertionError("the loop ends by return")


def _add_calls(
    messages: list[Wire], reply: Reply, called: Sequence[Called], replies: Sequence[str]
) -> None:
    """A reply's calls and what they gave. Calls that were text are put down as calls."""
    if not reply.tool_calls:
        made = [
            ToolCall(f"call_{n}", c.name, json.dumps(c.arguments)) for n, c in enumerate(called)
        ]
        reply = Reply(
            "", tuple(made), reply.finish_reason, reply.prompt_tokens, reply.completion_tokens,
            reply.model,
        )  # fmt: skip
    messages.append(as_message(reply))
    for call, words in zip(reply.tool_calls, replies, strict=True):
        messages.append({"role": "tool", "tool_call_id": call.id, "content": words})


def _failed(words: str, talk: _Talk, progress: float) -> Mark:
    if talk.unreadable:
        return invalid(f"{words}: {talk.unreadable}", progress=progress, strict=0.0)
    return wrong(words, progress=progress, strict=0.0)


async def judged(item: Item, turns: Sequence[Sequence[tuple[str, dict[str, Any]]]]) -> Mark:
    """The mark of a model that makes these calls in each turn, all of a turn in one step, and is
    silent in turns beyond them."""
    answers = _answers(turns)

    async def chat(messages: list[Wire], tools: Sequence[Wire]) -> Reply:
        return next(answers, Reply("", (), "stop", 0, 0, ""))

    return (await converse(item, chat)).mark


def _answers(turns: Sequence[Sequence[tuple[str, dict[str, Any]]]]) -> Iterator[Reply]:
    for turn in turns:
        calls = [ToolCall(f"c{n}", name, json.dumps(args)) for n, (name, args) in enumerate(turn)]
        if calls:
            yield Reply("", tuple(calls), "tool_calls", 0, 0, "")
        yield Reply("Done.", (), "stop", 0, 0, "")
