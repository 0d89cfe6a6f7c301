"""The shipped fake engine as a process of its own: `engine_process.py SOCKET NAME`.

Real sockets and a real death, for tests that kill or stop an engine under requests. A POST of
fields to /fault sets them on the fake (`hangs`, `cut_after`, `adapters`), and a GET there tells how
many chats it has received. Started through agent.serve in vLLM's place.
"""

import json
import sys
from typing import Any

import httpx
import uvicorn

from agent.fake_engine import FakeVllm


def answer(model: str, messages: list[dict[str, Any]], tools: list[dict[str, Any]]) -> str:
    """Long enough to be in the middle of."""
    return f"{model} heard {messages[-1]['content']}" + " and" * 20


class Application:
    """FakeVllm behind ASGI."""

    def __init__(self, fake: FakeVllm) -> None:
        self._fake = fake

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        if scope["path"] == "/fault":
            response = self._fault(scope["method"], body)
        else:
            request = httpx.Request(scope["method"], f"http://e{scope['path']}", content=body)
            response = await self._fake.handle_async_request(request)
        headers = [(k, v) for k, v in response.headers.raw if k.lower() != b"transfer-encoding"]
        start = {"type": "http.response.start", "status": response.status_code, "headers": headers}
        await send(start)
        assert isinstance(response.stream, httpx.AsyncByteStream)
        async for chunk in response.stream:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    def _fault(self, method: str, body: bytes) -> httpx.Response:
        if method == "POST":
            for name, value in json.loads(body).items():
                setattr(self._fake, name, value)
        chats = sum(path == "/v1/chat/completions" for path, _ in self._fake.requests)
        return httpx.Response(200, json={"chats": chats})


if __name__ == "__main__":
    fake = FakeVllm(answer, served_name=sys.argv[2], delay_s=0.1, word_delay_s=0.03)
    uvicorn.run(
        Application(fake), uds=sys.argv[1], log_level="error", lifespan="off", timeout_keep_alive=75
    )
