"""The program that confines itself and then runs a model's code. Uses nothing of ours.

Started by tools.python as `python -I -S -B python_worker.py FOLDER LIMITS`; the code comes over
standard input. It leaves the machine's network, files and processes behind (namespaces of the
kernel, a root of its own that holds Python and an empty /box, an unknown user), sets limits, and
becomes Python. Where the kernel does not allow that it says so and ends with REFUSED, unless LIMITS
says `unconfined`: then limits are all there is. It is no wall against a fault of the kernel.
"""

import ctypes
import json
import os
import resource
import signal
import sys
import sysconfig
from typing import Any

REFUSED = 97
"""Exit status when the code was not run, since it could not be confined."""
RUNNER = """
import ast, linecache, sys, traceback
text = sys.stdin.read()
linecache.cache["code"] = len(text), None, text.splitlines(True), "code"
try:
    tree = ast.parse(text, "code")
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    names = {"__name__": "__main__"}
    exec(compile(tree, "code", "exec"), names)
    if last is not None:
        value = eval(compile(ast.Expression(last.value), "code", "eval"), names)
        if value is not None:
            print(repr(value))
except Exception as error:
    # Without our own line, which tells the writer of the code nothing.
    traceback.print_exception(type(error), error, error.__traceback__.tb_next)
    sys.exit(1)
"""
"""As in a notebook, the value of a last expression is shown."""
NEWNS, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET = (
    0x00020000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000,
)  # fmt: skip
MS_REC, MS_BIND, MS_PRIVATE, MNT_DETACH = 0x4000, 0x1000, 1 << 18, 2
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_MOUNT_SETATTR = 442
_RDONLY, _NOSUID, _NODEV = 1, 2, 4
_LIBC = ctypes.CDLL(None, use_errno=True)


def confine(root: str, limits: dict[str, Any]) -> None:
    """Leave everything behind, in this process and those it starts. OSError where not allowed."""
    plain = NEWNS | NEWUTS | NEWIPC | NEWPID | NEWNET
    uid, gid = os.geteuid(), os.getegid()
    if uid != 0 or _LIBC.unshare(plain) != 0:
        _did(_LIBC.unshare(plain | NEWUSER), "leaving the namespaces of the machine")
        for name, text in (
            ("setgroups", "deny"), ("uid_map", f"65534 {uid} 1"), ("gid_map", f"65534 {gid} 1"),
        ):  # fmt: skip
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)
    _mount(None, "/", None, MS_REC | MS_PRIVATE)
    _mount("tmpfs", root, "tmpfs", 0, "size=1m,mode=755")
    for path in _needed():
        _bind(path, root + path)
    os.mkdir(f"{root}/box")
    _mount("tmpfs", f"{root}/box", "tmpfs", 0, f"size={max(limits['file_mib'], 1)}m,mode=1777")
    os.chdir(root)
    machine = os.uname().machine
    if machine not in _PIVOT_ROOT:
        raise OSError(f"not known how on {machine}")
    # The new root over the old one, which is then let go: nothing of it can be named any more.
    _did(_LIBC.syscall(_PIVOT_ROOT[machine], b".", b"."), "changing the root")
    _did(_LIBC.umount2(b".", MNT_DETACH), "letting the old root go")
    os.chdir("/box")
    _read_only("/", recursive=False)


def _needed() -> list[str]:
    """What Python reads: its libraries, those of the system, and two devices."""
    own = [sysconfig.get_path("stdlib"), os.path.realpath(sys.executable)]
    shared = ["/lib", "/lib64", "/usr/lib", "/usr/lib64", f"{sys.base_prefix}/lib"]
    more = ["/etc/ld.so.cache", "/usr/share/zoneinfo", "/dev/null", "/dev/urandom"]
    found: list[str] = []
    for path in sorted({*own, *shared, *more}):
        inside = any(path.startswith(f"{one}/") for one in found if not os.path.islink(one))
        if os.path.exists(path) and not inside:
            found.append(path)
    return found


def _bind(source: str, target: str) -> None:
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if os.path.islink(source):
        os.symlink(os.readlink(source), target)
        return
    if os.path.isdir(source):
        os.mkdir(target)
    else:
        open(target, "w").close()
    _mount(source, target, None, MS_BIND | MS_REC)
    _read_only(target, recursive=True, devices=source.startswith("/dev/"))


def _read_only(path: str, *, recursive: bool, devices: bool = False) -> None:
    class Attributes(ctypes.Structure):
        _fields_ = [(n, ctypes.c_uint64) for n in ("set", "clear", "propagation", "userns")]

    asked = Attributes(_RDONLY | _NOSUID | (0 if devices else _NODEV), 0, 0, 0)
    done = _LIBC.syscall(
        _MOUNT_SETATTR, -100, path.encode(), 0x8000 if recursive else 0, ctypes.byref(asked),
        ctypes.c_size_t(ctypes.sizeof(asked)),
    )  # fmt: skip
    _did(done, f"making {path} read-only")


def _mount(
    source: str | None, target: str, kind: str | None, flags: int, data: str | None = None
) -> None:
    raw = [text.encode() if text is not None else None for text in (source, target, kind, data)]
    done = _LIBC.mount(raw[0], raw[1], raw[2], ctypes.c_ulong(flags), raw[3])
    _did(done, f"mounting {target}")


def _did(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def limit(limits: dict[str, Any]) -> None:
    """Bounds on what one run takes."""
    for kind, most in (
        (resource.RLIMIT_CPU, limits["cpu_s"]),
        (resource.RLIMIT_AS, limits["memory_mib"] << 20),
        (resource.RLIMIT_FSIZE, limits["file_mib"] << 20),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (most, most))


def become(python: str, limits: dict[str, Any], *, confined: bool) -> None:
    """Be Python with the code, as a user that owns nothing."""
    if confined:
        if os.geteuid() == 0:
            # One of its own for each run: its processes are counted apart from all others.
            nobody = 2_000_000_000 + limits["pid"]
            os.setgroups([])
            os.setresgid(nobody, nobody, nobody)
            os.setresuid(nobody, nobody, nobody)
        # No other process or thread, so that the bound on memory is one on all of it. In a user
        # namespace the one that waits for us counts too.
        alone = 1 if limits["root"] else 2
        resource.setrlimit(resource.RLIMIT_NPROC, (alone, alone))
    _LIBC.prctl(1, signal.SIGKILL)  # die with the one that waits for us
    _LIBC.prctl(38, 1, 0, 0, 0)  # never gain a right again
    folder = os.getcwd()
    environment = {"HOME": folder, "TMPDIR": folder, "LANG": "C.UTF-8", "PATH": ""}
    os.execve(python, [python, "-I", "-S", "-B", "-c", RUNNER], environment)


def main() -> None:
    """Confine, and wait for the code to end; its exit status is ours."""
    root, limits = sys.argv[1], json.loads(sys.argv[2])
    limits |= {"root": os.geteuid() == 0, "pid": os.getpid()}
    # Before there is another root, in which no link leads to it.
    python = os.path.realpath(sys.executable)
    confined = True
    try:
        confine(root, limits)
    except OSError as error:
        if not limits["unconfined"]:
            sys.stderr.write(f"{error.strerror or error}")
            sys.exit(REFUSED)
        confined = False
        os.chdir(root)
    child = os.fork()  # the first process of the new namespace: all others end with it
    if child == 0:
        try:
            limit(limits)
            become(python, limits, confined=confined)
        except OSError as error:
            sys.stderr.write(str(error))
            sys.stderr.flush()
        finally:
            os._exit(REFUSED)
    _, status = os.waitpid(child, 0)
    sys.exit(os.waitstatus_to_exitcode(status) % 256)


if __name__ == "__main__":
    main()
