"""Consolidation: what the rows have learned becomes the weights that the next rows are trained on.

The live version's base and adapter are added up as whole weights, held against the version itself,
put in its place, and the rows that may change are chosen anew. When it is worth it is said by
adapt.proposal; how engines change their weights is adapt.swap's. Called by adapt.commands and
adapt.up.
"""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapt.base import base_of, find_model
from adapt.canary import make_live, refuse_while_trying
from adapt.cycle import refuse_if_running
from adapt.cycle_context import Context
from adapt.cycle_learning import attribute_base
from adapt.events import Event, Notify
from adapt.probe import TOLERANCE, compare
from adapt.runtime import Runtime
from adapt.worker_run import alone, place_of
from store import Store
from store.errors import PerennialError, StageError, StateError
from store.records import CycleStage, Probe, Version, utc_now


async def consolidate(runtime: Runtime, notify: Notify) -> Version:
    """Make whole weights of the live version and put them in its place. Returns the new version.

    The same call goes on with what was interrupted, at any point. StateError while a cycle or a
    canary is at work, or when the live version is whole weights already; StageError when the merged
    weights answer otherwise than the version; IntegrityError when its bytes have changed; BusyError
    when another process runs updates. The live version stays on any failure.
    """
    refuse_if_running(runtime)
    async with runtime.cycle_lock:
        work = _Consolidation(runtime, notify)
        return await alone(runtime.store.leases, place_of(runtime.home), work.run)


def source_of(store: Store) -> Version:
    """The version that is made whole: the live one, or that of which it was made just now.

    StateError as `consolidate`.
    """
    live = store.versions.live()
    if live is None:
        raise StateError("no version is live yet", "begin with one: perennial up")
    if live.kind == "merged" and live.parent is not None:
        parent = store.versions.get(live.parent)
        if _folder(store, parent).is_dir():
            return parent
    if live.kind != "adapter":
        raise StateError(
            f"{live.name} is whole weights already: no adapter is on it",
            "consolidate when updates have been learned: perennial update",
        )
    if live.probe is None:
        raise StageError(f"{live.name} has no probe", "make the version again")
    if (cycle := store.cycles.unfinished()) is not None:
        raise StateError(
            f"update {cycle.number} was interrupted, and was begun on the present weights",
            "let it end first: perennial update",
        )
    refuse_while_trying(store)
    return live


def told(version: Version) -> dict[str, Any]:
    """What came of a consolidation, as JSON."""
    return {"live": version.name, "previous": version.parent, "base_digest": version.base_digest}


@dataclass(frozen=True)
class _Consolidation:
    """One consolidation in progress."""

    runtime: Runtime
    notify: Notify

    async def run(self) -> Version:
        """All of it. The folder of the version says that it is not done, and goes last."""
        source = source_of(self.runtime.store)
        folder = _folder(self.runtime.store, source)
        for other in folder.parent.glob("*"):
            # Of a version that is not live any more: whole weights that nobody will ask for.
            if other != folder:
                shutil.rmtree(other)
        folder.mkdir(parents=True, exist_ok=True)
        async with self._stage(CycleStage.COMPOSE) as facts:
            made = _made_of(self.runtime.store, source) or await self._make(source, folder, facts)
            facts["version"] = made.name
        async with self._stage(CycleStage.SWAP) as facts:
            swapped = await make_live(self.runtime, made.name)
            facts |= {"live": swapped.live, "swap_ms": round(swapped.milliseconds, 1)}
            self.runtime.follow()
        try:
            async with self._stage(CycleStage.ATTRIBUTE):
                await attribute_base(self._context(CycleStage.ATTRIBUTE))
        except PerennialError as error:
            # The version is live; the next update meets the same fault, and tells of it.
            self.notify(Event(CycleStage.ATTRIBUTE, "failed", text=str(error)))
        shutil.rmtree(folder)
        return self.runtime.store.versions.get(made.name)

    async def _make(self, source: Version, folder: Path, facts: dict[str, Any]) -> Version:
        """Merge, compare, store. Nothing of it is left where it cannot be used."""
        assert source.probe is not None, f"{source.name} was looked at before"
        runtime = self.runtime
        base = base_of(runtime.store, source, runtime.base)
        # A sum with damaged bytes would be weights whose digest is right.
        await asyncio.to_thread(runtime.store.artifacts.verify, source.path)
        if base.merged:
            below = runtime.store.versions.get(base.merged)
            await asyncio.to_thread(runtime.store.artifacts.verify, below.path)
        child = folder / "child"
        request = {
            "model_dir": str(base.path),
            "adapter_dir": str(runtime.store.artifacts.path(source.path)),
            "prompts": list(source.probe.prompts),
            "k": len(source.probe.token_ids[0]),
        }
        result = await self._context(CycleStage.COMPOSE).child(
            "adapt.stages:merge_stage", request, child
        )
        try:
            probe = Probe.model_validate(result["probe"])
            facts["difference"] = _compared(source, probe, result["format"])
            made = await asyncio.to_thread(_stored, runtime, source, Path(result["path"]), probe)
        except PerennialError:
            shutil.rmtree(child)
            raise
        shutil.rmtree(child)
        return made

    def _context(self, stage: CycleStage) -> Context:
        newest = next(self.runtime.store.cycles.newest_first(), None)
        return Context(self.runtime, (newest.number if newest else 0) + 1, stage, self.notify)

    @asynccontextmanager
    async def _stage(self, stage: CycleStage) -> AsyncIterator[dict[str, Any]]:
        """Tells of a stage as a cycle does. Yields the facts to be told at its end."""
        facts: dict[str, Any] = {}
        self.notify(Event(stage, "started"))
        began = time.monotonic()
        yield facts
        self.notify(Event(stage, "done", facts=facts, seconds=time.monotonic() - began))


def _folder(store: Store, source: Version) -> Path:
    return store.home.path / "merges" / source.name


def _made_of(store: Store, source: Version) -> Version | None:
    """Whole weights of a version that were made before and are still there."""
    whole = set(store.artifacts.digests())
    for version in reversed(store.versions.list()):
        if version.kind == "merged" and version.parent == source.name and version.path in whole:
            return version
    return None


def _compared(source: Version, probe: Probe, number_format: str) -> float:
    """Largest difference in nats between merged weights and the version at its own prompts.

    StageError when it is more than serving itself may differ.
    """
    assert source.probe is not None, f"{source.name} was looked at before"
    answers = list(zip(probe.token_ids, probe.logprobs, strict=True))
    found = compare(source.probe, answers)
    if not found.ok:
        rounds = number_format not in ("float32", "float64")
        raise StageError(
            f"whole weights answer otherwise than {source.name}: log-probabilities differ by up to "
            f"{found.max_abs_diff:.3f}, {TOLERANCE:g} is allowed; they are {number_format}"
            + (", which rounds small changes away" if rounds else ""),
            "keep the adapter, which is exact"
            + (", or begin a home with the same model in float32" if rounds else ""),
        )
    return found.max_abs_diff


def _stored(runtime: Runtime, source: Version, path: Path, probe: Probe) -> Version:
    """A model directory as a merged version: its bytes first, then the record."""
    store = runtime.store
    digest = store.artifacts.put(path)
    known = store.versions.by_digest(digest)
    if known is not None:
        return known
    model = find_model(str(store.artifacts.path(digest)), runtime.home.path / "digests")
    assert model.template_digest == source.template_digest, "the template is copied"
    number = store.versions.next_number()
    version = Version(
        name=f"v{number}-{digest[:6]}",
        number=number,
        digest=digest,
        kind="merged",
        base_digest=model.digest,
        parent=source.name,
        template_digest=model.template_digest,
        path=digest,
        probe=probe,
        created_at=utc_now(),
    )
    store.versions.create(version)
    return version
