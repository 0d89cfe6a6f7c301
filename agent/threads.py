"""Where threads are kept: LangGraph checkpoints in one SQLite file of the home.

Opened by the command line for as long as the server runs and given to `agent.runs.Agent`.
"""

import sqlite3
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import aiosqlite
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from store.database_errors import explained

WAIT_S = 5.0
"""How long a writer waits for another process."""


@asynccontextmanager
async def open_threads(file: Path) -> AsyncGenerator[AsyncSqliteSaver, None]:
    """The checkpointer over `file`, which is made when it is missing."""
    async with aiosqlite.connect(file, timeout=WAIT_S) as connection:
        # State is plain JSON: a file that names other types must not get them built.
        serializer = JsonPlusSerializer(allowed_msgpack_modules=None)
        saver = AsyncSqliteSaver(connection, serde=serializer)
        await saver.setup()
        yield saver


@contextmanager
def explaining() -> Iterator[None]:
    """Inside, what goes wrong in the threads' file is our error: BusyError when it is locked."""
    try:
        yield
    except sqlite3.Error as error:
        raise explained(error, error, "of the threads", WAIT_S) from error
