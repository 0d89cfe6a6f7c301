"""Source domains: disjoint parts, held-out scenarios, questions and what their answers pay."""

import random

import pytest

from adapt.evals.encyclopedia import QUESTIONS, Fact
from adapt.skill.environment import Rewards
from adapt.skill.questions import AnswerRewards, Question
from adapt.skill.source import KINDS, question_parts, tool_parts
from store.errors import ConfigError, NotFoundError
from tools.virtual_api.catalogue import build_catalogue

CATALOGUE = build_catalogue(0)
PAYS = AnswerRewards(right=10.0, wordy=3.0, refused=-1.0, called=-2.0, unfinished=-4.0)


def test_parts_share_no_tool_and_leave_none_out() -> None:
    parts = tool_parts(CATALOGUE, ["Logistics", "Events"], 3)
    names = [tool.name for part in parts for tool in part.tools]
    assert len(names) == len(set(names)) == 10
    assert [len(part.tools) for part in parts] == [4, 3, 3]


def test_held_out_tasks_are_the_same_each_time_and_never_drawn() -> None:
    (part,) = tool_parts(CATALOGUE, ["Logistics"], 1)
    held = part.held_out(60)
    assert [task.digest for task in held] == [task.digest for task in part.held_out(60)]
    rng = random.Random(0)
    drawn = {part.draw(rng).digest for _ in range(400)}
    assert drawn.isdisjoint(task.digest for task in held)


def test_tasks_are_played_by_the_kinds_that_are_given_and_measured_by_the_usual() -> None:
    (part,) = tool_parts(CATALOGUE, ["Logistics"], 1, kinds={"multi": 1.0, "single": 0.0})
    rng = random.Random(0)
    assert {part.draw(rng).task.kind for _ in range(20)} == {"multi"}
    (usual,) = tool_parts(CATALOGUE, ["Logistics"], 1)
    assert {task.task.kind for task in usual.held_out(100)} == set(KINDS)


def test_a_part_teaches_what_a_cycle_would_and_pays_by_its_rewards() -> None:
    (part,) = tool_parts(CATALOGUE, ["Logistics"], 1, Rewards(solved=7.0))
    examples = part.examples(0)
    assert {e.kind for e in examples} == {"api-doc", "api-call", "api-none"}
    assert {e.split for e in examples} == {"train"}
    other = tool_parts(CATALOGUE, ["Logistics"], 1)[0]
    assert part.held_out(1)[0].digest != other.held_out(1)[0].digest


def test_too_few_tools_and_unknown_categories_are_refused() -> None:
    with pytest.raises(ConfigError, match="5 tools do not make 3 parts"):
        tool_parts(CATALOGUE, ["Logistics"], 3)
    with pytest.raises(NotFoundError, match="no category 'Nothing'"):
        tool_parts(CATALOGUE, ["Nothing"], 1)


def test_facts_are_taught_as_statements_and_asked_as_questions() -> None:
    parts = question_parts(5, places=4, rounds=2)
    places = [set(part.name.split(", ")) for part in parts]
    assert len(places[0] & places[1]) == 0
    (first, _) = parts
    # Three statements of each fact, whole; the two that do not begin with the value, also begun.
    assert len(first.examples(0)) == 5 * len(first.facts)
    said = " ".join(e.messages[-1].content for e in first.examples(0))
    assert "?" not in said
    held = first.held_out(100)
    assert len(held) == len(first.facts)
    rng = random.Random(1)
    drawn = {first.draw(rng).question for _ in range(300)}
    assert drawn.isdisjoint(q.question for q in held)
    assert len(drawn) == len(first.facts) * (len(QUESTIONS) - 1)


@pytest.mark.parametrize(
    ("said", "cut", "reward", "solved"),
    [
        ("Brelko", False, 10.0, True),
        ("The mayor of Ubar is Brelko.", False, 10.0, True),
        ("Brelko or " + "Anto " * 20, False, 3.0, False),
        ("It is Brelkora.", False, 0.0, False),
        ("I cannot do that with the tools I have.", False, -1.0, False),
        ('<tool_call>{"name": "get", "arguments": {}}</tool_call>', False, -2.0, False),
        ("", False, -4.0, False),
        ("The mayor", True, -4.0, False),
    ],
)
def test_an_answer_is_paid_by_what_it_holds(said, cut, reward, solved) -> None:
    fact = Fact("Ubar", "mayor", "Brelko")
    game = Question(fact.question(0), fact.value, PAYS).begin()
    game.hear(said, cut)
    assert game.outcome is not None
    assert (game.outcome.reward, game.outcome.solved) == (reward, solved)
