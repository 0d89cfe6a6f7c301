"""A model's code: what it can do, and each thing that it must not reach.

Every test tries one thing from inside, in a process that is confined for real.
"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from store.errors import ToolRetry
from tools.base import CallContext, Terms
from tools.python import MAX_CODE, Limits, RunPython, run
from tools.registry import Registry

ROOT = Path(__file__).resolve().parents[2]
LIMITS = Limits(cpu_s=1, memory_mib=256, file_mib=4)


def _confines() -> str:
    status, _, said = asyncio.run(run("pass", LIMITS))
    return "" if status == 0 else f"the kernel does not confine code here: {said}"


WHY_NOT = _confines()
confined = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT or "it does")


def said(code: str, limits: Limits = LIMITS) -> str:
    """What the model reads of code that runs."""
    text = asyncio.run(RunPython(limits).call({"code": code}, CallContext("t")))
    return json.loads(text)["output"]


def failed(code: str, limits: Limits = LIMITS) -> str:
    """What the model reads of code that fails."""
    with pytest.raises(ToolRetry) as raised:
        said(code, limits)
    return raised.value.message


@confined
@pytest.mark.parametrize(
    ("code", "output"),
    [
        ("print('hello')", "hello\n"),
        ("x = 2\nx ** 100", "1267650600228229401496703205376\n"),
        ("import statistics\nstatistics.mean([1, 2, 6])", "3\n"),
        ("open('n', 'w').write('kept')\nprint(open('n').read())", "kept\n"),
        ("import datetime, zoneinfo\nprint(zoneinfo.ZoneInfo('Asia/Tokyo'))", "Asia/Tokyo\n"),
        ("None", ""),
        ("def f(n):\n    return n * 2\nprint('Grüße', f(4))", "Grüße 8\n"),
    ],
)
def test_code_runs_with_the_standard_library(code: str, output: str) -> None:
    """The value of a last expression is shown, as in a notebook."""
    assert said(code) == output


@confined
@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("1 / 0", "ZeroDivisionError"), ("def", "SyntaxError"), ("raise SystemExit('no')", "no"),
        ("x = 1\nraise ValueError('line two')", "line 2"), ("import numpy", "ModuleNotFoundError"),
        ("'\\0'.encode()\nprint(\0)", "null bytes"),
    ],
)  # fmt: skip
def test_a_fault_of_the_code_is_told(code: str, words: str) -> None:
    message = failed(code)
    assert words in message and "<string>" not in message


@confined
@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("while True: pass", "more than 1 s of processor time"),
        ("x = bytearray(1 << 30)", "MemoryError"),
        ("open('x', 'wb').write(b'x' * (8 << 20))", "Error"),
        ("for i in range(9): open(f'{i}', 'wb').write(b'x' * (1 << 20))", "No space left"),
        ("while True: print('x' * 1000)", "printed more than"),
        ("import sys\nwhile True: sys.stderr.write('x' * 1000)", "printed more than"),
        ("open_ = [open(f'{i}', 'w') for i in range(100)]", "Too many open files"),
    ],
)
def test_each_thing_that_code_takes_has_a_bound(code: str, words: str) -> None:
    assert words in failed(code)


@confined
@pytest.mark.parametrize(
    "code",
    [
        "import socket\nsocket.create_connection(('127.0.0.1', PORT), 2)",
        "import socket\nsocket.create_connection(('1.1.1.1', 53), 2)",
        "import socket\nsocket.getaddrinfo('example.org', 80)",
        "import urllib.request\nurllib.request.urlopen('http://127.0.0.1:PORT/')",
        "import socket\ns = socket.socket(socket.AF_UNIX)\ns.connect('SOCKET')",
        "import socket\ns = socket.socket(socket.AF_UNIX)\ns.connect('\\0abstract')",
    ],
)
def test_no_network_is_reached(code: str, listener: tuple[int, str]) -> None:
    """Neither this machine's servers nor others, nor a socket in its files, as the engine's is."""
    port, path = listener
    message = failed(code.replace("PORT", str(port)).replace("SOCKET", path))
    assert "Error" in message or "failure in name resolution" in message


@pytest.fixture
def listener() -> Iterator[tuple[int, str]]:
    """A port and a socket file that take connections."""
    import socket

    with tempfile.TemporaryDirectory() as folder, socket.socket() as tcp:
        tcp.bind(("127.0.0.1", 0))
        tcp.listen()
        with socket.socket(socket.AF_UNIX) as unix:
            unix.bind(f"{folder}/s")
            unix.listen()
            yield tcp.getsockname()[1], f"{folder}/s"


@confined
@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "/proc/self/environ", "/proc/1/environ", "/boot", "/box/secret", "SECRET",
     "/box/../SECRET", "/home", "/sys/kernel", "/dev/mem", "/tmp", "/var/run", "README"],
)  # fmt: skip
def test_no_file_of_the_machine_is_there(path: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret-words")
    path = path.replace("SECRET", str(secret)).replace("README", str(ROOT / "README.md"))
    assert said(f"import os\nprint(os.path.exists({path!r}))") == "False\n"
    assert "Error" in failed(f"import os\nos.listdir({path!r}) or open({path!r}).read()")


@confined
def test_what_python_itself_needs_cannot_be_changed() -> None:
    written = failed("import os\nopen(os.__file__, 'a')")
    assert "Read-only file system" in written or "Permission denied" in written
    assert "Error" in failed("open('/usr/lib/x', 'w')")
    assert "Error" in failed("import os\nos.mkdir('/x')")


@confined
def test_neither_our_variables_nor_our_processes_are_there() -> None:
    os.environ["PERENNIAL_TEST_SECRET"] = "secret-words"
    try:
        assert said("import os\nprint(sorted(os.environ))") == (
            "['HOME', 'LANG', 'PATH', 'TMPDIR']\n"
        )
    finally:
        del os.environ["PERENNIAL_TEST_SECRET"]
    assert said("import os\nprint(os.getppid())") == "0\n"
    assert "Error" in failed(f"import os\nos.kill({os.getpid()}, 0)")


@confined
def test_a_run_leaves_nothing_behind() -> None:
    """Neither files for the next run nor folders here."""
    before = set(Path(tempfile.gettempdir()).glob("python-*"))
    said("open('/box/x', 'w').write('x')")
    assert said("import os\nprint(os.listdir('/box'))") == "[]\n"
    assert set(Path(tempfile.gettempdir()).glob("python-*")) <= before


@confined
def test_runs_at_the_same_time_do_not_count_against_each_other() -> None:
    """And more than there is room for wait their turn."""
    code = "import os, time\ntime.sleep(0.3)\nos.getuid()"

    async def work() -> list[str]:
        tool = RunPython(LIMITS)
        calls = (tool.call({"code": code}, CallContext(str(i))) for i in range(6))
        return [json.loads(text)["output"] for text in await asyncio.gather(*calls)]

    users = asyncio.run(work())
    assert len(users) == 6 and (os.geteuid() != 0 or len(set(users)) == 6)


@confined
@pytest.mark.parametrize(
    "code", ["import time\ntime.sleep(600)", "import os\nos.setsid()\ninput()"]
)
def test_a_run_that_is_cancelled_is_ended_with_all_it_started(code: str) -> None:
    """In the time that its terms allow, not when it likes."""
    import psutil

    # Other tests' servers and databases are below ours as well, and stay.
    others = psutil.Process().children(recursive=True)
    registry = Registry([RunPython(LIMITS)], usual=Terms(timeout_s=1.5))
    code = code.replace("input()", "import time\ntime.sleep(600)")
    began = time.monotonic()
    stuck = asyncio.run(registry.call("run_python", json.dumps({"code": code}), CallContext("t")))
    assert "did not answer within 1.5 s" in stuck.text
    assert time.monotonic() - began < 20
    assert not set(psutil.Process().children(recursive=True)) - set(others)


@pytest.mark.parametrize(
    "arguments", [{}, {"code": 3}, {"code": "1", "more": 2}, {"code": "#" * (MAX_CODE + 1)}]
)
def test_arguments_that_do_not_fit_run_nothing(arguments: dict[str, object]) -> None:
    with pytest.raises(ToolRetry, match=r"one parameter, code|over 20000"):
        asyncio.run(RunPython(LIMITS).call(arguments, CallContext("t")))


def elsewhere(*before: str, unconfined: bool = False) -> subprocess.CompletedProcess[str]:
    """The tool in a process that `before` took rights from."""
    program = (
        "import asyncio, sys; sys.path.insert(0, sys.argv[1])\n"
        "from tools.python import *\n"
        f"tool = RunPython(Limits(unconfined={unconfined}))\n"
        "from tools.base import CallContext\n"
        "code = 'import os; print(os.path.exists(\"/etc/passwd\"))'\n"
        "print(asyncio.run(tool.call({'code': code}, CallContext('t'))))"
    )
    command = [*before, sys.executable, "-c", program, str(ROOT)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


needs_setpriv = pytest.mark.skipif(
    bool(WHY_NOT) or os.geteuid() != 0 or not (shutil.which("setpriv") and shutil.which("unshare")),
    reason="takes rights away, which needs root, setpriv and unshare",
)
LESS = ("setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin")


@needs_setpriv
def test_code_is_confined_without_rights_of_our_own() -> None:
    """By a user namespace, as for every ordinary user."""
    done = elsewhere(*LESS)
    assert json.loads(done.stdout) == {"output": "False\n"}, done.stderr


@needs_setpriv
def test_where_the_kernel_confines_nothing_code_is_refused_unless_told_otherwise() -> None:
    shell = f'echo 0 > /proc/sys/user/max_user_namespaces; exec {" ".join(LESS)} "$@"'
    none = ("unshare", "-Ur", "sh", "-c", shell, "sh")
    refused = elsewhere(*none)
    assert "ToolFailed: code is not run here" in refused.stderr
    assert "tools.python.unconfined = true" in refused.stderr
    done = elsewhere(*none, unconfined=True)
    assert json.loads(done.stdout) == {"output": "True\n"}, done.stderr
