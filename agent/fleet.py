"""Several engines that are asked as one.

A request goes to an engine that holds its version: to the one that saw the same beginning before,
unless another is less busy. What got no answer is asked once more, elsewhere where there is another
engine. The fleet loads and starts nothing; `adapt.swap` and the supervisors do. It belongs to one
event loop. Called by whoever asks: the agent, evals, the cycle.
"""

import asyncio
import hashlib
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, TypeVar, Unpack

from agent.engine import (
    Delta,
    Engine,
    Generation,
    Length,
    PromptLogprobs,
    Reply,
    Sampling,
    TopLogprobs,
)
from agent.fleet_member import Member
from store.errors import EngineRefused, EngineTimeout, EngineUnavailable

READY_S = 60.0
"""How long a request waits for an engine that is coming back."""
NOTICE_S = 0.5
"""After a lost request: by then an engine that is about to die has died."""
POLL_S = 0.05
SLACK = 2
"""Requests more than the least busy engine has, for a beginning that is cached elsewhere."""
BEGINNING = 512
"""Characters or tokens of a prompt that decide where it goes."""

Wire = dict[str, Any]
T = TypeVar("T")


class Inference(Protocol):
    """What answers for versions: one engine, or a fleet of them. See `agent.engine.Engine`."""

    async def chat(
        self, model: str, messages: list[Wire], tools: list[Wire] | None = None, *,
        max_tokens: int, **sampling: Unpack[Sampling],
    ) -> Reply: ...  # fmt: skip

    def chat_stream(
        self, model: str, messages: list[Wire], tools: list[Wire] | None = None, *,
        max_tokens: int, **sampling: Unpack[Sampling],
    ) -> AsyncGenerator[Delta | Reply, None]: ...  # fmt: skip

    async def length(
        self, model: str, messages: list[Wire], tools: list[Wire] | None = None
    ) -> Length: ...

    async def generate(
        self, model: str, prompt: str | Sequence[int], *,
        max_tokens: int, **sampling: Unpack[Sampling],
    ) -> Generation: ...  # fmt: skip

    async def top_logprobs(
        self, model: str, prompt: str | Sequence[int], k: int = 5, *, priority: int = 0
    ) -> TopLogprobs: ...

    async def prompt_logprobs(
        self, model: str, prompt: str | Sequence[int], k: int = 0, *, priority: int = 0
    ) -> PromptLogprobs: ...

    async def models(self) -> list[str]: ...

    async def health(self) -> bool: ...

    async def metrics(self) -> dict[str, float]: ...

    async def expositions(self) -> dict[str, str | None]: ...


class Fleet:
    """The engines of one home. All methods raise EngineUnavailable and EngineRefused."""

    def __init__(self, members: Iterable[Member] = (), wait_s: float = READY_S) -> None:
        self.members = list(members)
        self._wait_s = wait_s

    @classmethod
    def of(cls, engine: Engine, served: str) -> "Fleet":
        """One engine that is up, serves `served`, and is watched by nobody."""
        member = Member("engine", engine)
        member.served = member.weights = served
        member.ready = True
        return cls([member])

    @property
    def ready(self) -> list[Member]:
        """The engines that get requests."""
        return [member for member in self.members if member.ready]

    async def chat(
        self, model: str, messages: list[Wire], tools: list[Wire] | None = None, *,
        max_tokens: int, **sampling: Unpack[Sampling],
    ) -> Reply:  # fmt: skip
        """One whole answer; see `Engine.chat`."""
        return await self._ask(
            model, _beginning(messages),
            lambda e, name: e.chat(name, messages, tools, max_tokens=max_tokens, **sampling),
        )  # fmt: skip

    async def chat_stream(
        self, model: str, messages: list[Wire], tools: list[Wire] | None = None, *,
        max_tokens: int, **sampling: Unpack[Sampling],
    ) -> AsyncGenerator[Delta | Reply, None]:  # fmt: skip
        """The same in pieces. Once a piece is out, nothing is asked again: it would come twice."""
        key, tried, begun = _beginning(messages), None, False
        while True:
            member = await self._choose(model, key, tried)
            own, name = member.weights, member.model_of(model)
            pieces = member.engine.chat_stream(
                name, messages, tools, max_tokens=max_tokens, **sampling
            )
            try:
                with member.busy():
                    async with aclosing(pieces):
                        async for piece in pieces:
                            begun = True
                            yield _renamed(piece, member.served, own)
                member.breaker.answered()
                return
            except (EngineUnavailable, EngineRefused) as error:
                if begun or not self._again(member, model, error, tried):
                    raise
                tried = member

    async def length(
        self, model: str, messages: list[Wire], tools: list[Wire] | None = None
    ) -> Length:
        """How long the prompt of a chat is; see `Engine.length`."""
        return await self._ask(
            model, _beginning(messages), lambda e, name: e.length(name, messages, tools)
        )

    async def generate(
        self, model: str, prompt: str | Sequence[int], *,
        max_tokens: int, **sampling: Unpack[Sampling],
    ) -> Generation:  # fmt: skip
        """Continue a fully rendered prompt; see `Engine.generate`."""
        return await self._ask(
            model, prompt,
            lambda e, name: e.generate(name, prompt, max_tokens=max_tokens, **sampling),
        )  # fmt: skip

    async def top_logprobs(
        self, model: str, prompt: str | Sequence[int], k: int = 5, *, priority: int = 0
    ) -> TopLogprobs:
        """The likeliest next tokens; see `Engine.top_logprobs`."""
        return await self._ask(
            model, prompt, lambda e, name: e.top_logprobs(name, prompt, k, priority=priority)
        )

    async def prompt_logprobs(
        self, model: str, prompt: str | Sequence[int], k: int = 0, *, priority: int = 0
    ) -> PromptLogprobs:
        """Log-probabilities of a prompt; see `Engine.prompt_logprobs`."""
        return await self._ask(
            model, prompt, lambda e, name: e.prompt_logprobs(name, prompt, k, priority=priority)
        )

    async def models(self) -> list[str]:
        """Versions that can be asked now, whole weights first."""
        ready = self.ready
        names = [member.weights for member in ready]
        names += sorted(name for member in ready for name in member.adapters)
        return list(dict.fromkeys(names))

    async def health(self) -> bool:
        """Whether some engine answers and says it is well. Never raises."""
        return any(await asyncio.gather(*(member.engine.health() for member in self.ready)))

    async def metrics(self) -> dict[str, float]:
        """The engines' own counters and gauges, summed."""
        total: Counter[str] = Counter()
        for found in await asyncio.gather(*(member.engine.metrics() for member in self.ready)):
            total.update(found)
        return dict(total)

    async def expositions(self) -> dict[str, str | None]:
        """What each engine tells Prometheus, by its name; None for one that is away."""
        ready = self.ready
        found = await asyncio.gather(*(member.engine.exposition() for member in ready))
        told = {member.name: text for member, text in zip(ready, found, strict=True)}
        return {member.name: told.get(member.name) for member in self.members}

    async def load_adapter(self, name: str, path: Path) -> None:
        """Have every engine hold an adapter under a name that was never used."""
        for member in self.ready:
            await member.engine.load_adapter(name, path)
            member.adapters.add(name)

    async def unload_adapter(self, name: str) -> None:
        """Have every engine forget an adapter."""
        for member in self.ready:
            member.adapters.discard(name)
            await member.engine.unload_adapter(name)

    async def wait_ready(self, timeout_s: float = READY_S) -> None:
        """Return once requests can be sent. EngineUnavailable when all engines were given up, or
        none is back in time."""
        deadline = time.monotonic() + timeout_s
        while not self.ready:
            faults = [member.fault for member in self.members if member.fault]
            if faults and len(faults) == len(self.members):
                raise faults[0]
            if time.monotonic() > deadline:
                raise EngineUnavailable(
                    f"the engine is restarting and not back after {timeout_s:g} s",
                    "try again in a minute",
                )
            await asyncio.sleep(POLL_S)

    async def close(self) -> None:
        """Drop all connections. The engines go on."""
        await asyncio.gather(*(member.engine.close() for member in self.members))

    async def _ask(
        self, model: str, beginning: Any, ask: Callable[[Engine, str], Awaitable[T]]
    ) -> T:
        tried: Member | None = None
        while True:
            member = await self._choose(model, beginning, tried)
            own = member.weights
            try:
                with member.busy():
                    answer = await ask(member.engine, member.model_of(model))
            except (EngineUnavailable, EngineRefused) as error:
                if not self._again(member, model, error, tried):
                    raise
                tried = member
                continue
            member.breaker.answered()
            return _renamed(answer, member.served, own)

    def _again(self, member: Member, model: str, error: Exception, tried: Member | None) -> bool:
        """Whether a request that failed is asked once more; takes note of the failure."""
        if isinstance(error, EngineRefused):
            if error.status != 404 or model == member.weights:
                return False
            # It was started anew behind our back and has lost its adapters.
            member.adapters.discard(model)
            member.broken.set()
        else:
            member.breaker.failed()
        if tried is not None:
            return False
        others = any(m is not member and m.holds(model) for m in self.ready)
        # Whoever has waited for one engine until the time ran out must not wait as long again.
        return others or (member.revives and not isinstance(error, EngineTimeout))

    async def _choose(self, model: str, beginning: Any, tried: Member | None) -> Member:
        """The engine for a request; waits where one is coming back.

        EngineRefused for a version that none is going to hold, EngineUnavailable when none came.
        """
        deadline = time.monotonic() + self._wait_s
        if tried is not None and not any(self._able(model, tried)):
            await asyncio.sleep(NOTICE_S)
            await tried.seen_since(time.monotonic(), deadline)
            tried = None
        while True:
            able = list(self._able(model, tried))
            if able:
                return _preferred(able, beginning)
            # One that was found broken a moment ago is coming back, too.
            coming = any(m.revives and (not m.ready or m.broken.is_set()) for m in self.members)
            if not coming or time.monotonic() > deadline:
                raise self._none(model)
            await asyncio.sleep(POLL_S)

    def _able(self, model: str, tried: Member | None) -> list[Member]:
        """Who can answer: those that did not fail lately, or all where all did."""
        holders = [m for m in self.ready if m.holds(model) and m is not tried]
        return [m for m in holders if m.breaker.closed] or holders

    def _none(self, model: str) -> EngineUnavailable | EngineRefused:
        if not self.ready:
            return EngineUnavailable("no engine is up", "`perennial doctor` tells what is wrong")
        return EngineRefused(
            f"no engine serves the model {model!r}", "load it first; /v1/models lists them", 404
        )


def _preferred(able: Sequence[Member], beginning: Any) -> Member:
    """By rendezvous hashing the same beginning goes to the same engine while that is no busier."""
    text = repr(beginning[:BEGINNING]).encode()

    def weight(member: Member) -> bytes:
        return hashlib.blake2b(text, key=member.name.encode()[:64], digest_size=8).digest()

    usual = max(able, key=weight)
    least = min(able, key=lambda m: m.in_flight)
    return usual if usual.in_flight <= least.in_flight + SLACK else least


def _beginning(messages: list[Wire]) -> str:
    """What a conversation begins with, after the system message that all have in common."""
    for message in messages:
        if message.get("role") != "system":
            return str(message.get("content") or "")
    return ""


def _renamed(answer: Any, served: str, weights: str) -> Any:
    """An engine's own word on who answered stands, but for its name of weights: theirs is put."""
    if getattr(answer, "model", "") != served or served == weights:
        return answer
    return replace(answer, model=weights)
