"""The words of passages in SQLite's full-text search (FTS5). A cache of the database, no truth.

A file of the home whatever the database is, or kept in memory; any number of processes may have it
open. It says itself up to which change of the database it has followed, in the transaction that
follows, so that neither a kill nor an old copy of the file leaves it wrong. Called by
store/search.py, and by tools/ranking.py in memory.
"""

import re
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from store.errors import PerennialError
from store.fusion import Place

_VERSION = 1
"""Of the tables and of how texts are cut into passages: a file of another one begins anew."""
_WAIT_S = 10.0
_MOST_WORDS = 32
"""Of a query; a page given as a query would ask for every passage there is."""
_TITLE_WEIGHT = 2.0
# A sign of Chinese or Japanese is a word of its own, as FTS5 would take a sentence for one.
_SIGN = re.compile(r"([\u3040-\u30ff\u3400-\u9fff])")
_WORD = re.compile(r"\w+")
# In nearly every English passage: they would decide nothing and cost the most.
_COMMON = frozenset(
    "a an and are as at be been but by can could did do does for from had has have how i if in "
    "into is it its me my no not of on or our she he so than that the their them then there these "
    "they this to was we were what when where which who why will with would you your".split()
)
_TABLES = f"""
    CREATE VIRTUAL TABLE words USING fts5(
        title, text, tokenize = 'porter unicode61 remove_diacritics 2');
    CREATE TABLE passages (
        id INTEGER PRIMARY KEY, document TEXT NOT NULL, position INTEGER NOT NULL);
    CREATE INDEX ix_passages_document ON passages (document);
    CREATE TABLE followed (change INTEGER NOT NULL, digest TEXT NOT NULL);
    INSERT INTO followed VALUES (-1, '');
    PRAGMA user_version = {_VERSION};
"""


class KeywordIndex:
    """Passages by their words. Safe to share between threads."""

    def __init__(self, place: Path | None = None) -> None:
        """In memory without a place. Opened at the first use."""
        self._place = place
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None

    def search(self, query: str, k: int) -> list[Place]:
        """At most `k` passages with words of the query, the best first by BM25."""
        words = _words_of(query)
        if not words:
            return []
        with self._open() as db:
            rows = db.execute(
                "SELECT document, position FROM words JOIN passages ON passages.id = words.rowid "
                "WHERE words MATCH ? ORDER BY bm25(words, ?, 1.0), words.rowid LIMIT ?",
                (" OR ".join(f'"{word}"' for word in words), _TITLE_WEIGHT, k),
            ).fetchall()
        return [Place(*row) for row in rows]

    def put(self, document: str, title: str, texts: Sequence[str]) -> None:
        """A document's passages, in place of those it had."""
        with self._open() as db:
            self.drop(document)
            for position, text in enumerate(texts):
                entry = db.execute(
                    "INSERT INTO passages (document, position) VALUES (?, ?)", (document, position)
                ).lastrowid
                db.execute(
                    "INSERT INTO words (rowid, title, text) VALUES (?, ?, ?)",
                    (entry, _spaced(title), _spaced(text)),
                )

    def drop(self, document: str) -> None:
        """Remove a document's passages; nothing happens when it has none."""
        with self._open() as db:
            mine = "SELECT id FROM passages WHERE document = ?"
            db.execute(f"DELETE FROM words WHERE rowid IN ({mine})", (document,))
            db.execute("DELETE FROM passages WHERE document = ?", (document,))

    def counts(self) -> dict[str, int]:
        """How many passages it has of each document."""
        with self._open() as db:
            return dict(db.execute("SELECT document, count(*) FROM passages GROUP BY document"))

    def position(self) -> tuple[int, str]:
        """The last change that was followed and, of several in one change, the last digest."""
        with self._open() as db:
            return db.execute("SELECT change, digest FROM followed").fetchone()

    @contextmanager
    def following(self) -> Iterator[tuple[int, str]]:
        """A writing transaction, alone among all processes; gives the position."""
        with self._open() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield self.position()
            except BaseException:
                db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")

    def followed(self, change: int, digest: str) -> None:
        """Note how far it has followed; inside `following`."""
        with self._open() as db:
            db.execute("UPDATE followed SET change = ?, digest = ?", (change, digest))

    def clear(self) -> None:
        """Forget everything; inside `following`."""
        with self._open() as db:
            db.execute("DELETE FROM words")
            db.execute("DELETE FROM passages")
            db.execute("UPDATE followed SET change = -1, digest = ''")

    def close(self) -> None:
        """Let go of the file. The next use opens it again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """The connection, under the lock; SQLite's errors become ours."""
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = _connect(self._place)
                yield self._connection
            except sqlite3.Error as error:
                raise PerennialError(
                    f"the keyword index {self._place or 'in memory'} failed: {error}",
                    "stop Perennial and delete that file; it is made again from the database",
                ) from error


def _connect(place: Path | None) -> sqlite3.Connection:
    connection = sqlite3.connect(
        place or ":memory:", timeout=_WAIT_S, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        # It is made again from the database: what the last second wrote may be lost.
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("BEGIN IMMEDIATE")
        if connection.execute("PRAGMA user_version").fetchone()[0] != _VERSION:
            for table in ("words", "passages", "followed"):
                connection.execute(f"DROP TABLE IF EXISTS {table}")
            for statement in _TABLES.split(";"):
                connection.execute(statement)
        connection.execute("COMMIT")
    except BaseException:
        connection.close()
        raise
    return connection


def _words_of(query: str) -> list[str]:
    """The words that count, each once; the common ones too where there are no others."""
    words = list(dict.fromkeys(_WORD.findall(_spaced(query).lower())))
    return [word for word in words if word not in _COMMON][:_MOST_WORDS] or words[:_MOST_WORDS]


def _spaced(text: str) -> str:
    return _SIGN.sub(r" \1 ", text)
