"""A confined process beside ours in which the code of bfcl_eval runs: asked by lines of JSON.

The process has next to no environment, a folder of its own, limits on time and memory, and may use
neither network nor files (adapt.evals.bfcl.worker); here are its life and the waiting for it.
Called by the loader, the player and the parity check of BFCL.
"""

import asyncio
import json
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from store.errors import NotFoundError, ToolFailed

WORKER = Path(__file__).with_name("worker.py")
WAIT_S = 60.0
"""How long one answer is waited for: the start on a busy machine takes seconds."""
CPU_S = 10
"""Seconds of CPU for the calls of one conversation; right ones take a fraction of one."""
_LINE = 1 << 26
"""Longest answer in bytes."""


def installed() -> bool:
    """Whether bfcl_eval can be imported. It is not imported here."""
    return find_spec("bfcl_eval") is not None


def root() -> Path:
    """The folder that has the package bfcl_eval. NotFoundError where there is none."""
    spec = find_spec("bfcl_eval")
    if spec is None or not spec.submodule_search_locations:
        raise NotFoundError(
            "the package bfcl-eval is not installed", "run: pip install --no-deps bfcl-eval"
        )
    return Path(next(iter(spec.submodule_search_locations))).parent


class Sandbox:
    """One process, as an async context manager. Mode `tools` or `reference`."""

    def __init__(self, mode: str, cpu_s: int = CPU_S, wait_s: float = WAIT_S) -> None:
        self._start = (mode, str(root()), str(cpu_s))
        self._wait_s = wait_s

    async def __aenter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="bfcl-")
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-B", str(WORKER), *self._start,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            # The one variable is where bfcl_eval makes its folders, which is in itself otherwise.
            cwd=self._folder.name, env={"BFCL_PROJECT_ROOT": self._folder.name},
            limit=_LINE, start_new_session=True,
        )  # fmt: skip
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        try:
            if self._process.returncode is None:
                self._process.kill()
            # Reads what is left and closes the pipes; waiting alone would leave them open.
            await self._process.communicate()
        except ProcessLookupError:
            pass  # It ended between the look and the kill.
        finally:
            self._folder.cleanup()

    async def ask(self, do: str, **request: Any) -> dict[str, Any]:
        """One answer. ToolFailed when the process hangs, dies, or cannot do what is asked."""
        pipe_in, pipe_out = self._process.stdin, self._process.stdout
        assert pipe_in is not None and pipe_out is not None, "made with pipes"
        try:
            pipe_in.write(json.dumps({"do": do, **request}).encode() + b"\n")
            await pipe_in.drain()
            line = await asyncio.wait_for(pipe_out.readline(), self._wait_s)
        except TimeoutError as error:
            raise ToolFailed(f"the tools gave no reply within {self._wait_s:g} s") from error
        except (OSError, ValueError) as error:
            # ValueError is what a stream raises for a line beyond its limit.
            raise ToolFailed("the tools broke off") from error
        if not line.endswith(b"\n"):
            raise ToolFailed("the tools broke off: too much time or memory")
        answer = json.loads(line)
        if "error" in answer:
            raise ToolFailed(f"the tools cannot do that: {answer['error']}")
        return answer
