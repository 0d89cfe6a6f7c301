"""Homes of every earlier form of the tables are opened, on either database; those of a newer
program are refused with the way out, and nothing of them is changed."""

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from older_home import REVISIONS, THREAD, move_to_server, revision_of, unpack
from sqlalchemy import text

from store.database import Database
from store.embeddings import HashEmbedder
from store.errors import BusyError, ConfigError
from store.home import Home
from store.records import CycleState, VersionState
from store.store import Store

ROOT = Path(__file__).resolve().parents[2]
VERSIONS = ROOT / "store" / "migrations" / "versions"


def head() -> str:
    return max(file.name[:4] for file in VERSIONS.glob("0*.py"))


def test_there_is_a_home_of_every_earlier_form() -> None:
    """Whoever adds a migration makes a home of the form before: python tests/older_home.py."""
    forms = sorted(file.name[:4] for file in VERSIONS.glob("0*.py"))
    missing = [form for form in forms[:-1] if form not in REVISIONS]
    assert not missing


@pytest.mark.parametrize("revision", REVISIONS)
def test_an_older_home_is_opened_with_all_that_it_holds(
    revision: str, tmp_path: Path, database_url: str | None
) -> None:
    path = unpack(revision, tmp_path / "home")
    if database_url:
        move_to_server(path, revision, database_url)
    home = Home(path, database_url)
    assert revision_of(database_url or home.database) == revision
    for _ in range(2):
        with Store.open(home, HashEmbedder()) as store:
            _check(store, revision)
    assert revision_of(database_url or home.database) == head()


def _check(store: Store, revision: str) -> None:
    base, learned = store.versions.list()
    live = store.versions.live()
    assert live == learned and learned.parent == base.name == "v0-bbbbbb"
    assert learned.state is VersionState.LIVE and learned.probe is not None
    store.artifacts.verify(learned.path)
    assert [flip.version for flip in store.versions.history()] == [base.name, learned.name]
    runs = sorted(store.episodes.list(), key=lambda run: run.created_at)
    asked = [run.messages[-2].content for run in runs]
    assert asked == ["When does the ferry leave?", *THREAD]
    assert runs[1].thread == runs[2].thread != runs[0].thread
    assert all(run.version == base.name for run in runs)
    documents = {d.title: d for d in store.documents.list()}
    assert set(documents) == {"Boats", "Guided visits"}
    (found, *_) = store.documents.search("When does the ferry leave?", 2)
    assert found.document == documents["Boats"].digest
    (cycle,) = store.cycles.list()
    assert cycle.state is CycleState.FAILED
    assert len(store.examples.of_cycle(1)) == 4
    (source,) = store.sources.list()
    assert source.name == "handbook"
    if revision >= "0003":
        said = store.feedback.get(runs[0].id)
        assert said is not None and said.rating == "up"
    if revision >= "0006":
        (key,) = store.keys.list()
        assert key.name == "team"


def test_an_older_home_is_used_as_a_new_one(tmp_path: Path) -> None:
    """The oldest: a document is taken in, a version goes back, what was said is rated."""
    home = Home(unpack(REVISIONS[0], tmp_path / "home"))
    with Store.open(home, HashEmbedder()) as store:
        back = store.versions.roll_back()
        assert back.name == "v0-bbbbbb"
        episode = store.episodes.list()[0]
        store.feedback.put(episode.id, "down", "at seven")
        assert store.cycles.start({}).number == 2


def test_a_home_of_a_newer_program_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = unpack(REVISIONS[-1], tmp_path / "home")
    database = Database(path / "perennial.db")
    with database.begin() as db:
        db.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    database.close()
    before = _bytes(path)
    with pytest.raises(ConfigError, match="another release") as refused:
        Store.open(Home(path))
    assert "newer" in refused.value.hint
    assert _bytes(path) == before


def _bytes(path: Path) -> dict[str, str]:
    """Digests of all files that a home had."""
    return {
        str(file.relative_to(path)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(path.rglob("*"))
        if file.is_file() and not file.name.endswith(("-wal", "-shm"))
    }


@contextmanager
def held(home: Home) -> Iterator[int]:
    """The home in use by another process, whose pid is given."""
    code = (
        "import sys; from pathlib import Path; from store.home import Home\n"
        "with Home(Path(sys.argv[1])).lock():\n"
        "    print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(home.path)], cwd=ROOT, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as child:  # fmt: skip
        assert child.stdout is not None and child.stdout.readline() == "held\n"
        try:
            yield child.pid
        finally:
            child.communicate()


def test_tables_do_not_change_under_an_older_program_that_serves(tmp_path: Path) -> None:
    """Refused while another process holds the home, naming it; opened when it has ended."""
    home = Home(unpack(REVISIONS[0], tmp_path / "home"))
    with held(home) as pid:
        with pytest.raises(BusyError, match=f"process {pid}, of another release") as refused:
            Store.open(home)
        assert "stop it first" in refused.value.hint
        assert revision_of(home.database) == REVISIONS[0]
    with Store.open(home, HashEmbedder()):
        assert revision_of(home.database) == head()


def test_a_look_beside_a_server_of_the_same_release_is_not_refused(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    Store.open(home, HashEmbedder()).close()
    with held(home), Store.open(home, HashEmbedder()) as store:
        assert store.versions.live() is None
