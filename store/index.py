"""The vectors of passages in Chroma: our own, and no text. A cache of the database, no truth.

Embedded in the home, for one process at a time, or on a Chroma server for any number. Chroma's own
embedding functions are never used. Opened at the first use, so that listing documents loads
nothing heavy. Called by store/search.py; opened by store/store.py.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from store.embeddings import Embedder
from store.errors import PerennialError
from store.fusion import Place
from store.home import Home
from store.ownership import identity_of

_COLLECTION = "passages"
_CUT = 2
"""Which way of cutting texts the passages are from: others are embedded anew."""
_SERVER_HINT = "start that server, or unset storage.chroma; what it holds is made again"
_PATIENCE_S = 20
"""How long a server may take to answer a question."""
_PAGE = 5000
"""Passages that are listed in one question."""


class PassageIndex:
    """Passages by document digest. Calls are serialised, as Chroma gives no promise on threads."""

    def __init__(
        self, place: Path | str, embedder: Embedder, collection: str = _COLLECTION
    ) -> None:
        """`place` is a folder, or the URL of a server, where each home has its own `collection`."""
        self._place = place
        self._name = collection
        self._embedder = embedder
        self._loads = 0
        self._lock = threading.RLock()
        self._client: Any = None
        self._collection: Any = None

    @classmethod
    def of(cls, home: Home, embedder: Embedder) -> "PassageIndex":
        """The index of a home whose store has been opened."""
        if home.chroma_url is None:
            return cls(home.chroma, embedder)
        return cls(home.chroma_url, embedder, f"{_COLLECTION}-{identity_of(home)}")

    def put(self, document: str, title: str, texts: Sequence[str]) -> None:
        """Embed a document's passages, in place of those it had."""
        vectors = self._embedder.embed([f"{title}\n{text}" for text in texts])
        with self._open() as collection:
            collection.delete(where={"document": document})
            if texts:
                # Not `add`: another process may be catching up with the same document.
                collection.upsert(
                    ids=[f"{document}:{i}" for i in range(len(texts))],
                    embeddings=vectors,
                    metadatas=[{"document": document}] * len(texts),
                )

    def drop(self, digest: str) -> None:
        """Remove a document's passages; nothing happens when it has none."""
        with self._open() as collection:
            collection.delete(where={"document": digest})

    def search(self, vector: Sequence[float], k: int) -> dict[Place, float]:
        """At most `k` passages with their cosine similarity, the best first."""
        with self._open() as collection:
            found = collection.query(
                query_embeddings=[list(vector)], n_results=k, include=["distances"]
            )
        rows = zip(found["ids"][0], found["distances"][0], strict=True)
        return {_place(id): 1.0 - distance for id, distance in rows}

    def similarities(self, vector: Sequence[float], places: Sequence[Place]) -> dict[Place, float]:
        """Cosine similarity of the passages of these that it has."""
        if not places:
            return {}
        ids = [f"{place.document}:{place.position}" for place in places]
        with self._open() as collection:
            found = collection.get(ids=ids, include=["embeddings"])
        rows = zip(found["ids"], found["embeddings"], strict=True)
        return {
            _place(id): sum(a * float(b) for a, b in zip(vector, other, strict=True))
            for id, other in rows
        }

    def counts(self) -> dict[str, int]:
        """How many passages it has of each document."""
        counts: dict[str, int] = {}
        with self._open() as collection:
            for start in range(0, collection.count(), _PAGE):
                for id in collection.get(limit=_PAGE, offset=start, include=[])["ids"]:
                    document = _place(id).document
                    counts[document] = counts.get(document, 0) + 1
        return counts

    def empty(self) -> bool:
        """Whether nothing is indexed: never filled, deleted by hand, or of another embedder."""
        with self._open() as collection:
            return collection.count() == 0

    def clear(self) -> None:
        """Forget everything."""
        with self._open():
            self._client.delete_collection(self._name)
            self._collection = None

    def close(self) -> None:
        """Let go of the files. The next use opens them again."""
        with self._lock:
            if self._client is not None:
                for session in _sessions(self._client):
                    # Chroma leaves the connections to its server open.
                    session.close()
                self._client.close()
            self._client = self._collection = None

    def loads(self) -> int:
        """How often it was opened, now included: each time it may have other content."""
        with self._open():
            return self._loads

    @contextmanager
    def _open(self) -> Iterator[Any]:
        """The collection, under the lock; Chroma's errors become ours."""
        with self._lock:
            try:
                if self._collection is None:
                    self._collection = self._load()
                yield self._collection
            except PerennialError:
                raise
            except Exception as error:  # Chroma raises many kinds, some of them from Rust
                # A server may come back without the collection: the next use looks for it anew.
                self._collection = None
                hint = _SERVER_HINT
                if isinstance(self._place, Path):
                    hint = "stop Perennial and delete that folder; it is rebuilt from the database"
                raise PerennialError(
                    f"the search index {self._place} failed: {error}", hint
                ) from error

    def _load(self) -> Any:
        if self._client is None:
            self._client = _connect(self._place)
        collection = self._make()
        made = collection.metadata or {}
        if (made.get("embedder"), made.get("cut")) != (self._embedder.name, _CUT):
            # Vectors of two embedders in one collection would make every distance meaningless,
            # and a passage that is cut otherwise is another passage.
            self._client.delete_collection(self._name)
            collection = self._make()
        self._loads += 1
        return collection

    def _make(self) -> Any:
        return self._client.get_or_create_collection(
            self._name,
            metadata={"embedder": self._embedder.name, "cut": _CUT},
            embedding_function=None,
            configuration={"hnsw": {"space": "cosine"}},
        )


def _place(id: str) -> Place:
    document, _, position = id.rpartition(":")
    return Place(document, int(position))


def server_version(url: str) -> str:
    """What a Chroma server says it is. PerennialError when it does not answer as one."""
    import httpx

    try:
        said = httpx.get(f"{url.rstrip('/')}/api/v2/version", timeout=_PATIENCE_S)
        return str(said.raise_for_status().json())
    except (httpx.HTTPError, ValueError) as error:
        raise PerennialError(
            f"the search index {url} does not answer as a Chroma server: {error}", _SERVER_HINT
        ) from error


def _connect(place: Path | str) -> Any:
    """A client of the folder or of the server."""
    import chromadb
    from chromadb.config import Settings

    settings = Settings(anonymized_telemetry=False)
    if isinstance(place, Path):
        place.mkdir(parents=True, exist_ok=True)
        return chromadb.PersistentClient(str(place), settings=settings)
    # Chroma's client waits for ever, when it is made and afterwards, for a server that hangs.
    server_version(place)
    url = urlsplit(place)
    secure = url.scheme == "https"
    port = url.port or (443 if secure else 8000)
    client: Any = chromadb.HttpClient(url.hostname or "", port, secure, settings=settings)
    for session in _sessions(client):
        session.timeout = _PATIENCE_S
    return client


def _sessions(client: Any) -> list[Any]:
    """The HTTP clients inside a client; an embedded one has none."""
    apis = [client._server, client._admin_client._server]
    return [api._session for api in apis if hasattr(api, "_session")]
