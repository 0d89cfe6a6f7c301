"""Who answers which thread while a version is tried, and how a trial begins and ends.

A canary is promoted, loaded and probed, and answers a share of the new threads; the rest stay with
the live version. Knows nothing of evidence: adapt.watch has that, and calls here when it has
decided. Also called by the cycle's last stage, the command line and the server's administration.
"""

import hashlib
import hmac
import secrets
from dataclasses import asdict
from typing import Any

from adapt.runtime import Runtime
from adapt.swap import Swapped
from store import Store
from store.errors import StateError
from store.records import Version, VersionState
from store.trials import Trial, TrialState


def route(runtime: Runtime, thread: str) -> str:
    """The version that answers a run of a thread: read once, at its start.

    A thread that began on the canary or on the live version stays there while both are served.
    """
    live = runtime.live()
    trial = runtime.store.trials.canary()
    if trial is None or trial.against != live:
        return live
    began = runtime.store.episodes.first_of(thread)
    if began is not None:
        return trial.version if began[0] == trial.version else live
    return trial.version if place_of(trial.key, thread) < trial.share else live


def place_of(key: str, thread: str) -> float:
    """Where a thread falls in [0, 1): evenly, the same always, and not to be told without the
    key, so that no client can choose its version by the name of its thread."""
    digest = hmac.new(bytes.fromhex(key), thread.encode(), hashlib.sha256).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


async def put_forward(runtime: Runtime, name: str) -> dict[str, Any]:
    """What follows the gate's promotion: a canary where the settings ask for one, else live.

    A version that was rolled back stays so: only a person brings it back. Can be called again
    after a kill at any point. Merged weights take the engine's place and cannot be tried beside
    what is live; they are watched only.
    """
    store, settings = runtime.store, runtime.settings.swap
    version, live = store.versions.get(name), store.versions.live()
    assert live is not None, "a runtime always has a live version"
    if version.state is VersionState.ROLLED_BACK:
        return {"live": live.name, "withheld": f"{name} was rolled back before"}
    line_of = runtime.swap.hands.line_of
    beside = version.kind == "adapter" and line_of(version).name == line_of(live).name
    fresh = version.state in (VersionState.PROMOTED, VersionState.CANARY)
    if settings.canary_share > 0 and beside and fresh:
        await _begin_canary(runtime, version, live)
        return {"live": live.name, "canary": name, "share": settings.canary_share}
    swapped = await make_live(runtime, name)
    return {
        "live": swapped.live, "previous": swapped.previous,
        "swap_ms": round(swapped.milliseconds, 1),
    }  # fmt: skip


async def _begin_canary(runtime: Runtime, version: Version, live: Version) -> None:
    store, settings = runtime.store, runtime.settings
    async with runtime.trial_lock:
        running = store.trials.canary()
        if running is None or running.version != version.name:
            if running is not None:
                _withdraw(store, running, TrialState.STOPPED, f"{version.name} is tried instead")
            await runtime.swap.load(version)
            await runtime.swap.check(version)
            # The watch that follows has the other half.
            share = 0.5 if settings.swap.watch_runs else 1.0
            store.trials.begin(
                "canary", version.name, live.name, runs=settings.swap.canary_runs,
                alpha=share * settings.gate.alpha, share=settings.swap.canary_share,
                key=secrets.token_hex(32),
            )  # fmt: skip
        if version.state is VersionState.PROMOTED:
            store.versions.move(version.name, VersionState.CANARY)


async def make_live(
    runtime: Runtime, name: str, words: str = "made live before its end"
) -> Swapped:
    """Make a version live, end what is tried, and begin to watch it.

    `words` say why the version's own canary has ended; any other canary is withdrawn, since what
    it was compared with is no longer live.
    """
    async with runtime.trial_lock:
        return await _make_live(runtime, name, TrialState.STOPPED, words)


async def pass_canary(runtime: Runtime, trial: Trial, words: str) -> None:
    """Make live a canary that has answered enough runs, unless somebody was first."""
    async with runtime.trial_lock:
        if _still(runtime.store, trial, TrialState.RUNNING):
            await _make_live(runtime, trial.version, TrialState.PASSED, words)


async def _make_live(runtime: Runtime, name: str, own: TrialState, words: str) -> Swapped:
    store = runtime.store
    swapped = await runtime.swap.promote(name)
    tried = False
    for trial in store.trials.open():
        if trial.kind == "canary" and trial.version == name:
            tried = True
            store.trials.move(trial.number, own, words)
        elif trial.kind == "canary":
            _withdraw(store, trial, TrialState.STOPPED, f"{name} was made live")
        elif trial.version != name:
            store.trials.move(trial.number, TrialState.STOPPED, f"{name} was made live")
    _begin_watch(runtime, name, after_canary=tried)
    return swapped


def _begin_watch(runtime: Runtime, name: str, *, after_canary: bool) -> None:
    """Watch a version since it went live, once, unless the settings say not to."""
    store, settings = runtime.store, runtime.settings
    flip = store.versions.history()[-1]
    if not settings.swap.watch_runs or flip.kind != "go_live" or flip.previous is None:
        return
    watches = [t for t in store.trials.list() if t.kind == "watch" and t.version == name]
    if watches and watches[-1].began_at >= flip.at:
        return
    alpha = settings.gate.alpha * (0.5 if after_canary else 1.0)
    store.trials.begin("watch", name, flip.previous, runs=settings.swap.watch_runs, alpha=alpha)


def refuse_nothing(store: Store) -> None:
    """StateError where `take_back` has neither a canary nor a version before."""
    if all(trial.kind != "canary" for trial in store.trials.open()):
        store.versions.to_roll_back()


async def take_back(runtime: Runtime) -> dict[str, Any]:
    """What a person's roll back does: withdraw the canary if there is one, else go back to the
    version before. StateError when there is neither."""
    store = runtime.store
    async with runtime.trial_lock:
        canary = next((t for t in store.trials.open() if t.kind == "canary"), None)
        if canary is not None:
            _withdraw(store, canary, TrialState.STOPPED, "withdrawn by hand")
            await runtime.swap.trim()
            return {
                "live": runtime.live(), "previous": None, "withdrawn": canary.version,
                "milliseconds": 0.0,
            }  # fmt: skip
        swapped = await runtime.swap.roll_back()
        for trial in store.trials.open():
            store.trials.move(trial.number, TrialState.STOPPED, "rolled back by hand")
        return asdict(swapped)


async def withdraw(runtime: Runtime, trial: Trial) -> None:
    """Act on harm that is recorded: withdraw a canary, go back from a live version.

    What somebody else has changed meanwhile stays as it is. EngineError while the version before
    cannot be served; the trial then stays in `harm`, to be acted on later.
    """
    store = runtime.store
    async with runtime.trial_lock:
        if not _still(store, trial, TrialState.HARM):
            return
        if trial.kind == "canary":
            _withdraw(store, trial, TrialState.WITHDRAWN, trial.words)
            await runtime.swap.trim()
            return
        live = store.versions.live()
        if live is not None and live.name == trial.version:
            await runtime.swap.roll_back()
        store.trials.move(trial.number, TrialState.WITHDRAWN, trial.words)
        for other in store.trials.open():
            if other.kind == "canary":
                words = f"{trial.version}, which it was compared with, was rolled back"
                _withdraw(store, other, TrialState.STOPPED, words)


def _withdraw(store: Store, trial: Trial, state: TrialState, words: str) -> None:
    """End a canary. Its threads go on on the live version from the next run on."""
    if store.versions.get(trial.version).state is VersionState.PROMOTED:
        # Killed between the two records of its beginning.
        store.versions.move(trial.version, VersionState.CANARY)
    if store.versions.get(trial.version).state is VersionState.CANARY:
        store.versions.move(trial.version, VersionState.ROLLED_BACK)
    store.trials.move(trial.number, state, words)


def _still(store: Store, trial: Trial, state: TrialState) -> bool:
    return any(t.number == trial.number and t.state is state for t in store.trials.open())


def wanted(store: Store) -> set[str]:
    """Versions besides the live ones that must stay loaded: the canary."""
    return {trial.version for trial in store.trials.open() if trial.kind == "canary"}


def refuse_while_trying(store: Store) -> None:
    """StateError while a canary runs: a new version learns from what is live and is compared with
    it, and both may be about to change."""
    if (trial := store.trials.canary()) is not None:
        raise StateError(
            f"{trial.version} is tried on a share of the threads, and updates wait for it",
            f"end it: perennial versions promote {trial.version}, or: perennial versions rollback",
        )
