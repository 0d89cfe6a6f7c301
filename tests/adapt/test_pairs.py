"""Two versions asked side by side: order, known answers, drift of the engine, early stops."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from adapt.evals.asking import Asker, Decoding
from adapt.evals.items import Suite
from adapt.evals.pairs import PairedRun, Settled
from adapt.evals.suites import general_suite
from agent.engine import Engine
from agent.fake_engine import FakeVllm
from store.evidence import EvalReport, ItemOutcome

SUITE = general_suite(3, 60)
RIGHT = {i.messages[-1].content: str(i.check["value"]) for i in SUITE.items}


def engine(wrong: Mapping[str, int]) -> FakeVllm:
    """Versions that answer rightly but for the first `wrong[version]` items."""
    questions = list(RIGHT)

    def answer(model: str, messages: list[Any], tools: list[Any]) -> str:
        question = messages[-1]["content"]
        known = questions.index(question) >= wrong.get(model, 0)
        return RIGHT[question] if known else "no idea"

    return FakeVllm(answer, served_name="v1", adapters={"v2": ""}, delay_s=0.002)


def run(
    fake: FakeVllm,
    known: Mapping[str, ItemOutcome] | None = None,
    settled: Settled | None = None,
    suite: Suite = SUITE,
) -> tuple[EvalReport, EvalReport]:
    async def ask() -> tuple[EvalReport, EvalReport]:
        async with Engine(Path("-"), transport=fake) as client:
            live, candidate = (Asker(client, name, Decoding()) for name in ("v1", "v2"))
            return await PairedRun(live, candidate, suite, known or {}, settled, 8).ask()

    return asyncio.run(ask())


def by_item(report: EvalReport) -> dict[str, ItemOutcome]:
    return {o.item: o for o in report.outcomes}


def asked(fake: FakeVllm) -> list[str]:
    return [body["model"] for path, body in fake.requests if path.endswith("/chat/completions")]


def test_both_versions_answer_every_item_side_by_side() -> None:
    """Reports are of the same items in the suite's order, and requests take turns."""
    fake = engine({"v2": 5})
    live, candidate = run(fake)
    assert [o.item for o in live.outcomes] == [o.item for o in candidate.outcomes]
    assert (live.mean, candidate.mean) == (1.0, 55 / 60)
    models = asked(fake)
    for start in range(0, 120, 20):
        assert 6 <= models[start : start + 20].count("v1") <= 14


def test_known_answers_are_used_again() -> None:
    """Of a version that answered before, a few are asked again and no more."""
    earlier = by_item(run(engine({}))[0])
    fake = engine({})
    live, _ = run(fake, earlier)
    assert asked(fake).count("v1") == 16 and asked(fake).count("v2") == 60
    assert by_item(live) == earlier and live.engine["items_known"] == 60


def test_known_answers_leave_their_places_to_the_candidate() -> None:
    """Of what is known of other suites, too: as many requests are under way as may be."""

    class Counted(FakeVllm):
        """Knows how many requests it had at most at once."""

        busy = most = 0

        async def handle_async_request(self, request: Any) -> Any:
            self.busy += 1
            self.most = max(self.most, self.busy)
            response = await super().handle_async_request(request)
            self.busy -= 1
            return response

    earlier = by_item(run(engine({}))[0])
    fake = Counted(lambda _, messages, __: RIGHT[messages[-1]["content"]], delay_s=0.002)
    fake.adapters["v2"] = ""
    half = Suite(name=SUITE.name, items=SUITE.items[:30])

    async def ask() -> None:
        async with Engine(Path("-"), transport=fake) as client:
            candidate = Asker(client, "v2", Decoding())
            await PairedRun(candidate, candidate, half, earlier, concurrency=20).ask()

    asyncio.run(ask())
    assert fake.most == 20


def test_a_live_version_that_answers_otherwise_now_is_asked_anew() -> None:
    """Were old answers kept after the engine has drifted, the candidate alone would pay for it."""
    earlier = by_item(run(engine({}))[0])
    fake = engine({"v1": 60, "v2": 60})
    live, candidate = run(fake, earlier)
    assert live.mean == candidate.mean == 0.0
    assert live.engine["answers_changed"] == 16 and live.engine["items_known"] == 0


def test_asking_stops_when_it_is_settled() -> None:
    """Both reports end at the same item, soon after the answers settle the suite."""

    def settled(outcomes: Sequence[tuple[ItemOutcome, ItemOutcome]]) -> bool:
        return sum(live.score - candidate.score for live, candidate in outcomes) >= 10

    fake = engine({"v2": 60})
    live, candidate = run(fake, settled=settled)
    assert 10 <= len(live.outcomes) == len(candidate.outcomes) <= 20
    assert live.suite_digest == SUITE.digest
    assert [o.item for o in live.outcomes] == [i.digest for i in SUITE.items[: len(live.outcomes)]]


def test_a_fault_on_one_side_is_in_its_report_alone() -> None:
    """A request that the engine keeps refusing costs one outcome of one version."""
    fake = engine({})
    for _ in range(3):
        fake.fail("/chat/completions", 404, "told to fail")
    live, candidate = run(fake)
    faults = [sum(o.error is not None for o in r.outcomes) for r in (live, candidate)]
    assert sum(faults) == 3
