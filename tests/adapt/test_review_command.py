"""`perennial documents review`: the list, one of them, and the decisions."""

from pathlib import Path

import pytest
from command import Run, in_process

from store import Home, Store
from store.embeddings import HashEmbedder
from store.normal import new_document
from store.source_records import Finding


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with two held documents."""
    with Store.open(Home(tmp_path / "home"), HashEmbedder()) as store:
        held = {}
        for text in ("one\x1b[31m text", "another text"):
            document = new_document(source="web", address="web/x", text=text, title=text[:7])
            store.documents.add(document)
            held[document.digest] = [Finding(kind="encoded", words="holds a payload")]
        store.reviews.hold(held)
    return tmp_path / "home"


@pytest.fixture
def perennial(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Run:
    return in_process(
        capsys, monkeypatch, before=("documents", "review"), after=("--home", str(home))
    )


def test_it_lists_what_waits_and_why(perennial: Run) -> None:
    rows = perennial("--json").json
    assert len(rows) == 2
    assert {row["state"] for row in rows} == {"quarantined"}
    assert "holds a payload" in perennial().out


def test_a_decision_needs_a_reason_and_is_kept(perennial: Run) -> None:
    digest, other = (row["document"] for row in perennial("--json").json)
    assert perennial("--accept", digest[:10]).code == 2
    done = perennial("--accept", digest[:10], "--why", "ours", "--json")
    assert done.code == 0 and done.json["state"] == "accepted" and done.json["reason"] == "ours"
    gone = perennial("--withdraw", other, "--why", "poison", "--json")
    assert gone.code == 0 and gone.json["state"] == "withdrawn"
    assert perennial("--json").json == []
    assert {r["decision"] for r in perennial("--all", "--json").json} == {"accepted", "withdrawn"}


def test_one_is_shown_with_its_text_and_without_its_control_characters(perennial: Run) -> None:
    rows = perennial("--json").json
    for row in rows:
        shown = perennial(row["document"][:12])
        assert shown.code == 0 and "text" in shown.out and "\x1b[31m" not in shown.out
    assert perennial("ffffffffffff").code == 2
    assert perennial(rows[0]["document"], "--accept", rows[0]["document"], "--why", "x").code == 2
