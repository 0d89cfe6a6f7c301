"""The tables, and how a record becomes a row. Portable SQL only: SQLite and PostgreSQL.

Each record is stored as the columns that are queried plus its JSON. A field that changes (a
state) is a column only, so that it has one truth. The tables are created by store/migrations,
never from here. Called by the store modules.
"""

import json
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any, TypeVar

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)

from store.records import Record

R = TypeVar("R", bound=Record)
metadata = MetaData()


def _digest(name: str = "digest") -> Column[str]:
    return Column(name, String(64), primary_key=True)


def _moment(name: str, *, nullable: bool = False) -> Column[datetime]:
    return Column(name, DateTime(timezone=True), nullable=nullable)


def _record() -> Column[str]:
    return Column("record", Text, nullable=False)


documents = Table(
    "documents",
    metadata,
    _digest(),
    Column("source", String(255), nullable=False, index=True),
    Column("state", String(16), nullable=False),
    Column("indexed", Boolean, nullable=False),
    _moment("fetched_at"),
    _record(),
    # Number of the last transaction that changed the row: what caches of this table ask by.
    Column("changed", BigInteger, nullable=False, server_default="0"),
    # With the digest at the end a list of digests is read from the index alone.
    Index("ix_documents_state_fetched_at", "state", "fetched_at", "digest"),
    Index("ix_documents_indexed_state", "indexed", "state"),
    Index("ix_documents_changed", "changed", "digest"),
)

snapshots = Table("snapshots", metadata, _digest(), _record())

examples = Table(
    "examples",
    metadata,
    Column("cycle", Integer, primary_key=True),
    _digest(),
    Column("position", Integer, nullable=False),
    Column("split", String(16), nullable=False),
    _record(),
    Index("ix_examples_digest", "digest"),
    Index("ix_examples_split_cycle", "split", "cycle", "digest"),
)

updates = Table("updates", metadata, _digest(), _moment("created_at"), _record())

skill_vectors = Table(
    "skill_vectors", metadata, _digest(), Column("domain", String(255), nullable=False), _record()
)

versions = Table(
    "versions",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("number", Integer, nullable=False, unique=True),
    Column("digest", String(64), nullable=False, index=True),
    Column("state", String(16), nullable=False, index=True),
    Column("update_digest", String(64), ForeignKey("updates.digest"), nullable=True),
    _record(),
)

aliases = Table(
    "aliases",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("version", String(64), ForeignKey("versions.name"), nullable=False),
)

flips = Table(
    "flips",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("kind", String(16), nullable=False),
    Column("version", String(64), ForeignKey("versions.name"), nullable=False),
    Column("previous", String(64), ForeignKey("versions.name"), nullable=True),
    _record(),
)

eval_reports = Table(
    "eval_reports",
    metadata,
    _digest(),
    Column("version", String(64), nullable=False, index=True),
    Column("suite", String(64), nullable=False),
    _moment("created_at"),
    _record(),
)

gate_reports = Table(
    "gate_reports",
    metadata,
    _digest(),
    Column("candidate", String(64), nullable=False, index=True),
    _moment("created_at"),
    _record(),
)

cycles = Table(
    "cycles",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("state", String(16), nullable=False, index=True),
    _record(),
)

stages = Table(
    "stages",
    metadata,
    Column("cycle", Integer, ForeignKey("cycles.number"), primary_key=True),
    Column("stage", String(16), primary_key=True),
    _record(),
)

episodes = Table(
    "episodes",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("thread", String(255), nullable=False, index=True),
    Column("version", String(64), nullable=False, index=True),
    Column("created_at", DateTime(timezone=True), nullable=False, index=True),
    _record(),
    Index("ix_episodes_version_created_at", "version", "created_at"),
)

feedback = Table(
    "feedback",
    metadata,
    Column("episode", String(64), ForeignKey("episodes.id"), primary_key=True),
    Column("version", String(64), nullable=False, index=True),
    _moment("created_at"),
    _record(),
)

trials = Table(
    "trials",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("kind", String(16), nullable=False),
    Column("version", String(64), ForeignKey("versions.name"), nullable=False, index=True),
    Column("state", String(16), nullable=False, index=True),
    Column("words", Text, nullable=False),
    _moment("ended_at", nullable=True),
    _record(),
)

places = Table(
    "places",
    metadata,
    Column("source", String(255), primary_key=True),
    Column("address_digest", String(64), primary_key=True),
    Column("address", Text, nullable=False),
    Column("document", String(64), nullable=True, index=True),
    Column("state", String(16), nullable=False),
    _moment("seen_at"),
    _record(),
)
"""By the digest of the address: PostgreSQL bounds what a key may hold, and URLs have no bound."""

editions = Table(
    "editions",
    metadata,
    Column("source", String(255), primary_key=True),
    Column("address_digest", String(64), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("document", String(64), nullable=False, index=True),
    _record(),
)

near_duplicates = Table(
    "near_duplicates",
    metadata,
    Column("document", String(64), primary_key=True),
    Column("of", String(64), nullable=False, index=True),
    Column("similarity", Float, nullable=False),
)
"""A document that says what another says, and is not learned: Jaccard similarity of word groups."""

sketches = Table(
    "sketches",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("digest", String(64), nullable=False, unique=True),
    Column("sketch", Text, nullable=False),
)
"""By number, so that a process that has read some reads only those that came later."""

visits = Table(
    "visits",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("source", String(255), nullable=False),
    _moment("started_at"),
    _record(),
    Index("ix_visits_source_started_at", "source", "started_at"),
)

reviews = Table(
    "reviews",
    metadata,
    Column("document", String(64), primary_key=True),
    Column("decision", String(16), nullable=True, index=True),
    _moment("held_at"),
    _record(),
)

superseded = Table(
    "superseded",
    metadata,
    Column("example", String(64), primary_key=True),
    Column("document", String(64), primary_key=True, index=True),
    Column("newer", String(64), primary_key=True, index=True),
    Column("cycle", Integer, nullable=False),
    _record(),
)
"""Examples of a document that a newer one contradicts."""

claims = Table(
    "claims",
    metadata,
    Column("document", String(64), primary_key=True),
    Column("key", BigInteger, primary_key=True, autoincrement=False),
    Column("trust", Float, nullable=False),
    Index("ix_claims_key", "key", "document", "trust"),
)
"""What documents speak of, as 64-bit hashes: who speaks of the same is found by them."""

sources = Table("sources", metadata, Column("name", String(255), primary_key=True), _record())

leases = Table(
    "leases",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("holder", String(64), nullable=False),
    Column("place", String(255), nullable=False),
    Column("fence", Integer, nullable=False),
    Column("renewals", Integer, nullable=False),
    Column("lasts_s", Float, nullable=False),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("digest", String(64), nullable=False),
    _record(),
)

threads = Table(
    "threads",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("owner", String(16), nullable=True),
    Column("status", String(16), nullable=False),
    _moment("created_at"),
    _moment("updated_at"),
    Column("tags", Text, nullable=False),
    Index("ix_threads_owner", "owner", "updated_at"),
    Index("ix_threads_updated_at", "updated_at"),
)

thread_marks = Table(
    "thread_marks",
    metadata,
    Column("thread", String(255), ForeignKey("threads.name"), primary_key=True),
    Column("mark", String(32), primary_key=True),
    Index("ix_thread_marks_mark", "mark", "thread"),
)
"""Digests of what a thread's tags say, one by one: what has a tag is found by them."""

runs = Table(
    "runs",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("thread", String(255), nullable=False),
    Column("status", String(16), nullable=False, index=True),
    _moment("created_at"),
    _record(),
    Index("ix_runs_thread", "thread", "created_at"),
)

items = Table(
    "items",
    metadata,
    Column("owner", String(16), primary_key=True),
    Column("namespace", String(512), primary_key=True),
    Column("key", String(255), primary_key=True),
    _moment("created_at"),
    _moment("updated_at"),
    Column("value", Text, nullable=False),
)

owners = Table("owners", metadata, Column("home", String(32), primary_key=True))
"""The home that a database belongs to: one row."""


def pack(record: Record, without: Collection[str] = ()) -> str:
    """The record's JSON, less the fields that are columns. Pure ASCII, as PostgreSQL refuses
    some characters in text; infinities survive, as an e-value may be one."""
    fields = record.model_dump(mode="json", exclude=set(without))
    return json.dumps(fields)


def unpack(kind: type[R], text: str, **columns: Any) -> R:
    """The record of a packed JSON and the columns that were left out of it."""
    return kind.model_validate({**json.loads(text), **columns})


def moment(value: datetime) -> datetime:
    """The moment in UTC: SQLite drops the zone, and columns in mixed zones would not sort."""
    return value.astimezone(UTC)


def aware(value: datetime) -> datetime:
    """A moment read from a column, with its zone: SQLite gives it back without."""
    return value if value.tzinfo else value.replace(tzinfo=UTC)
