"""`perennial lineage` and `perennial documents withdraw`, from arguments to exit code."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import fake_runtime
import pytest
from command import Run, in_process

import perennial
from store import Home, Store
from store.embeddings import HashEmbedder
from store.records import (
    Document,
    DocumentState,
    Episode,
    Message,
    Update,
    VersionState,
    digest_of,
    utc_now,
)

ROOT = Path(perennial.__file__).parent


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    return in_process(capsys, monkeypatch)


def document(store: Store, text: str) -> str:
    """An accepted document; its digest."""
    made = Document(
        digest=digest_of(text), source="wiki", address=text, title=text, text=text, kind="prose",
        fetched_at=utc_now(),
    )  # fmt: skip
    store.documents.add(made)
    store.documents.accept(made.digest)
    return made.digest


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A version that was rolled back learned one document of two; it gave one answer."""
    path = tmp_path / "home"
    with Store.open(Home(path), HashEmbedder()) as store:
        fake_runtime.ensure_base(store, fake_runtime.BASE)
        learned = document(store, "learned")
        document(store, "other")
        first = fake_runtime.add_version(store)
        store.versions.add_update(
            Update(
                digest=first.digest, base_digest=first.base_digest, mask_digest="m",
                corpus_digest=store.documents.snapshot([learned]).digest, examples_digest="e",
                settings={}, seed=0, created_at=utc_now(),
            )
        )  # fmt: skip
        fields = {"name": "v2-learned", "number": 2, "digest": "d" * 64, "update": first.digest}
        made = first.model_copy(update=fields)
        store.versions.create(made)
        store.versions.go_live(made.name)
        said = (Message(role="user", content="hi"), Message(role="assistant", content="ho"))
        store.episodes.add(
            Episode(id="e1", thread="t", version=made.name, messages=said, steps=1,
                    created_at=utc_now())
        )  # fmt: skip
        store.versions.roll_back()
        assert store.versions.get(made.name).state is VersionState.ROLLED_BACK
    return path


def state_of(home: Path, text: str) -> DocumentState:
    with Store.open(Home(home), HashEmbedder()) as store:
        return store.documents.get(digest_of(text)).state


def test_lineage_goes_both_ways_in_one_command_each(run: Run, home: Path) -> None:
    up = run("lineage", "answer", "e1", "--home", home, "--json").json
    assert up["episode"]["answer"] == "ho"
    assert [v["name"] for v in up["line"]] == ["v2-learned", "v0-bbbbbb"]
    assert [d["title"] for d in up["documents"]] == ["learned"] and up["sources"] == {"wiki": 1}
    down = run("lineage", "document", digest_of("learned"), "--home", home, "--json").json
    assert ([v["name"] for v in down["versions"]], down["episodes"]) == (["v2-learned"], 1)
    assert not down["live"] and len(down["updates"]) == 1
    assert run("lineage", "version", "v2-learned", "--home", home, "--json").json["updates"]
    for words in (("answer", "e1"), ("version", "v2-learned"), ("document", digest_of("learned"))):
        assert "learned" in run("lineage", *words, "--home", home).out
    missing = run("lineage", "answer", "e9", "--home", home)
    assert missing.code == 2 and "e9" in missing.err


def test_nothing_is_withdrawn_without_a_yes(run: Run, home: Path) -> None:
    shown = run("documents", "withdraw", digest_of("learned"), "--home", home, "--json")
    assert shown.code == 1 and "--yes" in shown.err
    assert [v["name"] for v in shown.json["versions"]] == ["v2-learned"]
    assert (shown.json["withdrawn"], shown.json["rebuild"]) == ([], False)
    assert state_of(home, "learned") is DocumentState.ACCEPTED


def test_what_the_live_version_never_learned_is_marked_and_nothing_is_trained(
    run: Run, home: Path
) -> None:
    done = run("documents", "withdraw", digest_of("learned"), "--yes", "--home", home, "--json")
    assert (done.code, done.json["withdrawn"]) == (0, [digest_of("learned")])
    assert done.json["cycle"] is None
    assert state_of(home, "learned") is DocumentState.WITHDRAWN
    again = run("documents", "withdraw", digest_of("learned"), "--yes", "--home", home)
    assert again.code == 0 and "never learned" in again.out
    unknown = run("documents", "withdraw", "f" * 64, digest_of("other"), "--yes", "--home", home)
    assert unknown.code == 2 and state_of(home, "other") is DocumentState.ACCEPTED


@pytest.fixture
def served(home: Path) -> Iterator[Path]:
    """The same home with a running server on a fake engine."""
    process = subprocess.Popen(
        [sys.executable, fake_runtime.__file__, str(home), "0"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 300
        while Home(home).read_status() is None:
            assert process.poll() is None and time.monotonic() < deadline, "it did not start"
            time.sleep(0.05)
        yield home
        process.terminate()
        process.wait(120)
    finally:
        process.kill()
        process.wait()


def test_a_running_server_withdraws(run: Run, served: Path) -> None:
    done = run("documents", "withdraw", digest_of("other"), "--yes", "--home", served, "--json")
    assert (done.code, done.json["withdrawn"]) == (0, [digest_of("other")]), done.err
    assert state_of(served, "other") is DocumentState.WITHDRAWN
