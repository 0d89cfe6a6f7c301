"""Where threads are kept: a file of the home or PostgreSQL, one like the other, and from one to the
other."""

from collections.abc import Callable
from pathlib import Path

import pytest
from agent_app import engine_on, reckoner, registry_of, run, user

from agent.config_sections import AgentSettings
from agent.fake_engine import FakeVllm
from agent.options import Options
from agent.runs import Agent
from agent.state import Resume, RunResult
from agent.threads import Saver, copy_threads, open_threads, open_threads_of, thread_names
from store.errors import PerennialError
from store.home import Home

STOPS = Options(stop_before=["tools"], every_step=True)


@pytest.fixture(params=["file", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    if request.param == "file":
        return tmp_path / "threads.db"
    make: Callable[[], str] = request.getfixturevalue("new_postgres")
    return make()


def agent_on(saver: Saver) -> Agent:
    return Agent(engine_on(FakeVllm(reckoner)), AgentSettings(), saver)


async def ask(saver: Saver, text: str, thread: str, options: Options | None = None) -> RunResult:
    agent = agent_on(saver)
    return await agent.run(user(text), registry_of(), "base", thread, options=options or Options())


def test_a_thread_goes_on_after_a_restart_with_what_it_was_waiting_for(place: Path | str) -> None:
    async def work() -> None:
        async with open_threads(place) as saver:
            await ask(saver, "1+1", "a")
            await ask(saver, "nul \x00 and \U0001f600", "b")
            await ask(saver, "6*7", "a", STOPS)
        async with open_threads(place) as saver:
            result = await agent_on(saver).run(Resume(), registry_of(), "base", "a")
            assert result.answer == 'base says {"result": 42}'
            assert [m.content for m in result.messages if m.role == "user"] == ["1+1", "6*7"]
            assert {name async for name in thread_names(saver)} == {"a", "b"}

    run(work())


def test_states_are_read_changed_copied_taken_back_and_deleted(place: Path | str) -> None:
    async def work() -> None:
        async with open_threads(place) as saver:
            first = await ask(saver, "1+1", "a")
            states = agent_on(saver).states
            before = await states.get("a")
            second = await ask(saver, "2+2", "a", Options(every_step=True))
            assert len(await states.history("a", None, metadata={"run_id": first.id})) == 1
            await states.copy("a", "b")
            assert (await states.get("b")).values == (await states.get("a")).values
            await states.take_back("a", second.id)
            assert (await states.get("a")).values == before.values
            changed = [{"id": "x", "role": "user", "content": "changed"}]
            await states.change("a", {"messages": changed}, "__start__", None)
            assert (await states.get("a")).values["messages"][-1] == changed[0]
            await states.delete("a")
            assert (await states.get("a")).values == {}
            assert len((await states.get("b")).values["messages"]) == 8

    run(work())


def test_all_threads_can_be_copied_to_another_place_and_go_on_there(
    place: Path | str, tmp_path: Path
) -> None:
    async def work() -> None:
        async with open_threads(place) as source, open_threads(tmp_path / "other.db") as target:
            await ask(source, "1+1", "a")
            await ask(source, "6*7", "a", STOPS)
            await ask(source, "3+3", "b")
            assert await copy_threads(source, target) == 2
            # Once more, as after a first try that was cut off.
            assert await copy_threads(source, target) == 2
            result = await agent_on(target).run(Resume(), registry_of(), "base", "a")
            assert result.answer == 'base says {"result": 42}'
            for name in ("a", "b"):
                there = await agent_on(source).states.history(name, None)
                here = await agent_on(target).states.history(name, None)
                assert len(here) >= len(there)

    run(work())


def test_a_home_that_gets_postgresql_takes_its_threads_along(
    tmp_path: Path, new_postgres: Callable[[], str]
) -> None:
    home = Home(tmp_path / "home")
    home.create()

    async def before() -> None:
        async with open_threads_of(home) as saver:
            await ask(saver, "1+1", "a")

    async def after(home: Home) -> RunResult:
        async with open_threads_of(home) as saver:
            return await ask(saver, "2+2", "a")

    run(before())
    assert home.threads_database.is_file()
    moved = Home(home.path, new_postgres())
    result = run(after(moved))
    assert [m.content for m in result.messages if m.role == "user"] == ["1+1", "2+2"]
    assert not home.threads_database.exists()


def test_a_damaged_file_and_a_server_that_is_away_are_our_errors(tmp_path: Path) -> None:
    file = tmp_path / "threads.db"
    file.write_bytes(b"no database at all, but long enough to be looked at" * 20)

    async def opened(place: Path | str) -> None:
        async with open_threads(place):
            pass

    with pytest.raises(PerennialError, match="damaged"):
        run(opened(file))
    with pytest.raises(PerennialError, match="does not answer"):
        run(opened("postgresql://nobody@127.0.0.1:1/none"))
