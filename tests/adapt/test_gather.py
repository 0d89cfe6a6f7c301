"""Taking documents in from folders: the usable come in once, the rest is named with a reason."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapt.gather import gather
from store import Home, Store
from store.embeddings import HashEmbedder
from store.errors import DocumentError
from store.records import DocumentState, utc_now
from store.source_records import Source
from tools.virtual_api.catalogue import build_catalogue

TOOL = build_catalogue(0).tools[0].to_json()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store with the source `inbox`."""
    home = Home(tmp_path / "home")
    home.create()
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    with Store.open(home, HashEmbedder()) as opened:
        opened.sources.add(Source(name="inbox", location=str(inbox), added_at=utc_now()))
        yield opened


def test_prose_and_apis_come_in_accepted(store: Store, tmp_path: Path) -> None:
    """Both kinds are stored with title and address, and nothing is taken in twice."""
    (tmp_path / "inbox" / "a.md").write_text("# Handbook\n\nThe capital of Oz is Emer.\n")
    (tmp_path / "inbox" / "tool.json").write_text(json.dumps(TOOL))
    first, second = gather(store, 10_000), gather(store, 10_000)
    assert (len(first.added), len(second.added), second.known) == (2, 0, 2)
    found = {d.kind: d for d in store.documents.list(DocumentState.ACCEPTED)}
    assert found["prose"].title == "Handbook"
    assert found["api"].address.endswith("tool.json")


BAD = {
    "empty.md": (b"  \n ", "is empty"),
    "binary.txt": (b"ab\0cd", "is binary"),
    "latin.txt": "Caf\u00e9".encode("latin-1"),
    "huge.md": (b"word " * 5000, "over the limit of 10000"),
    "notes.pdf": (b"%PDF", ".pdf is not a kind that is read"),
    "cut.json": (b'{"tool_name": "x", ', "is not JSON"),
    "list.json": (b"[]", "is not a JSON object"),
    "nameless.json": (b'{"tool_name": "", "api_list": []}', "tool.tool_name must be a text"),
    "odd.json": (b'{"tool_name": "x", "api_list": [3]}', "api_list[0] is not an object"),
    "twins.json": (
        json.dumps({**TOOL, "api_list": [TOOL["api_list"][0]] * 2}).encode(), "share the name",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_refused_with_its_reason(store: Store, tmp_path: Path, name: str) -> None:
    """The file is named, the reason is told, and a good file beside it still comes in."""
    case = BAD[name]
    data, reason = case if isinstance(case, tuple) else (case, "is not UTF-8 (byte 3)")
    (tmp_path / "inbox" / name).write_bytes(data)
    (tmp_path / "inbox" / "good.md").write_text("The capital of Oz is Emer.")
    found = gather(store, 10_000)
    assert len(found.added) == 1
    assert [Path(r.address).name for r in found.refused] == [name]
    assert reason in found.refused[0].reason


def test_the_same_text_under_two_names_is_one_document(store: Store, tmp_path: Path) -> None:
    """Text decides what a document is, not its address."""
    for name in ("a.md", "b.md"):
        (tmp_path / "inbox" / name).write_text("The capital of Oz is Emer.\n")
    assert len(gather(store, 10_000).added) == 1


def test_a_missing_folder_says_what_to_do(store: Store, tmp_path: Path) -> None:
    """The error names the source, the folder and the command."""
    (tmp_path / "inbox").rmdir()
    with pytest.raises(DocumentError, match=r"source inbox: .* perennial source remove inbox"):
        gather(store, 10_000)
