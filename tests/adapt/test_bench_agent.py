"""The benchmark of the agent: what is compared is the same work, and what the figures say of it."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from adapt.bench import all_hold
from adapt.bench.agent import aims, compare, same_answers
from adapt.bench.agent_clock import Span
from adapt.bench.agent_fake import MODEL, fake_engine
from adapt.bench.agent_figures import DEPLOYED, DIRECT, OURS, THEIRS, Turn, rows
from adapt.bench.agent_sides import Took
from adapt.bench.agent_streams import hold_fake, open_at_once, serve
from adapt.bench.agent_threads import keep_threads
from adapt.bench.swap_load import Answer
from tools.calculate import Calculate
from tools.registry import Registry


def silent(_: str) -> None:
    """Progress that nobody looks at."""


def run(work: Any) -> Any:
    return asyncio.run(asyncio.wait_for(work, 120))


def turn(stream: bool = False, calls: int = 1, **ms: float) -> Turn:
    """A turn in which each way took so many milliseconds; a request of an agent takes 100."""
    ways = {"direct": DIRECT, "ours": OURS, "deployed": DEPLOYED, "theirs": THEIRS}
    took = {
        ways[name]: Took(
            value / 1000, value / 2000 if stream else None, "said",
            (Span(b"", 0.0, 0.1),) * calls if name in ("ours", "theirs") else (),
        )
        for name, value in ms.items()
    }  # fmt: skip
    return Turn("asked", stream, calls, took)


def test_all_ways_give_one_answer_by_the_same_requests(tmp_path: Path) -> None:
    """Ours, over HTTP, create_agent and the bare requests, with a call of a tool, whole and
    streamed; the engine reads the same conversation from both agents."""
    asked: list[list[str]] = []

    async def work() -> list[Turn]:
        async with (
            fake_engine(tmp_path / "s", 5, 0.0),
            serve(tmp_path / "s", tmp_path / "h") as url,
        ):
            registry = Registry([Calculate()])
            return await compare(tmp_path / "s", MODEL, registry, url, ["12 + 30"], 0.0, silent)

    turns = run(work())
    assert sorted(t.stream for t in turns) == [False, True]
    assert same_answers(turns) == 1.0
    for one in turns:
        assert one.calls == 2
        assert {t.text for t in one.took.values()} == {"word word word word word"}
        for way in (OURS, THEIRS):
            took = one.took[way]
            assert 0 < took.engine < took.total
            asked.append([_said(span.body) for span in took.spans])
    assert all(each == asked[0] for each in asked), asked


def _said(body: bytes) -> str:
    """What a request says that the model reads."""
    sent = json.loads(body)
    messages = [
        (m["role"], m.get("content") or "", [c["function"] for c in m.get("tool_calls") or []])
        for m in sent["messages"]
    ]
    tools = [t["function"]["name"] for t in sent["tools"]]
    return json.dumps([messages, tools, sent["temperature"]])


def test_overhead_is_told_per_call_and_paired() -> None:
    """Each turn is held against its own direct calls, whatever the machine did in other turns."""
    slow, quick = (1000.0, 1004.0, 1020.0), (200.0, 204.0, 220.0)
    turns = [
        turn(calls=2, direct=d, ours=o, theirs=t) for d, o, t in (slow, quick) for _ in range(20)
    ]
    ours, theirs = rows(turns)
    assert (ours["way"], theirs["way"]) == (OURS, THEIRS)
    assert ours["over_ms_median"] == pytest.approx(2.0)
    assert theirs["over_ms_median"] == pytest.approx(10.0)
    assert ours["over_ms_median_95"] == [2.0, 2.0]
    # Outside its requests, of 100 ms each: half of 1004 - 200 and of 204 - 200.
    assert ours["own_ms_p99"] == pytest.approx(402.0)


def test_a_percentile_has_an_interval_and_streams_their_first_piece() -> None:
    turns = [turn(True, direct=100.0, ours=100.0 + n, deployed=101.0) for n in range(100)]
    ours, deployed = rows(turns)
    assert ours["over_ms_p99"] == pytest.approx(98.01)
    low, high = ours["over_ms_p99_95"]
    assert 90 < low < 98.01 <= high <= 99
    assert deployed["first_ms_median"] == pytest.approx(0.5)
    assert "own_ms_median" not in deployed


def test_aims_hold_or_do_not() -> None:
    """Five milliseconds, not above create_agent, and all streams without an error."""
    good = [turn(s, direct=100, ours=104, deployed=105, theirs=104.5) for s in (False, True)] * 5
    held = {"engine": "fake", "streams": 3, "open_at_once": 3, "asked_at_once": 3, "failed": 0}
    assert all_hold({"aims": aims(good, [held])})
    for bad in (
        [turn(s, direct=100, ours=105.5, deployed=105.5, theirs=109) for s in (False, True)],
        [turn(s, direct=100, ours=104, deployed=104, theirs=103) for s in (False, True)],
    ):
        assert not all_hold({"aims": aims(bad, [])})
    for wrong in ({"failed": 1}, {"open_at_once": 2}):
        (*_, last) = aims(good, [held | wrong])
        assert not last["holds"]
    assert aims(good, [held | {"engine": "vLLM", "open_at_once": 2}])[-1]["holds"]


def test_streams_that_are_open_at_once() -> None:
    """Those that failed do not count; one that ends as another begins is not beside it."""
    spans = [(0.0, 1.0, 4.0), (0.0, 4.0, 6.0), (0.0, 2.0, 5.0), (0.0, 2.0, 9.0)]
    answers = [
        Answer(0, sent, begun, end, (), "v", ("v",), 0, False, "", None)
        for sent, begun, end in spans
    ]
    answers[3] = answers[3]._replace(error="500")
    assert open_at_once(answers) == 2
    assert open_at_once(answers, asked=True) == 3


def test_streams_are_held_on_the_fake_engine(tmp_path: Path) -> None:
    """All are open at once, none fails, and their words come at the engine's pace."""
    found = run(hold_fake(4, 0.5, tmp_path, silent, words=8, pause_s=0.05))
    assert (found["open_at_once"], found["failed"]) == (4, 0)
    assert found["gap_ms_median"] >= 40
    assert found["answers"] >= 4


def test_a_kept_thread_is_weighed(tmp_path: Path) -> None:
    """Both agents keep every thread in the file: it grows by more than what was said."""
    kept = run(keep_threads(8, tmp_path, silent))
    assert [row["way"] for row in kept] == [OURS, THEIRS]
    assert all(row["disk_kib_per_thread"] > 0.5 for row in kept)
    assert all(row["threads"] == 8 for row in kept)
