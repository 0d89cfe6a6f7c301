"""Threads that outgrow the model's window: what the model is shown of them, and what is kept."""

from itertools import pairwise
from pathlib import Path
from typing import Any

from agent_app import Wire, engine_on, registry_of, run, user

from agent.config_sections import AgentSettings
from agent.fake_engine import FakeVllm
from agent.runs import Agent
from agent.state import RunResult
from agent.threads import open_threads

WINDOW = 1000


def asked(fake: FakeVllm) -> list[list[Wire]]:
    """The messages of every chat that the engine was sent, whether it answered it or not."""
    return [body["messages"] for path, body in fake.requests if path == "/v1/chat/completions"]


def counted(fake: FakeVllm) -> int:
    return sum(path == "/tokenize" for path, _ in fake.requests)


def talk(
    path: Path, fake: FakeVllm, questions: list[str], *, restart: bool = False, **settings: Any
) -> list[RunResult]:
    """The answers to some questions in one thread of an agent with a window of 1000 characters."""
    fake.window = WINDOW

    async def some(given: list[str]) -> list[RunResult]:
        async with open_threads(path / "threads.db") as saver:
            usual = AgentSettings(max_tokens=100, **settings)
            agent = Agent(engine_on(fake), usual, saver, window=WINDOW)
            return [await agent.run(user(q), registry_of(), "base", "t") for q in given]

    if not restart:
        return run(some(questions))
    return [result for question in questions for result in run(some([question]))]


def test_what_no_longer_fits_is_left_out_before_the_engine_is_asked(tmp_path: Path) -> None:
    fake = FakeVllm(lambda *_: "yes")
    results = talk(tmp_path, fake, [f"{n} " + "x" * 200 for n in range(12)])
    assert [result.error for result in results] == [None] * 12
    # Nothing was refused: every chat was asked once.
    assert len(asked(fake)) == 12
    assert asked(fake)[-1][-1]["content"].startswith("11 ")
    assert len(asked(fake)[-1]) < 9
    # The thread has it all.
    assert len(results[-1].messages) == 1 + 24


def test_prompts_go_on_beginning_alike_until_the_next_cut(tmp_path: Path) -> None:
    """Or the engine's prefix cache would be of no use: also after a restart."""
    fake = FakeVllm(lambda *_: "yes")
    talk(tmp_path, fake, [f"{n} " + "x" * 100 for n in range(30)], restart=True)
    begins = [messages[1]["content"] for messages in asked(fake)]
    cuts = sum(a != b for a, b in pairwise(begins))
    assert 0 < cuts < 15


def test_a_short_thread_is_not_counted_by_the_engine(tmp_path: Path) -> None:
    fake = FakeVllm(lambda *_: "yes")
    talk(tmp_path, fake, ["one", "two", "three"])
    assert counted(fake) <= 1


def test_a_summary_takes_the_place_of_what_is_left_out(tmp_path: Path) -> None:
    def answer(model: str, messages: list[Wire], tools: list[Wire]) -> str:
        if messages[0]["content"].startswith("Summarise"):
            return f"[{messages[1]['content'].count('user:')} questions]"
        return "yes"

    fake = FakeVllm(answer)
    questions = [f"{n} " + "x" * 200 for n in range(8)]
    results = talk(tmp_path, fake, questions, long_threads="summarise")
    first = asked(fake)[0][0]["content"]
    last = asked(fake)[-1][0]["content"]
    assert "Earlier in this conversation" not in first
    assert last.startswith(first)
    assert "Earlier in this conversation: [" in last
    summaries = [m for m in asked(fake) if m[0]["content"].startswith("Summarise")]
    # A later summary is made of the earlier one and of what was left out since.
    assert "Summary so far: [" in summaries[-1][1]["content"]
    assert all(len(m[1]["content"]) < WINDOW for m in summaries)
    assert len(results[-1].messages) == 1 + 16


def test_a_summary_that_fails_costs_no_answer(tmp_path: Path) -> None:
    def answer(model: str, messages: list[Wire], tools: list[Wire]) -> str:
        assert not messages[0]["content"].startswith("Summarise")
        return "yes"

    fake = FakeVllm(answer)
    questions = [f"{n} " + "x" * 200 for n in range(5)]
    talk(tmp_path, fake, questions[:4], long_threads="summarise")
    fake.fail("/v1/chat/completions", 500, "no")
    last = talk(tmp_path, fake, questions[4:], long_threads="summarise")[0]
    assert (last.error, last.answer) == (None, "yes")


def test_a_thousand_messages_at_once_are_cut_to_the_last_ones(tmp_path: Path) -> None:
    fake = FakeVllm(lambda *_: "yes", window=WINDOW)
    many = [
        {"role": "user" if n % 2 == 0 else "assistant", "content": f"{n} " + "x" * 50}
        for n in range(1001)
    ]

    async def work() -> RunResult:
        agent = Agent(engine_on(fake), AgentSettings(max_tokens=100), window=WINDOW)
        return await agent.run(many, registry_of(), "base")

    result = run(work())
    assert result.error is None
    assert len(asked(fake)) == 1
    assert counted(fake) < 5
    assert asked(fake)[0][-1]["content"].startswith("1000 ")


def test_a_question_that_is_itself_too_long_is_refused_and_not_cut(tmp_path: Path) -> None:
    """A part of it would be another question."""
    fake = FakeVllm(lambda *_: "yes")
    result = talk(tmp_path, fake, ["x" * 2 * WINDOW])[0]
    assert "maximum context length" in (result.error or "")


def test_a_turn_of_many_calls_is_cut_by_its_oldest(tmp_path: Path) -> None:
    def answer(model: str, messages: list[Wire], tools: list[Wire]) -> Any:
        if tools:
            return [{"name": "calculate", "arguments": {"expression": "1" * 300}}]
        return "done"

    fake = FakeVllm(answer)
    result = talk(tmp_path, fake, ["6*7"], max_steps=6)[0]
    assert (result.error, result.answer) == (None, "done")


def test_an_engine_that_cannot_count_is_asked_until_it_fits(tmp_path: Path) -> None:
    fake = FakeVllm(lambda *_: "yes")
    talk(tmp_path, fake, [f"{n} " + "x" * 330 for n in range(2)])
    fake.fail("/tokenize", 404, "Not Found")
    last = talk(tmp_path, fake, ["2 " + "x" * 330])[0]
    assert (last.error, last.answer) == (None, "yes")
    assert asked(fake)[-2][1]["content"].startswith("0 ")
    assert asked(fake)[-1][1]["content"].startswith("1 ")
