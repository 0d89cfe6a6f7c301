"""The benchmarks of swaps: what clients see, and how it is held against the swaps."""

import asyncio
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from agent_app import reckoner
from fake_runtime import fake_runtime, settings_of

from adapt.bench.soak_processes import Process, Processes
from adapt.bench.swap_load import Answer, Clients
from adapt.bench.swap_tally import (
    calm,
    compared,
    empties,
    failures,
    firsts_of,
    gaps_of,
    mixed,
)
from adapt.serving import serving
from agent.api.app import create_app
from agent.api.state import AppState
from agent.fake_engine import FakeVllm
from agent.runs import Agent
from tools.calculate import Calculate
from tools.registry import Registry


def answer(**changed: Any) -> Answer:
    """An answer of v1 to question 0 between the seconds 10 and 12."""
    given = Answer(0, 10.0, 10.1, 12.0, ((11.0, 11.5), (11.8,)), "v1", ("v1",), 1, False, "e", None)
    return given._replace(**changed)


def streamed(gaps: np.ndarray) -> Answer:
    """One answer with these seconds between its pieces."""
    moments = np.concatenate([[0.0], np.cumsum(gaps)])
    return answer(sent=-1.0, texts=(tuple(moments.tolist()),))


def test_a_tool_call_between_two_pieces_is_no_gap() -> None:
    assert gaps_of([answer()]).all == pytest.approx([0.5])
    assert firsts_of([answer()]).all == pytest.approx([1.0])


def test_swaps_that_do_nothing_have_a_ratio_of_one() -> None:
    """Long gaps meet a window more often than short ones: both sides have that alike."""
    gaps = np.random.default_rng(0).exponential(0.05, 20_000)
    swaps = [(float(t), float(t) + 0.05) for t in range(5, 900, 5)]
    found = compared(gaps_of([streamed(gaps)]), swaps, 0.0, 900.0)
    low, high = found["p99_ratio_interval"]
    assert low < 1 < high
    assert found["p99_ratio"] == pytest.approx(1, abs=0.25)
    plain = 1000 * np.percentile(gaps, 50)
    assert found["during"]["p50_ms"] > 1.2 * plain


def test_a_swap_that_stops_all_streams_is_seen() -> None:
    """One gap in each swap is long, and none is in the calm."""
    swaps = [(float(t), float(t) + 0.3) for t in range(5, 100, 5)]
    gaps: list[float] = []
    now = 0.0
    while now < 100:
        stuck = any(begin <= now < begin + 0.01 for begin, _ in swaps)
        gaps.append(0.25 if stuck else 0.01)
        now += gaps[-1]
    found = compared(gaps_of([streamed(np.array(gaps))]), swaps, 0.0, 100.0)
    assert found["p99_ratio"] > 10
    assert found["p99_ratio_interval"][0] > 1.25
    assert found["p50_ratio"] == pytest.approx(1, abs=0.01)


def test_the_calm_is_filled_and_keeps_off_the_swaps() -> None:
    swaps = [(5.0, 5.5), (10.0, 10.4)]
    first, second = calm(swaps, 0.0, 12.0)
    assert (first[0][0], first[-1][1]) == (0.0, 5.0)
    assert second[0][0] == 6.5
    assert 9.6 < second[-1][1] <= 10.0


def test_a_swap_longer_than_the_calm_is_held_against_all_of_it() -> None:
    """And one that begins before the calm does has nothing to be held against."""
    assert calm([(2.0, 9.0), (9.5, 10.0)], 0.0, 12.0) == [[(0.0, 2.0)], []]


@pytest.mark.parametrize(
    ("changed", "wrong"),
    [
        ({}, False),
        ({"version": "v0", "versions": ("v0",)}, True),
        ({"versions": ("v1", "v2")}, True),
        ({"versions": ("v2",)}, True),
        ({"version": "v2", "versions": ("v2",)}, True),
        ({"error": "broken", "versions": ("v1", "v2")}, False),
    ],
)
def test_mixed_is_two_versions_or_one_that_was_not_live(
    changed: dict[str, Any], wrong: bool
) -> None:
    """v1 was live from second 5 to 11; the answer was begun at 10.1. A broken one is a failure."""
    live = [(0.0, "v0"), (5.0, "v1"), (11.0, "v2")]
    assert bool(mixed([answer(**changed)], live)) is wrong


def test_what_was_asked_around_the_flip_may_have_either_version() -> None:
    live = [(0.0, "v0"), (10.05, "v1")]
    both = [answer(version=name, versions=(name,)) for name in ("v0", "v1")]
    assert mixed(both, live) == []


def test_errors_and_empty_answers_of_swaps_are_found() -> None:
    broken, empty = answer(error="503 no"), answer(empty=True)
    calm_empty = answer(empty=True, sent=20.0, end=21.0)
    assert failures([broken, empty]) == ["0: 503 no"]
    assert empties([broken._replace(empty=True), empty, calm_empty], [(11.9, 13.0)]) == [empty]


def test_clients_tell_pieces_versions_and_episodes(tmp_path: Path) -> None:
    """Over real HTTP, from their own process, on an agent that calls a tool in every run."""

    async def work() -> list[Answer]:
        async with fake_runtime(settings_of(tmp_path / "home")) as runtime:
            agent = Agent(runtime.engine, runtime.settings.agent, None, runtime.store.episodes.add)
            transport = runtime.engine.members[0].engine._http._transport
            assert isinstance(transport, FakeVllm)
            transport.answer = reckoner
            state = AppState(
                agent=agent, store=runtime.store, engine=runtime.engine,
                settings=runtime.settings, registry=lambda _: Registry([Calculate()]),
                live=runtime.live,
            )  # fmt: skip
            async with serving(create_app(state), "127.0.0.1", 0) as url:
                async with Clients(url, ["1 + 1", "2 * 3"], 3, tmp_path) as clients:
                    await clients.until(8, 20.0)
                found = clients.fresh()
                assert clients.fresh() == []
            for one in found:
                assert runtime.store.episodes.get(one.episode).version == one.version
            assert mixed(found, [(0.0, runtime.live())]) == []
        return found

    found = asyncio.run(asyncio.wait_for(work(), 60))
    assert len(found) >= 8
    assert failures(found) == []
    for one in found:
        assert one.sent <= one.begun <= one.texts[0][0] <= one.texts[-1][-1] <= one.end
        assert (one.calls, one.empty) == (1, False)
    assert {one.question for one in found} == {0, 1}


def test_clients_tell_what_does_not_answer(tmp_path: Path) -> None:
    """A port with nobody behind it: every request is an error, and the clients end all the same."""

    async def work() -> list[Answer]:
        async with Clients("http://127.0.0.1:9", ["hi"], 1, tmp_path, pause_s=0.05) as clients:
            await clients.until(2, 20.0)
        return clients.fresh()

    found = asyncio.run(asyncio.wait_for(work(), 60))
    assert len(failures(found)) == len(found) >= 2


def test_growth_is_what_comes_after_the_fifth_swap() -> None:
    """What a process takes until then is its level, whatever it took before."""
    process = Process("engine/0", 7)
    for mib, files in ((300, 9), (100, 10), (150, 10), (180, 12), (200, 12)):
        process.bytes.append(mib << 20)
        process.files.append(files)
    assert process.row()["growth"] is None
    process.bytes += [230 << 20, 190 << 20]
    process.files += [14, 11]
    row = process.row()
    assert (row["mib_settled"], row["mib_last"], row["growth"]) == (200, 190, 1.15)
    assert (row["files_settled"], row["files_max"]) == (12, 14)


def test_every_look_is_at_this_process_too(tmp_path: Path) -> None:
    """A runtime whose engines are elsewhere has one process: ours."""

    async def work() -> list[dict[str, Any]]:
        async with fake_runtime(settings_of(tmp_path / "home")) as runtime:
            processes = Processes(runtime)
            processes.look()
            processes.look()
            return processes.rows()

    (row,) = asyncio.run(work())
    assert (row["process"], row["pid"], row["looks"]) == ("perennial", os.getpid(), 2)
    assert row["mib_first"] > 1 and row["files_max"] > 3
