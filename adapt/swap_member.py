"""What a swap does to one engine: have it hold a version, prove it, warm it, change its weights.

Decides nothing about which version is live. Called by adapt.swap.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adapt.probe import ProbeComparison, compare
from agent.fleet_member import Member
from store import Store
from store.errors import EngineError, StageError
from store.records import Version

Wire = dict[str, Any]


@dataclass(frozen=True)
class Common:
    """What most conversations begin with; its keys and values are computed before the flip."""

    messages: Sequence[Wire] = ()
    tools: Sequence[Wire] = ()


@dataclass
class Replaced:
    """How long an engine stood still for other weights, and how much of it was their loading."""

    paused_ms: float = 0.0
    reload_ms: float = 0.0


@dataclass
class Hands:
    """Changes engines. `weights_at` is the model directory of a version of kind base or merged."""

    store: Store
    weights_at: Callable[[Version], Path]
    common: Common = field(default_factory=Common)

    def line_of(self, version: Version) -> Version:
        """The version whose weights a version needs: itself, or what its adapter was trained on."""
        while version.kind == "adapter" and version.parent is not None:
            version = self.store.versions.get(version.parent)
        if version.kind == "adapter":
            return self.store.versions.first()
        return version

    async def verify(self, version: Version) -> None:
        """IntegrityError when a version's bytes are not those recorded; the base has no record."""
        if version.kind != "base":
            # In a thread: every stream of this process would stand still while it reads.
            await asyncio.to_thread(self.store.artifacts.verify, version.path)

    async def hold(self, member: Member, version: Version) -> None:
        """Load an adapter, after checking that its bytes are those recorded."""
        if version.kind != "adapter":
            return
        # The engine's own word: one that was started anew behind our back has lost them.
        if version.name not in await member.engine.models():
            await self.verify(version)
            await member.engine.load_adapter(version.name, self.store.artifacts.path(version.path))
        member.adapters.add(version.name)

    async def prove(self, member: Member, version: Version) -> ProbeComparison | None:
        """Compare the engine's next-token log-probabilities with the version's own.

        StageError when they differ: the engine would serve something else under this name. The
        first base is what the engine was started with; it has no probe, and None is returned.
        """
        if version.probe is None and version.kind == "base":
            return None
        if version.probe is None:
            raise StageError(f"{version.name} has no probe", "make the version again")
        top = []
        name = member.model_of(version.name)
        for prompt, ids in zip(version.probe.prompts, version.probe.token_ids, strict=True):
            said = await member.engine.top_logprobs(name, prompt, k=len(ids))
            top.append((said.token_ids, said.logprobs))
        comparison = compare(version.probe, top)
        if not comparison.ok:
            raise StageError(
                f"the engine does not serve {version.name}: log-probabilities differ by "
                f"{comparison.max_abs_diff:.3f}",
                "restart the engine; the live version is unchanged",
            )
        return comparison

    async def warm(self, member: Member, version: Version) -> None:
        """Have the beginning of most conversations computed, or the first users would wait for
        it. A failure costs them that wait and nothing else."""
        if not self.common.messages:
            return
        messages = [*self.common.messages, {"role": "user", "content": ""}]
        try:
            await member.engine.chat(
                member.model_of(version.name), messages, list(self.common.tools), max_tokens=1
            )
        except EngineError:
            pass

    async def drop(self, member: Member, name: str) -> bool:
        """Unload an adapter; whether it went. One that stays costs memory, never a request."""
        # First out of the fleet's sight: the next trim tries again what the engine kept.
        member.adapters.discard(name)
        try:
            await member.engine.unload_adapter(name)
        except EngineError:
            return False
        return True

    async def replace(self, member: Member, version: Version) -> Replaced:
        """Put the weights of a version into a running engine, hold the version, and prove it.

        The member must be idle and out of the fleet, and the weights verified. Its adapters are
        gone afterwards.
        """
        line, took = self.line_of(version), Replaced()
        path = self.weights_at(line)
        for name in sorted(member.adapters):
            await self.drop(member, name)
        engine, began = member.engine, time.perf_counter()
        await engine.pause()
        try:
            reloading = time.perf_counter()
            await engine.reload_weights(path)
            took.reload_ms = 1000 * (time.perf_counter() - reloading)
            await engine.forget_prefixes()
        finally:
            # Paused for good, it would hold every later request for ever.
            await engine.resume()
        took.paused_ms = 1000 * (time.perf_counter() - began)
        member.weights = line.name
        await self.hold(member, version)
        await self.prove(member, version)
        return took
