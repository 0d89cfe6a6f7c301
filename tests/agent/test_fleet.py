"""Several engines asked as one: where requests go, and what happens when one of them fails."""

import asyncio
import time
from collections.abc import Awaitable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import pytest

from agent.door import Door
from agent.engine import Engine
from agent.fake_engine import FakeVllm
from agent.fleet import NOTICE_S, SLACK, Fleet
from agent.fleet_member import FAILURES, PAUSE_S, Breaker, Member
from agent.pulse import until_gone
from store.errors import BusyError, EngineRefused, EngineUnavailable


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(work, 20))


def asked(question: str) -> list[dict[str, Any]]:
    return [{"role": "system", "content": "You help."}, {"role": "user", "content": question}]


def fakes(count: int, **options: Any) -> list[FakeVllm]:
    """Engines that say their number and the model they were asked as."""
    return [
        FakeVllm(lambda model, *_, place=place: f"{place} as {model}", **options)
        for place in range(count)
    ]


def fleet_of(
    engines: Sequence[FakeVllm], *held: str, revives: bool = False, wait_s: float = 2.0
) -> Fleet:
    members: list[Member] = []
    for place, fake in enumerate(engines):
        fake.adapters |= dict.fromkeys(held, "/nowhere")
        member = Member(f"e{place}", Engine(Path("-"), transport=fake), revives=revives)
        member.served = member.weights = "base"
        member.adapters = set(held)
        member.ready = True
        members.append(member)
    return Fleet(members, wait_s=wait_s)


def chats(fake: FakeVllm) -> int:
    return sum(path == "/v1/chat/completions" for path, _ in fake.requests)


def test_the_same_beginning_goes_to_the_same_engine() -> None:
    """Its prefix is cached there; other conversations go to both."""
    engines = fakes(2)
    fleet = fleet_of(engines)

    async def work() -> None:
        first = [await fleet.chat("base", asked("where is it"), max_tokens=8) for _ in range(6)]
        assert len({reply.content for reply in first}) == 1
        for place in range(20):
            await fleet.chat("base", asked(f"question {place}"), max_tokens=8)

    run(work())
    assert min(chats(fake) for fake in engines) >= 4


def test_a_busy_engine_is_passed_over() -> None:
    """A cached beginning is not worth waiting behind more than a few requests."""
    engines = fakes(2, delay_s=0.05)
    fleet = fleet_of(engines)

    async def work() -> None:
        await asyncio.gather(
            *(fleet.chat("base", asked("the same"), max_tokens=8) for _ in range(10))
        )

    run(work())
    assert abs(chats(engines[0]) - chats(engines[1])) <= SLACK


def test_only_engines_that_hold_a_version_are_asked_for_it() -> None:
    engines = fakes(3)
    fleet = fleet_of(engines)
    fleet.members[1].adapters.add("v1")
    engines[1].adapters["v1"] = "/nowhere"

    async def work() -> None:
        for place in range(9):
            reply = await fleet.chat("v1", asked(f"{place}"), max_tokens=8)
            assert reply.content == "1 as v1"

    run(work())


def test_a_version_that_nobody_holds_is_refused_at_once() -> None:
    with pytest.raises(EngineRefused, match="no engine serves the model 'v9'"):
        run(fleet_of(fakes(2)).chat("v9", asked("x"), max_tokens=8))


def test_what_got_no_answer_is_asked_elsewhere() -> None:
    """Whichever engine is dead."""
    for dead in (0, 1):
        engines = fakes(2)
        engines[dead].down = True
        fleet = fleet_of(engines)
        replies = [
            run(fleet.chat("base", asked(f"question {place}"), max_tokens=8)) for place in range(8)
        ]
        assert {reply.content for reply in replies} == {f"{1 - dead} as base"}


def test_a_stream_that_has_not_begun_is_asked_elsewhere() -> None:
    engines = fakes(2)
    engines[0].down = True
    fleet = fleet_of(engines)

    async def work() -> list[Any]:
        return [
            piece
            for place in range(6)
            async for piece in fleet.chat_stream("base", asked(f"q{place}"), max_tokens=8)
        ]

    assert [p.content for p in run(work()) if hasattr(p, "content")] == ["1 as base"] * 6


def test_without_another_engine_the_error_is_told() -> None:
    """Nobody brings this one back, so that waiting has no sense."""
    (fake,) = engines = fakes(1)
    fake.down = True
    with pytest.raises(EngineUnavailable):
        run(fleet_of(engines).chat("base", asked("x"), max_tokens=8))
    assert chats(fake) == 1


async def reply_beside(fleet: Fleet, meanwhile: Awaitable[None]) -> str:
    """What a request is answered while something happens to its engine."""
    asking = fleet.chat("base", asked("x"), max_tokens=8)
    reply, _ = await asyncio.gather(asking, meanwhile)
    return reply.content


def test_a_request_waits_for_the_only_engine_to_come_back() -> None:
    """A supervised engine that died under a request answers it after its restart."""
    (fake,) = engines = fakes(1)
    fake.down = True
    fleet = fleet_of(engines, revives=True)
    (member,) = fleet.members

    async def restart() -> None:
        while not chats(fake):
            await asyncio.sleep(0.01)
        member.ready = False
        await asyncio.sleep(0.7)
        fake.down = False
        member.ready = True

    assert run(reply_beside(fleet, restart())) == "0 as base"


def test_a_death_that_is_noticed_late_loses_no_request() -> None:
    """However long its watcher needs: the request is not sent to the dead engine once more."""
    (fake,) = engines = fakes(1)
    fake.down = True
    fleet = fleet_of(engines, revives=True, wait_s=60.0)
    (member,) = fleet.members
    member.seen = time.monotonic()

    async def restart() -> None:
        await asyncio.sleep(3 * NOTICE_S)
        member.ready = False
        assert chats(fake) == 1
        fake.down = False
        member.ready, member.seen = True, time.monotonic()

    assert run(reply_beside(fleet, restart())) == "0 as base"


def test_a_lost_request_has_its_engine_looked_at_soon() -> None:
    """One that works after all is asked again at once, not after the next look in its turn."""
    (fake,) = engines = fakes(1)
    fleet = fleet_of(engines, revives=True, wait_s=60.0)
    (member,) = fleet.members

    async def mend() -> None:
        while not chats(fake):
            await asyncio.sleep(0.01)
        fake.down = False

    async def work() -> str:
        looking = asyncio.create_task(until_gone(member, patience_s=60.0, every_s=60.0))
        while member.seen is None:
            await asyncio.sleep(0.01)
        fake.down = True
        content = await reply_beside(fleet, mend())
        looking.cancel()
        return content

    assert run(work()) == "0 as base"


def test_an_engine_that_lost_its_adapters_is_passed_over_and_marked() -> None:
    """It was started anew behind our back: the request goes elsewhere, and it is filled again."""
    engines = fakes(2)
    fleet = fleet_of(engines, "v1")
    engines[0].adapters.clear()

    async def work() -> None:
        for place in range(8):
            reply = await fleet.chat("v1", asked(f"q{place}"), max_tokens=8)
            assert reply.content == "1 as v1"
        assert fleet.members[0].broken.is_set() and not fleet.members[1].broken.is_set()

    run(work())


def test_an_engine_that_fails_often_is_left_alone() -> None:
    """Until its pause is over; then one request tries it again."""
    engines = fakes(2)
    engines[0].down = True
    fleet = fleet_of(engines)

    async def work() -> None:
        for place in range(40):
            await fleet.chat("base", asked(f"q{place}"), max_tokens=8)

    run(work())
    assert chats(engines[0]) == FAILURES


def test_a_breaker_closes_again_after_an_answer() -> None:
    now = 0.0
    breaker = Breaker(lambda: now)
    for _ in range(FAILURES):
        assert breaker.closed
        breaker.failed()
    assert not breaker.closed
    now += PAUSE_S
    assert breaker.closed
    breaker.failed()
    now += PAUSE_S
    assert not breaker.closed, "the second pause is longer"
    breaker.answered()
    assert breaker.closed


def test_replaced_weights_are_asked_by_the_engines_own_name_and_told_by_theirs() -> None:
    """vLLM keeps the name that it was started with."""
    (fake,) = engines = fakes(1)
    fleet = fleet_of(engines)
    fleet.members[0].weights = "v5"

    async def work() -> None:
        reply = await fleet.chat("v5", asked("x"), max_tokens=8)
        assert (reply.content, reply.model) == ("0 as base", "v5")
        pieces = [p async for p in fleet.chat_stream("v5", asked("x"), max_tokens=8)]
        assert pieces[-1].model == "v5"  # type: ignore[union-attr]
        assert await fleet.models() == ["v5"]
        with pytest.raises(EngineRefused):
            await fleet.chat("base", asked("x"), max_tokens=8)

    run(work())
    assert {body["model"] for _, body in fake.requests} == {"base"}


def test_an_answer_of_another_model_is_not_renamed() -> None:
    """What the engine says of itself is the evidence that no run mixes versions."""

    class Wrong(FakeVllm):
        """Answers as v1 whatever it is asked for."""

        async def handle_async_request(self, request: Any) -> Any:
            response = await super().handle_async_request(request)
            response._content = response.content.replace(b'"v2"', b'"v1"')
            return response

    fleet = fleet_of([Wrong(lambda *_: "x")], "v1", "v2")
    assert run(fleet.chat("v2", asked("x"), max_tokens=8)).model == "v1"


def test_the_door_lets_nobody_in_while_it_is_shut() -> None:
    order: list[str] = []

    async def request(door: Door, name: str, seconds: float) -> None:
        async with door.passed():
            await asyncio.sleep(seconds)
            order.append(name)

    async def work() -> None:
        door = Door()
        early = asyncio.create_task(request(door, "early", 0.05))
        await asyncio.sleep(0.01)

        async def late() -> None:
            await asyncio.sleep(0.02)
            await request(door, "late", 0)

        waiting = asyncio.create_task(late())
        async with door.shut(5.0):
            order.append("alone")
            await asyncio.sleep(0.05)
            order.append("still alone")
        await asyncio.gather(early, waiting)

    run(work())
    assert order == ["early", "alone", "still alone", "late"]


def test_a_door_that_cannot_be_emptied_opens_again() -> None:
    async def work() -> None:
        door = Door()
        async with door.passed():
            with pytest.raises(BusyError, match="1 requests are still under way"):
                async with door.shut(0.02):
                    pass
            async with door.passed():
                pass

    run(work())


def test_an_engine_that_is_healthy_and_gives_no_token_is_gone() -> None:
    """Its health check answers; requests hang."""

    class Deaf(FakeVllm):
        """Hangs on everything but /health and /v1/models."""

        async def handle_async_request(self, request: Any) -> Any:
            if request.url.path == "/v1/completions":
                await asyncio.sleep(60)
            return await super().handle_async_request(request)

    (member,) = fleet_of([Deaf(lambda *_: "x")]).members

    async def work() -> None:
        assert await member.engine.health()
        await until_gone(member, patience_s=0.05, every_s=0.01)

    asyncio.run(asyncio.wait_for(work(), 10))


def test_a_healthy_engine_is_not_gone() -> None:
    (member,) = fleet_of(fakes(1), "v1").members

    async def work() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(until_gone(member, patience_s=0.1, every_s=0.01), 0.3)

    run(work())


def test_an_engine_without_what_it_held_is_gone() -> None:
    (fake,) = engines = fakes(1)
    (member,) = fleet_of(engines, "v1").members
    fake.adapters.clear()
    run(until_gone(member, patience_s=5.0, every_s=0.01))
