"""Where threads are kept: LangGraph checkpoints in one SQLite file of the home.

Opened by the command line for as long as the server runs and given to `agent.runs.Agent`.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import aiosqlite
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver


@asynccontextmanager
async def open_threads(file: Path) -> AsyncGenerator[AsyncSqliteSaver, None]:
    """The checkpointer over `file`, which is made when it is missing."""
    async with aiosqlite.connect(file) as connection:
        # State is plain JSON: a file that names other types must not get them built.
        serializer = JsonPlusSerializer(allowed_msgpack_modules=None)
        saver = AsyncSqliteSaver(connection, serde=serializer)
        await saver.setup()
        yield saver
