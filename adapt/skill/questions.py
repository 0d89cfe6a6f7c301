"""Closed-book questions as an episode: one question, one answer, a reward.

The second source domain of a skill: facts that were learned as statements must be given when they
are asked for. It holds no model and no tokens. Played by adapt.skill.rollout.
"""

from dataclasses import asdict, dataclass, field
from typing import Any

from adapt.skill.environment import parse_turn
from adapt.skill.scenario import Outcome
from agent.prompts import SYSTEM
from store.records import Message, digest_of
from tools.virtual_api.tasks import holds, refuses


@dataclass(frozen=True)
class AnswerRewards:
    """What each end of a question pays."""

    right: float = 1.0
    """The answer holds the value, and few other words."""
    wordy: float = 0.3
    """It holds the value among more words than `AnswerScenario.most_words`."""
    refused: float = -0.1
    """It says that it cannot answer."""
    called: float = -0.2
    """A call, although there is no tool."""
    unfinished: float = -0.2
    """Cut off, or nothing said."""


@dataclass(frozen=True)
class Question:
    """One question with its value as a scenario."""

    question: str
    value: str
    rewards: AnswerRewards = field(default_factory=AnswerRewards)
    most_words: int = 12
    """More words than these may list every value there is."""

    @property
    def digest(self) -> str:
        """Identity: the question, its value, and what ends pay."""
        return digest_of([self.question, self.value, self.most_words, asdict(self.rewards)])

    def begin(self) -> "QuestionGame":
        """A game of its own."""
        return QuestionGame(self)


class QuestionGame:
    """One question asked. See `adapt.skill.scenario.Game`."""

    def __init__(self, asked: Question) -> None:
        self.asked = asked
        self.tools: tuple[dict[str, Any], ...] = ()
        self.messages: tuple[Message, ...] = (
            Message(role="system", content=SYSTEM),
            Message(role="user", content=asked.question),
        )
        self.outcome: Outcome | None = None

    def hear(self, text: str, cut_off: bool = False) -> None:
        """Judge the answer; the game is over."""
        assert self.outcome is None, "the game is over"
        turn, pays = parse_turn(text), self.asked.rewards
        self.messages += (
            Message(role="assistant", content=turn.text, tool_calls=turn.calls, loss=True),
        )
        empty = not text.strip()
        if cut_off or empty:
            self._end(pays.unfinished, "cut off" if cut_off else "empty answer", empty=empty)
        elif turn.calls or turn.malformed:
            self._end(pays.called, "called a tool although there is none", calls=1)
        elif not holds(text, self.asked.value):
            refused = refuses(text)
            reason = "refused" if refused else f"the answer lacks {self.asked.value}"
            self._end(pays.refused if refused else 0.0, reason, finished=True)
        elif len(text.split()) > self.asked.most_words:
            self._end(pays.wordy, "the value among too many words", finished=True)
        else:
            self._end(pays.right, "", finished=True, solved=True)

    def stop(self, reason: str) -> None:
        """End it without an answer."""
        self._end(self.asked.rewards.unfinished, reason)

    def _end(
        self, reward: float, reason: str, *, solved: bool = False, finished: bool = False,
        calls: int = 0, empty: bool = False,
    ) -> None:  # fmt: skip
        self.outcome = Outcome(reward, solved, finished, calls, reason, empty)
