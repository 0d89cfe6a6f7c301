"""An ASGI application on a port, for as long as a block lasts."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from typing import Any

import uvicorn

from store.errors import BusyError


def bind(host: str, port: int) -> socket.socket:
    """A bound socket; port 0 takes a free one. BusyError when the port is in use."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # By its protocol asyncio knows a socket that must not wait for the answer to a small packet
    # before it sends the next: 40 ms for each answer, and for many a token.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise BusyError(
            f"{host}:{port} cannot be used: {error.strerror}",
            "stop what listens there, or choose another --port",
        ) from error
    return bound


class _Server(uvicorn.Server):
    """Leaves signals to the command line: two handlers would fight over Ctrl-C."""

    def install_signal_handlers(self) -> None:
        """Install none."""

    def capture_signals(self) -> Any:
        """Capture none."""
        return nullcontext()


@asynccontextmanager
async def serving(app: Any, host: str, port: int, drain_s: float = 30.0) -> AsyncIterator[str]:
    """Serve until the block ends, then let the requests under way finish. Yields the URL."""
    bound = bind(host, port)
    config = uvicorn.Config(
        app,
        # Its words go where all logs go, in their form (agent.telemetry.logs).
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=int(drain_s),
        # Longer than clients keep an unused connection, which would else be closed under a request.
        timeout_keep_alive=75,
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[bound]))
    try:
        while not server.started:
            if task.done():
                await task
                raise BusyError(f"{host}:{port}: the server did not start", "see the log")
            await asyncio.sleep(0.01)
        shown = f"[{host}]" if ":" in host else host
        yield f"http://{shown}:{bound.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task
        bound.close()
