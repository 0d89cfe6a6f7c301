"""The virtual universe: its size, its tasks, its judge, and what it refuses."""

import random
import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from store.errors import NotFoundError
from tools.virtual_api.catalogue import build_catalogue
from tools.virtual_api.executor import RATE_LIMITED, TRANSIENT, Call, Session, validate
from tools.virtual_api.lexicon import UNSEEN_CATEGORIES
from tools.virtual_api.tasks import Judgement, Task, TaskKind, TaskWriter, judge

WORLD = build_catalogue(0)
KINDS: tuple[TaskKind, ...] = ("single", "multi", "cross", "none")


def tasks_of(kind: TaskKind, count: int = 60) -> list[Task]:
    writer = TaskWriter(WORLD, WORLD.tools, random.Random(f"test/{kind}"))
    return [writer.write(kind) for _ in range(count)]


def outcome(task: Task, calls: Sequence[Call], answer: str) -> Judgement:
    session = task.session(WORLD)
    for call in calls:
        session.execute(call.function, call.arguments)
    return judge(task, session, answer)


def test_it_is_as_large_as_promised() -> None:
    assert len({t.category for t in WORLD.tools}) >= 16
    assert len(WORLD.tools) >= 80
    assert sum(len(t.apis) for t in WORLD.tools) >= 400
    assert len(WORLD.by_function) == sum(len(t.apis) for t in WORLD.tools)


def test_it_has_toolbenchs_shape() -> None:
    kinds = set()
    for tool in WORLD.tools:
        data = tool.to_json()
        assert {"tool_name", "tool_description", "standardized_name", "api_list"} <= set(data)
        for api in data["api_list"]:
            assert {"name", "description", "method"} <= set(api)
            for p in [*api["required_parameters"], *api["optional_parameters"]]:
                assert {"name", "type", "description", "default"} <= set(p)
                kinds.add(p["type"])
    assert kinds == {"STRING", "ENUM", "INTEGER", "NUMBER", "DATE", "BOOLEAN"}


def test_the_same_seed_gives_the_same_catalogue() -> None:
    def whole(seed: int) -> list[dict[str, Any]]:
        return [tool.to_json() for tool in build_catalogue(seed).tools]

    assert whole(0) == whole(0)
    assert whole(0) != whole(1)


def test_splits_do_not_overlap_and_cover_everything() -> None:
    parts = [WORLD.split(name) for name in ("seen", "unseen_tool", "unseen_category")]
    names = [t.name for part in parts for t in part]
    assert len(names) == len(set(names)) == len(WORLD.tools)
    assert {t.category for t in parts[2]} == set(UNSEEN_CATEGORIES)
    assert not {t.category for t in parts[0]} & set(UNSEEN_CATEGORIES)
    assert {t.category for t in parts[1]} == {t.category for t in parts[0]}
    with pytest.raises(NotFoundError, match="choose one of"):
        WORLD.category("Nonsense")


@pytest.mark.parametrize("kind", KINDS)
def test_the_reference_solution_and_answer_solve_every_task(kind: TaskKind) -> None:
    for task in tasks_of(kind):
        verdict = outcome(task, task.solution, task.answer)
        assert verdict.solved, (task, verdict)
        assert {c.function for c in task.solution} <= set(task.offered)


def wrong_name(task: Task) -> tuple[Sequence[Call], str]:
    first, *rest = task.solution
    return [Call(first.function + "x", first.arguments), *rest], task.answer


def dropped(task: Task) -> tuple[Sequence[Call], str]:
    """Without the last call, and without the values it would have given."""
    return task.solution[:-1], "Done."


def duplicated(task: Task) -> tuple[Sequence[Call], str]:
    return [*task.solution, task.solution[-1]], task.answer


def silent(task: Task) -> tuple[Sequence[Call], str]:
    return task.solution, "  "


@pytest.mark.parametrize("kind", ["single", "multi", "cross"])
@pytest.mark.parametrize("spoil", [wrong_name, dropped, duplicated, silent])
def test_a_spoiled_solution_never_passes(
    kind: TaskKind, spoil: Callable[[Task], tuple[Sequence[Call], str]]
) -> None:
    for task in tasks_of(kind):
        calls, answer = spoil(task)
        if spoil is wrong_name:
            # What was not called cannot be told: the answer is made from the replies there were.
            answer = "Done."
        assert not outcome(task, calls, answer).solved, (task.query, spoil)


def test_a_task_without_a_tool_is_solved_only_by_refusing() -> None:
    for task in tasks_of("none", 20):
        some = WORLD.by_function[task.offered[0]]
        assert not outcome(task, [Call(some.function, {})], task.answer).solved
        assert not outcome(task, (), "Done. The reference is AB12.").solved
        assert not outcome(task, (), "").solved
        wanted = [a for a in WORLD.by_function.values() if a.function not in task.offered]
        assert wanted


@pytest.mark.parametrize("kind", KINDS)
def test_queries_never_say_a_parameters_name(kind: TaskKind) -> None:
    """Closed-book tasks would be solved by reading."""
    for task in tasks_of(kind, 150):
        words = set(re.findall(r"[A-Za-z0-9_]+", task.query))
        for function in [*task.offered, *(c.function for c in task.solution)]:
            names = {p.name for p in WORLD.by_function[function].parameters}
            assert not words & names, (task.query, words & names)


def test_values_flow_from_reply_to_call() -> None:
    """A later call needs what an earlier one replied, and the query never says it."""
    for task in tasks_of("multi"):
        given = [
            (p.role, call.arguments[p.name])
            for call in task.solution[1:]
            for p in WORLD.by_function[call.function].parameters
            if p.role != "value"
        ]
        assert given
        assert all(str(value) not in task.query for _, value in given)


def test_validation_names_the_parameter() -> None:
    def refuses(arguments: Any, words: str) -> None:
        assert validate(api, arguments) == words
        assert Session(WORLD).execute(api.function, arguments) == {"error": words}

    wrong: dict[str, Any] = {
        "string": 3, "enum": "none of them", "integer": 1.5, "number": "1", "date": "2031-02-3",
        "boolean": "yes",
    }  # fmt: skip
    seen = set()
    for api in WORLD.by_function.values():
        task = TaskWriter(WORLD, WORLD.tools, random.Random(api.function)).single(api)
        good = task.solution[0].arguments
        assert validate(api, good) is None
        refuses({**good, "surprise": 1}, "unknown parameter surprise")
        for p in api.parameters:
            if p.required:
                rest = {k: v for k, v in good.items() if k != p.name}
                refuses(rest, f"missing parameter {p.name}")
            said = str(validate(api, {**good, p.name: wrong[p.kind]}))
            assert said.startswith(f"parameter {p.name} must be ")
            seen.add(p.kind)
    assert seen == set(wrong)
    refuses([1], "arguments must be a JSON object")


def test_faults_on_demand_pass_and_cost_nothing() -> None:
    """Transient errors and rate limits: the same call succeeds later, with the same reply."""
    task = tasks_of("single", 1)[0]
    call = task.solution[0]
    plain = task.session(WORLD).execute(call.function, call.arguments)
    flaky = task.session(WORLD)
    flaky.transient = 1
    limited = task.session(WORLD)
    limited.rate_limit = 0
    for session, words in ((flaky, TRANSIENT), (limited, RATE_LIMITED)):
        assert session.execute(call.function, call.arguments) == {"error": words}
    assert flaky.execute(call.function, call.arguments) == plain
    assert judge(task, flaky, task.answer).solved
