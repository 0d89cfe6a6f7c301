"""Runs by LangGraph's own client over a real socket: waited for, streamed, joined, cancelled."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from agent_app import LIVE, NEXT, Wire, reckoner, run
from langgraph_app import QUESTION, served, texts, until
from langgraph_sdk.errors import ConflictError, NotFoundError

ANSWER = f'{LIVE} says {{"result": 42}}'
TURN = [("human", "6*7"), ("ai", ""), ("tool", '{"result": 42}'), ("ai", ANSWER)]


def slow(model: str, messages: list[Wire], tools: list[Wire]) -> Any:
    """An answer of many words."""
    return " ".join(["word"] * 50)


def test_a_run_that_is_waited_for_gives_the_threads_values(tmp_path: Path) -> None:
    async def work() -> None:
        async with served(tmp_path) as server:
            client = server.client()
            thread = await client.threads.create(metadata={"topic": "sums"})
            values: Any = await client.runs.wait(thread["thread_id"], "agent", input=QUESTION)
            assert texts(values) == TURN
            call = values["messages"][1]["tool_calls"][0]
            assert (call["name"], call["args"]) == ("calculate", {"expression": "6*7"})
            assert values["messages"][2]["name"] == "calculate"
            assert values["version"] == LIVE
            found: Any = await client.threads.get(thread["thread_id"])
            assert (found["status"], found["values"]) == ("idle", values)
            assert found["metadata"]["topic"] == "sums"

    run(work())


def test_a_run_without_a_thread_is_answered_and_leaves_none(tmp_path: Path) -> None:
    async def work() -> None:
        async with served(tmp_path) as server:
            client = server.client()
            values = await client.runs.wait(None, "agent", input=QUESTION)
            assert texts(values) == TURN
            parts = [p async for p in client.runs.stream(None, "agent", input=QUESTION)]
            assert texts(parts[-2].data) == TURN
            assert await client.threads.search() == []
            await client.runs.wait(None, "agent", input=QUESTION, on_completion="keep")
            assert texts((await client.threads.search())[0]["values"]) == TURN

    run(work())


def test_the_modes_of_a_stream_are_as_langgraph_has_them(tmp_path: Path) -> None:
    modes: Any = ["values", "updates", "messages-tuple", "custom", "events", "tasks", "tools"]

    async def work() -> list[Any]:
        async with served(tmp_path) as server:
            client = server.client()
            thread = (await client.threads.create())["thread_id"]
            stream = client.runs.stream(thread, "agent", input=QUESTION, stream_mode=modes)
            return [part async for part in stream]

    parts = run(work())
    assert parts[0].event == "metadata"
    assert (parts[-1].event, parts[-1].data["status"]) == ("end", "success")
    of: dict[str, list[Any]] = {}
    for part in parts:
        of.setdefault(part.event, []).append(part.data)
    assert texts(of["values"][0]) == TURN[:1]
    assert texts(of["values"][-1]) == TURN
    ids = [message["id"] for message in of["values"][-1]["messages"]]
    assert [list(update) for update in of["updates"]] == [["model"], ["tools"], ["model"]]
    assert texts(of["updates"][1]["tools"]) == TURN[2:3]
    pieces = [piece for piece, _ in of["messages"]]
    assert {about["langgraph_node"] for _, about in of["messages"]} == {"model", "tools"}
    assert [piece["id"] for piece in pieces[:2]] == ids[1:3]
    assert pieces[0]["tool_call_chunks"][0]["args"] == '{"expression": "6*7"}'
    assert "".join(p["content"] for p in pieces if p["id"] == ids[3]) == ANSWER
    kinds = [event["type"] for event in of["custom"]]
    assert kinds[:3] == ["tool_call", "tool_result", "token"]
    assert [event["event"] for event in of["events"]][:3] == [
        "on_tool_start", "on_tool_end", "on_chat_model_stream",
    ]  # fmt: skip
    assert of["tasks"][0]["name"] == "model"
    assert [event["event"] for event in of["tools"]] == ["on_tool_start", "on_tool_end"]


def test_messages_mode_tells_what_is_written_so_far_and_then_the_whole(tmp_path: Path) -> None:
    async def work() -> list[Any]:
        async with served(tmp_path) as server:
            stream = server.client().runs.stream(
                None, "agent", input=QUESTION, stream_mode=["messages", "debug", "checkpoints"]
            )
            return [part async for part in stream]

    parts = run(work())
    partial = [part.data[0]["content"] for part in parts if part.event == "messages/partial"]
    assert partial[0] == LIVE
    assert partial[-1] == ANSWER
    whole = [part.data[0]["type"] for part in parts if part.event == "messages/complete"]
    assert whole == ["ai", "tool", "ai"]
    assert {part.event for part in parts} >= {"debug", "messages/metadata"}


def test_a_run_is_pinned_by_its_assistant_or_its_context(tmp_path: Path) -> None:
    async def work() -> None:
        async with served(tmp_path) as server:
            client = server.client()
            for assistant, context, version in (
                ("agent", None, LIVE), (NEXT, None, NEXT), ("agent", {"version": NEXT}, NEXT),
            ):  # fmt: skip
                values: Any = await client.runs.wait(
                    None, assistant, input=QUESTION, context=context
                )
                assert values["version"] == version
            with pytest.raises(NotFoundError, match="no assistant"):
                await client.runs.create(None, "nobody", input=QUESTION)
            config: Any = {"configurable": {"temperature": 0.5, "max_tokens": 9, "seed": 3}}
            await client.runs.wait(None, "agent", input=QUESTION, config=config)
            body = server.fake.requests[-1][1]
            assert (body["temperature"], body["max_tokens"], body["seed"]) == (0.5, 9, 3)

    run(work())


def test_a_background_run_is_listed_joined_and_kept(tmp_path: Path) -> None:
    async def work() -> None:
        async with served(tmp_path, delay_s=0.05) as server:
            client = server.client()
            thread = (await client.threads.create())["thread_id"]
            started = await client.runs.create(
                thread, "agent", input=QUESTION, metadata={"why": "test"}
            )
            assert started["status"] in ("pending", "running")
            assert (await client.threads.get(thread))["status"] == "busy"
            id = started["run_id"]
            streamed = [part async for part in client.runs.join_stream(thread, id)]
            assert texts(streamed[-2].data) == TURN
            assert texts(await client.runs.join(thread, id)) == TURN
            found = await client.runs.get(thread, id)
            assert (found["status"], found["metadata"]) == ("success", {"why": "test"})
            assert [r["run_id"] for r in await client.runs.list(thread)] == [id]
            await client.runs.delete(thread, id)
            assert await client.runs.list(thread) == []

    run(work())


def test_a_cancelled_run_stops_the_engine_and_the_thread_goes_on(tmp_path: Path) -> None:
    async def work() -> None:
        async with served(tmp_path, slow, word_delay_s=0.05) as server:
            client = server.client()
            thread = (await client.threads.create())["thread_id"]
            started = await client.runs.create(thread, "agent", input=QUESTION)
            await until(lambda: server.fake.requests, "the engine was asked")
            await client.runs.cancel(thread, started["run_id"], wait=True)
            assert (await client.runs.get(thread, started["run_id"]))["status"] == "interrupted"
            assert server.state.agent.pinned() == set()
            server.fake.answer = reckoner
            values = await client.runs.wait(thread, "agent", input=QUESTION)
            assert texts(values) == TURN

    run(work())


def test_a_run_that_is_taken_back_leaves_its_thread_as_it_was(tmp_path: Path) -> None:
    async def work() -> None:
        async with served(tmp_path, word_delay_s=0.02) as server:
            client = server.client()
            thread = (await client.threads.create())["thread_id"]
            before = await client.runs.wait(thread, "agent", input=QUESTION)
            server.fake.answer = slow
            started = await client.runs.create(thread, "agent", input=QUESTION)
            await until(lambda: len(server.fake.requests) > 2, "the engine was asked again")
            await client.runs.cancel(thread, started["run_id"], wait=True, action="rollback")
            assert (await client.threads.get_state(thread))["values"] == before

    run(work())


def test_runs_on_one_thread_are_queued_refused_or_replaced_as_asked(tmp_path: Path) -> None:
    async def work() -> None:
        async with served(tmp_path, slow, word_delay_s=0.02) as server:
            client = server.client()
            thread = (await client.threads.create())["thread_id"]
            first = await client.runs.create(thread, "agent", input=QUESTION)
            with pytest.raises(ConflictError):
                await client.runs.create(
                    thread, "agent", input=QUESTION, multitask_strategy="reject"
                )
            await until(lambda: server.fake.requests, "the engine was asked")
            second = await client.runs.create(
                thread, "agent", input=QUESTION, multitask_strategy="interrupt"
            )
            assert (await client.runs.get(thread, first["run_id"]))["status"] == "interrupted"
            server.fake.answer = reckoner
            third = await client.runs.create(thread, "agent", input=QUESTION)
            assert third["status"] == "pending"
            values: Any = await client.runs.join(thread, third["run_id"])
            assert (await client.runs.get(thread, second["run_id"]))["status"] == "success"
            assert [text for kind, text in texts(values) if kind == "human"] == ["6*7", "6*7"]

    run(work())


@pytest.mark.parametrize("how", ["stream", "wait"])
def test_a_run_ends_with_the_client_that_vanished(tmp_path: Path, how: str) -> None:
    async def work() -> None:
        async with served(tmp_path, slow, word_delay_s=0.05) as server:
            body = {"assistant_id": "agent", "input": QUESTION, "stream_mode": "custom"}
            async with httpx.AsyncClient(base_url=server.url, trust_env=False) as client:
                asked = client.stream("POST", f"/runs/{how}", json=body)
                async with asked as reply:
                    if how == "stream":
                        async for line in reply.aiter_lines():
                            if "token" in line:
                                break
                    await until(server.state.agent.pinned, "the run had its slot")
            await until(lambda: not server.state.agent.pinned(), "the slot was free again")
            assert server.state.runs.under_way() == []

    run(work())


def test_a_stream_that_is_kept_goes_on_without_its_client_and_is_read_again(
    tmp_path: Path,
) -> None:
    async def work() -> None:
        async with served(tmp_path, slow, word_delay_s=0.005) as server:
            client = server.client()
            thread = (await client.threads.create())["thread_id"]
            made: list[Any] = []
            stream = client.runs.stream(
                thread, "agent", input=QUESTION, stream_mode="custom", stream_resumable=True,
                on_run_created=made.append,
            )  # fmt: skip
            seen = [await anext(stream) for _ in range(3)]
            await stream.aclose()  # type: ignore[attr-defined]
            rest = client.runs.join_stream(thread, made[0]["run_id"], last_event_id=seen[-1].id)
            parts = seen + [part async for part in rest]
            words = [p.data["text"] for p in parts if p.event == "custom"]
            assert "".join(words) == slow("", [], [])
            again = client.runs.join_stream(thread, made[0]["run_id"])
            assert [p.data for p in parts] == [p.data async for p in again]

    run(work())


def test_an_engine_that_fails_is_an_error_of_the_run_and_not_of_the_server(
    tmp_path: Path,
) -> None:
    async def work() -> None:
        async with served(tmp_path) as server:
            client = server.client()
            thread = (await client.threads.create())["thread_id"]
            server.fake.down = True
            with pytest.raises(Exception, match="EngineUnavailable"):
                await client.runs.wait(thread, "agent", input=QUESTION)
            parts = [p async for p in client.runs.stream(thread, "agent", input=QUESTION)]
            assert parts[-2].event == "error"
            assert parts[-2].data["error"] == "EngineUnavailable"
            assert (await client.threads.get(thread))["status"] == "error"
            assert [r["status"] for r in await client.runs.list(thread)] == ["error"] * 2
            server.fake.down = False
            assert texts(await client.runs.wait(thread, "agent", input=QUESTION)) == TURN

    run(work())


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"input": {"messages": [{"type": "robot", "content": "x"}]}}, "robot"),
        ({"input": {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}}, "text"),
        ({"input": {"messages": [7]}}, "messages.0"),
        ({"input": 7}, "an object with messages"),
        ({"input": {}}, "begins with messages"),
        ({"input": QUESTION, "command": {"resume": True}}, "exclude each other"),
        ({"input": QUESTION, "webhook": "http://elsewhere"}, "webhook"),
        ({"input": QUESTION, "interrupt_before": ["nowhere"]}, "interrupt_before"),
        ({"input": QUESTION, "stream_mode": "telepathy"}, "stream_mode"),
        ({"input": QUESTION, "context": {"temperature": 9}}, "temperature"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_runs(
    tmp_path: Path, body: dict[str, Any], said: str
) -> None:
    async def work() -> None:
        async with (
            served(tmp_path) as server,
            httpx.AsyncClient(base_url=server.url, trust_env=False) as client,
        ):
            reply = await client.post("/runs/wait", json={"assistant_id": "agent"} | body)
            assert reply.status_code == 400
            assert said in reply.json()["error"]["message"]
            assert server.fake.requests == []

    run(work())


def test_messages_of_all_usual_shapes_are_understood(tmp_path: Path) -> None:
    def echo(model: str, messages: list[Wire], tools: list[Wire]) -> Any:
        return " / ".join(str(m["content"]) for m in messages[1:])

    given: list[Any] = [
        "one",
        ["human", "two"],
        {"type": "human", "content": [{"type": "text", "text": "three"}], "id": "mine"},
        {"role": "user", "content": "four"},
        {"type": "HumanMessage", "content": "five"},
    ]

    async def work() -> None:
        async with served(tmp_path, echo) as server:
            client = server.client()
            values: Any = await client.runs.wait(None, "agent", input={"messages": given})
            assert values["messages"][-1]["content"] == "one / two / three / four / five"
            assert values["messages"][2]["id"] == "mine"
            assert "id" not in server.fake.requests[-1][1]["messages"][-1]

    run(work())
