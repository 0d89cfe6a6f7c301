"""Stands between us and vLLM so that no engine outlives the process that started it.

Run as a script: `python -I serve_watch.py PARENT_PID COMMAND...`, as leader of its own process
group. It starts COMMAND and kills the whole group when COMMAND ends or when PARENT_PID is no
longer its parent, even by SIGKILL: vLLM's front end does not end its engine core and workers when
it is killed itself. A signal of the parent's *thread* (PR_SET_PDEATHSIG on vLLM alone) would fire
when a worker thread that called `start` returns. Uses the standard library only.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time

POLL_S = 0.25
NICENESS = 3
"""Of the engine: the assistant hands out every token, and must not wait for a core behind it."""
PR_SET_PDEATHSIG = 1


def in_child() -> None:
    """Before the engine begins: SIGKILL when the watch ends, should someone kill the watch alone;
    and its priority."""
    os.nice(NICENESS)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def main() -> None:
    parent = int(sys.argv[1])
    # SIGTERM goes to the group: vLLM acts on it, and the watch must stay to clear up after it.
    # A handler, not SIG_IGN, which the child would inherit.
    signal.signal(signal.SIGTERM, lambda *_: None)
    child = subprocess.Popen(sys.argv[2:], preexec_fn=in_child)
    while child.poll() is None and os.getppid() == parent:
        time.sleep(POLL_S)
    if child.returncode is not None:
        sys.stdout.write(f"perennial: the engine ended with code {child.returncode}\n")
        sys.stdout.flush()
    os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    main()
