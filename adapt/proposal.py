"""Says when consolidation is worth it: when updates learn less than the first on the same weights.

All updates on one base move the same rows, so what an update learns is what these rows can still
take in. Read from what cycles recorded: the share that a candidate learned of what was new to the
live version, and the loss at which its training ended. Changes nothing. Called by `perennial
versions`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean
from typing import cast

from store import Store
from store.records import Cycle, CycleStage

LEAST = 6
"""Updates on the same weights before anything is said."""
SHOWN = 3
"""How many of the first and of the last are compared in size."""
CHANGE = 0.25
"""Smallest fall of what is learned, or rise of the loss, as a share of the first."""
LEVEL = 0.005
"""One-sided level of Kendall's test for a trend, for each of both figures: it is looked at after
every update, and what is said costs a person's time."""


@dataclass(frozen=True)
class _Learning:
    """What an update learned, so far as it is known."""

    share: float | None
    """Of what the live version did not know: 1 is all of it. None where nothing was new."""
    loss: float
    """Mean over the last epoch of its training."""


def proposal(store: Store) -> str | None:
    """One line that proposes consolidation; None where there is no reason."""
    live = store.versions.live()
    if live is None or live.kind != "adapter":
        return None
    learned = _on(store, live.base_digest)
    shares = [each.share for each in learned if each.share is not None]
    losses = [each.loss for each in learned]
    if fallen(shares):
        said = f"learned {_last(shares):.0%} of what was new, the first {_first(shares):.0%}"
        count = len(shares)
    elif fallen([-loss for loss in losses]):
        said = f"ended training at a loss of {_last(losses):.2f}, the first at {_first(losses):.2f}"
        count = len(losses)
    else:
        return None
    return (
        f"learning slows: the last {SHOWN} of {count} updates on these weights {said}; "
        "whole weights make room: perennial consolidate"
    )


def fallen(values: Sequence[float]) -> bool:
    """Whether figures, the oldest first, have fallen by enough to matter and by more than chance.

    Of negative ones (a loss with its sign turned) the fall is of the same share.
    """
    if len(values) < LEAST:
        return False
    first, last = _first(values), _last(values)
    if last > first - CHANGE * abs(first):
        return False
    from scipy.stats import kendalltau  # a second of start-up that few looks need

    _, p_value = kendalltau(range(len(values)), values, alternative="less")
    return cast(float, p_value) <= LEVEL


def _first(values: Sequence[float]) -> float:
    return mean(values[:SHOWN])


def _last(values: Sequence[float]) -> float:
    return mean(values[-SHOWN:])


def _on(store: Store, base: str) -> list[_Learning]:
    """What the updates learned that were trained on a base, the oldest first."""
    found: list[_Learning] = []
    for cycle in store.cycles.newest_first():
        made = cycle.gave(CycleStage.IMPLANT)
        if made is None:
            continue
        if store.versions.get_update(made["update"]).base_digest != base:
            # What was learned on other weights says nothing of the rows of these.
            break
        found.append(_Learning(_share(cycle), float(made["train"]["last_loss"])))
    return found[::-1]


def _share(cycle: Cycle) -> float | None:
    judged = cycle.gave(CycleStage.GATE)
    for test in judged["suites"] if judged else ():
        if test["suite"] == "learned" and test["live"] < 1:
            return (test["candidate"] - test["live"]) / (1 - test["live"])
    return None
