"""The fake engine as a process behind a Unix socket: `python -m adapt.bench.agent_fake SOCKET
WORDS PAUSE_S`.

It answers a question with a call of `calculate`, and its result with WORDS words, PAUSE_S seconds
between them: tokens at a pace that no engine on two cores keeps up for hundreds of streams, so that
what is measured is the server in front of it. Started by adapt.bench.agent_streams and
adapt.bench.agent_threads.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import httpx
import uvicorn

from agent.engine import Engine
from agent.fake_engine import FakeVllm
from store.errors import EngineUnavailable

MODEL = "v0-fake00"
START_S = 60.0


@asynccontextmanager
async def fake_engine(socket: Path, words: int, pause_s: float) -> AsyncIterator[None]:
    """The process, ready, until the block ends. EngineUnavailable when it does not start."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", __name__, str(socket), str(words), str(pause_s),
        stdin=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with Engine(socket) as engine, asyncio.timeout(START_S):
            while not await engine.health():
                if child.returncode is not None:
                    raise EngineUnavailable(f"the fake engine ended with {child.returncode}", "")
                await asyncio.sleep(0.05)
        yield
    finally:
        assert child.stdin is not None
        child.stdin.close()
        await child.wait()


def _answer(words: int) -> Any:
    said = " ".join(["word"] * words)

    def answer(_: str, messages: list[dict[str, Any]], tools: list[dict[str, Any]]) -> Any:
        if tools and messages[-1]["role"] == "user":
            return [{"name": "calculate", "arguments": {"expression": "12 + 30"}}]
        return said

    return answer


def _application(fake: FakeVllm) -> Any:
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        body = b""
        while (event := await receive())["type"] == "http.request":
            body += event.get("body", b"")
            if not event.get("more_body"):
                break
        url = f"http://engine{scope['path']}"
        response = await fake.handle_async_request(
            httpx.Request(scope["method"], url, content=body)
        )
        # What it was asked is for tests to look at: here it would be all that grows.
        fake.requests.clear()
        headers = [(b"content-type", response.headers.get("content-type", "").encode())]
        await send({"type": "http.response.start", "status": response.status_code,
                    "headers": headers})  # fmt: skip
        async for part in cast(httpx.AsyncByteStream, response.stream):
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    return app


async def _serve(socket: str, words: int, pause_s: float) -> None:
    fake = FakeVllm(_answer(words), served_name=MODEL, word_delay_s=pause_s)
    config = uvicorn.Config(
        _application(fake), uds=socket, log_level="error", access_log=False, lifespan="off",
        timeout_graceful_shutdown=1,
    )  # fmt: skip
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    loop = asyncio.get_running_loop()
    # Standard input ends when the parent has died, however it did.
    gone = loop.run_in_executor(None, sys.stdin.buffer.read)
    await asyncio.wait([serving, gone], return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    await serving


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
