"""Heavy stages run in a child process and die there.

`run_stage` starts `python -m adapt.stage <module>:<function> <work_dir>`, hands the request over
in `request.json`, passes progress lines on, and reads `result.json`, which the child writes last.
A stage that has its result is not run again. It knows nothing of what a stage does, and loads no
torch. Called by adapt.cycle; the child side calls the functions of adapt.stages.
"""

import contextlib
import ctypes
import importlib
import json
import os
import selectors
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from store.errors import PerennialError, StageError
from store.files import write_atomic

Progress = Callable[[dict[str, Any]], None]

REQUEST, RESULT, ERROR, LOG = "request.json", "result.json", "error.json", "log.txt"
_PARENT = "PERENNIAL_STAGE_PARENT"
NICENESS = 10
"""Of the child, above that of the process that serves."""
_ERROR = "error"
"""In place of progress: why the child failed, where it cannot be written."""
# glibc gives freed tensors back to the kernel and takes them again: a tenth of a training step.
MEMORY = {"MALLOC_TRIM_THRESHOLD_": str(1 << 30), "MALLOC_MMAP_THRESHOLD_": str(1 << 25)}
_PR_SET_PDEATHSIG = 1


def run_stage(
    module: str,
    request: dict[str, Any],
    work_dir: Path,
    on_progress: Progress | None = None,
    env: Mapping[str, str] | None = None,
    cancel: threading.Event | None = None,
) -> dict[str, Any]:
    """Run the stage function `module` ("adapt.stages:implant_stage") and return its result.

    `request` is JSON. A result in `work_dir` made from the same request is returned as it is; one
    of another request is dropped first. What the child prints goes to `work_dir/log.txt`. The
    child dies with this thread: when anything is raised here (Ctrl-C, or by `on_progress`) it is
    killed first, and when this process is killed the kernel kills it too. A caller in another
    thread sets `cancel`. Raises StageError with the child's own message.
    """
    work_dir.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"stage": module, "request": request}, sort_keys=True, indent=2) + "\n"
    request_path, result_path = work_dir / REQUEST, work_dir / RESULT
    same = request_path.is_file() and request_path.read_text() == text
    if same and (known := _json(result_path)) is not None:
        return known
    # First the result, then the request: a kill in between must not pair old with new.
    for stale in (result_path, work_dir / ERROR):
        stale.unlink(missing_ok=True)
    write_atomic(request_path, text)
    told: dict[str, Any] = {}

    def heard(entry: dict[str, Any]) -> None:
        told.update(entry.get(_ERROR, {}))
        if on_progress and _ERROR not in entry:
            on_progress(entry)

    code = _run_child(module, work_dir, heard, env or {}, cancel or threading.Event())
    if code == 0 and (made := _json(result_path)) is not None:
        return made
    raise _failure(module, work_dir, code, told or _json(work_dir / ERROR))


def _json(path: Path) -> dict[str, Any] | None:
    """What a child wrote; None where there is nothing, or nothing that can be read."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def _run_child(
    module: str,
    work_dir: Path,
    heard: Progress,
    env: Mapping[str, str],
    cancel: threading.Event,
) -> int:
    root = str(Path(__file__).resolve().parent.parent)
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    with (work_dir / LOG).open("ab") as log:
        child = subprocess.Popen(
            # -P: a file called torch.py in the current folder must not be imported.
            [sys.executable, "-P", "-m", "adapt.stage", module, str(work_dir)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            env={
                **MEMORY,
                **os.environ,
                "PYTHONPATH": os.pathsep.join(paths),
                _PARENT: str(os.getpid()),
                **env,
            },
        )
        try:
            assert child.stdout is not None
            for line in _lines(child.stdout.fileno(), cancel):
                # A killed child may leave half a line.
                with contextlib.suppress(ValueError):
                    heard(json.loads(line))
            if cancel.is_set():
                raise StageError(f"{module.rpartition(':')[2]} was cancelled", "it resumes")
            return child.wait()
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
            if child.stdout:
                child.stdout.close()


def _lines(pipe: int, cancel: threading.Event) -> Iterator[bytes]:
    """Lines of a pipe until its end, or until `cancel` is set."""
    rest = b""
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while not cancel.is_set():
            # Without a timeout a child that says nothing could not be cancelled.
            if not selector.select(0.2):
                continue
            data = os.read(pipe, 1 << 16)
            if not data:
                return
            *lines, rest = (rest + data).split(b"\n")
            yield from lines


def _failure(module: str, work_dir: Path, code: int, error: dict[str, Any] | None) -> StageError:
    log = work_dir / LOG
    name = module.rpartition(":")[2]
    if error:
        return StageError(
            f"{name} failed: {error['message']} (log: {log})", error["hint"] or f"read {log}"
        )
    # The child did not get to say anything: killed, or it could not even start.
    if code < 0:
        reason = f"was killed by {signal.Signals(-code).name}"
        hint = "out of memory is the usual cause; free some and run again, it resumes"
        if -code in (signal.SIGINT, signal.SIGTERM):
            reason, hint = "was stopped", "run it again, it resumes"
    else:
        reason, hint = f"ended with exit code {code}", f"read {log}"
    return StageError(f"{name} {reason} (log: {log})", hint)


def main(module: str, work_dir: Path) -> int:
    """The child: call the function and write its result. Its exit code is 0 or 1."""
    die_with_parent(int(os.environ[_PARENT]))
    # Who learns in the background must not take the cores from whoever answers.
    os.nice(NICENESS)
    # Ctrl-C reaches the whole group: die at once, for a parent that waits in another thread.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # Libraries print; only progress lines may reach the parent.
    lines = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def progress(entry: dict[str, Any]) -> None:
        lines.write(json.dumps(entry) + "\n")

    try:
        name, _, function = module.partition(":")
        request = json.loads((work_dir / REQUEST).read_text())["request"]
        result = getattr(importlib.import_module(name), function)(request, work_dir, progress)
        write_atomic(work_dir / RESULT, json.dumps(result, sort_keys=True, indent=2) + "\n")
        return 0
    except Exception as error:
        # Broad because this is where the failure becomes a record that the parent reads.
        known = isinstance(error, PerennialError)
        message = error.message if known else f"{type(error).__name__}: {error}"
        record = {"message": message, "hint": error.hint if known else ""}
        try:
            traceback.print_exc()
            write_atomic(work_dir / ERROR, json.dumps(record))
        except (OSError, PerennialError):
            # A full disk takes neither the log nor the record; the parent must still learn why.
            progress({_ERROR: record})
        return 1


def die_with_parent(parent: int) -> None:
    """Ask the kernel for SIGKILL when the process `parent`, which started this one, dies.

    It is the thread that started this process whose end counts. Linux only; elsewhere the child
    runs on.
    """
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # The parent may have died before the request to the kernel was made.
    if os.getppid() != parent:
        os._exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
