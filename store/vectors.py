"""Vectors of texts that stay the same, kept in a file by the digest of the text: a cache.

Embedding a catalogue of tools takes a minute or more of the processor; its descriptions are the
same at the next start. Queries are not kept. Called by tools/ranking.py; the file is the home's.
"""

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from store.embeddings import Embedder
from store.errors import PerennialError
from store.records import digest_of

_WAIT_S = 10.0
_AT_ONCE = 32
"""Texts that are embedded and then kept: a start that is interrupted loses no more."""


class KeptVectors:
    """An embedder that remembers what it is told to keep. Safe to share between threads, and its
    file between processes."""

    def __init__(self, embedder: Embedder, place: Path) -> None:
        self.name = embedder.name
        self._embedder = embedder
        self._place = place
        self._lock = threading.Lock()

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One unit vector per text, not kept."""
        return self._embedder.embed(texts)

    def kept(self, texts: Sequence[str]) -> list[list[float]]:
        """One unit vector per text; each text is embedded once, whatever process asked first."""
        import numpy as np

        keys = {text: digest_of([self.name, text]) for text in texts}
        # Else each of the first requests would embed the whole catalogue, and all would be late.
        with self._lock:
            found = self._read(list(keys.values()))
            missing = [text for text, key in keys.items() if key not in found]
            for start in range(0, len(missing), _AT_ONCE):
                some = missing[start : start + _AT_ONCE]
                vectors = self._embedder.embed(some)
                new = {
                    keys[text]: np.asarray(vector, dtype="<f4").tobytes()
                    for text, vector in zip(some, vectors, strict=True)
                }
                self._write(new)
                found |= new
        return [np.frombuffer(found[keys[text]], dtype="<f4").tolist() for text in texts]

    def _read(self, keys: Sequence[str]) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        with _opened(self._place) as db:
            for start in range(0, len(keys), 500):
                some = keys[start : start + 500]
                marks = ", ".join("?" * len(some))
                found.update(db.execute(f"SELECT * FROM vectors WHERE key IN ({marks})", some))
        return found

    def _write(self, new: dict[str, bytes]) -> None:
        with _opened(self._place) as db:
            db.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", new.items())


@contextmanager
def _opened(place: Path) -> Iterator[sqlite3.Connection]:
    """The file for a moment, in a transaction; SQLite's errors become ours."""
    try:
        with closing(sqlite3.connect(place, timeout=_WAIT_S)) as db, db:
            db.execute(
                "CREATE TABLE IF NOT EXISTS vectors (key TEXT PRIMARY KEY, vector BLOB NOT NULL)"
            )
            yield db
    except sqlite3.Error as error:
        raise PerennialError(
            f"the kept vectors {place} failed: {error}", "delete that file; it is made again"
        ) from error
