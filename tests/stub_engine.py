"""A server of the engine's protocol that starts at once: `stub_engine.py SOCKET MODE`.

Run as a child by the tests of agent.serve, in vLLM's place. MODE: `ok` answers; `dies` ends with
an error before it listens; `unable` is healthy and refuses every request; `deaf` never listens;
`stubborn` answers and ignores SIGTERM. Each also starts a grandchild, as vLLM does.
"""

import json
import signal
import socketserver
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler

SOCKET, MODE = sys.argv[1:3]


class Handler(BaseHTTPRequestHandler):
    def address_string(self) -> str:
        return "unix"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self.answer(200, {"data": [{"id": "base"}]} if self.path == "/v1/models" else {})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        if MODE == "unable":
            return self.answer(500, {"error": {"message": "no such head_dim", "code": 500}})
        self.answer(200, {"model": "base", "choices": [{"text": "a"}]})

    def answer(self, status: int, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if MODE == "dies":
    print("INFO 11-22 04:36:12 [model.py:1] Resolving", flush=True)  # noqa: T201
    raise ValueError("this model has three heads and no body")
if MODE == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(f"grandchild {child.pid}", flush=True)  # noqa: T201
if MODE == "deaf":
    time.sleep(600)
with socketserver.ThreadingUnixStreamServer(SOCKET, Handler) as server:
    server.serve_forever()
