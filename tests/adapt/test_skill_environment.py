"""An episode: what is shown, what each event pays, when it ends."""

import json
import random

import pytest

from adapt.skill.environment import MAX_CALLS, Episode, Rewards, parse_turn
from tools.virtual_api.catalogue import build_catalogue
from tools.virtual_api.tasks import REFUSAL, Task, TaskKind, TaskWriter

CATALOGUE = build_catalogue(0)
TOOLS = CATALOGUE.category("Logistics")
REWARDS = Rewards(
    call_ok=1.0,
    call_error=-2.0,
    call_invalid=-4.0,
    solved=100.0,
    unfinished=-8.0,
    finished_at_once=-16.0,
)


def task_of(kind: TaskKind, seed: int = 0) -> Task:
    return TaskWriter(CATALOGUE, TOOLS, random.Random(seed), (3, 6)).write(kind)


def call_text(name: str, arguments: dict) -> str:
    return f"<tool_call>{json.dumps({'name': name, 'arguments': arguments})}</tool_call>"


def play(task: Task, *turns: str) -> Episode:
    episode = Episode(task, CATALOGUE, REWARDS)
    for turn in turns:
        episode.hear(turn)
    return episode


@pytest.mark.parametrize("kind", ["single", "multi", "cross"])
@pytest.mark.parametrize("seed", range(4))
def test_the_reference_solution_is_paid_in_full(kind: TaskKind, seed: int) -> None:
    """One point per distinct call, and the prize for solving."""
    task = task_of(kind, seed)
    calls = [call_text(c.function, c.arguments) for c in task.solution]
    outcome = play(task, *calls, task.answer).outcome
    assert outcome is not None and outcome.solved and outcome.finished, outcome
    distinct = {json.dumps([c.function, c.arguments], sort_keys=True) for c in task.solution}
    assert outcome.reward == 100.0 + len(distinct)


def test_only_names_are_shown() -> None:
    """No parameter name of any offered function is in what the model reads before it calls."""
    task = task_of("multi")
    episode = Episode(task, CATALOGUE)
    shown = json.dumps([*episode.tools, *(m.model_dump(mode="json") for m in episode.messages)])
    for function in task.offered:
        assert function in shown
        for parameter in CATALOGUE.by_function[function].parameters:
            assert f'"{parameter.name}"' not in shown


def test_a_refusal_is_right_where_nothing_fits_and_wrong_elsewhere() -> None:
    """Finishing at once is fined only when the task needs a call."""
    right = play(task_of("none"), REFUSAL).outcome
    wrong = play(task_of("single"), REFUSAL).outcome
    assert right is not None and (right.solved, right.reward) == (True, 100.0)
    assert wrong is not None and (wrong.solved, wrong.reward) == (False, -16.0)


def test_an_api_error_is_fined_and_shown() -> None:
    """The model sees what the API says and may go on."""
    task = task_of("single")
    episode = play(task, call_text(task.solution[0].function, {"nonsense": 1}))
    assert episode.outcome is None
    assert "nonsense" in json.loads(episode.messages[-1].content)["error"]
    good = task.solution[0]
    episode.hear(call_text(good.function, good.arguments))
    episode.hear(task.answer)
    assert episode.outcome is not None and episode.outcome.reward == -2.0 + 1.0 + 100.0


def test_a_function_that_is_not_offered_never_runs() -> None:
    """It is refused before the world sees it, as the registry refuses an unknown tool."""
    task = task_of("single")
    stranger = next(f for f in CATALOGUE.by_function if f not in task.offered)
    episode = play(task, call_text(stranger, {}))
    assert not episode.session.calls and "error" in episode.messages[-1].content
    episode.hear("")
    assert episode.outcome is not None and episode.outcome.empty
    assert episode.outcome.reward == -4.0


@pytest.mark.parametrize(
    "text",
    [
        '<tool_call>{"name": </tool_call>',
        '<tool_call>{"name": 3, "arguments": {}}</tool_call>',
        '<tool_call>{"name": "x", "arguments": []}</tool_call>',
        "<tool_call>",
        "<tool_call>[]",
    ],
)
def test_a_malformed_call_ends_the_episode(text: str) -> None:
    """The engine's parser hands it to the agent as an answer, so it cannot be taken back."""
    outcome = play(task_of("single"), text).outcome
    assert outcome is not None and not outcome.finished and not outcome.solved
    assert outcome.reward == -4.0 - 8.0


def test_repeating_a_call_earns_nothing() -> None:
    """Otherwise a policy could collect points instead of answers."""
    task = task_of("single")
    once = call_text(task.solution[0].function, task.solution[0].arguments)
    outcome = play(task, once, once, once, task.answer).outcome
    assert outcome is not None and not outcome.solved and outcome.reward == 1.0


def test_calls_earn_nothing_where_no_tool_fits() -> None:
    """The right thing to do there is to call nothing."""
    task = task_of("none")
    api = CATALOGUE.by_function[task.offered[0]]
    offered = TaskWriter(CATALOGUE, TOOLS, random.Random(1)).single(api).solution[0]
    outcome = play(task, call_text(offered.function, offered.arguments), REFUSAL).outcome
    assert outcome is not None and not outcome.solved and outcome.reward <= 0.0


def test_after_five_turns_of_calls_only_an_answer_counts() -> None:
    """The sixth call is not executed."""
    task = task_of("single")
    wrong = call_text(task.solution[0].function, {"nonsense": 1})
    episode = play(task, *[wrong] * (MAX_CALLS + 1))
    assert episode.outcome is not None and not episode.outcome.finished
    assert len(episode.session.calls) == MAX_CALLS
    assert episode.outcome.reward == -2.0 * MAX_CALLS - 8.0


def test_a_cut_off_turn_is_unfinished_even_when_it_holds_the_answer() -> None:
    """An answer without an end is no answer."""
    task = task_of("none")
    episode = Episode(task, CATALOGUE, REWARDS)
    episode.hear(REFUSAL, cut_off=True)
    assert episode.outcome is not None and episode.outcome.reward == -8.0


def test_each_episode_has_its_own_world() -> None:
    """What one episode creates is not there in another of the same task."""
    task = next(
        t
        for t in (task_of("multi", s) for s in range(20))
        if any("_for_" in c.function and "cancel" not in c.function for c in t.solution)
    )
    one, two = Episode(task, CATALOGUE), Episode(task, CATALOGUE)
    first = task.solution[0]
    one.hear(call_text(first.function, first.arguments))
    assert one.session.calls and not two.session.calls
    assert two.session.state_digest() == task.session(CATALOGUE).state_digest()


def test_several_calls_in_one_turn_are_all_executed() -> None:
    """Text before the first call is kept as the message's content."""
    turn = parse_turn(
        'Wait. <tool_call>{"name": "a", "arguments": {"x": 1}}</tool_call>\n'
        '<tool_call>{"name": "b"}</tool_call>'
    )
    assert [c["name"] for c in turn.calls] == ["a", "b"]
    assert (turn.calls[1]["arguments"], turn.text) == ({}, "Wait. ")
