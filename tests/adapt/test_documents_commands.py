"""`perennial documents list|show|check|reindex` on a real home."""

from pathlib import Path

import pytest
from command import Run, in_process

from store.home import Home
from store.normal import new_document
from store.store import Store

TEXT = "# Ferry\nThe ferry of Velm sails every day at nine in the morning from the old harbour."


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    return in_process(capsys, monkeypatch)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Two editions of one address, the first one accepted, and a duplicate elsewhere."""
    home = Home(tmp_path / "home")
    texts = {"a.md": [TEXT, TEXT.replace("nine", "noon")], "b.md": [f"{TEXT} {TEXT}"]}
    with Store.open(home) as store:
        for address, editions in texts.items():
            for text in editions:
                document = new_document(source="docs", address=address, text=text)
                for digest in store.documents.take([document], near=0.5).new:
                    store.documents.accept(digest)
    return home


def test_documents_are_listed_by_state_and_source(run: Run, home: Home) -> None:
    def states(*arguments: object) -> list[str]:
        said = run("documents", "list", *arguments, "--home", home.path, "--json")
        return [row["state"] for row in said.json]

    assert sorted(states()) == ["accepted", "accepted", "duplicate"]
    assert states("--state", "duplicate") == ["duplicate"]
    assert states("--source", "elsewhere") == []
    wrong = run("documents", "list", "--state", "gone", "--home", home.path)
    assert wrong.code == 2 and "there are: new, duplicate" in wrong.err


def test_a_document_shows_its_editions_what_changed_and_its_twin(run: Run, home: Home) -> None:
    listed = run("documents", "list", "--home", home.path, "--json").json
    (twin,) = [row["digest"] for row in listed if row["state"] == "duplicate"]
    shown = run("documents", "show", twin[:16], "--home", home.path, "--json").json
    assert shown["duplicate_of"] in {row["digest"] for row in listed if row["digest"] != twin}
    assert shown["language"] == "en"
    changed = [
        run("documents", "show", row["digest"], "--difference", "--home", home.path, "--json").json
        for row in listed
        if row["address"] == "a.md"
    ]
    lines = "\n".join(sorted(one["difference"] for one in changed))
    assert "-The ferry of Velm sails every day at nine" in lines
    assert "+The ferry of Velm sails every day at noon" in lines
    none = run("documents", "show", "zz", "--home", home.path)
    assert none.code == 2 and "no document begins with 'zz'" in none.err
    many = run("documents", "show", "", "--home", home.path)
    assert many.code == 2 and "3 documents have a digest" in many.err


def test_the_index_is_checked_and_made_anew(run: Run, home: Home) -> None:
    before = run("documents", "check", "--home", home.path, "--json")
    assert before.code == 1
    assert sorted(before.json["missing"]) == ["vectors", "words"]
    assert len(before.json["missing"]["words"]) == 2
    assert run("documents", "reindex", "--home", home.path, "--json").json == {"indexed": 2}
    after = run("documents", "check", "--home", home.path)
    assert after.code == 0 and "as the documents say" in after.out
    with home.lock():
        busy = run("documents", "reindex", "--home", home.path)
    assert busy.code == 2 and "in use" in busy.err
