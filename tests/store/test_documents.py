"""Documents: life cycle, search over what was accepted, and an index that follows the database."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from chroma_server import ChromaServer, chroma_server

from store.database import Database
from store.documents import Documents
from store.embeddings import HashEmbedder
from store.errors import NotFoundError, PerennialError, StateError
from store.home import Home
from store.index import PassageIndex
from store.keywords import KeywordIndex
from store.passages import CHARS, passages_of, split_text
from store.records import Document, DocumentState, digest_of, utc_now
from store.search import Search
from store.store import Store

ROOT = Path(__file__).resolve().parents[2]


def document(text: str, **fields: object) -> Document:
    base = {
        "digest": digest_of(text),
        "source": "folder",
        "address": "a.md",
        "title": "",
        "text": text,
        "kind": "prose",
        "fetched_at": utc_now(),
    }
    return Document.model_validate({**base, **fields})


def accepted(store: Store, text: str) -> str:
    item = document(text)
    store.documents.add(item)
    store.documents.accept(item.digest)
    return item.digest


def test_add_is_once_per_digest_and_get_gives_it_back(store: Store) -> None:
    item = document("The moon is made of basalt.", licence="CC0-1.0", trust=0.5)
    assert store.documents.add(item)
    assert not store.documents.add(item)
    assert store.documents.get(item.digest) == item
    assert store.documents.list() == [item]
    with pytest.raises(NotFoundError):
        store.documents.get("absent")


def test_states_follow_the_table(store: Store) -> None:
    item = document("x")
    store.documents.add(item)
    store.documents.accept(item.digest)
    with pytest.raises(StateError, match="accepted and cannot become accepted"):
        store.documents.accept(item.digest)
    store.documents.quarantine(item.digest)
    assert store.documents.list(DocumentState.ACCEPTED) == []
    store.documents.accept(item.digest)
    store.documents.withdraw(item.digest)
    assert store.documents.get(item.digest).state is DocumentState.WITHDRAWN
    with pytest.raises(StateError, match="nothing"):
        store.documents.accept(item.digest)
    with pytest.raises(NotFoundError):
        store.documents.withdraw("absent")


def test_search_finds_accepted_documents_only(store: Store) -> None:
    wanted = accepted(store, "The harbour of Velm opens in April.")
    accepted(store, "Goats eat thistles.")
    store.documents.add(document("The harbour of Velm, unchecked."))
    best = store.documents.search("harbour of Velm")[0]
    assert best.document == wanted
    assert best.text == "The harbour of Velm opens in April."
    assert 0.5 < best.score <= 1.0
    assert {p.document for p in store.documents.search("harbour", k=9)} <= {
        d.digest for d in store.documents.list(DocumentState.ACCEPTED)
    }


def test_search_of_nothing_is_empty(store: Store) -> None:
    assert store.documents.search("anything") == []


def test_withdrawn_and_quarantined_leave_search(store: Store) -> None:
    first, second = accepted(store, "alpha beta"), accepted(store, "alpha gamma")
    assert len(store.documents.search("alpha")) == 2
    store.documents.withdraw(first)
    store.documents.quarantine(second)
    assert store.documents.search("alpha") == []
    store.documents.accept(second)
    assert [p.document for p in store.documents.search("alpha")] == [second]


def test_index_catches_up_once_and_with_other_processes(store: Store) -> None:
    """What another connection accepts is found, without telling this one."""
    digest = accepted(store, "alpha")
    assert store.documents.catch_up() == 1
    assert store.documents.catch_up() == 0
    with Store.open(store.home, HashEmbedder()) as other:
        other.documents.withdraw(digest)
    assert store.documents.search("alpha") == []


def test_lost_index_is_rebuilt_from_the_database(store: Store) -> None:
    digest = accepted(store, "alpha")
    assert store.documents.reindex() == 1
    # Chroma keeps an open folder in memory for the process, so the loss is seen by a new one.
    home = store.home
    store.close()
    if home.chroma_url:
        index = PassageIndex.of(home, HashEmbedder())
        index.clear()
        index.close()
    shutil.rmtree(home.chroma)
    code = (
        "import sys; from pathlib import Path; from store import Home, Store\n"
        "from store.embeddings import HashEmbedder\n"
        "path, size, *urls = sys.argv[1:]\n"
        "store = Store.open(Home(Path(path), *urls), HashEmbedder(int(size)))\n"
        "print(*[p.document for p in store.documents.search('alpha')])"
    )
    urls = [url for url in (home.database_url, home.chroma_url) if url]
    for size in ("256", "64"):  # the second time with another embedder
        done = subprocess.run(
            [sys.executable, "-c", code, str(home.path), size, *urls],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.stdout.split() == [digest], done.stderr


def _documents(database: Database, chroma: Path | str, folder: Path) -> Documents:
    embedder = HashEmbedder()
    words = KeywordIndex(folder / "keywords.db")
    return Documents(database, Search(database, PassageIndex(chroma, embedder), words, embedder))


def test_unusable_index_names_its_folder_and_the_way_out(
    tmp_path: Path, database: Database
) -> None:
    (tmp_path / "chroma").write_text("a file where the folder must be")
    documents = _documents(database, tmp_path / "chroma", tmp_path)
    with pytest.raises(PerennialError, match="chroma failed") as caught:
        documents.search("x")
    assert "rebuilt" in caught.value.hint
    documents.close()


def test_a_server_that_is_down_is_named_and_found_again(tmp_path: Path) -> None:
    """What was indexed is still there, or made again when the server lost it."""
    database = Database(tmp_path / "test.db")
    database.migrate()
    with chroma_server(tmp_path / "data") as server:
        documents = _documents(database, server.url, tmp_path)
        item = document("alpha")
        documents.add(item)
        documents.accept(item.digest)
        assert [p.document for p in documents.search("alpha")] == [item.digest]
        server.stop()
        for _ in range(2):
            with pytest.raises(PerennialError, match=server.url) as caught:
                documents.search("alpha")
            assert "storage.chroma" in caught.value.hint
        server.start()
        assert [p.document for p in documents.search("alpha")] == [item.digest]
        server.stop()
        with pytest.raises(PerennialError, match=server.url):
            documents.search("alpha")
        shutil.rmtree(tmp_path / "data")
        server.start()
        assert [p.document for p in documents.search("alpha")] == [item.digest]
        documents.close()
    database.close()


def test_many_are_stored_at_once_and_none_twice(store: Store) -> None:
    many = [document(f"number {i}", state=DocumentState.ACCEPTED) for i in range(1200)]
    store.documents.add(many[7])
    added = store.documents.add_all([*many, many[0]])
    assert added == [d.digest for i, d in enumerate(many) if i != 7]
    assert store.documents.digests() == {d.digest for d in many}
    assert store.documents.digests(DocumentState.NEW, DocumentState.WITHDRAWN) == set()
    assert store.documents.count_by_source() == {"folder": 1200}
    snapshot = store.documents.snapshot(d.digest for d in many)
    assert snapshot.documents == tuple(sorted(d.digest for d in many))


def test_homes_share_a_chroma_server(tmp_path: Path, chroma: ChromaServer) -> None:
    """Each finds its own documents, at their own places."""
    digests = []
    for name in ("one", "two"):
        home = Home(tmp_path / name, chroma_url=chroma.url)
        with Store.open(home, HashEmbedder()) as store:
            digests.append(accepted(store, f"alpha {name}"))
            assert [p.document for p in store.documents.search("alpha", k=1)] == [digests[-1]]
            assert not any(home.chroma.iterdir())
    with Store.open(Home(tmp_path / "one", chroma_url=chroma.url), HashEmbedder()) as store:
        assert [p.document for p in store.documents.search("alpha", k=5)] == digests[:1]


def test_listing_loads_no_chroma() -> None:
    code = (
        "import sys, tempfile; from pathlib import Path; from store import Home, Store\n"
        "store = Store.open(Home(Path(tempfile.mkdtemp())))\n"
        "assert store.documents.list() == []\n"
        "print(*{'chromadb', 'torch', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


def test_snapshot_is_canonical_stored_and_of_accepted_documents(store: Store) -> None:
    a, b = accepted(store, "a"), accepted(store, "b")
    snapshot = store.documents.snapshot([a, b, a])
    assert snapshot == store.documents.snapshot([b, a])
    assert snapshot.documents == tuple(sorted((a, b)))
    assert store.documents.get_snapshot(snapshot.digest) == snapshot
    assert store.documents.snapshot([a]).digest != snapshot.digest
    store.documents.withdraw(a)
    with pytest.raises(StateError, match="withdrawn"):
        store.documents.snapshot([a])
    with pytest.raises(NotFoundError):
        store.documents.snapshot(["absent"])
    with pytest.raises(NotFoundError):
        store.documents.get_snapshot("absent")


def test_passages_are_short_and_lose_no_word() -> None:
    prose = "\n\n".join(
        " ".join(f"Word{p} and more of it." for _ in range(n)) for p, n in enumerate((3, 60, 2))
    )
    for words in (prose, "unbroken " * 500, "一。" * 900, "x" * 5000, "", "  \n\n "):
        passages = split_text(words)
        assert all(0 < len(p) <= CHARS for p in passages)
        assert "".join("".join(passages).split()) == "".join(words.split())
    assert len(split_text("one.\n\ntwo.")) == 1


def test_each_api_is_a_passage_and_broken_json_stays_findable() -> None:
    tool = {
        "tool_name": "ferry",
        "tool_description": "boats",
        "api_list": [{"name": "book"}, {"name": "cancel"}],
    }
    passages = passages_of(document(json.dumps(tool), kind="api"))
    assert ["book" in p and "ferry" in p for p in passages] == [True, False]
    assert all("boats" in p for p in passages)
    for text in ("{broken", "[]", '{"tool_name": "x"}', '{"tool_name": "x", "api_list": []}'):
        assert passages_of(document(text, kind="api"))
