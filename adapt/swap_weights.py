"""Replacing the weights of running engines: for merged versions, and for going back behind one.

Old and new weights cannot be in one engine at once. With several engines some serve the old version
until its runs have ended while the others serve the new; a single engine first lets all runs end
while new ones wait at the door. Whatever fails, the old weights are put back and proved. Called by
adapt.swap only.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from agent.fleet_member import Member
from store.errors import BusyError, PerennialError
from store.records import Version

if TYPE_CHECKING:
    from adapt.swap import Swapper

POLL_S = 0.05
Flip = Callable[[], str | None]
Took = dict[str, Any]


async def replace_weights(swapper: "Swapper", version: Version, flip: Flip) -> Took:
    """Have all engines serve `version`, and flip the alias in between. The fields of a Swapped."""
    members = swapper.fleet.ready
    # Gigabytes are read: before the door is shut.
    await swapper.hands.verify(swapper.hands.line_of(version))
    if len(members) == 1:
        return await _alone(swapper, members[0], version, flip)
    return await _in_turn(swapper, members, version, flip)


async def _alone(swapper: "Swapper", member: Member, version: Version, flip: Flip) -> Took:
    old, shut = swapper.store.versions.live(), time.perf_counter()
    async with swapper.door.shut(swapper.drain_s):
        # Runs that did not come through the door: of the command line, of the demo.
        if not await _unpinned(swapper, version):
            raise BusyError(
                f"runs are still under way after {swapper.drain_s:g} s: {swapper.pinned()}",
                "try again when less is going on, or raise swap.drain_s",
            )
        await _out(member, swapper.drain_s)
        took = await _replace(swapper, member, version, old)
        flipping = time.perf_counter()
        try:
            previous = flip()
        except BaseException:
            await _back(swapper, member, old)
            raise
        finally:
            member.ready = not member.broken.is_set()
        now = time.perf_counter()
    return took | {
        "previous": previous, "flip_ms": 1000 * (now - flipping), "held_ms": 1000 * (now - shut),
    }  # fmt: skip


async def _in_turn(
    swapper: "Swapper", members: Sequence[Member], version: Version, flip: Flip
) -> Took:
    old = swapper.store.versions.live()
    half = len(members) // 2
    first, rest = members[:half], members[half:]
    took: Took = {}
    done: list[Member] = []
    try:
        for member in first:
            await _out(member, swapper.drain_s)
            done.append(member)
            took = _longest(took, await _replace(swapper, member, version, old))
            member.ready = True
        flipping = time.perf_counter()
        took |= {"previous": flip(), "flip_ms": 1000 * (time.perf_counter() - flipping)}
    except BaseException:
        for member in done:
            member.ready = False
            await _back(swapper, member, old)
            member.ready = not member.broken.is_set()
        raise
    # Runs that take longer than they may lose their version: the rest cannot wait for ever.
    await _unpinned(swapper, version)
    for member in rest:
        try:
            await _out(member, swapper.drain_s)
            took = _longest(took, await _replace(swapper, member, version, None))
            member.ready = True
        except PerennialError:
            # The new version is live: what cannot follow is started again with its weights.
            member.ready = False
            member.broken.set()
    return took


async def _replace(
    swapper: "Swapper", member: Member, version: Version, old: Version | None
) -> Took:
    """Other weights in one engine; the old ones again when that fails."""
    try:
        took = await swapper.hands.replace(member, version)
        await swapper.hands.warm(member, version)
    except BaseException:
        await _back(swapper, member, old)
        raise
    return {"paused_ms": took.paused_ms, "reload_ms": took.reload_ms}


async def _back(swapper: "Swapper", member: Member, old: Version | None) -> None:
    """The old weights and the old version, proved; an engine that cannot is started again."""
    try:
        if old is not None:
            await swapper.hands.verify(swapper.hands.line_of(old))
            await swapper.hands.replace(member, old)
            member.ready = True
            return
    except PerennialError:
        pass
    member.ready = False
    member.broken.set()


async def _out(member: Member, drain_s: float) -> None:
    """Take an engine out of the fleet once its requests are done. BusyError, and back in, when
    they are not in time."""
    member.ready = False
    if not await member.idle(drain_s):
        member.ready = True
        raise BusyError(
            f"{member.in_flight} requests of {member.name} are not done after {drain_s:g} s",
            "try again when less is going on, or raise swap.drain_s",
        )


async def _unpinned(swapper: "Swapper", version: Version) -> bool:
    """Wait until no run is bound to another version; False when that took too long."""
    deadline = time.monotonic() + swapper.drain_s
    while swapper.pinned() - {version.name}:
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(POLL_S)
    return True


def _longest(took: Took, other: Took) -> Took:
    return took | {name: max(value, took.get(name, 0.0)) for name, value in other.items()}
