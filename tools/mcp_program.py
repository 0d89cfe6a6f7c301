"""An MCP server that is a program: started, spoken to over its standard streams, and ended.

A transport of the `mcp` library, which speaks the protocol; the library's own reads messages of any
length. Called by tools.mcp.
"""

import asyncio
import contextlib
import os
import signal
import tempfile
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.mcp_listing import SAID_CHARS, Aside, cleaned

if TYPE_CHECKING:
    from mcp.client._transport import TransportStreams
    from mcp.shared.message import SessionMessage

END_S = 2.0
"""How long a program may take to end after its input ended, and again after it was told to."""
_PAUSE_S = 0.01
_KEPT = ("HOME", "LANG", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "USER")
"""Variables that every program gets: without them few start."""


@asynccontextmanager
async def program(
    command: Sequence[str], env: Mapping[str, str], folder: Path | None, max_bytes: int,
    aside: Aside,
) -> "AsyncGenerator[TransportStreams, None]":  # fmt: skip
    """A program that is started and, with all it started, ended with the block. `env` is what it
    gets beside PATH, HOME and the like. OSError when it cannot be started."""
    import anyio

    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    with contextlib.ExitStack() as stack:
        place = folder or stack.enter_context(tempfile.TemporaryDirectory(prefix="mcp-"))
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE, env={**kept, **env}, cwd=place, limit=max_bytes,
            start_new_session=True,
        )  # fmt: skip
        to_us, received = anyio.create_memory_object_stream[Any](0)
        sent, to_it = anyio.create_memory_object_stream[Any](0)
        tasks = [
            asyncio.create_task(_read(process, to_us, max_bytes, aside)),
            asyncio.create_task(_write(process, to_it)),
            asyncio.create_task(_listen(process, aside)),
        ]
        try:
            yield received, sent
        finally:
            for task in tasks:
                task.cancel()
            for stream in (to_us, received, sent, to_it):
                stream.close()
            await _whatever_comes(asyncio.create_task(_end(process, tasks)))


async def _whatever_comes(ending: asyncio.Task[None]) -> None:
    """Wait to the end also when cancelled meanwhile: the program must not be left behind."""
    cancelled: asyncio.CancelledError | None = None
    while not ending.done():
        try:
            await asyncio.shield(ending)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled


async def _read(
    process: asyncio.subprocess.Process, to_us: Any, max_bytes: int, aside: Aside
) -> None:
    import anyio

    assert process.stdout is not None, "started with pipes"
    # Closing the stream tells the library that the server is gone: calls under way fail at once.
    with contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError), to_us:
        while True:
            try:
                line = await process.stdout.readline()
            except ValueError:
                aside.broke = f"it sent a message of more than {max_bytes} bytes"
                return
            if not line:
                return
            if line.strip():
                await to_us.send(_message(line, aside))


def _message(line: bytes, aside: Aside) -> "SessionMessage | Exception":
    import mcp_types
    from mcp.shared.message import SessionMessage

    try:
        message = mcp_types.jsonrpc_message_adapter.validate_json(line, by_name=False)
    except (ValueError, RecursionError) as error:
        return ValueError(f"a line that is no message: {str(error)[:200]}")
    return SessionMessage(cleaned(message, aside))


async def _write(process: asyncio.subprocess.Process, to_it: Any) -> None:
    assert process.stdin is not None, "started with pipes"
    with contextlib.suppress(OSError):
        async for item in to_it:
            text = item.message.model_dump_json(by_alias=True, exclude_unset=True)
            process.stdin.write(text.encode() + b"\n")
            await process.stdin.drain()


async def _listen(process: asyncio.subprocess.Process, aside: Aside) -> None:
    assert process.stderr is not None, "started with pipes"
    while piece := await process.stderr.read(4096):
        aside.said.append(piece.decode(errors="replace")[-SAID_CHARS:])
        # Read on, or a program that says much would wait for us for ever; but not at any speed, or
        # one that says nothing else would have all of our time.
        await asyncio.sleep(_PAUSE_S)


async def _end(process: asyncio.subprocess.Process, tasks: Sequence[asyncio.Task[None]]) -> None:
    """End the program and what it started: its input ends, then it is told to, then it is ended."""
    await asyncio.gather(*tasks, return_exceptions=True)
    assert process.stdin is not None, "started with pipes"
    process.stdin.close()
    for number in (None, signal.SIGTERM, signal.SIGKILL):
        if number is not None:
            with contextlib.suppress(ProcessLookupError):
                # The group: npx starts node, and ending npx alone would leave it behind.
                os.killpg(process.pid, number)
        if await _gone(process):
            break
    # A grandchild may hold the pipes open: they are closed on our side whoever still has them.
    transport = getattr(process, "_transport", None)
    if transport is not None:
        transport.close()


async def _gone(process: asyncio.subprocess.Process) -> bool:
    """Whether nothing of the group is left, after a moment."""
    loop = asyncio.get_running_loop()
    until = loop.time() + END_S
    while loop.time() < until:
        if process.returncode is not None:
            try:
                os.killpg(process.pid, 0)
            except (ProcessLookupError, PermissionError):
                return True
        await asyncio.sleep(0.01)
    return False
