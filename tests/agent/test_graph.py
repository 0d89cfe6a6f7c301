"""The agent's runs on the real graph and real SQLite, with a scripted engine."""

import asyncio
import json
from collections.abc import Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from agent_app import Wire, engine_on, reckoner, registry_of, run, user

from agent.config_sections import AgentSettings
from agent.fake_engine import FakeVllm
from agent.prompts import SYSTEM
from agent.runs import Agent, Options
from agent.state import Done, RunResult, Token, ToolCalled, ToolReplied
from agent.threads import open_threads
from agent.unread_calls import UNREAD, Shown
from store.embeddings import HashEmbedder
from store.errors import ConfigError, EngineUnavailable, ToolFailed
from store.records import Episode, Message
from tools.base import CallContext, ToolSpec
from tools.calculate import Calculate
from tools.registry import Registry


def agent_on(fake: FakeVllm, **settings: Any) -> Agent:
    return Agent(engine_on(fake), AgentSettings(**settings))


def asked(fake: FakeVllm) -> list[Wire]:
    """The bodies of all chat requests."""
    return [body for path, body in fake.requests if path == "/v1/chat/completions"]


class Named:
    """A tool with a name and a description; replies with its own name."""

    def __init__(self, name: str, description: str) -> None:
        self.spec = ToolSpec(name, description, {"type": "object", "properties": {}})

    async def call(self, arguments: Mapping[str, Any], context: CallContext) -> str:
        return self.spec.name


def test_a_run_calls_its_tool_and_answers_from_the_reply() -> None:
    fake = FakeVllm(reckoner)
    result = run(agent_on(fake).run(user("6*7"), registry_of(), "base"))
    assert result.answer == 'base says {"result": 42}'
    assert (result.steps, result.models, result.version) == (2, ("base",), "base")
    assert (result.error, result.fault, result.malformed) == (None, None, 0)
    roles = [m.role for m in result.messages]
    assert roles == ["system", "user", "assistant", "tool", "assistant"]
    assert result.messages[2].tool_calls == (
        {"name": "calculate", "arguments": {"expression": "6*7"}},
    )


def test_every_model_call_of_a_run_uses_the_version_it_began_with() -> None:
    """The alias is flipped between the calls; the run does not notice."""
    fake = FakeVllm(reckoner, adapters={"v1": "/a", "v2": "/b"}, delay_s=0.02)
    live = "v1"

    async def work() -> tuple[RunResult, RunResult]:
        nonlocal live
        agent = agent_on(fake)
        first = asyncio.create_task(agent.run(user("1+1"), registry_of(), live))
        await asyncio.sleep(0.01)
        assert agent.pinned() == {"v1"}
        live = "v2"
        second = await agent.run(user("1+1"), registry_of(), live)
        done = await first
        assert agent.pinned() == set()
        return done, second

    first, second = run(work())
    assert (first.models, second.models) == (("v1",), ("v2",))
    assert (first.answer[:2], second.answer[:2]) == ("v1", "v2")


def test_the_last_step_is_asked_without_tools_and_answers() -> None:
    def stubborn(model: str, messages: list[Wire], tools: list[Wire]) -> Any:
        return [{"name": "calculate", "arguments": {"expression": "1"}}] if tools else "enough"

    fake = FakeVllm(stubborn)
    result = run(agent_on(fake, max_steps=3).run(user("x"), registry_of(), "base"))
    assert (result.answer, result.steps) == ("enough", 3)
    assert ["tools" in body for body in asked(fake)] == [True, True, False]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ({"name": "calculte", "arguments": {}}, "there is no tool calculte; there are: calculate"),
        ({"name": "calculate", "arguments": "{1"}, "the arguments of calculate are not JSON: {1"),
        ({"name": "calculate", "arguments": "[1]"}, "the arguments of calculate must be a JSON"),
        ({"name": "calculate", "arguments": {"expression": "1/0"}}, "divides by zero"),
    ],
)
def test_a_faulty_call_is_shown_to_the_model_which_may_correct_it(call: Any, said: str) -> None:
    def corrects(model: str, messages: list[Wire], tools: list[Wire]) -> Any:
        replies = [m["content"] for m in messages if m["role"] == "tool"]
        if not replies:
            return [call]
        if len(replies) == 1:
            assert said in json.loads(replies[0])["error"]
            return [{"name": "calculate", "arguments": {"expression": "2+2"}}]
        return replies[-1]

    result = run(agent_on(FakeVllm(corrects)).run(user("x"), registry_of(), "base"))
    assert result.answer == '{"result": 4}'
    assert result.malformed == isinstance(call["arguments"], str)


def test_a_final_fault_says_so() -> None:
    class Broken(Named):
        async def call(self, arguments: Mapping[str, Any], context: CallContext) -> str:
            raise ToolFailed("the service was shut down")

    def once(model: str, messages: list[Wire], tools: list[Wire]) -> Any:
        return messages[-1]["content"] if messages[-1]["role"] == "tool" else [{"name": "b"}]

    result = run(agent_on(FakeVllm(once)).run(user("x"), registry_of(Broken("b", "")), "base"))
    assert json.loads(result.answer) == {"error": "the service was shut down", "final": True}


def test_a_call_that_the_engine_could_not_parse_is_asked_for_again() -> None:
    def mumbles(model: str, messages: list[Wire], tools: list[Wire]) -> Any:
        return '<tool_call>{"name": calc' if len(messages) == 2 else "sorry"

    result = run(agent_on(FakeVllm(mumbles)).run(user("x"), registry_of(), "base"))
    assert (result.answer, result.malformed, result.steps) == ("sorry", 1, 2)


def test_an_engine_fault_ends_the_run_and_keeps_what_was_done() -> None:
    fake = FakeVllm(reckoner)

    def breaks(model: str, messages: list[Wire], tools: list[Wire]) -> Any:
        fake.down = True
        return reckoner(model, messages, tools)

    fake.answer = breaks
    result = run(agent_on(fake).run(user("1+1"), registry_of(), "base"))
    assert isinstance(result.fault, EngineUnavailable)
    assert result.error == str(result.fault)
    assert result.answer == ""
    assert [m.role for m in result.messages] == ["system", "user", "assistant", "tool"]


def test_a_stream_gives_tokens_tool_calls_results_and_the_same_result() -> None:
    async def work() -> tuple[list[Any], RunResult]:
        agent = agent_on(FakeVllm(reckoner))
        events = [e async for e in agent.stream(user("6*7"), registry_of(), "base")]
        return events, await agent.run(user("6*7"), registry_of(), "base")

    events, whole = run(work())
    assert events[0] == ToolCalled("call-0", "calculate", '{"expression": "6*7"}')
    assert events[1] == ToolReplied("call-0", "calculate", '{"result": 42}', True)
    assert "".join(e.text for e in events if isinstance(e, Token)) == whole.answer
    assert isinstance(events[-1], Done)
    assert events[-1].result.messages == whole.messages


def test_a_stream_that_is_left_early_frees_its_version() -> None:
    async def work() -> None:
        agent = agent_on(FakeVllm(reckoner))
        async with aclosing(agent.stream(user("6*7"), registry_of(), "base")) as events:
            async for event in events:
                if isinstance(event, Token):
                    break
            assert agent.pinned() == {"base"}
        assert agent.pinned() == set()

    run(work())


def test_names_only_hides_descriptions_and_parameters() -> None:
    fake = FakeVllm(lambda *_: "hm")
    run(agent_on(fake).run(user("x"), registry_of(), "base", shown="names"))
    assert asked(fake)[0]["tools"] == [
        {
            "type": "function",
            "function": {"name": "calculate", "parameters": {"type": "object", "properties": {}}},
        }
    ]


def test_retrieved_shows_the_tools_nearest_to_the_question() -> None:
    fake = FakeVllm(lambda *_: "hm")
    tools = [Named(f"tool_{i}", f"about {word}") for i, word in enumerate(("rain", "cats", "rent"))]
    agent = agent_on(fake, top_k=2)
    ask = agent.run(
        user("tell me about cats"), registry_of(*tools), "base", None, "retrieved", HashEmbedder()
    )
    run(ask)
    shown = [t["function"]["name"] for t in asked(fake)[0]["tools"]]
    assert shown[0] == "tool_1"
    assert len(shown) == 2
    with pytest.raises(ConfigError, match="embedder"):
        run(agent.run(user("x"), registry_of(*tools), "base", shown="retrieved"))


def test_the_usual_system_message_gives_way_to_the_clients_own() -> None:
    fake = FakeVllm(lambda *_: "hm")
    run(agent_on(fake).run(user("x"), registry_of(), "base"))
    own = [{"role": "system", "content": "Be brief."}, *user("x")]
    run(agent_on(fake).run(own, registry_of(), "base"))
    assert [body["messages"][0]["content"] for body in asked(fake)] == [SYSTEM, "Be brief."]


def test_records_with_tool_calls_reach_the_engine_in_its_shape() -> None:
    fake = FakeVllm(lambda *_: "42")
    past = [
        Message(role="user", content="6*7"),
        Message(role="assistant", tool_calls=({"name": "f", "arguments": {"a": 1}},)),
        Message(role="tool", content="42"),
    ]
    run(agent_on(fake).run(past, registry_of(), "base"))
    _, _, assistant, tool = asked(fake)[0]["messages"]
    assert assistant["tool_calls"][0]["function"] == {"name": "f", "arguments": '{"a": 1}'}
    assert tool["tool_call_id"] == assistant["tool_calls"][0]["id"]


def test_sampling_reaches_the_engine() -> None:
    fake = FakeVllm(lambda *_: "hm")
    options = Options(max_tokens=7, sampling={"temperature": 0.5, "seed": 3, "priority": 1})
    run(agent_on(fake).run(user("x"), registry_of(), "base", options=options))
    body = asked(fake)[0]
    assert (body["max_tokens"], body["temperature"]) == (7, 0.5)
    assert (body["seed"], body["priority"]) == (3, 1)


def test_every_run_becomes_an_episode() -> None:
    kept: list[Episode] = []
    agent = Agent(engine_on(FakeVllm(reckoner)), AgentSettings(), on_episode=kept.append)
    result = run(agent.run(user("1+1"), registry_of(), "base", thread="t"))
    assert [(e.id, e.thread, e.version, e.steps) for e in kept] == [(result.id, "t", "base", 2)]
    assert kept[0].messages == result.messages


def test_a_thread_survives_a_restart(tmp_path: Path) -> None:
    """Two processes' worth of checkpointers over one file: the second sees the first one's turn."""
    fake = FakeVllm(
        lambda model, messages, tools: f"turn {sum(m['role'] == 'user' for m in messages)}"
    )

    async def turn(text: str, thread: str) -> RunResult:
        async with open_threads(tmp_path / "threads.db") as saver:
            agent = Agent(engine_on(fake), AgentSettings(), saver)
            return await agent.run(user(text), registry_of(), "base", thread)

    assert run(turn("one", "a")).answer == "turn 1"
    second = run(turn("two", "a"))
    assert second.answer == "turn 2"
    assert [m.content for m in second.messages] == [SYSTEM, "one", "turn 1", "two", "turn 2"]
    assert run(turn("other", "b")).answer == "turn 1"


def test_a_turn_that_failed_leaves_nothing_in_its_thread(tmp_path: Path) -> None:
    """A tool call without its result would break every later turn of the thread."""
    fake = FakeVllm(reckoner)

    def breaks(model: str, messages: list[Wire], tools: list[Wire]) -> Any:
        fake.down = True
        return reckoner(model, messages, tools)

    async def work() -> RunResult:
        async with open_threads(tmp_path / "threads.db") as saver:
            agent = Agent(engine_on(fake), AgentSettings(), saver)
            await agent.run(user("1+1"), registry_of(), "base", "t")
            fake.answer = breaks
            assert (await agent.run(user("2+2"), registry_of(), "base", "t")).fault
            fake.down, fake.answer = False, reckoner
            return await agent.run(user("2+2"), registry_of(), "base", "t")

    said = [m.content for m in run(work()).messages if m.role == "user"]
    assert said == ["1+1", "2+2"]


def test_runs_on_one_thread_wait_for_each_other(tmp_path: Path) -> None:
    fake = FakeVllm(lambda *_: "yes", delay_s=0.01)

    async def work() -> list[RunResult]:
        async with open_threads(tmp_path / "threads.db") as saver:
            agent = Agent(engine_on(fake), AgentSettings(), saver)
            asks = [agent.run(user(str(i)), registry_of(), "base", "t") for i in range(4)]
            return await asyncio.gather(*asks)

    longest = max(run(work()), key=lambda result: len(result.messages))
    assert [m.role for m in longest.messages] == ["system", *["user", "assistant"] * 4]


def test_a_thread_that_outgrows_the_context_loses_its_oldest_turns(tmp_path: Path) -> None:
    fake = FakeVllm(lambda model, messages, tools: messages[1]["content"])

    async def work() -> list[str]:
        async with open_threads(tmp_path / "threads.db") as saver:
            agent = Agent(engine_on(fake), AgentSettings(), saver)
            await agent.run(user("one"), registry_of(), "base", "t")
            words = "This model's maximum context length is 8 tokens."
            fake.fail("/v1/chat/completions", 400, words)
            second = await agent.run(user("two"), registry_of(), "base", "t")
            fake.fail("/v1/chat/completions", 400, words)
            alone = await agent.run(user("three"), registry_of(), "base")
            return [second.answer, alone.error or ""]

    second, alone = run(work())
    assert second == "two"
    assert "maximum context length" in alone


def test_a_turn_of_many_calls_that_outgrows_the_context_loses_its_oldest_calls() -> None:
    asked: list[list[str]] = []

    def talk(model: str, messages: list[Any], tools: list[Any]) -> str | list[dict[str, Any]]:
        asked.append([m["role"] for m in messages])
        if len(asked) == 3:
            return "two"
        if len(asked) == 2:
            fake.fail("/v1/chat/completions", 400, "maximum context length is 8 tokens")
        return [{"name": "calculate", "arguments": {"expression": "1+1"}}]

    fake = FakeVllm(talk)
    result = run(agent_on(fake).run(user("1+1"), registry_of(Calculate()), "base"))
    assert result.answer == "two"
    assert asked[-1] == ["system", "user", "assistant", "tool"]


def test_a_run_without_a_thread_is_not_kept(tmp_path: Path) -> None:
    async def work() -> int:
        async with open_threads(tmp_path / "threads.db") as saver:
            agent = Agent(engine_on(FakeVllm(reckoner)), AgentSettings(), saver)
            await agent.run(user("1+1"), registry_of(), "base")
            return len([c async for c in saver.alist(None)])

    assert run(work()) == 0


def test_tools_see_the_thread_they_are_called_in() -> None:
    seen: list[str] = []

    class Spy(Calculate):
        async def call(self, arguments: Mapping[str, Any], context: CallContext) -> str:
            seen.append(context.thread)
            return await super().call(arguments, context)

    agent = agent_on(FakeVllm(reckoner))
    run(agent.run(user("1+1"), registry_of(Spy()), "base", "mine"))
    run(agent.run(user("1+1"), registry_of(Spy()), "base"))
    run(agent.run(user("1+1"), registry_of(Spy()), "base"))
    assert seen[0] == "mine"
    assert len(set(seen)) == 3


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ('<tool_call>{"name": calc', UNREAD),
        ('Four, I think. <tool_call>{"name": calc', "Four, I think. "),
        ("1 < 2 and 3 <t 4", "1 < 2 and 3 <t 4"),
        ("The end is <tool_ca", "The end is <tool_ca"),
    ],
)
def test_a_call_that_could_not_be_read_is_in_no_answer_and_in_no_stream(
    said: str, answer: str
) -> None:
    def mumbles(model: str, messages: list[Wire], tools: list[Wire]) -> Any:
        return said

    async def work() -> tuple[str, RunResult]:
        agent = agent_on(FakeVllm(mumbles), max_steps=1)
        events = [e async for e in agent.stream(user("2+2"), registry_of(), "base")]
        shown = "".join(e.text for e in events if isinstance(e, Token))
        return shown, await agent.run(user("2+2"), registry_of(), "base")

    shown, whole = run(work())
    assert (shown, whole.answer) == (answer, answer)
    assert whole.malformed == ("<tool_call>" in said)


@pytest.mark.parametrize(
    "text", ["a <tool_call>{", "a <tool_c", "<<tool_call>", "<tool_<tool_call>x"]
)
def test_a_mark_that_comes_in_pieces_is_seen(text: str) -> None:
    shown = Shown()
    said = "".join(map(shown.feed, text)) + shown.rest()
    assert said == text.partition("<tool_call>")[0]


def test_what_was_streamed_before_a_call_is_asked_for_again_shows_no_call() -> None:
    def mumbles(model: str, messages: list[Wire], tools: list[Wire]) -> Any:
        return 'Well. <tool_call>{"name": calc' if len(messages) == 2 else "sorry"

    async def work() -> str:
        events = agent_on(FakeVllm(mumbles)).stream(user("x"), registry_of(), "base")
        return "".join([e.text async for e in events if isinstance(e, Token)])

    assert run(work()) == "Well. sorry"


def test_without_tools_the_mark_of_a_call_is_text() -> None:
    def quotes(model: str, messages: list[Wire], tools: list[Wire]) -> Any:
        return "Hermes writes <tool_call> before a call."

    async def work() -> tuple[str, str]:
        agent = agent_on(FakeVllm(quotes))
        events = [e async for e in agent.stream(user("x"), Registry(()), "base")]
        shown = "".join(e.text for e in events if isinstance(e, Token))
        return shown, (await agent.run(user("x"), Registry(()), "base")).answer

    assert run(work()) == ("Hermes writes <tool_call> before a call.",) * 2
