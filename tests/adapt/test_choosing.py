"""How lambda is chosen: by more than chance, from candidates in one engine, none left behind."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest
from fake_runtime import add_version, fake_runtime, settings_of

from adapt.cycle_choosing import Candidate, best_scale, choose, race, scales_of
from adapt.cycle_context import Context
from adapt.evals.suites import choosing_suite
from adapt.synthesize import synthesize
from agent.config import UpdateSettings
from agent.engine import Engine
from agent.fake_engine import FakeVllm
from agent.fleet import Fleet
from store import Store
from store.errors import StageError
from store.records import CycleStage, Document, Example, digest_of, utc_now


def test_the_usual_lambda_stays_unless_another_is_better_by_more_than_chance() -> None:
    even = [0.0, 1.0] * 20
    assert best_scale({0.5: even, 1.0: even, 1.5: even}) == 1.0
    luck = [*even[:-4], 1.0, 1.0, 1.0, 1.0]
    assert best_scale({0.5: luck, 1.0: even}) == 1.0, "two items of forty are chance"
    better = [1.0] * 20 + [0.0, 1.0] * 10
    assert best_scale({0.5: even, 1.0: even, 1.5: better}) == 1.5
    assert best_scale({0.5: better, 1.0: even, 1.5: better}) == 0.5, "of equals, the smaller"
    assert best_scale({0.0: even, 2.0: even}) == 0.0, "without the usual one, the best"


def test_a_lambda_that_is_set_is_the_only_one() -> None:
    assert scales_of(UpdateSettings(skill_scale=0.7)) == (0.7,)
    assert 1.0 in scales_of(UpdateSettings())


def candidate(store: Store, scale: float, number: int) -> Candidate:
    digest = add_version(store, number=number).digest
    return Candidate(scale, digest, store.artifacts.path(digest), {})


def some_examples() -> list[Example]:
    text = "".join(f"The mayor of Place{n} is Value{n}. " for n in "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    document = Document(
        digest=digest_of(text), source="s", address="a", title="t", text=text, kind="prose",
        fetched_at=utc_now(),
    )  # fmt: skip
    return synthesize([document], 0)


def test_candidates_are_asked_what_is_for_choosing_alone(tmp_path: Path) -> None:
    """The one that knows more is chosen, the record says what each scored, and none stays."""
    made = some_examples()
    right = {e.messages[-1].content: e.check["values"][0] for e in made if e.check}
    held_out = {e.messages[-1].content for e in made if e.split == "held_out"}

    async def scenario() -> None:
        async with fake_runtime(settings_of(tmp_path / "home")) as runtime:
            candidates = [candidate(runtime.store, s, n) for s, n in ((0.5, 5), (1.0, 6), (1.5, 7))]
            asked: list[tuple[str, str]] = []

            def answer(model: str, messages: list[dict], tools: list[dict]) -> str:
                question = messages[-1]["content"]
                asked.append((model, question))
                knows = model == candidates[2].trial or question < "State the mayor of PlaceM"
                return right[question] if knows else "no idea"

            fake = FakeVllm(answer, served_name=runtime.base.version_name)
            runtime.engine = Fleet.of(Engine(Path("-"), transport=fake), "v0")
            runtime.store.examples.add(1, made)
            context = Context(runtime, 1, CycleStage.COMPOSE, lambda _: None)
            chosen, told = await choose(context, candidates)
            assert chosen.scale == 1.5
            assert [t["scale"] for t in told] == [0.5, 1.0, 1.5]
            assert told[2]["score"] == 1.0 > told[0]["score"]
            assert not {question for _, question in asked} & held_out
            assert {model for model, _ in asked} == {c.trial for c in candidates}
            assert not any(n.startswith("trial-") for n in await runtime.engine.models())
            assert (await choose(context, candidates[:1])) == (candidates[0], [])

    asyncio.run(scenario())


def test_a_race_asks_the_better_ones_more_and_costs_less_than_two(tmp_path: Path) -> None:
    """The worst of five are left behind early; the best and the usual one go to the end."""
    suite = choosing_suite(some_examples(), 60)
    count = len(suite.items)

    async def scenario() -> None:
        async with fake_runtime(settings_of(tmp_path / "home")) as runtime:
            scales = (0.0, 0.5, 1.0, 1.5, 2.0)
            made = [candidate(runtime.store, s, n) for n, s in enumerate(scales, 5)]
            right = {i.messages[-1].content: str(i.check["values"][0]) for i in suite.items}
            asked: Counter[str] = Counter()

            def answer(model: str, messages: list[dict], tools: list[dict]) -> str:
                asked[model] += 1
                knows = model == made[3].trial or (model == made[4].trial and asked[model] % 2)
                return right[messages[-1]["content"]] if knows else "no idea"

            fake = FakeVllm(answer, served_name="v0")
            runtime.engine = Fleet.of(Engine(Path("-"), transport=fake), "v0")
            scores = await race(runtime.engine, runtime.settings, made, suite)
            assert asked.total() <= 2 * count
            assert len(scores[1.5]) == len(scores[1.0]) > len(scores[2.0]) > len(scores[0.0])
            assert best_scale(scores) == 1.5

    asyncio.run(scenario())


def test_an_engine_fault_chooses_nothing(tmp_path: Path) -> None:
    """And leaves no candidate in the engine."""

    async def scenario() -> None:
        async with fake_runtime(settings_of(tmp_path / "home")) as runtime:
            made = [candidate(runtime.store, 0.5, 5), candidate(runtime.store, 1.0, 6)]
            runtime.store.examples.add(1, some_examples())
            context = Context(runtime, 1, CycleStage.COMPOSE, lambda _: None)
            fake = FakeVllm(lambda *_: "?", served_name=runtime.base.version_name)
            runtime.engine = Fleet.of(Engine(Path("-"), transport=fake), "v0")
            fake.fail("/chat/completions", 404)
            with pytest.raises(StageError, match="while lambda was chosen"):
                await choose(context, made)
            assert not any(n.startswith("trial-") for n in await runtime.engine.models())

    asyncio.run(scenario())
