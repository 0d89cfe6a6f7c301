"""Counts the traps that a fetcher was led into, and what it did in them. tests/tools prints it."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Tally:
    """Traps of one session by kind, and what went wrong in them."""

    traps: Counter[str] = field(default_factory=Counter)
    reached: list[str] = field(default_factory=list)
    """Requests or connections to forbidden addresses."""
    exceeded: list[str] = field(default_factory=list)
    """Bounds that were passed."""

    def trap(self, kind: str, *, reached: object = (), over: str = "") -> None:
        """Count one trap. AssertionError when something forbidden was reached, or a bound
        exceeded."""
        self.traps[kind] += 1
        if reached:
            self.reached.append(f"{kind}: {reached}")
        if over:
            self.exceeded.append(f"{kind}: {over}")
        assert not reached, f"{kind}: reached {reached}"
        assert not over, f"{kind}: {over}"

    def line(self) -> str:
        """The sum, for people."""
        return (
            f"fetching: {self.traps.total()} traps; {len(self.reached)} requests reach a forbidden "
            f"address, {len(self.exceeded)} exceed a bound"
        )


TRAPS = Tally()
