"""SoPR and SoWR: denominators, repeated judging, both orders, and judges that fail."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from toolbench_cases import GIVE_UP, GOOD, case, one_by_one, played

from adapt.evals.toolbench.judge import MOST_FAILURES, Answer, Figure, Judge
from adapt.evals.toolbench.verdicts import choice_in, verdict_in
from agent.engine import Engine
from agent.fake_engine import FakeVllm

IDS = ["1", "2", "3", "4"]


def answer(final: str, *steps: str) -> Answer:
    """An answer to some query."""
    return Answer("Will it rain?", final, steps)


def judged(
    words: Callable[[str, str], str],
    ask: Callable[[Judge], Awaitable[Figure]],
    rounds: int = 3,
    vllm: FakeVllm | None = None,
) -> tuple[Figure, FakeVllm]:
    """A figure by a judge that says `words(task, what it sees)`."""

    def reply(_model: str, messages: list[dict[str, Any]], _tools: object) -> str:
        return words(messages[0]["content"], messages[1]["content"])

    engine = vllm or FakeVllm(reply)

    async def run() -> Figure:
        async with Engine(Path("-"), transport=engine) as client:
            return await ask(Judge(client, "base", rounds=rounds))

    return asyncio.run(run()), engine


def by_words(_task: str, seen: str) -> str:
    """A judge that believes what an answer says of itself."""
    for word in ("unsolved", "unsure", "solved"):
        if f"[{word}]" in seen:
            return f"It is so.\nVerdict: {word.capitalize()}"
    return "Verdict: Unsolved"


def test_solved_is_one_unsure_a_half_and_every_id_counts() -> None:
    answers = {"1": answer("[solved]"), "2": answer("[unsure]"), "3": answer("[unsolved]")}
    figure, _ = judged(by_words, lambda judge: judge.pass_rate(IDS, answers))
    assert figure.value == pytest.approx(1.5 / 4)
    assert figure.by_id == {"1": 1.0, "2": 0.5, "3": 0.0, "4": 0.0}
    assert (figure.unsure, figure.faults, figure.rounds_sd) == (3, 0, 0.0)
    assert figure.interval[0] <= figure.value <= figure.interval[1]
    assert figure.interval[0] < figure.interval[1]


def test_an_empty_answer_is_unsolved_without_asking() -> None:
    answers = {"1": answer(""), "2": answer("  ")}
    figure, vllm = judged(by_words, lambda judge: judge.pass_rate(IDS, answers))
    assert figure.value == 0.0 and vllm.requests == []


def test_an_unsure_answer_is_judged_again_by_its_steps() -> None:
    def words(task: str, seen: str) -> str:
        return "Verdict: Solved" if "Steps:" in seen else "Verdict: Unsure"

    answers = {"1": answer("dry", "forecast -> dry")}
    figure, vllm = judged(words, lambda judge: judge.pass_rate(["1"], answers), rounds=1)
    assert figure.value == 1.0 and figure.unsure == 0
    assert "1. forecast -> dry" in vllm.requests[1][1]["messages"][1]["content"]


def test_rounds_differ_by_seed_and_their_spread_is_shown() -> None:
    turns = iter(["Verdict: Solved", "Verdict: Unsolved"])
    answers = {"1": answer("dry")}
    figure, vllm = judged(
        lambda *_: next(turns), lambda judge: judge.pass_rate(["1"], answers), rounds=2
    )
    assert (figure.value, figure.rounds_sd) == (0.5, 0.5)
    assert {body.get("seed") for _, body in vllm.requests} == {0, 1}


@pytest.mark.parametrize("words", ["", "I like it.", "Verdict: Maybe", "x" * 100_000])
def test_nonsense_is_unsure_and_counted(words: str) -> None:
    answers = {"1": answer("dry")}
    figure, _ = judged(lambda *_: words, lambda judge: judge.pass_rate(["1"], answers))
    assert (figure.value, figure.unsure, figure.faults) == (0.5, 3, 3)


def test_a_judge_that_is_down_ends_nothing_and_is_not_asked_for_ever() -> None:
    answers = {str(n): answer("dry") for n in range(100)}
    down = FakeVllm(lambda *_: "", down=True)
    figure, vllm = judged(
        by_words, lambda judge: judge.pass_rate(list(answers), answers), vllm=down
    )
    assert (figure.value, figure.faults) == (0.5, 300)
    assert len(vllm.requests) < MOST_FAILURES + 20


def test_no_ids_have_no_figure() -> None:
    figure, _ = judged(by_words, lambda judge: judge.pass_rate([], {}))
    assert (figure.value, figure.interval, figure.by_id) == (0.0, (0.0, 0.0), {})


def test_the_better_verdict_wins_without_comparing() -> None:
    ours = {"1": answer("[solved]"), "2": answer("[unsolved]"), "3": answer("[unsure]")}
    theirs = {"1": answer("[unsure]"), "2": answer("[solved]"), "3": answer("[unsolved]")}
    figure, vllm = judged(by_words, lambda judge: judge.win_rate(IDS[:3], ours, theirs))
    assert figure.by_id == {"1": 1.0, "2": 0.0, "3": 1.0}
    assert not any("Answer 2" in str(body) for _, body in vllm.requests)


def both_solved(choice: Callable[[str], str]) -> Figure:
    """The win rate where both answers solve the query and the judge compares them."""

    def words(task: str, seen: str) -> str:
        return choice(seen) if "Answer 2" in seen else "Verdict: Solved"

    ours, theirs = {"1": answer("GOOD")}, {"1": answer("bad")}
    return judged(words, lambda judge: judge.win_rate(["1"], ours, theirs))[0]


def test_a_preference_must_hold_in_both_orders() -> None:
    def good(seen: str) -> str:
        return f"Better: {1 if seen.index('GOOD') < seen.index('bad') else 2}"

    def bad(seen: str) -> str:
        return f"Better: {2 if seen.index('GOOD') < seen.index('bad') else 1}"

    assert both_solved(good).value == 1.0
    assert both_solved(bad).value == 0.0
    assert both_solved(lambda seen: "Better: 1").value == 0.5
    assert both_solved(lambda seen: "Better: 2").value == 0.5


def test_a_choice_that_is_none_is_a_tie_and_counted() -> None:
    figure = both_solved(lambda seen: "Both.")
    assert (figure.value, figure.faults) == (0.5, 6)


def test_the_same_answer_is_a_tie_without_comparing() -> None:
    same = {"1": answer("[solved]")}
    figure, vllm = judged(by_words, lambda judge: judge.win_rate(["1"], same, dict(same)))
    assert figure.value == 0.5 and len(vllm.requests) == 3


def test_a_judge_that_fails_lets_nobody_win() -> None:
    down = FakeVllm(lambda *_: "", down=True)
    figure, _ = judged(
        by_words, lambda judge: judge.win_rate(["1"], {"1": answer("dry")}, {}), vllm=down
    )
    assert figure.value == 0.5


def test_a_played_item_becomes_an_answer() -> None:
    seen = asyncio.run(played(case().item, one_by_one(GOOD)))
    found = Answer.of(case().item, seen)
    assert found.query.startswith("Will it rain") and found.final == "No rain, no warning."
    assert [step.split()[0] for step in found.steps] == [name for name, _ in GOOD[:2]]
    assert all(" -> {" in step for step in found.steps)
    up = asyncio.run(played(case().item, one_by_one([GIVE_UP])))
    assert Answer.of(case().item, up) == Answer(found.query, "")


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("Verdict: Solved", "solved"),
        ("**Verdict:** unsolved", "unsolved"),
        ('{"verdict": "Unsure"}', "unsure"),
        ("Verdict: Solved? No.\nVerdict: Unsolved", "unsolved"),
        ("It is solved.", None),
        ("Verdict: Solvedish", None),
    ],
)
def test_the_last_verdict_counts(text: str, verdict: str | None) -> None:
    assert verdict_in(text) == verdict


@pytest.mark.parametrize(
    ("text", "choice"),
    [("Better: 1", 1), ("better is **2**", None), ("Better: **2**", 2), ("", None)],
)
def test_the_choice_is_read(text: str, choice: int | None) -> None:
    assert choice_in(text) == choice
