"""One vLLM server as a child process: start, wait until it answers, stop.

The child leads its own process group and dies with us (`agent.serve_watch`); we signal only that
group. It listens on a Unix socket in a 0700 directory and writes to a log that is kept once. It
loads no adapters and restarts nothing: `agent.serve_supervisor` does. Called by `perennial up`.
"""

import asyncio
import contextlib
import hashlib
import os
import signal
import socket as sockets
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agent import serve_log, serve_watch
from agent.config import EngineSettings
from agent.engine import Engine
from agent.serve_command import Command, vllm_command
from agent.serve_model import check_model_dir, has_nvidia_gpu
from store.errors import BusyError, EngineError, EngineUnavailable

MAX_SOCKET_BYTES = 107
"""Linux takes 108 bytes for a Unix socket's path, the last one zero."""
STOP_S = 10.0
GONE_S = 5.0


@dataclass(frozen=True, slots=True)
class StartProgress:
    """How far a start has got."""

    elapsed_s: float
    step: str
    """The engine's last telling log line."""


class EngineProcess:
    """A vLLM server of `model` under `served_name`. One at a time per `run_dir`."""

    def __init__(
        self,
        model: str | Path,
        *,
        served_name: str,
        run_dir: Path,
        log: Path,
        settings: EngineSettings,
        command: Callable[[Path], Command] | None = None,
        card: str = "",
    ) -> None:
        """`model` is a directory (an absolute one is made of it) or a hub name. `command` gives
        what to run on a socket, for another server of the same protocol; default vLLM. `card` is
        the one GPU that it sees."""
        directory = Path(model).expanduser()
        local = directory.is_dir() or str(model).startswith(("/", "./", "../", "~"))
        self.model = str(directory.resolve()) if local else str(model)
        self.served_name = served_name
        self.run_dir = run_dir
        self.log = log
        self.socket = socket_path(run_dir)
        self.settings = settings
        self.card = card
        self._command = command
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Leader of the engine's process group, or None before the first start."""
        return self._child.pid if self._child else None

    def start(self) -> None:
        """Start the child and return at once.

        ModelError for an unusable model directory, BusyError when a server answers on the socket.
        """
        if self.alive():
            raise BusyError(f"the engine already runs as process {self.pid}", "stop it first")
        self._clear()
        if self._command is None and (local := Path(self.model)).is_absolute():
            check_model_dir(local)
        private_directory(self.socket.parent)
        clear_socket(self.socket)
        command = self._command(self.socket) if self._command else self._vllm()
        serve_log.rotate(self.log)
        watch = [sys.executable, "-I", serve_watch.__file__, str(os.getpid())]
        environment = child_environment(command)
        if self.card:
            environment["CUDA_VISIBLE_DEVICES"] = self.card
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(
                [*watch, *command.arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=self.socket.parent,
                # Its own group: Ctrl-C must reach us first, and a kill must reach all of it. No
                # session of its own: Linux shares the cores out by session, and an engine in
                # another one is no longer behind us by its niceness.
                process_group=0,
            )

    def alive(self) -> bool:
        """Whether the child runs. Changes nothing: `stop` or `start` clears a dead one away."""
        if self._child is None or self._child.returncode is not None:
            return False
        # WNOWAIT keeps the zombie, and with it the group id, until the group is cleared.
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self._child.pid, flags) is None

    async def wait_healthy(self, progress: Callable[[StartProgress], None] | None = None) -> None:
        """Return when the engine has answered a request; call `progress` a few times a second.

        EngineUnavailable with the log's words when it dies, cannot answer or takes longer than
        `start_timeout_s`; a child that is too slow is left running.
        """
        began = time.monotonic()
        async with Engine(self.socket, timeout_s=self.settings.start_timeout_s) as engine:
            while not await engine.health():
                elapsed = time.monotonic() - began
                if not self.alive():
                    raise self._died("died while it started")
                if elapsed > self.settings.start_timeout_s:
                    raise EngineUnavailable(
                        f"the engine is not ready after {elapsed:.0f} s; it is at: "
                        f"{serve_log.last_step(self.log)}",
                        f"raise engine.start_timeout_s, or read {self.log}",
                    )
                if progress:
                    progress(StartProgress(elapsed, serve_log.last_step(self.log)))
                await asyncio.sleep(0.25 if elapsed < 5 else 0.5)
            try:
                # Healthy is not yet able: an attention shape that the CPU kernels lack kills the
                # engine at its first token.
                await engine.generate(self.served_name, [0], max_tokens=1)
            except EngineError as error:
                raise self._died(f"is up but cannot answer ({error.message})") from error

    def stop(self, timeout_s: float = STOP_S) -> None:
        """End the child and its group: SIGTERM, then SIGKILL after `timeout_s`. Idempotent."""
        if self._child is None or self._child.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._child.pid, signal.SIGTERM)
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline and self.alive():
            time.sleep(0.05)
        self._clear()
        self.socket.unlink(missing_ok=True)

    def _clear(self) -> None:
        """SIGKILL what is left of the group, reap its leader and wait until the rest is gone."""
        if self._child is None or self._child.returncode is not None:
            return
        group = self._child.pid
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
            self._child.wait()
            deadline = time.monotonic() + GONE_S
            # A killed engine core holds its memory for a moment; a restart needs it back.
            while time.monotonic() < deadline:
                os.killpg(group, 0)
                time.sleep(0.02)

    def _vllm(self) -> Command:
        gpu = has_nvidia_gpu()
        return vllm_command(self.model, self.served_name, self.socket, self.settings, gpu=gpu)

    def _died(self, what: str) -> EngineUnavailable:
        return EngineUnavailable(
            f"the engine {what}: {serve_log.cause(self.log) or 'it said nothing'}",
            f"the whole log is {self.log}",
        )


def child_environment(command: Command) -> dict[str, str]:
    """Our environment and the command's own, without our settings and keys: the engine needs
    none of them, and VLLM_API_KEY would lock us out of it."""
    ours = {k: v for k, v in os.environ.items() if not k.startswith("PERENNIAL_")}
    ours.pop("VLLM_API_KEY", None)
    return ours | command.environment


def socket_path(run_dir: Path) -> Path:
    """Where the engine of `run_dir` listens: in it, or, when that is too long for a socket, in a
    private directory under the system's temporary one. The same for every caller."""
    path = run_dir.expanduser().resolve() / "engine.sock"
    if len(os.fsencode(path)) <= MAX_SOCKET_BYTES:
        return path
    mark = hashlib.sha256(os.fsencode(path)).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"perennial-{os.getuid()}-{mark}" / "engine.sock"


def private_directory(directory: Path) -> None:
    """Make `directory` with mode 0700, or make sure that it is ours and private."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    state = directory.lstat()
    if not stat.S_ISDIR(state.st_mode) or state.st_uid != os.getuid():
        # Whoever owns the directory of the socket can put another engine there.
        raise BusyError(f"{directory} belongs to someone else", "remove it or move the home")
    if stat.S_IMODE(state.st_mode) != 0o700:
        directory.chmod(0o700)


def clear_socket(path: Path) -> None:
    """Remove the socket file of a dead server; BusyError when somebody answers on it."""
    if not path.exists():
        return
    if not path.is_socket():
        raise BusyError(f"{path} is in the way and is no socket", "remove it")
    with sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM) as probe:
        probe.settimeout(5.0)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            path.unlink(missing_ok=True)
            return
        except OSError as error:
            raise BusyError(f"cannot tell who listens on {path}: {error}", "remove it") from error
    raise BusyError(
        f"an engine already answers on {path}", "stop the other `perennial up` on this home"
    )
