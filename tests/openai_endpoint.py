"""An endpoint of OpenAI's protocol on this machine, for tests of what asks one by URL.

A real server on a free port of the loopback or on a Unix socket, in a thread; its answers are a
function of the question. `FakeVllm` (agent.fake_engine) is for tests that need no address.
"""

import json
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

Json = dict[str, Any]
MODEL = "tested"


class Endpoint:
    """What the server does, and what it was asked. Change its fields between requests."""

    def __init__(self, answer: Callable[[str], str | Json]) -> None:
        self.answer = answer
        """Last question -> text, or a whole message."""
        self.delay_s = 0.0
        self.refuse: tuple[int, str] | None = None
        """Status and words of every further answer."""
        self.asked: list[str] = []
        """Every question answered or refused, but for the greeting before a run."""
        self.keys: set[str | None] = set()
        self.url = ""
        self.named = "tested-2026"
        """Which model it says has answered."""

    def reply(self, body: Json, key: str | None) -> tuple[int, Json]:
        """Status and body of one answer."""
        self.keys.add(key)
        question = body["messages"][-1]["content"]
        greeting = body["max_tokens"] == 1
        if not greeting:
            self.asked.append(question)
        if body["model"] != MODEL:
            return 404, {"error": {"message": f"there is no model {body['model']}"}}
        if self.refuse is not None and not greeting:
            return self.refuse[0], {"error": {"message": self.refuse[1]}}
        if greeting:
            said: str | Json = "H"
        else:
            time.sleep(self.delay_s)
            said = self.answer(question)
        message = said if isinstance(said, dict) else {"role": "assistant", "content": said}
        usage = {"prompt_tokens": 11, "completion_tokens": 5}
        return 200, {"model": self.named, "choices": [{"message": message}], "usage": usage}


@contextmanager
def served(answer: Callable[[str], str | Json], socket: Path | None = None) -> Iterator[Endpoint]:
    """An endpoint until the block ends; `url` has its address unless it is on a socket."""
    endpoint = Endpoint(answer)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def address_string(self) -> str:
            return "here"

        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            self.send(200, {"data": [{"id": MODEL}]})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            self.send(*endpoint.reply(body, self.headers["Authorization"]))

        def send(self, status: int, value: Json) -> None:
            data = json.dumps(value).encode()
            try:
                self.send_response(status)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)
            except (BrokenPipeError, ConnectionResetError):
                # Whoever asked was killed: that is what some tests are about.
                self.close_connection = True

    if socket is None:
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        endpoint.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    else:
        server = socketserver.ThreadingUnixStreamServer(str(socket), Handler)
    with server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield endpoint
        finally:
            server.shutdown()
            thread.join()
