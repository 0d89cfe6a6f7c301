"""Closed-book tool use as an episode: a task, a world, a reward.

Only the names of the offered functions are shown; at most `MAX_CALLS` turns may call, the next must
answer. Malformed calls end the episode, as they would end a run of the agent, which sees them as
the answer. It holds no model and no tokens. Played by adapt.skill.rollout.
"""

import json
import re
from dataclasses import asdict, dataclass, field
from typing import Any

from adapt.skill.scenario import Outcome
from agent.prompts import SYSTEM, names_only
from store.records import Message, digest_of
from tools.virtual_api.catalogue import Catalogue, schema_of
from tools.virtual_api.tasks import Task, judge

MAX_CALLS = 5
_CALL = re.compile(r"<tool_call>(.*?)</tool_call>|<tool_call>(.*)", re.DOTALL)


@dataclass(frozen=True)
class Rewards:
    """What each event of an episode adds.

    PaST's two ToolBench recipes pay a call that works 0.08 and 0.1 of what solving pays; here it is
    more, since a small model seldom comes to the end of a chain by chance.
    """

    call_ok: float = 0.3
    """A valid call that the API accepts; once per distinct call, never where no tool fits."""
    call_error: float = -0.02
    """A valid call that the API refuses."""
    call_invalid: float = -0.04
    """A malformed call, or one of a function that is not offered."""
    solved: float = 1.0
    """The judge's verdict on end state and answer."""
    unfinished: float = -0.04
    """No answer: cut off, malformed, or still calling when an answer was due."""
    finished_at_once: float = -0.5
    """An answer without any call although the task needs one."""


@dataclass(frozen=True)
class Turn:
    """What one turn of the model says: calls, or else an answer."""

    calls: tuple[dict[str, Any], ...]
    """Each `{"name": str, "arguments": {...}}`."""
    text: str
    """What stands before the first call; all of it when there is none, or when one is malformed."""
    malformed: bool


def parse_turn(text: str) -> Turn:
    """Read hermes `<tool_call>` blocks as the engine's parser does: one bad block spoils all."""
    blocks = [whole or cut for whole, cut in _CALL.findall(text)]
    calls: list[dict[str, Any]] = []
    for block in blocks:
        try:
            call = json.loads(block)
        except ValueError:
            return Turn((), text, True)
        if not isinstance(call, dict) or not isinstance(call.get("name"), str):
            return Turn((), text, True)
        arguments = call.get("arguments", {})
        if not isinstance(arguments, dict):
            return Turn((), text, True)
        calls.append({"name": call["name"], "arguments": arguments})
    before = text.partition("<tool_call>")[0]
    return Turn(tuple(calls), before, False)


@dataclass(frozen=True)
class ToolTask:
    """A task of the virtual API universe as a scenario."""

    task: Task
    catalogue: Catalogue
    rewards: Rewards = field(default_factory=Rewards)

    @property
    def digest(self) -> str:
        """Identity: the task, its universe, and what events pay."""
        return digest_of([self.task.digest, self.catalogue.seed, asdict(self.rewards)])

    def begin(self) -> "Episode":
        """An episode of its own."""
        return Episode(self.task, self.catalogue, self.rewards)


class Episode:
    """One conversation in a fresh world. `messages` and `tools` are what the model is shown."""

    def __init__(self, task: Task, catalogue: Catalogue, rewards: Rewards | None = None) -> None:
        self.task = task
        self.rewards = rewards or Rewards()
        self.session = task.session(catalogue)
        self.tools = tuple(names_only(schema_of(catalogue.by_function[f])) for f in task.offered)
        self.messages: tuple[Message, ...] = (
            Message(role="system", content=SYSTEM),
            Message(role="user", content=task.query),
        )
        self.outcome: Outcome | None = None
        self._reward = 0.0
        self._turns = 0
        self._calls = 0
        self._accepted: set[str] = set()

    def hear(self, text: str, cut_off: bool = False) -> None:
        """Take the model's turn. Tool replies join `messages`; `outcome` is set when it is over."""
        assert self.outcome is None, "the episode is over"
        turn = parse_turn(text)
        self._turns += 1
        said = Message(role="assistant", content=turn.text, tool_calls=turn.calls, loss=True)
        self.messages += (said,)
        if cut_off:
            self._end("the turn was cut off", finished=False)
        elif turn.malformed:
            self._reward += self.rewards.call_invalid
            self._end("a call was malformed", finished=False)
        elif not turn.calls:
            self._end("", finished=True)
        elif self._turns > MAX_CALLS:
            self._end(f"still calling after {MAX_CALLS} turns", finished=False)
        else:
            for call in turn.calls:
                reply = self._execute(call["name"], call["arguments"])
                self.messages += (Message(role="tool", content=json.dumps(reply)),)

    def stop(self, reason: str) -> None:
        """End it where it stands, without an answer."""
        self._end(reason, finished=False)

    def _execute(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        self._calls += 1
        if name not in self.task.offered:
            self._reward += self.rewards.call_invalid
            return {"error": f"no tool named {name}"}
        reply = self.session.execute(name, arguments)
        if "error" in reply:
            self._reward += self.rewards.call_error
            return reply
        call = json.dumps([name, arguments], sort_keys=True)
        # Repeating a call that works would otherwise pay as much as solving.
        if call not in self._accepted and self.task.kind != "none":
            self._reward += self.rewards.call_ok
        self._accepted.add(call)
        return reply

    def _end(self, reason: str, finished: bool) -> None:
        answer = self.messages[-1].content
        solved = False
        if finished:
            verdict = judge(self.task, self.session, answer)
            solved, reason = verdict.solved, verdict.reason
            if not self._calls and self.task.kind != "none":
                self._reward += self.rewards.finished_at_once
        else:
            self._reward += self.rewards.unfinished
        if solved:
            self._reward += self.rewards.solved
        last = self.messages[-1]
        empty = last.role == "assistant" and not last.content.strip() and not last.tool_calls
        self.outcome = Outcome(self._reward, solved, finished, self._calls, reason, empty)
