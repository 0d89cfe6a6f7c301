"""`perennial bench first`: a new home, from `perennial up` to the first answer.

Starts `perennial up` on an empty folder as a user does, with its defaults, asks one question as
soon as it takes requests, and stops it. Nothing is warmed before, but what the machine's disk cache
holds. Exit code 1 when it takes longer than it may. Called by adapt.commands.bench.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
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


def run(progress: Progress) -> dict[str, Any]:
    """Seconds of each run from the start of the command: requests taken, first text, whole answer.
    StageError when it ends before it serves."""
    rows = [_run(number, progress) for number in range(RUNS)]
    slowest = max(row["answered_s"] for row in rows)
    return {
        "benchmark": "first", "cores": os.cpu_count(), "load_before": rows[0]["load"],
        "answered_s_median": statistics.median(row["answered_s"] for row in rows),
        "aims": [
            {
                "aim": "seconds to the first answer of a new home",
                "wanted": f"at most {WITHIN_S:g}", "found": slowest, "holds": slowest <= WITHIN_S,
            }
        ],
        "rows": rows,
    }  # fmt: skip


def _run(number: int, progress: Progress) -> dict[str, Any]:
    load = round(os.getloadavg()[0], 1)
    with tempfile.TemporaryDirectory(prefix="perennial-bench-") as folder:
        began = time.monotonic()
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", "perennial", "--home", str(Path(folder) / "home"),
             "--json", "up", "--port", "0"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        # A command that hangs says nothing: without this its first line is waited for for ever.
        alarm = threading.Timer(START_S, child.kill)
        alarm.start()
        try:
            progress(f"run {number + 1} of {RUNS}: perennial up")
            assert child.stdout is not None
            said = child.stdout.readline()
            if not said:
                raise StageError("`perennial up` ended before it served", "run it by hand")
            url = json.loads(said)["url"]
            serves = time.monotonic() - began
            progress(f"run {number + 1} of {RUNS}: it serves, asking")
            first, text = _ask(url, began)
            answered = time.monotonic() - began
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
    return {
        "run": number + 1, "serves_s": round(serves, 1), "first_text_s": round(first, 1),
        "answered_s": round(answered, 1), "answer": text, "load": load,
    }  # fmt: skip


def _ask(url: str, began: float) -> tuple[float, str]:
    """Seconds to the first piece of the answer, and all of it."""
    body = {
        "model": "live", "stream": True, "messages": [{"role": "user", "content": QUESTION}]
    }  # fmt: skip
    first, text = 0.0, ""
    with (
        httpx.Client(base_url=url, timeout=START_S, trust_env=False) as client,
        client.stream("POST", "/v1/chat/completions", json=body) as reply,
    ):
        reply.raise_for_status()
        for line in reply.iter_lines():
            if not line.startswith("data: ") or line == "data: [DONE]":
                continue
            choices = json.loads(line[6:]).get("choices")
            if choices and (piece := choices[0]["delta"].get("content")):
                first, text = first or time.monotonic() - began, text + piece
    if not text.strip():
        raise StageError("the first answer of a new home is empty", "see the engine's log")
    return first, text.strip()
