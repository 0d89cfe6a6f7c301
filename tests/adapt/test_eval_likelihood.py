"""`perennial eval likelihood`, over the socket of an engine whose probabilities are known."""

import asyncio
import math
import os
import socketserver
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import fake_runtime
import httpx
import pytest
from command import Run, eval_command

from adapt.base import PICO
from adapt.commands.evals_likelihood import PROMPTS, general_prompts
from agent.fake_engine import FakeVllm
from agent.prompts import SYSTEM
from store import Home, Store
from store.embeddings import HashEmbedder

BASE = {1: math.log(0.5), 2: math.log(0.5)}
MOVED = {1: math.log(0.75), 2: math.log(0.25)}
ODD = math.exp(100)
"""Perplexity of letters: the fake gives all that is not in its table e to the power of -100."""
KL = 0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25)


@pytest.fixture
def run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Run]:
    """The command on a home that a server holds: its base, a live version and an older one."""
    home = Home(tmp_path / "home")
    with Store.open(home, HashEmbedder()) as store:
        base = fake_runtime.ensure_base(store, fake_runtime.BASE)
        for number, name in enumerate(("older", "tested"), 1):
            made = {"name": name, "digest": str(number) * 64, "number": number, "kind": "adapter"}
            store.versions.create(base.model_copy(update={**made, "path": str(number) * 64}))
        store.versions.go_live("tested")

    def known(model: str, prompt: Any) -> dict[int, float]:
        return MOVED if model == "tested" else BASE

    fake = FakeVllm(lambda *_: "unused", known, served_name=base.name)
    fake.adapters |= {"tested": "-", "older": "-"}
    with (
        tempfile.TemporaryDirectory() as short,
        answering(fake, Path(short) / "engine.sock") as socket,
        home.lock(),
    ):
        told = {
            "name": "engine", "place": str(socket), "ready": True, "served": base.name,
            "weights": base.name, "adapters": ["tested", "older"],
        }  # fmt: skip
        address = {"url": "http://127.0.0.1:9", "pid": os.getpid(), "engines": [told]}
        home.write_status(address)
        yield eval_command(capsys, monkeypatch, home.path)


class answering:
    """The fake engine on a Unix socket, for a client that is given no transport."""

    def __init__(self, fake: FakeVllm, socket: Path) -> None:
        class Handler(BaseHTTPRequestHandler):
            def address_string(self) -> str:
                return "here"

            def log_message(self, format: str, *args: object) -> None:
                pass

            def do_GET(self) -> None:
                self.do_POST()

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                asked = httpx.Request(self.command, f"http://engine{self.path}", content=body)
                told = asyncio.run(fake.handle_async_request(asked))
                self.send_response(told.status_code)
                self.send_header("content-length", str(len(told.content)))
                self.end_headers()
                self.wfile.write(told.content)

        self.socket = socket
        self.server = socketserver.ThreadingUnixStreamServer(str(socket), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))

    def __enter__(self) -> Path:
        self.thread.start()
        return self.socket

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    file = tmp_path / "texts.txt"
    file.write_text("ab\n\ncd")
    return file


def test_a_version_is_compared_with_the_base_behind_general_prompts(run: Run, texts: Path) -> None:
    ran = run("likelihood", "--texts", texts, "--json")
    assert ran.code == 0, ran.err
    assert ran.json["perplexity"]["model"] == "tested"
    assert ran.json["perplexity"]["perplexity"] == pytest.approx(ODD)
    told = ran.json["kl"]
    assert (told["model"], told["prompts"]) == ("tested", PROMPTS)
    assert told["base"] not in ("tested", "older") and told["kl"] == pytest.approx(KL)
    assert told["low"] <= told["kl"] <= told["high"]


def test_another_version_may_stand_for_the_base_and_the_base_for_itself(
    run: Run, texts: Path
) -> None:
    told = run("likelihood", "--texts", texts, "--against", "older", "--json").json
    assert told["kl"]["base"] == "older" and told["kl"]["kl"] == pytest.approx(KL)
    same = run("likelihood", "--texts", texts, "--version", "older", "--json").json
    assert same["kl"]["kl"] == 0.0
    base = same["kl"]["base"]
    assert "kl" not in run("likelihood", "--texts", texts, "--version", base, "--json").json
    shown = run("likelihood", "--texts", texts).out
    assert f"nats a token from {base}" in shown and "perplexity" in shown


def test_what_cannot_be_measured_is_refused(run: Run, texts: Path, tmp_path: Path) -> None:
    for more, said in [
        (["--against", "tested"], "the version itself"),
        (["--against", "none"], "none"),
        (["--version", "none"], "none"),
        (["--model", "pico", "--against", "older"], "--version instead of --model"),
        (["--texts", tmp_path / "nothing.txt"], "no file"),
    ]:
        ran = run("likelihood", *more)
        assert ran.code == 2 and said in ran.err, (more, ran.err)


def test_prompts_are_whole_in_the_models_own_template() -> None:
    prompts = general_prompts(PICO)
    assert len(set(prompts)) == PROMPTS
    assert all(SYSTEM in prompt and prompt.endswith("<|assistant|>") for prompt in prompts)
