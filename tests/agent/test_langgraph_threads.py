"""Threads by LangGraph's own client over a real socket: made, searched, changed, resumed, deleted,
and never seen by another key. Assistants and items besides."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from agent_app import LIVE, NEXT, run
from langgraph_app import QUESTION, served, texts
from langgraph_sdk.errors import (
    AuthenticationError,
    BadRequestError,
    ConflictError,
    NotFoundError,
    RateLimitError,
)

ANSWER = f'{LIVE} says {{"result": 42}}'
TURN = [("human", "6*7"), ("ai", ""), ("tool", '{"result": 42}'), ("ai", ANSWER)]
AGAIN: Any = {"messages": [{"role": "user", "content": "1+1"}]}


def test_threads_are_made_found_tagged_counted_and_deleted(tmp_path: Path) -> None:
    async def work() -> None:
        async with served(tmp_path) as server:
            threads = server.client().threads
            made = await threads.create(thread_id="mine", metadata={"n": 1}, graph_id="agent")
            assert (made["thread_id"], made["status"], made["values"]) == ("mine", "idle", None)
            with pytest.raises(ConflictError):
                await threads.create(thread_id="mine")
            again = await threads.create(thread_id="mine", if_exists="do_nothing")
            assert again["created_at"] == made["created_at"]
            await threads.create(metadata={"n": 2})
            assert [t["thread_id"] for t in await threads.search(metadata={"n": 1})] == ["mine"]
            assert await threads.count(metadata={"graph_id": "agent"}) == 2
            changed = await threads.update("mine", metadata={"m": True})
            assert changed["metadata"] == {"graph_id": "agent", "n": 1, "m": True}
            assert await threads.search(ids=["mine"], select=["status"]) == [
                {"thread_id": "mine", "status": "idle"}
            ]
            await threads.delete("mine")
            for gone in (threads.get("mine"), threads.get_state("mine"), threads.delete("mine")):
                with pytest.raises(NotFoundError, match="no thread"):
                    await gone

    run(work())


def test_history_has_every_step_and_any_of_them_can_be_gone_on_from(tmp_path: Path) -> None:
    async def work() -> None:
        async with served(tmp_path) as server:
            client = server.client()
            thread = (await client.threads.create())["thread_id"]
            await client.runs.wait(thread, "agent", input=QUESTION)
            first = await client.threads.get_history(thread)
            assert [state["next"] for state in first] == [
                [], ["model"], ["tools"], ["model"], ["__start__"],
            ]  # fmt: skip
            assert first[0]["parent_checkpoint"] == first[1]["checkpoint"]
            await client.runs.wait(thread, "agent", input=AGAIN)
            end: Any = first[0]["checkpoint"]
            assert texts((await client.threads.get_state(thread, end))["values"]) == TURN
            before = await client.threads.get_history(thread, limit=1, before=end)
            assert before[0]["checkpoint"] == first[1]["checkpoint"]
            # Another question in place of the second.
            other: Any = {"messages": [{"role": "user", "content": "2+2"}]}
            values: Any = await client.runs.wait(thread, "agent", input=other, checkpoint=end)
            said = [text for kind, text in texts(values) if kind == "human"]
            assert said == ["6*7", "2+2"]
            # The last answer once more.
            asked: Any = (await client.threads.get_history(thread))[1]
            assert asked["next"] == ["model"]
            count = len(server.fake.requests)
            values = await client.runs.wait(
                thread, "agent", input=None, checkpoint=asked["checkpoint"]
            )
            assert len(server.fake.requests) == count + 1
            assert [text for kind, text in texts(values) if kind == "human"] == said
            with pytest.raises(NotFoundError, match="no checkpoint"):
                await client.threads.get_state(thread, checkpoint_id="1ef4a9b8-nowhere")

    run(work())


def test_a_tool_that_a_person_must_confirm_waits_for_the_answer(tmp_path: Path) -> None:
    async def work() -> None:
        async with served(tmp_path, confirm=True) as server:
            client = server.client()
            thread = (await client.threads.create())["thread_id"]
            parts = [
                part
                async for part in client.runs.stream(
                    thread, NEXT, input=QUESTION, stream_mode=["values", "updates"]
                )
            ]
            assert parts[-1].data["status"] == "interrupted"
            asked: Any = parts[-2].data["__interrupt__"]
            call = {"id": "call-0", "name": "calculate", "arguments": {"expression": "6*7"}}
            assert asked[0]["value"] == {"type": "confirm", "calls": [call]}
            found = await client.threads.get(thread)
            assert (found["status"], list(found["interrupts"].values())) == ("interrupted", [asked])
            state: Any = await client.threads.get_state(thread)
            assert (state["next"], state["tasks"][0]["interrupts"]) == (["tools"], asked)
            assert [t["thread_id"] for t in await client.threads.search(status="interrupted")] == [
                thread
            ]
            # As useStream does it, with the head's checkpoint; on the version that had asked.
            values: Any = await client.runs.wait(
                thread, "agent", command={"resume": {"approved": ["call-0"]}},
                checkpoint=state["checkpoint"],
            )  # fmt: skip
            assert values["messages"][-1]["content"] == f'{NEXT} says {{"result": 42}}'
            assert (await client.threads.get(thread))["status"] == "idle"

    run(work())


@pytest.mark.parametrize("way", ["no", "by id", "again", "give up", "new question"])
def test_a_waiting_thread_is_answered_no_or_left(tmp_path: Path, way: str) -> None:
    async def work() -> None:
        async with served(tmp_path, confirm=True) as server:
            client = server.client()
            thread = (await client.threads.create())["thread_id"]
            await client.runs.wait(thread, "agent", input=QUESTION)
            id = (await client.threads.get_state(thread))["interrupts"][0]["id"]
            if way == "no":
                values: Any = await client.runs.wait(thread, "agent", command={"resume": False})
                assert "declined" in values["messages"][2]["content"]
            elif way == "by id":
                command: Any = {"resume": {id: True}}
                values = await client.runs.wait(thread, "agent", command=command)
                assert texts(values) == TURN
            elif way == "again":
                values = await client.runs.wait(thread, "agent", input=None)
                assert values["__interrupt__"][0]["id"] == id
            elif way == "give up":
                values = await client.runs.wait(thread, "agent", command={"goto": "__end__"})
                assert (await client.threads.get_state(thread))["next"] == []
                count = len(server.fake.requests)
                assert await client.runs.wait(thread, "agent", input=None) == values
                assert len(server.fake.requests) == count
            else:
                values = await client.runs.wait(thread, "agent", input=AGAIN)
                assert [text for kind, text in texts(values) if kind == "human"] == ["1+1"]

    run(work())


def test_a_run_stops_at_a_breakpoint_and_goes_on(tmp_path: Path) -> None:
    async def work() -> None:
        async with served(tmp_path) as server:
            client = server.client()
            thread = (await client.threads.create())["thread_id"]
            values = await client.runs.wait(
                thread, "agent", input=QUESTION, interrupt_before=["tools"]
            )
            assert texts(values) == TURN[:2]
            assert (await client.threads.get(thread))["status"] == "interrupted"
            assert texts(await client.runs.wait(thread, "agent", input=None)) == TURN
            assert len(list(server.state.store.episodes.list())) == 1

    run(work())


def test_a_state_is_changed_from_outside(tmp_path: Path) -> None:
    async def work() -> None:
        async with served(tmp_path) as server:
            client = server.client()
            thread = (await client.threads.create())["thread_id"]
            values: Any = await client.runs.wait(thread, "agent", input=QUESTION)
            last = values["messages"][-1] | {"content": "forty-two"}
            changed: Any = await client.threads.update_state(thread, {"messages": [last]})
            state = await client.threads.get_state(thread)
            assert state["checkpoint"] == changed["checkpoint"]
            assert texts(state["values"]) == [*TURN[:3], ("ai", "forty-two")]
            with pytest.raises(BadRequestError, match="robot"):
                await client.threads.update_state(thread, {"messages": [{"type": "robot"}]})

    run(work())


def test_a_thread_is_copied_and_exported_whole(tmp_path: Path) -> None:
    async def work() -> None:
        async with served(tmp_path) as server:
            client = server.client()
            thread = (await client.threads.create(metadata={"n": 1}))["thread_id"]
            values = await client.runs.wait(thread, "agent", input=QUESTION)
            copy: Any = await client.threads.copy(thread)
            assert copy["thread_id"] != thread
            assert (copy["values"], copy["metadata"]["n"]) == (values, 1)
            assert len(await client.threads.get_history(copy["thread_id"])) == 5
            async with httpx.AsyncClient(base_url=server.url, trust_env=False) as plain:
                whole = (await plain.get(f"/threads/{thread}/export")).json()
            assert whole["thread"]["thread_id"] == thread
            assert texts(whole["states"][0]["values"]) == TURN
            assert len(whole["runs"]) == len(whole["episodes"]) == 1
            await client.threads.delete(thread)
            assert await client.threads.prune([copy["thread_id"], "none"]) == {"pruned_count": 1}
            assert server.state.store.episodes.list() == []

    run(work())


def test_a_chat_with_a_thread_is_a_thread_of_this_protocol_too(tmp_path: Path) -> None:
    async def work() -> None:
        async with served(tmp_path) as server:
            body = {"model": "live", "messages": QUESTION["messages"], "thread_id": "t"}
            async with httpx.AsyncClient(base_url=server.url, trust_env=False) as plain:
                await plain.post("/v1/chat/completions", json=body)
            client = server.client()
            found = await client.threads.search(metadata={"graph_id": "agent"})
            assert [t["thread_id"] for t in found] == ["t"]
            values = await client.runs.wait("t", "agent", input=AGAIN)
            assert texts(values)[:4] == TURN
            assert len(texts(values)) == 8

    run(work())


def test_another_keys_threads_runs_and_items_are_as_if_there_were_none(tmp_path: Path) -> None:
    async def work() -> None:
        async with served(tmp_path) as server:
            keys = server.state.store.keys
            a, b = (keys.create(name, ("chat",))[1] for name in "ab")
            _, boss = keys.create("boss", ("admin",))
            mine, theirs, admin = server.client(a), server.client(b), server.client(boss)
            await mine.threads.create(thread_id="t")
            ran = await mine.runs.create("t", "agent", input=QUESTION)
            await mine.runs.join("t", ran["run_id"])
            full = server.state.store.threads.search(None)[0].name
            for name in ("t", full):
                for call in (
                    theirs.threads.get(name),
                    theirs.threads.get_state(name),
                    theirs.threads.get_history(name),
                    theirs.threads.update(name, metadata={}),
                    theirs.threads.update_state(name, {"messages": []}),
                    theirs.threads.copy(name),
                    theirs.threads.delete(name),
                    theirs.runs.list(name),
                    theirs.runs.get(name, ran["run_id"]),
                    theirs.runs.create(name, "agent", input=QUESTION),
                    theirs.runs.cancel(name, ran["run_id"]),
                ):
                    with pytest.raises(NotFoundError):
                        await call
            assert await theirs.threads.search() == []
            assert await theirs.threads.count() == 0
            # The same name is another thread.
            await theirs.threads.create(thread_id="t")
            assert (await theirs.threads.get("t"))["values"] is None
            assert texts((await mine.threads.get("t"))["values"]) == TURN
            assert {t["thread_id"] for t in await admin.threads.search()} >= {full}
            assert texts((await admin.threads.get(full))["values"]) == TURN
            await mine.store.put_item(["x"], "k", {"v": 1})
            for other in (theirs, admin):
                with pytest.raises(NotFoundError):
                    await other.store.get_item(["x"], "k")
            with pytest.raises(AuthenticationError):
                await server.client("wrong").threads.search()

    run(work())


def test_runs_in_the_background_count_as_long_as_they_last(tmp_path: Path) -> None:
    async def work() -> None:
        async with served(tmp_path, delay_s=0.2) as server:
            _, key = server.state.store.keys.create("a", ("chat",), concurrent=1)
            client = server.client(key)
            thread = (await client.threads.create())["thread_id"]
            first = await client.runs.create(thread, "agent", input=QUESTION)
            with pytest.raises(RateLimitError):
                await client.runs.create(None, "agent", input=QUESTION)
            live = server.state.runs.under_way()[0]
            assert live.record.id == first["run_id"]
            await live.done.wait()
            await client.runs.create(None, "agent", input=QUESTION)

    run(work())


def test_assistants_are_the_live_version_and_every_version(tmp_path: Path) -> None:
    async def work() -> None:
        async with served(tmp_path) as server:
            assistants = server.client().assistants
            found = await assistants.search(graph_id="agent")
            assert [one["name"] for one in found] == ["agent", NEXT, LIVE]
            for one in found:
                assert await assistants.get(one["assistant_id"]) == one
            assert (await assistants.get("agent"))["name"] == "agent"
            assert (await assistants.get(NEXT))["metadata"]["parent"] == LIVE  # type: ignore[index]
            assert await assistants.count(metadata={"state": "candidate"}) == 1
            nodes = (await assistants.get_graph("agent"))["nodes"]
            assert {"model", "tools"} <= {node["id"] for node in nodes}
            schemas = await assistants.get_schemas("agent")
            assert "messages" in schemas["input_schema"]["properties"]  # type: ignore[index]
            assert await assistants.get_subgraphs("agent") == {}
            with pytest.raises(NotFoundError):
                await assistants.get("nobody")

    run(work())


def test_items_are_kept_searched_and_forgotten(tmp_path: Path) -> None:
    async def work() -> None:
        async with served(tmp_path) as server:
            store = server.client().store
            await store.put_item(["users", "ann"], "likes", {"tea": True})
            await store.put_item(["users", "bob"], "likes", {"tea": False})
            assert (await store.get_item(["users", "ann"], "likes"))["value"] == {"tea": True}
            found = await store.search_items(["users"], filter={"tea": False})
            assert [item["namespace"] for item in found["items"]] == [["users", "bob"]]
            listed = await store.list_namespaces(prefix=["users"], suffix=["bob"])
            assert listed == {"namespaces": [["users", "bob"]]}
            await store.delete_item(["users", "ann"], "likes")
            with pytest.raises(NotFoundError):
                await store.get_item(["users", "ann"], "likes")

    run(work())


def test_a_server_that_stops_ends_its_runs_and_says_so(tmp_path: Path) -> None:
    async def work() -> None:
        async with served(tmp_path, delay_s=0.05) as server:
            client = server.client()
            thread = (await client.threads.create())["thread_id"]
            await client.runs.create(thread, "agent", input=QUESTION)
            await server.state.runs.close()
            found = server.state.store.runs.list(thread)
            assert [one.status for one in found] == ["interrupted"]
            assert (await client.threads.get(thread))["status"] != "busy"

    run(work())
