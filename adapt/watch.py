"""Watches how versions do once users meet them, and acts: a canary goes live or is withdrawn, a
live version that does harm is rolled back.

Asks no engine anything. Runs are handed over as they end (`saw`) and judged in the background of
the server's event loop; after a restart what is known is read again from the store. The evidence
is adapt.harm's, the moves are adapt.canary's. Opened by adapt.assistant.
"""

import asyncio
import contextlib
import logging
from collections import deque
from typing import Any

from adapt import canary
from adapt.harm import Arm, Evidence, weigh
from adapt.runtime import Runtime
from store import Store
from store.errors import EngineRefused, EngineUnavailable, IntegrityError, StageError
from store.records import Episode, VersionState
from store.trials import Trial, TrialState

log = logging.getLogger(__name__)

RETRY_S = 5.0
"""Pause before what could not be done, because no engine answered, is tried again."""
MAX_BLOCK = 10
"""Most runs of the other version beside each one of the new: more would hardly say more."""


class View:
    """What is known of one trial: the runs of both versions, read from the store and kept up."""

    def __init__(self, store: Store, trial: Trial) -> None:
        self.trial = trial
        self.new, self.old = Arm(), Arm()
        self._since = trial.began_at
        """When the first run of the other version ended."""
        self._store = store
        for episode in store.episodes.of_version(trial.version, trial.began_at):
            self._take(self.new, episode)
        if trial.kind == "canary":
            for episode in store.episodes.of_version(trial.against, trial.began_at):
                self._take(self.old, episode)
            others = (1 - trial.share) / trial.share
        else:
            before = list(
                store.episodes.before(trial.against, trial.began_at, MAX_BLOCK * trial.runs)
            )
            for episode in before:
                self._take(self.old, episode)
            self._since = min((e.created_at for e in before), default=trial.began_at)
            others = len(before) / trial.runs
        self.block = min(max(round(others), 1), MAX_BLOCK)
        self.rate()

    def add(self, episode: Episode) -> None:
        """Take in a run that has just ended."""
        if episode.created_at < self.trial.began_at:
            return
        if episode.version == self.trial.version:
            self._take(self.new, episode)
        elif episode.version == self.trial.against and self.trial.kind == "canary":
            self._take(self.old, episode)

    def rate(self) -> None:
        """Take in what users have said."""
        self.new.rate(self._store.feedback.of_version(self.trial.version, self.trial.began_at))
        self.old.rate(self._store.feedback.of_version(self.trial.against, self._since))

    def evidence(self) -> Evidence:
        """The evidence of harm so far."""
        beside = self.trial.kind == "canary"
        return weigh(self.new, self.old, self.block, beside=beside)

    def _take(self, arm: Arm, episode: Episode) -> None:
        arm.add(episode, counts=self.trial.kind == "watch" or self._began_in_it(episode))

    def _began_in_it(self, episode: Episode) -> bool:
        """A thread older than the canary was not drawn for either side, so it is no sample."""
        first = self._store.episodes.first_of(episode.thread)
        return first is None or first[1] >= self.trial.began_at


class Watch:
    """The background task of one server. `saw` and `rated` may be called from any thread."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._views: dict[int, View] = {}
        self._seen: deque[Episode] = deque()
        self._ratings = False
        self._wake = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Have the canary of an earlier process answer again, and begin to watch."""
        self._runtime.swap.wanted = lambda: canary.wanted(self._runtime.store)
        trial = self._runtime.store.trials.canary()
        if trial is not None:
            await self._revive(trial)
        self._task = asyncio.create_task(self._run(), name="watch")
        self._wake.set()

    async def stop(self) -> None:
        """Stop watching. What was not judged yet is read from the store the next time."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def saw(self, episode: Episode) -> None:
        """A run has ended and is stored."""
        self._seen.append(episode)
        self._loop.call_soon_threadsafe(self._wake.set)

    def rated(self) -> None:
        """Feedback is stored."""
        self._ratings = True
        self._loop.call_soon_threadsafe(self._wake.set)

    def report(self) -> list[dict[str, Any]]:
        """What is tried now, how far it is, and what speaks for harm."""
        return [_shown(t, self._views.get(t.number)) for t in self._runtime.store.trials.open()]

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self._look()
            except Exception as error:
                # A watch that ended here would be missed by nobody until harm was done.
                log.warning("the watch will try again: %r", error)
                self._views.clear()  # what was half taken in is read from the store
                await asyncio.sleep(RETRY_S)
                self._wake.set()

    async def _look(self) -> None:
        """Take in what is new, then judge every trial that is open."""
        store = self._runtime.store
        trials = await asyncio.to_thread(store.trials.open)
        seen = [self._seen.popleft() for _ in range(len(self._seen))]
        stale, self._ratings = self._ratings, False
        views = [await asyncio.to_thread(self._view, trial, seen, stale) for trial in trials]
        self._views = {view.trial.number: view for view in views}
        for view in views:
            trial = view.trial
            if trial.kind == "canary" and any(_failed(e, trial) for e in seen):
                await self._revive(trial)
            await self._judge(trial.number, view)

    def _view(self, trial: Trial, seen: list[Episode], stale: bool) -> View:
        view = self._views.get(trial.number)
        if view is None:
            return View(self._runtime.store, trial)
        view.trial = trial
        for episode in seen:
            view.add(episode)
        if stale:
            view.rate()
        return view

    async def _judge(self, number: int, view: View) -> None:
        store = self._runtime.store
        trial = store.trials.get(number)
        if trial.state is TrialState.RUNNING:
            state = store.versions.get(trial.version).state
            if trial.kind == "canary" and state is VersionState.LIVE:
                # Killed between the flip and the record of why.
                await canary.pass_canary(self._runtime, trial, "live")
                return
            if trial.kind == "watch" and state is not VersionState.LIVE:
                store.trials.move(number, TrialState.STOPPED, "no longer live")
                return
            evidence = view.evidence()
            if not evidence.shown(trial.alpha):
                await self._end_if_done(view, evidence)
                return
            self._harm(trial, evidence.words())
        if store.trials.get(number).state is TrialState.HARM:
            await canary.withdraw(self._runtime, store.trials.get(number))
            log.warning("%s was taken back", trial.version)

    async def _end_if_done(self, view: View, evidence: Evidence) -> None:
        trial = view.trial
        if view.new.answered < trial.runs:
            return
        words = f"no harm shown in {view.new.answered} runs; most is {evidence.words()}"
        if trial.kind == "canary":
            await canary.pass_canary(self._runtime, trial, words)
        else:
            self._runtime.store.trials.move(trial.number, TrialState.PASSED, words)

    def _harm(self, trial: Trial, words: str) -> None:
        log.warning("harm shown, %s of %s: %s", trial.kind, trial.version, words)
        self._runtime.store.trials.move(trial.number, TrialState.HARM, words)

    async def _revive(self, trial: Trial) -> None:
        """Load a canary that the engine may have lost; harm when it cannot be served as made."""
        version = self._runtime.store.versions.get(trial.version)
        try:
            await self._runtime.swap.load(version)
            await self._runtime.swap.check(version)
        except EngineUnavailable as error:
            # Nothing about this version: whatever it is, the next run meets it too.
            log.warning("the canary %s could not be loaded: %s", version.name, error)
        except (StageError, IntegrityError, EngineRefused) as error:
            if trial.state is TrialState.RUNNING:
                self._harm(trial, f"the engine cannot serve it: {error}")


def _failed(episode: Episode, trial: Trial) -> bool:
    return episode.error is not None and episode.version == trial.version


def _shown(trial: Trial, view: View | None) -> dict[str, Any]:
    """A trial as JSON; without a view no run has been judged by this process."""
    evidence = view.evidence() if view else None
    return {
        "kind": trial.kind,
        "version": trial.version,
        "against": trial.against,
        "share": trial.share or None,
        "state": trial.state.value,
        "runs": view.new.answered if view else 0,
        "of": trial.runs,
        "e_value": round(evidence.e_value, 3) if evidence else 1.0,
        "e_needed": round(1 / trial.alpha, 1),
        "most": evidence.words() if evidence else trial.words,
    }
