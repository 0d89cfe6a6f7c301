"""Stage functions that the tests of adapt.stage run in real child processes."""

import os
import signal
import sys
import time
from pathlib import Path

from store.errors import ConfigError


def add(request, work_dir: Path, progress):
    """Count its runs in a file, talk on stdout, and add."""
    runs = work_dir / "runs"
    runs.write_text(runs.read_text() + "x" if runs.is_file() else "x")
    sys.stdout.write("a library prints this\n")
    os.system("echo and a grandchild this")
    progress({"done": 1, "total": 2})
    progress({"done": 2, "total": 2})
    return {"sum": request["a"] + request["b"]}


def refuse(request, work_dir, progress):
    raise ConfigError("the quota is 7", "set it to 5")


def crash(request, work_dir, progress):
    return {"x": 1 // request["zero"]}


def die(request, work_dir, progress):
    """Die once, then work."""
    if not (work_dir / "died").exists():
        (work_dir / "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return {"alive": True}


def wait(request, work_dir, progress):
    """Tell its process id and sleep."""
    (work_dir / "pid.tmp").write_text(str(os.getpid()))
    os.replace(work_dir / "pid.tmp", work_dir / "pid")
    progress({"done": 0, "total": 1})
    time.sleep(120)
    return {}


def cards(request, work_dir, progress):
    return {"cards": os.environ.get("CUDA_VISIBLE_DEVICES")}
