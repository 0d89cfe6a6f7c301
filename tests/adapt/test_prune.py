"""`perennial versions prune`: what it tells, what it removes, and when it refuses."""

import asyncio
import subprocess
import sys
import threading
from pathlib import Path

import fake_runtime
import pytest
from command import Run, in_process
from fake_runtime import settings_of

from store import Home, Store
from store.embeddings import HashEmbedder
from store.errors import NotFoundError
from store.leases import Leases

ROOT = Path(__file__).resolve().parents[2]
BUDGET = "[budget]\nversions = 2\n[swap]\nkeep = 0\n"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in this process."""
    return in_process(capsys, monkeypatch)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with four adapters, the last live, and a budget of two."""
    path = tmp_path / "home"
    with Store.open(Home(path), HashEmbedder()) as store:
        fake_runtime.ensure_base(store, fake_runtime.BASE)
        for number in range(1, 5):
            store.versions.go_live(fake_runtime.add_version(store, number).name)
    (path / "perennial.toml").write_text(BUDGET)
    return path


def weights(home: Path) -> list[str]:
    """Versions that have their weights."""
    with Store.open(Home(home), HashEmbedder()) as store:
        there = store.artifacts.digests()
        return [v.name.split("-")[0] for v in store.versions.list() if v.path in there]


def test_it_tells_first_and_removes_when_told(run: Run, home: Path) -> None:
    told = run("--json", "--home", str(home), "versions", "prune", "--dry-run").json
    assert weights(home) == ["v1", "v2", "v3", "v4"]
    done = run("--json", "--home", str(home), "versions", "prune").json
    assert told["dry_run"] and not done["dry_run"]
    assert [each["name"].split("-")[0] for each in done["removed"]] == ["v1", "v2"]
    assert told["removed"] == done["removed"] and done["bytes"] == told["bytes"] > 0
    assert weights(home) == ["v3", "v4"]
    again = run("--home", str(home), "versions", "prune")
    assert again.code == 0 and "2 versions keep their weights" in again.out


def test_promoting_what_was_cleared_away_says_so_and_changes_nothing(run: Run, home: Path) -> None:
    run("--home", str(home), "versions", "prune")

    async def scenario() -> None:
        async with fake_runtime.fake_runtime(settings_of(home)) as runtime:
            gone, live = runtime.store.versions.list()[1].name, runtime.live()
            with pytest.raises(NotFoundError, match=f"{gone} has no weights any more"):
                await runtime.swap.promote(gone)
            assert runtime.live() == live
            assert (await runtime.swap.roll_back()).previous == live
            with pytest.raises(NotFoundError, match="has no weights any more"):
                await runtime.swap.roll_back()

    asyncio.run(scenario())


def test_while_a_server_holds_the_home_it_only_tells(run: Run, home: Path) -> None:
    """What the server's engine holds counts as in use."""
    process = subprocess.Popen(
        [sys.executable, fake_runtime.__file__, str(home), "0"],
        cwd=ROOT, env={"PYTHONPATH": ".:tests", "PATH": "/usr/bin:/bin"},
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        waits = threading.Event()
        while Home(home).read_status() is None:
            assert process.poll() is None
            waits.wait(0.05)
        refused = run("--home", str(home), "versions", "prune")
        assert refused.code != 0 and "clears away after each update" in refused.err
        told = run("--json", "--home", str(home), "versions", "prune", "--dry-run").json
        assert [each["name"].split("-")[0] for each in told["removed"]] == ["v1", "v2"]
    finally:
        process.kill()
        process.wait()
    assert weights(home) == ["v1", "v2", "v3", "v4"]


@pytest.mark.parametrize("work", ["update", "artifacts"])
def test_while_an_update_or_a_backup_is_made_it_refuses(run: Run, home: Path, work: str) -> None:
    with Store.open(Home(home), HashEmbedder()) as store:
        leases = Leases(store.database, 3600)
        lease = leases.take(work)
        stop = threading.Event()

        def live() -> None:
            while not stop.wait(0.05):
                leases.renew(lease)

        living = threading.Thread(target=live)
        living.start()
        refused = run("--home", str(home), "versions", "prune")
        stop.set()
        living.join()
    assert refused.code != 0 and f"the lease on {work} is held by" in refused.err
    assert weights(home) == ["v1", "v2", "v3", "v4"]
