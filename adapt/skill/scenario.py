"""What a policy is trained on, seen from outside: scenarios, and the games that are played of them.

The seam between worlds (adapt.skill.environment, adapt.skill.questions) and what plays and learns
(adapt.skill.rollout, adapt.skill.train).
"""

from dataclasses import dataclass
from typing import Any, Protocol

from store.records import Message


@dataclass(frozen=True)
class Outcome:
    """How a game ended."""

    reward: float
    solved: bool
    finished: bool
    calls: int
    reason: str
    empty: bool
    """The model's last turn held nothing."""


class Game(Protocol):
    """One conversation. `messages` and `tools` are what the model is shown."""

    messages: tuple[Message, ...]
    tools: tuple[dict[str, Any], ...]
    outcome: Outcome | None
    """Set when it is over."""

    def hear(self, text: str, cut_off: bool = False) -> None:
        """Take the model's turn, and answer it in `messages` unless it is over."""
        ...

    def stop(self, reason: str) -> None:
        """End it where it stands, without an answer."""
        ...


class Scenario(Protocol):
    """What a game begins with. It can be played many times."""

    @property
    def digest(self) -> str:
        """Identity of all that decides its games, but for what the model says."""
        ...

    def begin(self) -> Game:
        """A new game of it."""
        ...
