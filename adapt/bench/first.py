"""`perennial bench first`: a new home, from `perennial up` to the first answer.

Starts `perennial up` on an empty folder as a user does, with its defaults, asks one question on the
chat page in Chromium as soon as it takes requests, and stops it. Where there is no Chromium or no
playwright the question goes over HTTP, and the row says so. Nothing is warmed before, but what the
machine's disk cache holds; the browser is open already. Exit code 1 when it takes longer than it
may. Called by adapt.commands.bench.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from adapt.bench import Progress
from store.errors import StageError

WITHIN_S = 90.0
RUNS = 2
START_S = 240.0
STOP_S = 60.0
QUESTION = "How much is 12 + 30?"

Ask = Callable[[str], str]
"""(URL) -> the answer to the question."""


def run(progress: Progress) -> dict[str, Any]:
    """Seconds of each run from the start of the command: requests taken, question answered.
    StageError when it ends before it serves, or answers nothing."""
    with asking() as (by, ask):
        rows = [_run(number, ask, progress) for number in range(RUNS)]
    slowest = max(row["answered_s"] for row in rows)
    return {
        "benchmark": "first", "asked_by": by, "cores": os.cpu_count(),
        "answered_s_median": statistics.median(row["answered_s"] for row in rows),
        "aims": [
            {
                "aim": "seconds to the first answer of a new home",
                "wanted": f"at most {WITHIN_S:g}", "found": slowest, "holds": slowest <= WITHIN_S,
            }
        ],
        "rows": rows,
    }  # fmt: skip


def _run(number: int, ask: Ask, progress: Progress) -> dict[str, Any]:
    load = round(os.getloadavg()[0], 1)
    with tempfile.TemporaryDirectory(prefix="perennial-bench-") as folder:
        began = time.monotonic()
        progress(f"run {number + 1} of {RUNS}: perennial up")
        with _served(Path(folder) / "home") as url:
            serves = time.monotonic() - began
            progress(f"run {number + 1} of {RUNS}: it serves, asking")
            text = ask(url)
            answered = time.monotonic() - began
    if not text.strip():
        raise StageError("the first answer of a new home is empty", "see the engine's log")
    return {
        "run": number + 1, "serves_s": round(serves, 1), "answered_s": round(answered, 1),
        "answer": text.strip(), "load_before": load,
    }  # fmt: skip


@contextmanager
def _served(home: Path) -> Iterator[str]:
    """`perennial up` on that home; yields its URL."""
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "perennial", "--home", str(home), "--json", "up",
         "--port", "0"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    # A command that hangs says nothing: without this its first line is waited for for ever.
    alarm = threading.Timer(START_S, child.kill)
    alarm.start()
    try:
        assert child.stdout is not None
        said = child.stdout.readline()
        if not said:
            raise StageError("`perennial up` ended before it served", "run it by hand")
        yield json.loads(said)["url"]
    finally:
        alarm.cancel()
        child.terminate()
        try:
            child.wait(STOP_S)
        finally:
            child.kill()
            child.wait()
            if child.stdout:
                child.stdout.close()


@contextmanager
def asking() -> Iterator[tuple[str, Ask]]:
    """How the question is asked, and by what."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        sync_playwright = None
    if program is None or sync_playwright is None:
        yield "HTTP", over_http
        return
    with sync_playwright() as playwright:
        # Inside a container nobody but root may be there, and then it has no sandbox.
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])

        def in_page(url: str) -> str:
            page = browser.new_page()
            page.set_default_timeout(1000 * START_S)
            page.goto(url)
            page.fill("#text", QUESTION)
            page.press("#text", "Enter")
            text = page.inner_text("#turns [data-episode] .answer")
            page.close()
            return text

        yield "chat page in Chromium", in_page
        browser.close()


def over_http(url: str) -> str:
    """The answer to the question, by OpenAI's protocol."""
    body = {"model": "live", "messages": [{"role": "user", "content": QUESTION}]}
    with httpx.Client(base_url=url, timeout=START_S, trust_env=False) as client:
        reply = client.post("/v1/chat/completions", json=body)
        reply.raise_for_status()
        return reply.json()["choices"][0]["message"]["content"]
