"""The watch over a live version: what it rolls back, what it leaves alone, and how often it errs.

`pytest tests/adapt/test_watch.py -s -k shares` prints the table of docs/canary.md.
"""

import asyncio
import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from fake_runtime import BASE
from trial_runtime import served, worker

from adapt import canary
from adapt.commands import Options
from adapt.commands.history import list_versions
from adapt.harm import FAULTS, MEASURES, SLOW, THUMBS_DOWN, TOOL_ERRORS, Arm, weigh
from store.feedback import Feedback
from store.records import Episode, VersionState
from store.trials import TrialState

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WATCHED = {"swap__watch_runs": 60}


def episode(n: int, version: str = "v1", **more: object) -> Episode:
    """The n-th run, in a thread of its own, well unless `more` says otherwise."""
    given: dict[str, object] = {
        "id": f"{version}-{n}", "thread": f"{version}-{n}", "version": version, "messages": (),
        "steps": 2, "created_at": NOW + timedelta(minutes=n), "seconds": 1.0, "tokens": 10,
        "load": 1, "tool_calls": 1, "tool_errors": 0, "malformed": 0, "empty": False,
    }  # fmt: skip
    return Episode.model_validate(given | more)


def arm(*episodes: Episode) -> Arm:
    """The runs as one side of a comparison."""
    made = Arm()
    for one in episodes:
        made.add(one)
    return made


def of(evidence: object, measure: str) -> float:
    """The e-value of one measure."""
    return next(f.e_value for f in evidence.findings if f.measure == measure)  # type: ignore[attr-defined]


def test_one_bad_thread_counts_once() -> None:
    """A conversation that goes on badly is one observation, however long it gets."""
    good = [episode(n, "v0") for n in range(50)]
    bad = [episode(n, thread="same", tool_errors=1) for n in range(50)]
    assert of(weigh(arm(*bad), arm(*good), 1), TOOL_ERRORS) < 2
    bad = [episode(n, tool_errors=1) for n in range(50)]
    assert of(weigh(arm(*bad), arm(*good), 1), TOOL_ERRORS) > 1e6


def test_an_engine_that_goes_down_counts_once() -> None:
    """All runs under way end in the same minute; faults that go on are another matter."""
    good = [episode(n, "v0") for n in range(50)]
    burst = [episode(n, error="gone", created_at=NOW) for n in range(50)]
    assert of(weigh(arm(*burst), arm(*good), 1), FAULTS) < 2
    lasting = [episode(n, error="gone") for n in range(50)]
    assert of(weigh(arm(*lasting), arm(*good), 1), FAULTS) > 1e6


def test_runs_of_a_named_version_are_no_sample() -> None:
    side = arm(*[episode(n, named=True, tool_errors=1) for n in range(9)])
    assert side.answered == 0 and not side.values[TOOL_ERRORS]


def test_load_is_not_slowness() -> None:
    """Ten times as slow beside ten times as many is no harm; beside as many it is."""
    quiet = [episode(n, "v0", seconds=1.0, load=1) for n in range(60)]
    busy = [episode(n + 60, "v0", seconds=10.0, load=16) for n in range(60)]
    same = [episode(n, seconds=10.0, load=16) for n in range(60)]
    assert of(weigh(arm(*same), arm(*quiet), 1), SLOW) == 1.0
    assert of(weigh(arm(*same), arm(*quiet, *busy), 1), SLOW) <= 1.0
    slow = [episode(n, seconds=10.0, load=1) for n in range(60)]
    assert of(weigh(arm(*slow), arm(*quiet, *busy), 1), SLOW) > 1e6
    assert of(weigh(arm(*slow), arm(*quiet, *busy), 1, beside=False), SLOW) == 1.0


def test_thumbs_down_are_compared_among_rated_runs() -> None:
    """The last word on an episode is what the store keeps; one thread is heard once."""

    def said(n: int, version: str, rating: str) -> Feedback:
        return Feedback.model_validate(
            {"episode": f"{version}-{n}", "thread": f"{version}-{n}", "version": version,
             "rating": rating, "created_at": NOW}
        )  # fmt: skip

    new, old = (arm(*[episode(n, v) for n in range(40)]) for v in ("v1", "v0"))
    old.rate([said(n, "v0", "up") for n in range(30)])
    new.rate([said(n, "v1", "down") for n in range(30)])
    assert of(weigh(new, old, 1), THUMBS_DOWN) > 1e4
    new.rate([said(n, "v1", "up") for n in range(30)])
    assert of(weigh(new, old, 1), THUMBS_DOWN) == pytest.approx(1.0)


def shares(harm: float, block: int, seed: int, watches: int = 200, runs: int = 200) -> float:
    """Share of simulated watches that find harm, looked at after every ten runs.

    All measures are drawn, with usual rates: failed tool calls in 5% of runs (`harm` more in the
    new version), empty answers and unreadable calls in 2%, faults in 1%, a rating in 10% of runs
    of which 20% are down, and a pace that varies by half.
    """
    random = np.random.default_rng(seed)
    found = 0
    for _ in range(watches):
        old, new = Arm(), Arm()
        for side, count, rate in ((old, block * runs, 0.05), (new, runs, 0.05 + harm)):
            for measure, chance in (
                (TOOL_ERRORS, rate), ("empty answers", 0.02), ("unreadable tool calls", 0.02),
                (FAULTS, 0.01),
            ):  # fmt: skip
                side.values[measure] = (random.random(count) < chance).astype(float).tolist()
            side.values[THUMBS_DOWN] = (random.random(count // 10) < 0.2).astype(float).tolist()
            side.paces[1] = np.exp(0.5 * random.standard_normal(count)).tolist()
        whole = {m: list(v) for m, v in new.values.items()}
        paces = list(new.paces[1])
        for n in range(10, runs + 1, 10):
            for measure, values in whole.items():
                new.values[measure] = values[: n // 10 if measure == THUMBS_DOWN else n]
            new.paces[1] = paces[:n]
            if weigh(new, old, block).shown(0.05):
                found += 1
                break
    return found / watches


def test_shares_of_watches_that_find_harm() -> None:
    """No more than alpha where there is none; most of those with ten points more tool errors."""
    rows = {(h, b): shares(h, b, seed=0) for h in (0.0, 0.1, 0.2) for b in (1, 9)}
    for (harm, block), share in rows.items():
        sys.stdout.write(f"tool errors +{harm:.2f}, {block} old beside each new: {share:.3f}\n")
    assert rows[0.0, 1] <= 0.05 and rows[0.0, 9] <= 0.05
    assert rows[0.1, 9] > 0.5 and rows[0.2, 1] > 0.9


def test_a_version_with_more_tool_errors_is_rolled_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """By itself, and the reason is in the store, in the log and in `perennial versions`."""

    async def scenario() -> None:
        async with served(tmp_path, worker({}), **WATCHED) as it:
            for n in range(60):
                await it.ask(f"before-{n}")
            it.fake.answer = worker({it.candidate: lambda n: n % 2 == 0})
            await it.client.post("/admin/promote", json={"version": it.candidate})
            (report,) = await it.trials()
            assert (report["kind"], report["version"], report["of"]) == ("watch", it.candidate, 60)
            store = it.runtime.store
            for n in range(60):
                if it.runtime.live() != it.candidate:
                    break
                await it.ask(f"after-{n}")
            await it.until(lambda: not store.trials.open())
            assert it.runtime.live() == BASE.version_name
            assert store.versions.get(it.candidate).state is VersionState.ROLLED_BACK
            (trial,) = store.trials.list()
            assert trial.state is TrialState.WITHDRAWN
            assert trial.words.startswith(TOOL_ERRORS)
            assert (await it.ask("after-0"))["model"] == BASE.version_name
            said = await canary.put_forward(it.runtime, it.candidate)
            assert said["live"] == BASE.version_name
            assert trial.words in caplog.text

    asyncio.run(scenario())
    assert list_versions(Options(home=tmp_path, as_json=True)) == 0
    row = json.loads(capsys.readouterr().out)[1]
    assert (row["state"], row["trial"].split(":")[0]) == ("rolled_back", "watch withdrawn")
    assert TOOL_ERRORS in row["trial"]


def test_an_equal_version_is_left_alone(tmp_path: Path) -> None:
    """Both fail in one run of ten."""

    async def scenario() -> None:
        async with served(tmp_path, worker({}), **WATCHED) as it:
            random = np.random.default_rng(3)
            failing = {name: lambda n: bool(random.random() < 0.1)
                       for name in (BASE.version_name, it.candidate)}  # fmt: skip
            it.fake.answer = worker(failing)
            for n in range(60):
                await it.ask(f"before-{n}")
            await it.client.post("/admin/promote", json={"version": it.candidate})
            for n in range(60):
                await it.ask(f"after-{n}")
            store = it.runtime.store
            await it.until(lambda: not store.trials.open())
            assert store.trials.list()[0].state is TrialState.PASSED
            assert it.runtime.live() == it.candidate

    asyncio.run(scenario())


def test_a_restart_forgets_nothing(tmp_path: Path) -> None:
    """Evidence from before and after together is what rolls the version back."""

    async def scenario() -> None:
        half = worker({})
        async with served(tmp_path, half, **WATCHED) as it:
            for n in range(60):
                await it.ask(f"before-{n}")
            it.fake.answer = worker({it.candidate: lambda n: True})
            await it.client.post("/admin/promote", json={"version": it.candidate})
            for n in range(5):
                await it.ask(f"after-{n}")
            name = it.candidate
            assert it.runtime.live() == name
        async with served(tmp_path, worker({name: lambda n: True}), **WATCHED) as it:
            while (await it.trials())[0]["runs"] < 5:
                await asyncio.sleep(0.01)
            for n in range(5, 15):
                if it.runtime.live() != name:
                    break
                await it.ask(f"after-{n}")
            await it.until(lambda: it.runtime.live() == BASE.version_name)
            (trial,) = it.runtime.store.trials.list()
            alone = int(trial.words.split("(")[1].split()[0])
            # A run may end while the version is being taken back.
            ran = sum(e.version == name for e in it.runtime.store.episodes.list(99))
            assert alone in (ran, ran - 1)

    asyncio.run(scenario())


def test_users_can_take_a_version_down(tmp_path: Path) -> None:
    """Thumbs down alone show harm when the version before had none."""

    async def scenario() -> None:
        async with served(tmp_path, worker({}), **WATCHED) as it:

            async def rated(n: int, rating: str) -> None:
                said = await it.ask(f"{rating}-{n}")
                body = {"episode": said["perennial"]["episode"], "rating": rating}
                assert (await it.client.post("/v1/feedback", json=body)).status_code == 200

            for n in range(40):
                await rated(n, "up")
            await it.client.post("/admin/promote", json={"version": it.candidate})
            for n in range(30):
                if it.runtime.live() != it.candidate:
                    break
                await rated(n, "down")
            await it.until(lambda: it.runtime.live() == BASE.version_name)
            assert it.runtime.store.trials.list()[0].words.startswith(THUMBS_DOWN)

    asyncio.run(scenario())


def test_harm_waits_for_an_engine_that_can_serve_the_version_before(tmp_path: Path) -> None:
    """What is decided is recorded at once and done when it can be."""

    async def scenario() -> None:
        async with served(tmp_path, worker({}), **WATCHED) as it:
            store = it.runtime.store
            await it.client.post("/admin/promote", json={"version": it.candidate})
            (trial,) = store.trials.open()
            store.trials.move(trial.number, TrialState.HARM, "seen")
            await it.ask("t")
            await it.until(lambda: store.trials.get(trial.number).state is TrialState.WITHDRAWN)
            assert it.runtime.live() == BASE.version_name

    asyncio.run(scenario())


def test_a_person_who_rolls_back_ends_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with served(tmp_path, worker({}), **WATCHED) as it:
            await it.client.post("/admin/promote", json={"version": it.candidate})
            await it.client.post("/admin/rollback")
            (trial,) = it.runtime.store.trials.list()
            assert (trial.state, trial.words) == (TrialState.STOPPED, "rolled back by hand")

    asyncio.run(scenario())


def test_no_watch_where_the_settings_want_none(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with served(tmp_path, worker({}), swap__watch_runs=0) as it:
            await it.client.post("/admin/promote", json={"version": it.candidate})
            assert it.runtime.store.trials.list() == []

    asyncio.run(scenario())


def test_alpha_is_split_over_the_measures() -> None:
    """One measure alone needs as many times the evidence as there are measures."""
    good = [episode(n, "v0") for n in range(200)]
    for n in range(1, 30):
        bad = [episode(k, tool_errors=1) for k in range(n)]
        evidence = weigh(arm(*bad), arm(*good), 1)
        rest = MEASURES - 1
        assert evidence.e_value == pytest.approx((of(evidence, TOOL_ERRORS) + rest) / MEASURES)
