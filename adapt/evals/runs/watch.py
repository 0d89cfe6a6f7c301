"""Hears of each finished item of a run: says how it goes, and stops it when the engine is gone.

Prints nothing itself. Called by `perennial eval run`.
"""

import time
from collections.abc import Callable

from adapt.show import wilson
from store.errors import EngineUnavailable
from store.evidence import ItemOutcome

GIVE_UP = 50
"""Engine faults in a row after which a run stops: the rest would fail as well, one by one."""


class Watch:
    """`seen` of adapt.evals.runner for a run of `total` items, of which `known` were asked before.

    `show` gets a line after each item.
    """

    def __init__(self, label: str, total: int, known: int, show: Callable[[str], None]) -> None:
        self._label, self._total, self._known, self._show = label, total, known, show
        self._began = time.monotonic()
        self._score = 0.0
        self._answered = self._faults = self._in_a_row = 0

    def __call__(self, done: int, outcome: ItemOutcome) -> None:
        """One more item. EngineUnavailable after `GIVE_UP` faults in a row."""
        if outcome.error is None:
            self._score += outcome.score
            self._answered += 1
            self._in_a_row = 0
        else:
            self._faults += 1
            self._in_a_row += 1
        if self._in_a_row >= GIVE_UP:
            raise EngineUnavailable(
                f"the engine failed on {GIVE_UP} items in a row; the last time: {outcome.error}",
                "mend that; the same command goes on",
            )
        self._show(self.line(done, time.monotonic() - self._began))

    def line(self, done: int, seconds: float) -> str:
        """How far it is: running score with its 95% interval, items a second, time left."""
        low, high = wilson(self._score, self._answered)
        mean = self._score / max(self._answered, 1)
        said = f"{self._label}: {done} of {self._total}, {mean:.3f} ({low:.3f} to {high:.3f})"
        fresh = done - self._known
        if fresh > 0 and seconds > 0:
            rate = fresh / seconds
            said += f", {rate:.1f} a second, {_duration((self._total - done) / rate)} left"
        return said + (f", {self._faults} engine faults" if self._faults else "")


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min" if minutes else f"{rest} s"
