"""SIGKILL of the assistant's process: its home serves again, with all that was answered."""

import asyncio
import os
import signal
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import httpx
import pytest
from faults import assistant_process
from faults.assistant_process import BEGIN_S, WORDS_S
from faults.clients import Outcome, ask
from faults.invariants import TALLY, check_home
from faults.processes import KILLED, LONG_S, ended, start

from store import Home, Store
from store.embeddings import HashEmbedder


def serving(home: Path) -> tuple[BaseProcess, str]:
    """An assistant's process once it takes requests, and its URL."""
    process = start(assistant_process.main, home)
    deadline = time.monotonic() + LONG_S
    while True:
        status = Home(home).read_status()
        if status is not None and status["pid"] == process.pid:
            return process, status["url"]
        assert process.is_alive() and time.monotonic() < deadline, "it did not start"
        time.sleep(0.02)


def kill(process: BaseProcess) -> None:
    """SIGKILL, and its end."""
    assert process.pid
    os.kill(process.pid, signal.SIGKILL)
    assert ended(process) == KILLED
    TALLY.inject("SIGKILL of the assistant")


def answers(url: str, *questions: str, stream: bool = False) -> list[Outcome]:
    """One question after the other, in one thread."""

    async def work() -> list[Outcome]:
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            return [await ask(client, q, stream=stream, thread_id="thread") for q in questions]

    return asyncio.run(work())


def check_serves(home: Path, answered: list[str]) -> None:
    """The home serves again: its thread holds what was answered, and nothing that was not."""
    with Store.open(Home(home), HashEmbedder()) as store:
        episodes = store.episodes.list()
    kept = sorted(episode.messages[-2].content for episode in episodes)
    TALLY.check(kept == sorted(answered), f"what was answered is an episode, once: {kept}")
    process, url = serving(home)
    (after,) = answers(url, "after")
    process.terminate()
    TALLY.check(ended(process) == 0, "it ends well when it is told to")
    TALLY.check(after.how == "answered", f"it answers again: {after}")
    heard = " and ".join([*answered, "after"])
    TALLY.check(f"heard {heard} and and" in after.words, f"the thread is whole: {after.words}")
    check_home(home)


@pytest.mark.parametrize(
    ("stream", "wait_s"), [(False, 0.1), (True, 0.1), (True, BEGIN_S + 5 * WORDS_S)]
)
def test_a_killed_assistant_loses_what_it_had_not_answered_and_nothing_else(
    place: Path, stream: bool, wait_s: float
) -> None:
    """Who was being answered sees the connection break, never an end that looks whole."""
    process, url = serving(place)
    first = answers(url, "one", "two", stream=stream)
    TALLY.check([a.how for a in first] == ["answered"] * 2, f"they are answered: {first}")

    async def killed_meanwhile() -> list[Outcome]:
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            asking = [
                asyncio.create_task(ask(client, "lost", stream=stream, thread_id=thread))
                for thread in ("thread", "another", "third")
            ]
            await asyncio.sleep(wait_s)
            await asyncio.to_thread(kill, process)
            return await asyncio.gather(*asking)

    lost = asyncio.run(killed_meanwhile())
    TALLY.check({o.how for o in lost} == {"error"}, f"the clients see it: {lost}")
    TALLY.check(Home(place).locked_by() is None, "the lock is free")
    check_home(place)
    check_serves(place, ["one", "two"])


def test_an_assistant_that_is_killed_while_it_starts_starts_again(place: Path) -> None:
    """Each time a little later: in the middle of the first migration, of the first version."""
    for wait_s in (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3):
        process = start(assistant_process.main, place)
        time.sleep(wait_s)
        kill(process)
        TALLY.check(Home(place).locked_by() is None, "the lock is free")
    check_serves(place, [])


def test_an_assistant_that_is_killed_while_it_stops_serves_again(place: Path) -> None:
    """It was told to stop and waits for the answer under way when it dies."""
    process, url = serving(place)

    async def killed_while_it_stops() -> Outcome:
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            asking = asyncio.create_task(ask(client, "lost", stream=False, thread_id="thread"))
            await asyncio.sleep(0.1)
            process.terminate()
            await asyncio.sleep(0.1)
            await asyncio.to_thread(kill, process)
            return await asking

    lost = asyncio.run(killed_while_it_stops())
    TALLY.check(lost.how == "error", f"the client sees it: {lost}")
    check_home(place)
    check_serves(place, [])
