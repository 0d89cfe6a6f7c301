"""`perennial threads`, from arguments to exit code, with and without a running server."""

import asyncio
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from agent_app import engine_on, open_store, reckoner, registry_of, state_on, user
from command import Run, in_process

from adapt.serving import serving
from agent.api.app import create_app
from agent.config_sections import AgentSettings
from agent.fake_engine import FakeVllm
from agent.options import Options
from agent.runs import Agent
from agent.threads import open_threads, open_threads_of
from store import Home


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, home: Home) -> Run:
    return in_process(capsys, monkeypatch, (), ("--home", str(home.path)))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Two threads, one of them a key's."""
    with open_store(tmp_path) as store:
        key, _ = store.keys.create("team", ("chat",))

        async def talk() -> None:
            async with open_threads_of(store.home) as saver:
                engine = engine_on(FakeVllm(reckoner))
                agent = Agent(engine, AgentSettings(), saver, store.episodes.add)
                for name, owner, text in (
                    ("mine", None, "77777*1"), (f"{key.id}:theirs", key.id, "6*7"),
                ):  # fmt: skip
                    options = Options(owner=owner)
                    await agent.run(user(text), registry_of(), "base", name, options=options)

        asyncio.run(talk())
        store.feedback.put(store.episodes.list()[0].id, "up")
        return store.home


@contextmanager
def server(home: Home) -> Iterator[None]:
    """A running `perennial up` as far as commands can tell: the home is held, and it answers."""
    begun, stop = threading.Event(), threading.Event()

    async def serve() -> None:
        with open_store_again(home) as store:
            async with open_threads(home.threads_database) as saver:
                app = create_app(
                    state_on(FakeVllm(reckoner), store, checkpointer=saver, api_key="k")
                )
                async with serving(app, "127.0.0.1", 0, 1.0) as url:
                    home.write_status({"url": url, "pid": os.getpid(), "key": "k"})
                    begun.set()
                    await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    with home.lock():
        thread.start()
        assert begun.wait(20)
        try:
            yield
        finally:
            stop.set()
            thread.join()


def open_store_again(home: Home) -> Any:
    from store import Store
    from store.embeddings import HashEmbedder

    return Store.open(home, HashEmbedder())


def test_threads_are_listed_with_their_keys(run: Run) -> None:
    rows = run("threads", "list", "--json").json
    assert [(row["name"].rpartition(":")[2], row["key"]) for row in rows] == [
        ("theirs", "team"), ("mine", None),
    ]  # fmt: skip
    assert [row["key"] for row in run("threads", "list", "--key", "team", "--json").json] == [
        "team"
    ]
    assert "mine" in run("threads", "list").out
    wrong = run("threads", "list", "--key", "nobody")
    assert (wrong.code, "team" in wrong.err) == (2, True)


def test_a_thread_is_exported_whole(run: Run, tmp_path: Path) -> None:
    whole = run("threads", "export", "mine").json
    assert [m["type"] for m in whole["states"][0]["values"]["messages"]] == [
        "human", "ai", "tool", "ai",
    ]  # fmt: skip
    assert len(whole["episodes"]) == 1
    out = tmp_path / "thread.json"
    told = run("threads", "export", "mine", "--out", out, "--json").json
    assert (told["episodes"], json.loads(out.read_text())) == (1, whole)
    missing = run("threads", "export", "none")
    assert (missing.code, "no thread 'none'" in missing.err) == (2, True)


def test_a_thread_is_deleted_after_a_yes_alone(run: Run, home: Home) -> None:
    assert b"77777" in home.threads_database.read_bytes()
    kept = run("threads", "delete", "mine", "--json")
    assert (kept.code, kept.json) == (1, {"deleted": None})
    assert run("threads", "delete", "mine", "--yes").code == 0
    assert len(run("threads", "list", "--json").json) == 1
    assert run("threads", "delete", "mine", "--yes").code == 2
    # Not even where the file has room again.
    assert b"77777" not in home.threads_database.read_bytes()
    assert b"6*7" in home.threads_database.read_bytes()


def test_a_running_server_deletes_and_a_key_is_needed_by_nobody_who_has_the_home(
    run: Run, home: Home
) -> None:
    with server(home):
        name = run("threads", "list", "--key", "team", "--json").json[0]["name"]
        assert run("threads", "delete", name, "--yes", "--json").json == {"deleted": name}
        assert [row["name"] for row in run("threads", "list", "--json").json] == ["mine"]
        assert run("threads", "export", "mine").code == 0
