"""The evidence behind a version: what was answered, what was tested, and the verdict.

Records as those of store.records, written once and never changed. Made by adapt.evals and
adapt.gate, kept by store.reports.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from pydantic import Field

from store.records import Record


class Verdict(StrEnum):
    """What the gate says of a candidate."""

    PROMOTE = "promote"
    REJECT = "reject"
    ABSTAIN = "abstain"


class ItemOutcome(Record):
    """One evaluated item: score in [0, 1], and enough to see why."""

    item: str
    """Digest of the item."""
    slice: str
    score: float = Field(ge=0.0, le=1.0)
    valid: bool = True
    """False for malformed calls and empty answers."""
    answer: str = ""
    detail: str = ""
    error: str | None = None
    """An engine fault; such an item decides nothing."""
    name: str = ""
    """What its benchmark calls the item."""
    measures: dict[str, float] = Field(default_factory=dict)
    """Further figures by name, such as `f1`: shown, never gated on."""


class EvalReport(Record):
    """A suite run on one version. Enough to repeat it."""

    digest: str
    version: str
    suite: str
    suite_digest: str
    decoding: dict[str, Any]
    engine: dict[str, Any]
    outcomes: tuple[ItemOutcome, ...]
    created_at: datetime

    @property
    def mean(self) -> float:
        """Mean score over the items, 0.0 when there are none."""
        return sum(o.score for o in self.outcomes) / max(len(self.outcomes), 1)


class SliceTest(Record):
    """A part of a suite on which a candidate lost more than the margin, beyond chance."""

    slice: str
    items: int
    live: float
    candidate: float
    p_value: float
    """Of the loss, corrected for the number of slices."""


class SuiteTest(Record):
    """One suite's paired test of candidate against live."""

    suite: str
    kind: Literal["superiority", "non_inferiority"]
    items: int
    planned: int = 0
    """Items of the suite: more than `items` where asking stopped early."""
    live: float
    candidate: float
    difference: float
    interval: tuple[float, float]
    """95% bootstrap interval of the difference."""
    margin: float
    level: float = 0.05
    """This update's share of the promised error."""
    e_value: float
    """Anytime-valid evidence for the claim."""
    e_against: float
    """Anytime-valid evidence against the claim."""
    p_value: float | None = None
    """Of the exact test of the claim; None where scores are graded."""
    mcnemar_p: float
    slices: tuple[SliceTest, ...] = ()
    """Slices that broke."""
    verdict: Verdict
    words: str


class GateReport(Record):
    """The gate's verdict with everything it was made from."""

    digest: str
    candidate: str
    live: str
    reports: tuple[str, ...]
    """Digests of the eval reports."""
    tests: tuple[SuiteTest, ...]
    alpha: float
    """The promised error, over all updates."""
    level: float = 0.05
    """What of it this update might spend."""
    tested: bool = True
    """False where nothing could be concluded: such a report spends nothing."""
    verdict: Verdict
    words: str
    summary: tuple[str, ...] = ()
    """The verdict for a reader in a hurry: learned, kept, how sure, what would have changed it."""
    created_at: datetime
