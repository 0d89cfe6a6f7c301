"""A canary: which threads it gets, and every way in which it can end."""

import asyncio
import secrets
from pathlib import Path
from typing import Any

import pytest
from fake_runtime import BASE, add_version
from trial_runtime import Served, served, worker

from adapt import canary
from store.errors import StateError
from store.records import VersionState
from store.trials import TrialState

ALWAYS = {"swap__canary_share": 0.5, "swap__canary_runs": 10, "swap__watch_runs": 50}


def test_a_share_of_all_threads_falls_below_the_share() -> None:
    """Within five standard deviations of the binomial, whatever the key."""
    threads = [f"thread-{n}" for n in range(10_000)]
    for share in (0.05, 0.3):
        key = secrets.token_hex(32)
        taken = sum(canary.place_of(key, thread) < share for thread in threads)
        spread = (len(threads) * share * (1 - share)) ** 0.5
        assert abs(taken - len(threads) * share) < 5 * spread


def test_another_key_takes_other_threads() -> None:
    """A name that was drawn once says nothing of the next canary; the same key draws the same."""
    one, other = secrets.token_hex(32), secrets.token_hex(32)
    threads = [f"thread-{n}" for n in range(200)]
    drawn = [canary.place_of(one, t) < 0.5 for t in threads]
    assert drawn == [canary.place_of(one, t) < 0.5 for t in threads]
    assert drawn != [canary.place_of(other, t) < 0.5 for t in threads]


def test_new_threads_are_shared_and_stay_where_they_began(tmp_path: Path) -> None:
    """Older threads stay with the live version, also those that the share would take."""

    async def scenario() -> None:
        given = ALWAYS | {"swap__canary_runs": 10_000}
        async with served(tmp_path, worker({}), **given) as it:
            older = [f"old-{n}" for n in range(20)]
            for thread in older:
                await it.ask(thread)
            said = await canary.put_forward(it.runtime, it.candidate)
            assert (said["live"], said["canary"]) == (BASE.version_name, it.candidate)
            threads = [f"new-{n}" for n in range(40)]
            first = {t: (await it.ask(t))["model"] for t in threads}
            assert set(first.values()) == {BASE.version_name, it.candidate}
            assert {t: (await it.ask(t))["model"] for t in threads} == first
            for thread in older:
                assert (await it.ask(thread))["model"] == BASE.version_name
            # Without a thread every run is drawn anew.
            assert len({(await it.ask(None))["model"] for _ in range(30)}) == 2

    asyncio.run(scenario())


def test_a_good_canary_goes_live_and_is_watched(tmp_path: Path) -> None:
    """After the runs asked for; the watch that follows has the other half of alpha."""

    async def scenario() -> None:
        async with served(tmp_path, worker({}), **ALWAYS) as it:
            await canary.put_forward(it.runtime, it.candidate)
            store = it.runtime.store
            assert store.versions.get(it.candidate).state is VersionState.CANARY
            answered = await asked_until_live(it, it.candidate)
            assert answered >= 10
            await it.until(lambda: len(store.trials.list()) == 2)
            tried, watch = store.trials.list()
            assert (tried.state, watch.kind, watch.against) == (
                TrialState.PASSED, "watch", BASE.version_name,
            )  # fmt: skip
            assert tried.alpha == watch.alpha == 0.025
            assert "no harm shown" in tried.words

    asyncio.run(scenario())


async def asked_until_live(it: Served, name: str, limit: int = 400) -> int:
    """Ask in new threads until `name` is live; how many runs it answered as a canary."""
    answered = 0
    for n in range(limit):
        if it.runtime.live() == name:
            return answered
        answered += (await it.ask(f"asked-{n}"))["model"] == name
    raise AssertionError(f"{name} did not go live in {limit} runs")


def test_a_canary_whose_tools_fail_is_withdrawn_and_its_threads_go_on(tmp_path: Path) -> None:
    """No run mixed versions, and nobody but its own threads met it."""

    async def scenario() -> None:
        answer = worker({})
        given = ALWAYS | {"swap__canary_runs": 10_000}
        async with served(tmp_path, answer, **given) as it:
            it.fake.answer = worker({it.candidate: lambda n: True})
            await canary.put_forward(it.runtime, it.candidate)
            store = it.runtime.store
            met: set[str] = set()
            for n in range(400):
                if store.trials.canary() is None:
                    break
                if (await it.ask(f"t-{n}"))["model"] == it.candidate:
                    met.add(f"t-{n}")
            await it.until(lambda: not store.trials.open())
            trial = store.trials.list()[0]
            assert trial.state is TrialState.WITHDRAWN
            assert trial.words.startswith("failed tool calls: 100.0%")
            assert store.versions.get(it.candidate).state is VersionState.ROLLED_BACK
            assert it.runtime.live() == BASE.version_name
            await it.runtime.swap.trim()
            assert it.candidate not in it.fake.adapters
            for thread in met:
                assert (await it.ask(thread))["model"] == BASE.version_name
            versions = {e.version for e in store.episodes.list(1000) if e.thread not in met}
            assert versions == {BASE.version_name}

    asyncio.run(scenario())


def test_a_restart_goes_on_with_the_same_canary(tmp_path: Path) -> None:
    """Threads stay on their side, and runs from before count."""

    async def scenario() -> None:
        given = ALWAYS | {"swap__canary_runs": 1000}
        threads = [f"t-{n}" for n in range(40)]
        async with served(tmp_path, worker({}), **given) as it:
            await canary.put_forward(it.runtime, it.candidate)
            first = {t: (await it.ask(t))["model"] for t in threads}
        async with served(tmp_path, worker({}), **given) as it:
            again = {t: (await it.ask(t))["model"] for t in threads}
            assert again == first
            before = sum(model == it.candidate for model in first.values())
            while (report := (await it.trials())[0])["runs"] < 2 * before:
                await asyncio.sleep(0.01)
            assert (report["kind"], report["runs"]) == ("canary", 2 * before)

    asyncio.run(scenario())


@pytest.mark.parametrize("left", ["before the state", "before the words", "before the watch"])
def test_a_kill_between_two_records_is_made_good(tmp_path: Path, left: str) -> None:
    """A trial without its state, harm not acted on, a flip without its watch."""

    async def scenario() -> None:
        async with served(tmp_path, worker({}), **ALWAYS) as it:
            store, name = it.runtime.store, it.candidate
            begun = store.trials.begin(
                "canary", name, BASE.version_name, runs=10, alpha=0.05, share=0.5, key="00" * 32
            )
            if left == "before the state":
                await canary.put_forward(it.runtime, name)
                assert [t.number for t in store.trials.open()] == [begun.number]
                assert store.versions.get(name).state is VersionState.CANARY
            elif left == "before the words":
                store.versions.move(name, VersionState.CANARY)
                store.trials.move(begun.number, TrialState.HARM, "seen")
                await it.ask("t")
                await it.until(lambda: not store.trials.open())
                assert store.trials.get(begun.number).state is TrialState.WITHDRAWN
                assert store.versions.get(name).state is VersionState.ROLLED_BACK
            else:
                store.versions.move(name, VersionState.CANARY)
                await it.runtime.swap.promote(name)
                await it.ask("t")
                await it.until(lambda: store.trials.get(begun.number).state is TrialState.PASSED)
                assert [t.kind for t in store.trials.open()] == ["watch"]

    asyncio.run(scenario())


def test_a_person_makes_it_live_at_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with served(tmp_path, worker({}), **ALWAYS) as it:
            await canary.put_forward(it.runtime, it.candidate)
            reply = await it.client.post("/admin/promote", json={"version": it.candidate})
            assert reply.json()["live"] == it.runtime.live() == it.candidate
            states = [(t.kind, t.state) for t in it.runtime.store.trials.list()]
            assert states == [("canary", TrialState.STOPPED), ("watch", TrialState.RUNNING)]

    asyncio.run(scenario())


def test_a_person_withdraws_it(tmp_path: Path) -> None:
    """The live version stays, and the next cycle does not bring the same one back."""

    async def scenario() -> None:
        async with served(tmp_path, worker({}), **ALWAYS) as it:
            await canary.put_forward(it.runtime, it.candidate)
            said = (await it.client.post("/admin/rollback")).json()
            assert (said["live"], said["withdrawn"]) == (BASE.version_name, it.candidate)
            said = await canary.put_forward(it.runtime, it.candidate)
            assert said["live"] == BASE.version_name and "rolled back" in said["withheld"]
            assert it.runtime.store.trials.open() == []
            promoted = await it.client.post("/admin/promote", json={"version": it.candidate})
            assert promoted.json()["live"] == it.candidate

    asyncio.run(scenario())


def test_another_version_made_live_ends_it(tmp_path: Path) -> None:
    """What it was compared with is no longer live."""

    async def scenario() -> None:
        async with served(tmp_path, worker({}), **ALWAYS) as it:
            other = add_version(it.runtime.store, 2)
            await canary.put_forward(it.runtime, it.candidate)
            await canary.make_live(it.runtime, other.name)
            store = it.runtime.store
            assert store.versions.get(it.candidate).state is VersionState.ROLLED_BACK
            assert store.trials.list()[0].words == f"{other.name} was made live"

    asyncio.run(scenario())


def test_updates_wait_for_its_end(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with served(tmp_path, worker({}), **ALWAYS) as it:
            await canary.put_forward(it.runtime, it.candidate)
            reply = await it.client.post("/admin/update")
            assert reply.status_code == 409 and it.candidate in reply.text
            with pytest.raises(StateError, match="updates wait"):
                canary.refuse_while_trying(it.runtime.store)

    asyncio.run(scenario())


def test_a_canary_that_the_engine_lost_is_loaded_again_or_withdrawn(tmp_path: Path) -> None:
    """After a restart the engine holds nothing; bytes that changed meanwhile are not served."""

    async def scenario() -> None:
        async with served(tmp_path, worker({}), **ALWAYS) as it:
            await canary.put_forward(it.runtime, it.candidate)
            path = it.runtime.store.versions.get(it.candidate).path
        async with served(tmp_path, worker({}), **ALWAYS) as it:
            assert it.candidate in it.fake.adapters
            file: Any = next(it.runtime.store.artifacts.path(path).glob("*.txt"))
        file.chmod(0o600)
        file.write_text("other bytes")
        async with served(tmp_path, worker({}), **ALWAYS) as it:
            store = it.runtime.store
            await it.until(lambda: not store.trials.open())
            assert store.versions.get(it.candidate).state is VersionState.ROLLED_BACK
            assert "cannot serve it" in store.trials.list()[0].words

    asyncio.run(scenario())


def test_trim_leaves_the_canary_loaded(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with served(tmp_path, worker({}), **ALWAYS) as it:
            await canary.put_forward(it.runtime, it.candidate)
            it.runtime.swap.keep = 0
            assert it.candidate not in await it.runtime.swap.trim()
            assert it.candidate in it.fake.adapters

    asyncio.run(scenario())
