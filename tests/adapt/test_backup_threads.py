"""Conversations in PostgreSQL are in a backup, and come back into either database."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from agent_app import engine_on, reckoner, registry_of, user
from command import Run, in_process
from full_home import fill

from agent.config_sections import AgentSettings
from agent.fake_engine import FakeVllm
from agent.runs import Agent
from agent.threads import open_threads_of
from store.home import Home


async def said_in(home: Home, text: str) -> list[str]:
    """Ask in a thread of the home; everything that was asked there."""
    async with open_threads_of(home) as saver:
        agent = Agent(engine_on(FakeVllm(reckoner)), AgentSettings(), saver)
        result = await agent.run(user(text), registry_of(), "base", "t")
    return [message.content for message in result.messages if message.role == "user"]


@pytest.mark.parametrize("back", ["a file", "PostgreSQL"])
def test_a_thread_comes_back_from_a_backup(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    new_postgres: Callable[[], str], back: str,
) -> None:  # fmt: skip
    run: Run = in_process(capsys, monkeypatch)
    url, file = new_postgres(), tmp_path / "file"
    old = Home(tmp_path / "old", url)
    fill(old)
    old.threads_database.unlink()
    asyncio.run(said_in(old, "1+1"))
    monkeypatch.setenv("PERENNIAL_STORAGE__DATABASE", url)
    written = run("backup", file, "--home", old.path, "--json")
    assert (written.code, written.json["threads"]) == (0, True)
    assert not list(old.path.glob(".threads*"))
    if back == "a file":
        monkeypatch.delenv("PERENNIAL_STORAGE__DATABASE")
        new = Home(tmp_path / "new")
    else:
        other = new_postgres()
        monkeypatch.setenv("PERENNIAL_STORAGE__DATABASE", other)
        new = Home(tmp_path / "new", other)
    restored = run("restore", file, "--home", new.path)
    assert restored.code == 0, restored.err
    assert asyncio.run(said_in(new, "2+2")) == ["1+1", "2+2"]
