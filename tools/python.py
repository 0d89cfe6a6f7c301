"""Code that the model writes, as a tool: run in a process that reaches neither network nor files.

How it is confined is tools.python_worker's business; here are its life and what is read of it. Each
run begins anew. Made by adapt.toolbox.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from store.errors import ToolFailed, ToolRetry
from tools.base import CallContext, ToolSpec
from tools.python_worker import REFUSED

WORKER = Path(__file__).with_name("python_worker.py")
MAX_CODE = 20_000
"""Most characters of code."""
MAX_OUTPUT = 64 << 10
"""Bytes of output after which a run is ended."""
AT_ONCE = 4
"""Runs at the same time; the others wait, so that many users together take no more memory."""
_ENDED = {256 - signal.SIGKILL, 256 - signal.SIGXCPU}


@dataclass(frozen=True)
class Limits:
    """What one run may take."""

    cpu_s: int = 10
    memory_mib: int = 512
    file_mib: int = 16
    """Of all its files together; they are gone when it ends."""
    unconfined: bool = False
    """Run it also where the kernel cannot keep it from network and files."""


class RunPython:
    """The tool `run_python`."""

    spec = ToolSpec(
        name="run_python",
        description="run Python code and read what it prints; it has the standard library, and "
        "neither network nor files of this machine",
        parameters={
            "type": "object",
            "required": ["code"],
            "properties": {"code": {"type": "string", "description": "the program"}},
        },
    )

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def call(self, arguments: Mapping[str, Any], context: CallContext) -> str:
        """`{"output": text}`. ToolRetry for code that fails or takes too much, with what it said;
        ToolFailed where code cannot be confined."""
        code = arguments.get("code")
        if not isinstance(code, str) or set(arguments) != {"code"}:
            raise ToolRetry("run_python takes one parameter, code, a string")
        if len(code) > MAX_CODE:
            raise ToolRetry(f"the code has {len(code)} characters, over {MAX_CODE}")
        async with self._turns:
            status, output, said = await run(code, self._limits)
        if status == 0:
            return json.dumps({"output": output}, ensure_ascii=False)
        if status == REFUSED:
            raise ToolFailed(
                f"code is not run here: the kernel does not confine it ({said.strip()})",
                "set tools.python.unconfined = true to run it all the same",
            )
        if status in _ENDED:
            said = f"it took more than {self._limits.cpu_s} s of processor time"
        if status is None:
            said = f"it printed more than {MAX_OUTPUT} bytes"
        printed = f"\nit had printed: {output[-500:].strip()}" if output.strip() else ""
        raise ToolRetry(said.strip()[-1200:] + printed)


async def run(code: str, limits: Limits) -> tuple[int | None, str, str]:
    """Exit status (None when it was ended for what it printed), standard output and errors.

    Cancelling ends the process and all that it started.
    """
    told = json.dumps(vars(limits))
    with tempfile.TemporaryDirectory(prefix="python-") as folder:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-S", "-B", str(WORKER), folder, told,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE, env={}, cwd=folder, start_new_session=True,
        )  # fmt: skip
        assert process.stdin and process.stdout and process.stderr, "started with pipes"
        try:
            with contextlib.suppress(ConnectionError):
                process.stdin.write(code.encode(errors="replace"))
                await process.stdin.drain()
            process.stdin.close()
            output, said = await asyncio.gather(
                _bounded(process.stdout, process), _bounded(process.stderr, process)
            )
            over = len(output) > MAX_OUTPUT or len(said) > MAX_OUTPUT
            status = None if over else await process.wait()
        finally:
            _kill(process)
            # Reads what is left and closes the pipes; waiting alone would leave them open.
            await asyncio.shield(asyncio.create_task(_drained(process)))
    return status, output[:MAX_OUTPUT].decode(errors="replace"), said.decode(errors="replace")


async def _bounded(stream: asyncio.StreamReader, process: asyncio.subprocess.Process) -> bytes:
    """What comes, until it is too much; then the process is ended."""
    held = bytearray()
    while piece := await stream.read(1 << 14):
        held += piece
        if len(held) > MAX_OUTPUT:
            _kill(process)
            break
    return bytes(held)


def _kill(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


async def _drained(process: asyncio.subprocess.Process) -> None:
    for stream in (process.stdout, process.stderr):
        while stream is not None and await stream.read(1 << 16):
            pass
    await process.wait()
