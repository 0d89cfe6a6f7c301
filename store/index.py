"""The search index: passages and our vectors in Chroma. A cache of the database, never the truth.

Chroma's own embedding functions are never used. Opened at the first use, so that listing
documents loads nothing heavy. One process at a time may use it. Called by store/documents.py only.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from store.embeddings import Embedder
from store.errors import PerennialError
from store.passages import Passage, passages_of
from store.records import Document

_COLLECTION = "passages"


class PassageIndex:
    """Passages by document digest. Calls are serialised, as Chroma gives no promise on threads."""

    def __init__(self, path: Path, embedder: Embedder) -> None:
        self._path = path
        self._embedder = embedder
        self._lock = threading.RLock()
        self._client: Any = None
        self._collection: Any = None

    def put(self, document: Document) -> None:
        """Embed a document's passages, in place of those it had."""
        texts = passages_of(document)
        vectors = self._embedder.embed([f"{document.title}\n{text}" for text in texts])
        with self._open() as collection:
            collection.delete(where={"document": document.digest})
            if texts:
                meta = {"document": document.digest, "title": document.title}
                collection.add(
                    ids=[f"{document.digest}:{i}" for i in range(len(texts))],
                    embeddings=vectors,
                    documents=texts,
                    metadatas=[meta] * len(texts),
                )

    def drop(self, digest: str) -> None:
        """Remove a document's passages; nothing happens when it has none."""
        with self._open() as collection:
            collection.delete(where={"document": digest})

    def search(self, query: str, k: int) -> list[Passage]:
        """At most `k` passages, the best first."""
        vector = self._embedder.embed([query])
        with self._open() as collection:
            found = collection.query(
                query_embeddings=vector,
                n_results=k,
                include=["documents", "metadatas", "distances"],
            )
        rows = zip(found["documents"][0], found["metadatas"][0], found["distances"][0], strict=True)
        return [
            Passage(document=m["document"], title=m["title"], text=text, score=1.0 - distance)
            for text, m, distance in rows
        ]

    def empty(self) -> bool:
        """Whether nothing is indexed: never filled, deleted by hand, or of another embedder."""
        with self._open() as collection:
            return collection.count() == 0

    def clear(self) -> None:
        """Forget everything."""
        with self._open():
            self._client.delete_collection(_COLLECTION)
            self._collection = None

    def close(self) -> None:
        """Let go of the files. The next use opens them again."""
        with self._lock:
            if self._client is not None:
                self._client.close()
            self._client = self._collection = None

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
                raise PerennialError(
                    f"the search index {self._path} failed: {error}",
                    "stop Perennial and delete that folder; it is rebuilt from the database",
                ) from error

    def _load(self) -> Any:
        import chromadb
        from chromadb.config import Settings

        self._path.mkdir(parents=True, exist_ok=True)
        if self._client is None:
            self._client = chromadb.PersistentClient(
                str(self._path), settings=Settings(anonymized_telemetry=False)
            )
        collection = self._make()
        if (collection.metadata or {}).get("embedder") != self._embedder.name:
            # Vectors of two embedders in one collection would make every distance meaningless.
            self._client.delete_collection(_COLLECTION)
            collection = self._make()
        return collection

    def _make(self) -> Any:
        return self._client.get_or_create_collection(
            _COLLECTION,
            metadata={"embedder": self._embedder.name},
            embedding_function=None,
            configuration={"hnsw": {"space": "cosine"}},
        )
