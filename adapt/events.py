"""What a running cycle tells whoever watches: one small event at a time."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from store.records import CycleStage


@dataclass(frozen=True)
class Event:
    """A stage began, went on, ended, or was found done after an interruption."""

    stage: CycleStage
    kind: Literal["started", "progress", "done", "resumed", "failed"]
    done: int = 0
    total: int = 0
    text: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0


Notify = Callable[[Event], None]


def silent(_: Event) -> None:
    """Watch nothing."""
