"""Whether a version does harm: its runs against another version's, judged at any time.

Pure: episodes and feedback in, e-values and words out. It reads no store and moves nothing. Called
by adapt.watch, which feeds it run by run.

Every run says something of some measures, as a number in [0, 1]. A run of the new version is set
against a block of the other's, both in the order in which they came: d = new - mean of the block.
While the new version is not worse, the mean of d is at most 0 whatever came before, and a gambler
who bets on d > 0 gets nowhere: the gate's own e-value (adapt.eprocess) in the two-sample form of
Shekhar and Ramdas, "Nonparametric two-sample testing by betting" (arXiv 2112.09162). The e-values
of all measures are averaged. The average is an e-value too, so it reaches 1 / alpha with a chance
of at most alpha where no measure got worse, however the measures hang together; one measure alone
must reach MEASURES / alpha, which is alpha split evenly.

What keeps the pairs honest: a thread counts once for each measure and version, since one bad
conversation goes on badly; the faults of one minute count as one, since an engine that goes down
takes all runs with it; slowness is compared only between runs that began beside about as many
others, and is a sign, which no change of scale can bias.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from adapt.eprocess import Floats, e_value_above
from store.feedback import Feedback
from store.records import Episode

TOOL_ERRORS = "failed tool calls"
EMPTY = "empty answers"
MALFORMED = "unreadable tool calls"
FAULTS = "engine faults"
THUMBS_DOWN = "thumbs down"
SLOW = "slow answers"
RATES = (TOOL_ERRORS, EMPTY, MALFORMED, FAULTS, THUMBS_DOWN)
MEASURES = len(RATES) + 1
SLOWER = 2.0
"""A run is slow beside another when each of its tokens took this many times as long. A matter of
kind, such as an adapter where there was none, must not count; another load is matched."""


@dataclass
class Arm:
    """What the runs of one version say, in the order in which they came."""

    answered: int = 0
    """Runs that ended without a fault."""
    values: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    paces: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Seconds for a token, by load: runs under way, in powers of two."""
    _known: set[str] = field(default_factory=set)
    _samples: set[str] = field(default_factory=set)
    _counted: set[tuple[str, str]] = field(default_factory=set)
    _minutes: set[int] = field(default_factory=set)

    def add(self, episode: Episode, *, counts: bool = True) -> None:
        """Take a run in; one that is known, or whose version was named, changes nothing.

        A run that does not count is no sample: it only brings the trial nearer to its end.
        """
        if episode.named or episode.id in self._known:
            return
        self._known.add(episode.id)
        self.answered += episode.error is None
        if not counts:
            return
        self._samples.add(episode.id)
        if episode.error is not None:
            minute = int(episode.created_at.timestamp() // 60)
            if minute not in self._minutes:
                self._minutes.add(minute)
                self._count(FAULTS, episode.thread, 1.0)
            return
        self._count(FAULTS, episode.thread, 0.0)
        if episode.tool_calls:
            self._count(
                TOOL_ERRORS, episode.thread, (episode.tool_errors or 0) / episode.tool_calls
            )
        if episode.empty is not None:
            self._count(EMPTY, episode.thread, float(episode.empty))
        if episode.malformed is not None:
            self._count(MALFORMED, episode.thread, float(episode.malformed > 0))
        if episode.tokens and episode.seconds is not None and self._first(SLOW, episode.thread):
            load = (episode.load or 1).bit_length()
            self.paces[load].append(episode.seconds / episode.tokens)

    def rate(self, feedback: Iterable[Feedback]) -> None:
        """Take in all that was said of the version's answers, oldest first."""
        first: dict[str, float] = {}
        for said in feedback:
            if said.episode in self._samples:
                first.setdefault(said.thread, float(said.rating == "down"))
        self.values[THUMBS_DOWN] = list(first.values())

    def _count(self, measure: str, thread: str, value: float) -> None:
        if self._first(measure, thread):
            self.values[measure].append(value)

    def _first(self, measure: str, thread: str) -> bool:
        if (measure, thread) in self._counted:
            return False
        self._counted.add((measure, thread))
        return True


@dataclass(frozen=True)
class Finding:
    """One measure: means of both versions over what was compared, and the evidence of harm."""

    measure: str
    new: float
    old: float
    compared: int
    """Runs of the new version."""
    e_value: float

    def words(self) -> str:
        """The finding as people say it."""
        new, old = f"{100 * self.new:.1f}%", f"{100 * self.old:.1f}%"
        if self.measure == SLOW:
            said = f"{SLOWER:g} times as slow as the version before in {new}, as fast in {old}"
        else:
            said = f"{new}, the version before {old}"
        return f"{self.measure}: {said} ({self.compared} runs, e-value {self.e_value:.3g})"


@dataclass(frozen=True)
class Evidence:
    """All measures together."""

    findings: tuple[Finding, ...]

    @property
    def e_value(self) -> float:
        """Evidence that some measure got worse."""
        return sum(f.e_value for f in self.findings) / len(self.findings)

    def shown(self, alpha: float) -> bool:
        """Whether harm is shown at this level."""
        return self.e_value >= 1.0 / alpha

    def words(self) -> str:
        """The strongest finding."""
        return max(self.findings, key=lambda f: f.e_value).words()


def weigh(new: Arm, old: Arm, block: int, *, beside: bool = True) -> Evidence:
    """The evidence so far. `block` runs of the other version stand beside each of the new one;
    it is fixed before the first.

    `beside`: both were served at the same time. Else their pace is told and proves nothing: what
    else the machine did then and does now would count as the version's.
    """
    found = [_rate(name, new.values[name], old.values[name], block) for name in RATES]
    slowness = _slowness(new, old, block)
    return Evidence((*found, slowness if beside else replace(slowness, e_value=1.0)))


def _rate(measure: str, new: Sequence[float], old: Sequence[float], block: int) -> Finding:
    ours, theirs = paired(new, old, block)
    e_value = e_value_above(ours - theirs.mean(axis=1), 0.0) if len(ours) else 1.0
    return Finding(measure, _mean(ours), _mean(theirs), len(ours), e_value)


def _slowness(new: Arm, old: Arm, block: int) -> Finding:
    """Where neither is slower, being `SLOWER` times as slow comes as often on either side."""
    slow: list[Floats] = [np.zeros(0)]
    fast: list[Floats] = [np.zeros(0)]
    for load in new.paces.keys() & old.paces.keys():
        ours, theirs = paired(new.paces[load], old.paces[load], block)
        slow.append((ours[:, None] > SLOWER * theirs).mean(axis=1))
        fast.append((SLOWER * ours[:, None] < theirs).mean(axis=1))
    slows, fasts = np.concatenate(slow), np.concatenate(fast)
    e_value = e_value_above(slows - fasts, 0.0)
    return Finding(SLOW, _mean(slows), _mean(fasts), len(slows), e_value)


def paired(new: Sequence[float], old: Sequence[float], block: int) -> tuple[Floats, Floats]:
    """Values [n] of the new version and [n, block] of the other, as far as both go."""
    n = min(len(new), len(old) // block)
    ours = np.asarray(new[:n], dtype=np.float64)
    theirs = np.asarray(old[: n * block], dtype=np.float64)
    return ours, theirs.reshape(n, block)


def _mean(values: Floats) -> float:
    return float(values.mean()) if values.size else 0.0
