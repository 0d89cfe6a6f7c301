"""Where threads are kept: LangGraph's checkpoints, in an SQLite file of the home or in PostgreSQL.

Opened by the command line for as long as the server runs and given to `agent.runs.Agent`.
"""

import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

import aiosqlite
import psycopg
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from store.database_errors import explained
from store.home import Home

Saver = BaseCheckpointSaver[Any]

WAIT_S = 5.0
"""How long a writer waits for another process."""
CONNECTIONS = 8
"""Most to PostgreSQL at once."""


@asynccontextmanager
async def open_threads(place: Path | str) -> AsyncGenerator[Saver, None]:
    """The checkpointer over a file, which is made when it is missing, or over the PostgreSQL
    database of a URL."""
    opened = _in_postgresql(place) if isinstance(place, str) else _in_file(place)
    async with opened as saver:
        yield saver


@asynccontextmanager
async def open_threads_of(home: Home) -> AsyncGenerator[Saver, None]:
    """The checkpointer of a home. Threads that a home kept in its file before it had PostgreSQL
    move there, and the file goes."""
    file = home.threads_database
    if home.database_url is None:
        async with open_threads(file) as saver:
            yield saver
        return
    async with open_threads(home.database_url) as saver:
        if file.is_file():
            async with open_threads(file) as old:
                await copy_threads(old, saver)
            for ending in ("", "-wal", "-shm"):
                Path(f"{file}{ending}").unlink(missing_ok=True)
        yield saver


@asynccontextmanager
async def _in_file(file: Path) -> AsyncGenerator[Saver, None]:
    async with aiosqlite.connect(file, timeout=WAIT_S) as connection:
        # What was deleted must not stay readable in the file.
        with explaining():
            await connection.execute("PRAGMA secure_delete = ON")
        saver = AsyncSqliteSaver(connection, serde=_serializer())
        with explaining():
            await saver.setup()
        yield saver


@asynccontextmanager
async def _in_postgresql(url: str) -> AsyncGenerator[Saver, None]:
    from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
    from psycopg.rows import dict_row
    from psycopg_pool import AsyncConnectionPool
    from sqlalchemy import make_url

    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    usual: dict[str, Any] = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}
    with explaining():
        # A pool would try for long, and not say why.
        first: Any = await psycopg.AsyncConnection.connect(plain, connect_timeout=10, **usual)
        async with first:
            await AsyncPostgresSaver(first).setup()
    pool: Any = AsyncConnectionPool(
        plain, kwargs=usual, min_size=1, max_size=CONNECTIONS, open=False, timeout=WAIT_S
    )
    async with pool:
        yield AsyncPostgresSaver(pool, serde=_serializer())


def _serializer() -> JsonPlusSerializer:
    # State is plain JSON: a file that names other types must not get them built.
    return JsonPlusSerializer(allowed_msgpack_modules=None)


@contextmanager
def explaining() -> Iterator[None]:
    """Inside, what goes wrong where threads are kept is our error: BusyError when it is locked."""
    try:
        yield
    except (sqlite3.Error, psycopg.Error) as error:
        raise explained(error, error, "of the threads", WAIT_S) from error


async def copy_threads(source: Saver, target: Saver) -> int:
    """Copy all threads from one place to another; how many there were. What is there already, from
    an earlier try, is written again."""
    names = [name async for name in thread_names(source)]
    for name in names:
        await copy_thread(source, name, target, name)
    return len(names)


async def thread_names(saver: Saver) -> AsyncIterator[str]:
    """The names of the threads that have states, each once."""
    seen: set[str] = set()
    with explaining():
        async for one in saver.alist(None):
            name = one.config.get("configurable", {})["thread_id"]
            if name not in seen:
                seen.add(name)
                yield name


async def copy_thread(source: Saver, thread: str, target: Saver, to: str) -> None:
    """Copy all of a thread's checkpoints, the oldest first; also from one database to another."""
    with explaining():
        found = [one async for one in source.alist({"configurable": {"thread_id": thread}})]
        for one in reversed(found):
            parent = (one.parent_config or {}).get("configurable", {})
            namespace = one.config.get("configurable", {}).get("checkpoint_ns", "")
            named = {"thread_id": to, "checkpoint_ns": namespace}
            if "checkpoint_id" in parent:
                named["checkpoint_id"] = parent["checkpoint_id"]
            place: RunnableConfig = {"configurable": named}
            put = await target.aput(
                place, one.checkpoint, one.metadata, one.checkpoint["channel_versions"]
            )
            waiting = sorted(one.pending_writes or (), key=lambda write: write[0])
            for task, writes in groupby(waiting, key=lambda write: write[0]):
                await target.aput_writes(put, [write[1:] for write in writes], task)
