"""The runner: right and wrong policies against the real agent, engine faults, order, digest."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapt.evals.items import Item, Suite, task_of
from adapt.evals.runner import Decoding, run_suite
from adapt.evals.suites import (
    catalogue_of,
    general_suite,
    kept_base_suite,
    learned_suite,
    tools_suite,
)
from agent.engine import Engine
from agent.fake_engine import Answer, FakeVllm
from store.evidence import EvalReport
from store.records import Example, Message
from tools.virtual_api.executor import Call
from tools.virtual_api.tasks import REFUSAL

Calls = Callable[[list[Call]], list[Call]]


def examples() -> list[Example]:
    """A held-out call and a held-out question."""
    tool = {"type": "function", "function": {"name": "find_tour", "parameters": {}}}
    shared = {"documents": ["d"], "split": "held_out"}
    return [
        Example.model_validate({
            **shared, "digest": "a", "kind": "api-call", "tools": [tool],
            "messages": [Message(role="user", content="A tour to Vuza?")],
            "check": {"kind": "call", "name": "find_tour", "arguments": {"c": "Vuza", "n": 2}},
        }),
        Example.model_validate({
            **shared, "digest": "b", "kind": "qa",
            "messages": [Message(role="user", content="The capital of Vuza?")],
            "check": {"kind": "answer", "values": ["Meko"]},
        }),
    ]  # fmt: skip


SUITES = (
    learned_suite(examples(), 9), tools_suite(2, 24), kept_base_suite(2, 12), general_suite(2, 8),
)  # fmt: skip


def policy(suite: Suite, change: Calls = lambda calls: calls) -> Answer:
    """A model that knows every reference; `change` spoils the calls it makes.

    It answers with the values that it saw in the tools' replies, never with the reference's.
    """
    by_question = {i.messages[-1].content: i for i in suite.items}

    def answer(model: str, messages: list[Any], tools: list[Any]) -> str | list[dict[str, Any]]:
        question = next(m["content"] for m in messages if m["role"] == "user")
        item = by_question[question]
        seen = [m["content"] for m in messages if m["role"] == "tool"]
        return _next(item, seen, change)

    return answer


def _next(item: Item, seen: list[str], change: Calls) -> str | list[dict[str, Any]]:
    check = item.check
    if check["kind"] == "call":
        calls = change([Call(check["name"], check["arguments"])])
        return [{"name": c.function, "arguments": c.arguments} for c in calls] or "Nothing."
    if check["kind"] != "task":
        return str(check.get("value") or f"It is {check['values'][0]}.")
    task = task_of(check)
    calls = change(list(task.solution))
    if task.kind == "none":
        return REFUSAL
    if len(seen) < len(calls):
        call = calls[len(seen)]
        return [{"name": call.function, "arguments": call.arguments}]
    return " and ".join(str(v) for text in seen for v in json.loads(text).values()) or "Done."


def run(
    suite: Suite,
    answer: Answer,
    *,
    engine: Callable[[FakeVllm], None] = lambda _: None,
    **more: Any,
) -> EvalReport:
    """The suite asked of a fake engine that serves version `v1`."""

    async def ask() -> EvalReport:
        fake = FakeVllm(answer, served_name="v1")
        engine(fake)
        async with Engine(Path("-"), transport=fake) as client:
            return await run_suite(client, suite, "v1", **more)

    return asyncio.run(ask())


@pytest.mark.parametrize("suite", SUITES, ids=lambda s: s.name)
def test_gold_answers_score_one(suite: Suite) -> None:
    """The reference solution, played through the real agent, is right on every item."""
    report = run(suite, policy(suite))
    assert [(o.item, o.detail) for o in report.outcomes if o.score != 1.0] == []
    assert all(o.valid and o.error is None for o in report.outcomes)
    assert [o.item for o in report.outcomes] == [i.digest for i in suite.items]


def is_none(item: Item) -> bool:
    return item.check["kind"] == "task" and item.check["task"]["kind"] == "none"


@pytest.mark.parametrize("suite", SUITES, ids=lambda s: s.name)
@pytest.mark.parametrize("text", [REFUSAL, "", "Done.", "<tool_call>{"])
def test_one_answer_for_all_never_passes(suite: Suite, text: str) -> None:
    """Always refusing is right only where nothing fits; silence and half a call are right nowhere
    and invalid."""
    report = run(suite, lambda *_: text, decoding=Decoding(max_steps=2))
    for item, outcome in zip(suite.items, report.outcomes, strict=True):
        assert outcome.score == float(text == REFUSAL and is_none(item)), outcome
        assert outcome.valid == (text in (REFUSAL, "Done."))


def _renamed(calls: list[Call]) -> list[Call]:
    return [Call("no_such_function", c.arguments) for c in calls]


def _dropped(calls: list[Call]) -> list[Call]:
    """Without the first call, and hence with made-up codes and references for the later ones."""
    early = catalogue_of(0).by_function
    made_up = []
    for call in calls[1:]:
        api = early[call.function]
        roles = {p.name: "ZZ00" for p in api.parameters if p.role != "value"}
        made_up.append(
            Call(call.function, {**call.arguments, **roles} if roles else call.arguments)
        )
    return made_up


def _doubled(calls: list[Call]) -> list[Call]:
    return [calls[0], *calls] if calls else []


def _mistyped(calls: list[Call]) -> list[Call]:
    return [Call(c.function, {**c.arguments, "added": 1}) for c in calls]


@pytest.mark.parametrize("change", [_renamed, _dropped, _doubled, _mistyped])
def test_spoiled_calls_never_pass(change: Calls) -> None:
    """A wrong name, a call left out, a call made twice, an argument too many: no task is solved."""
    for suite in SUITES[:3]:
        items = [i for i in suite.items if i.check["kind"] in ("call", "task") and not is_none(i)]
        chosen = Suite(name=suite.name, items=tuple(items))
        report = run(chosen, policy(chosen, change))
        assert [(o.item, o.answer) for o in report.outcomes if o.score > 0] == []


def test_calling_an_unknown_function_is_no_refusal() -> None:
    """Where no tool fits, trying one that does not exist counts against the answer."""
    items = tuple(i for i in SUITES[1].items if is_none(i))

    def tries(model: str, messages: list[Any], tools: list[Any]) -> str | list[dict[str, Any]]:
        tried = any(m["role"] == "tool" for m in messages)
        return REFUSAL if tried else [{"name": "nothing", "arguments": {}}]

    report = run(Suite(name="tools", items=items), tries)
    assert items and report.mean == 0.0


def test_engine_faults_are_errors_and_never_scores() -> None:
    """A dead engine gives outcomes with errors; a fault that passes costs nothing."""
    suite = SUITES[3]

    def dead(fake: FakeVllm) -> None:
        fake.down = True

    report = run(suite, policy(suite), engine=dead)
    assert all(o.error and o.score == 0.0 and not o.valid for o in report.outcomes)
    once = run(suite, policy(suite), engine=lambda fake: fake.fail("/chat/completions"))
    assert all(o.error is None for o in once.outcomes) and once.mean == 1.0
    tasks = run(SUITES[1], policy(SUITES[1]), engine=dead)
    assert all(o.error for o in tasks.outcomes)


def test_another_model_answering_is_a_fault() -> None:
    """An answer of a version that was not asked decides nothing."""

    class Mixed(FakeVllm):
        async def handle_async_request(self, request: Any) -> Any:
            response = await super().handle_async_request(request)
            body = response.json()
            return type(response)(200, json={**body, "model": "v0"})

    async def ask(suite: Suite) -> EvalReport:
        async with Engine(Path("-"), transport=Mixed(policy(suite), served_name="v1")) as client:
            return await run_suite(client, suite, "v1")

    for suite in (SUITES[1], SUITES[3]):
        assert all("v0" in (o.error or "") for o in asyncio.run(ask(suite)).outcomes)


def test_a_model_that_talks_beyond_its_context_is_wrong_and_no_fault() -> None:
    """A refusal for length after the first answer counts against the version, not the engine."""
    suite = Suite(name="tools", items=(SUITES[1].items[0],))
    fake = FakeVllm(lambda *_: "unused", served_name="v1")

    def rambles(model: str, messages: list[Any], tools: list[Any]) -> list[dict[str, Any]]:
        fake.fail("/chat/completions", 400, "maximum context length is 512 tokens")
        return [{"name": "nothing", "arguments": {}}]

    fake.answer = rambles

    async def ask() -> EvalReport:
        async with Engine(Path("-"), transport=fake) as client:
            return await run_suite(client, suite, "v1")

    (outcome,) = asyncio.run(ask()).outcomes
    assert (outcome.error, outcome.score, outcome.valid) == (None, 0.0, False)


def test_the_digest_is_that_of_the_answers() -> None:
    """The same answers have one digest whatever the concurrency; other answers have another."""
    suite = SUITES[1]
    one = run(suite, policy(suite), concurrency=1)
    assert one.digest == run(suite, policy(suite), concurrency=16).digest
    assert one.digest != run(suite, lambda *_: REFUSAL).digest
    assert (one.version, one.suite, one.suite_digest) == ("v1", "tools", suite.digest)


def test_every_request_has_the_fixed_decoding_and_lets_users_pass() -> None:
    """Greedy, seeded, bounded, and behind what users ask; tools are shown as in the item."""
    for suite in (SUITES[1], SUITES[2], SUITES[3]):
        fakes: list[FakeVllm] = []
        report = run(suite, policy(suite), engine=fakes.append, decoding=Decoding(max_tokens=64))
        assert report.decoding == {
            "temperature": 0.0, "seed": 0, "max_tokens": 64, "max_steps": 6,
        }  # fmt: skip
        shown = {i.messages[-1].content: list(i.tools) for i in suite.items}
        for _, body in fakes[0].requests:
            assert (body["temperature"], body["seed"], body["max_tokens"]) == (0.0, 0, 64)
            assert body["priority"] > 0
            assert body.get("tools", []) == shown[body["messages"][1]["content"]]


def test_progress_counts_up_to_all() -> None:
    """Each finished item is told once, with the total."""
    told: list[tuple[int, int]] = []
    run(SUITES[3], policy(SUITES[3]), progress=lambda done, total: told.append((done, total)))
    assert told == [(i + 1, 8) for i in range(8)]


def test_concurrency_is_bounded() -> None:
    """Never more requests under way than asked for."""
    under_way, most = 0, 0

    class Counting(FakeVllm):
        async def handle_async_request(self, request: Any) -> Any:
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(0.001)
            under_way -= 1
            return await super().handle_async_request(request)

    async def ask() -> None:
        fake = Counting(policy(SUITES[1]), served_name="v1")
        async with Engine(Path("-"), transport=fake) as client:
            await run_suite(client, SUITES[1], "v1", concurrency=3)

    asyncio.run(ask())
    assert most == 3


def test_a_suite_without_items_gives_an_empty_report() -> None:
    """Nothing to ask is no error here; the gate says what it means."""
    report = run(Suite(name="kept", items=()), lambda *_: "")
    assert report.outcomes == () and report.mean == 0.0
