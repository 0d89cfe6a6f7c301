"""The engine's process against a stub server: start, failure, death, stop, restart, bad input."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.config import EngineSettings
from agent.engine import Engine
from agent.engine_http import IDLE_S
from agent.fleet import Fleet
from agent.fleet_member import Member
from agent.serve import EngineProcess, private_directory, socket_path
from agent.serve_command import Command, vllm_command
from agent.serve_model import check_model_dir, has_nvidia_gpu
from agent.serve_supervisor import Supervisor
from agent.serve_watch import NICENESS
from store.errors import BusyError, EngineUnavailable, ModelError

STUB = Path(__file__).parents[1] / "stub_engine.py"
Make = Callable[..., EngineProcess]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Makes stub processes of a mode; all of them are stopped at the end."""
    made: list[EngineProcess] = []

    def build(mode: str = "ok", name: str = "home", **settings: Any) -> EngineProcess:
        process = EngineProcess(
            "stub",
            served_name="base",
            run_dir=tmp_path / name / "run",
            log=tmp_path / name / "logs" / "engine.log",
            settings=EngineSettings(**{"start_timeout_s": 60.0, **settings}),
            command=lambda path: Command((sys.executable, "-I", str(STUB), str(path), mode), {}),
        )
        made.append(process)
        return process

    yield build
    for process in made:
        process.stop(timeout_s=1.0)


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(work, 120))


def grandchild(process: EngineProcess) -> int:
    """Pid of the process that the stub started, as its log tells."""
    match = re.search(r"grandchild (\d+)", process.log.read_text())
    assert match
    return int(match[1])


def ends(pid: int, within_s: float = 20.0) -> bool:
    """Whether the process is gone (or a zombie) within that time."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.05)
    return False


def test_start_answers_and_stop_leaves_nothing(make: Make) -> None:
    process = make()
    process.start()
    run(process.wait_healthy())
    assert process.alive() and process.socket.is_socket()
    assert process.socket.parent.stat().st_mode & 0o777 == 0o700
    child = grandchild(process)
    process.stop()
    process.stop()
    assert not process.alive() and ends(child) and not process.socket.exists()


def test_a_running_engine_is_behind_us_by_its_niceness(make: Make) -> None:
    """In our session, as niceness counts within one alone where Linux groups tasks by session; in
    a group of its own, as Ctrl-C is for us."""
    process = make()

    async def work() -> None:
        process.start()
        await process.wait_healthy()
        engine = grandchild(process)
        assert os.getsid(engine) == os.getsid(0)
        assert os.getpgid(engine) == process.pid != os.getpgid(0)
        ours = os.getpriority(os.PRIO_PROCESS, 0)
        assert os.getpriority(os.PRIO_PROCESS, engine) == min(19, ours + NICENESS)

    run(work())


def test_a_server_that_ignores_sigterm_is_killed_after_the_bound(make: Make) -> None:
    process = make("stubborn")
    process.start()
    run(process.wait_healthy())
    child = grandchild(process)
    process.stop(timeout_s=0.5)
    assert not process.alive() and ends(child)


def test_a_start_that_dies_says_why_in_the_engines_words(make: Make) -> None:
    process = make("dies")
    process.start()
    with pytest.raises(EngineUnavailable, match="three heads and no body") as died:
        run(process.wait_healthy())
    assert str(process.log) in died.value.hint
    assert "ended with code 1" in process.log.read_text()


def test_healthy_but_unable_is_a_failed_start(make: Make) -> None:
    process = make("unable")
    process.start()
    with pytest.raises(EngineUnavailable, match="no such head_dim"):
        run(process.wait_healthy())


def test_a_start_that_takes_too_long_is_an_error_and_reports_progress(make: Make) -> None:
    process = make("deaf", start_timeout_s=3.0)
    process.start()
    seen: list[float] = []
    with pytest.raises(EngineUnavailable, match="start_timeout_s"):
        run(process.wait_healthy(lambda step: seen.append(step.elapsed_s)))
    assert seen and seen == sorted(seen)


def test_a_second_start_on_a_live_socket_is_busy(make: Make) -> None:
    first, second = make(), make()
    first.start()
    run(first.wait_healthy())
    with pytest.raises(BusyError, match=r"engine\.sock"):
        second.start()
    with pytest.raises(BusyError, match=str(first.pid)):
        first.start()
    assert first.alive()


def test_a_dead_servers_socket_is_removed_and_other_files_are_not(make: Make) -> None:
    process = make()
    private_directory(process.socket.parent)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(process.socket))
    process.start()
    run(process.wait_healthy())
    process.stop()
    process.socket.write_text("mine")
    with pytest.raises(BusyError, match="no socket"):
        process.start()
    assert process.socket.read_text() == "mine"


def test_the_log_of_the_start_before_is_kept(make: Make) -> None:
    process = make()
    for _ in range(2):
        process.start()
        run(process.wait_healthy())
        process.stop()
    assert "grandchild" in process.log.read_text()
    assert "grandchild" in process.log.with_name("engine.log.1").read_text()


def test_a_long_home_gets_a_short_private_socket(tmp_path: Path, make: Make) -> None:
    long = "x" * 120
    process = make(name=long)
    assert len(os.fsencode(process.socket)) < 108
    assert process.socket == socket_path(tmp_path / long / "run")
    process.start()
    run(process.wait_healthy())
    assert process.socket.parent.stat().st_mode & 0o777 == 0o700
    process.stop()
    process.socket.parent.rmdir()


@pytest.mark.parametrize("in_thread", [False, True])
def test_no_engine_outlives_a_killed_parent(tmp_path: Path, in_thread: bool) -> None:
    """SIGKILL of `perennial up` takes the engine and its workers along; the end of the thread
    that started it does not."""
    code = f"""
import asyncio, sys, threading, time
from pathlib import Path
sys.path.insert(0, {str(STUB.parents[1])!r})
from agent.config import EngineSettings
from agent.serve import EngineProcess
from agent.serve_command import Command
command = lambda path: Command((sys.executable, "-I", {str(STUB)!r}, str(path), "ok"), {{}})
home = Path({str(tmp_path)!r})
process = EngineProcess("stub", served_name="base", run_dir=home / "run", log=home / "log",
                        settings=EngineSettings(), command=command)
if {in_thread}:
    thread = threading.Thread(target=process.start)
    thread.start()
    thread.join()
else:
    process.start()
asyncio.run(process.wait_healthy())
time.sleep(1)
print(process.pid, process.alive(), flush=True)
time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        pid, alive = parent.stdout.readline().split()
        assert alive == b"True"
        child = int(re.search(r"grandchild (\d+)", (tmp_path / "log").read_text())[1])  # type: ignore[index]
        parent.kill()
    assert ends(int(pid)) and ends(child)


def member_of(process: EngineProcess) -> Member:
    return Member("engine", Engine(process.socket))


async def nothing(_: Member) -> None:
    """What there is to fill into an engine."""


def test_the_supervisor_restarts_and_reloads_before_traffic(make: Make) -> None:
    """It is filled at each start, and gets no requests before."""
    order: list[str] = []

    async def work() -> None:
        process = make()
        member = member_of(process)
        fleet = Fleet([member])

        async def fill(_: Member) -> None:
            await asyncio.sleep(0.1)
            order.append("adapters")

        supervisor = Supervisor(process, member, fill, backoff_s=0.1)
        await supervisor.start()
        await fleet.wait_ready()
        first, child = process.pid, grandchild(process)
        assert first is not None
        os.kill(first, signal.SIGKILL)
        while member.ready:
            await asyncio.sleep(0.02)
        order.append("down")
        await fleet.wait_ready()
        order.append("traffic")
        assert process.pid != first and supervisor.restarts == 1 and ends(child)
        await supervisor.stop()
        await supervisor.stop()
        assert not process.alive()

    run(work())
    assert order == ["adapters", "down", "adapters", "traffic"]


def test_the_supervisor_tells_when_it_found_the_engine_at_work(make: Make) -> None:
    """Again and again: a lost request waits for it before it is sent once more."""

    async def work() -> None:
        process = make()
        member = member_of(process)
        supervisor = Supervisor(process, member, nothing)
        await supervisor.start()
        for _ in range(2):
            now = time.monotonic()
            await member.seen_since(now, now + 20)
            assert member.seen is not None and member.seen >= now
        await supervisor.stop()

    run(work())


def test_the_supervisor_gives_up_with_the_cause(make: Make) -> None:
    async def work() -> None:
        process = make()
        member = member_of(process)
        calls = 0

        async def fill(_: Member) -> None:
            nonlocal calls
            calls += 1
            if calls > 1:
                raise ModelError("adapter v3 is gone")

        supervisor = Supervisor(process, member, fill, backoff_s=0.05, max_failures=2)
        await supervisor.start()
        assert process.pid
        os.killpg(process.pid, signal.SIGKILL)
        while member.ready:
            await asyncio.sleep(0.02)
        with pytest.raises(EngineUnavailable, match="2 failed starts: adapter v3 is gone"):
            await Fleet([member]).wait_ready()
        assert not member.ready and not process.alive()
        await supervisor.stop()

    run(work())


def test_a_first_start_that_fails_rises_and_leaves_nothing(make: Make) -> None:
    async def work() -> None:
        process = make("unable")
        with pytest.raises(EngineUnavailable):
            await Supervisor(process, member_of(process), nothing).start()
        assert not process.alive()

    run(work())


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "lacks config.json"),
        ({"config.json": "{"}, "cannot be read"),
        ({"config.json": "[]"}, "names no architecture"),
        ({"config.json": '{"architectures": ["A"]}'}, "tokenizer.*weights"),
        (
            {"config.json": '{"architectures": ["A"]}', "model.safetensors": ""},
            "lacks a tokenizer",
        ),
        (
            {"config.json": '{"architectures": ["A"]}', "tokenizer.json": "{}",
             "pytorch_model.bin": ""},
            "pickled weights are refused",
        ),
        (
            {"config.json": '{"architectures": ["A"]}', "tokenizer.json": "{}",
             "model-1.safetensors": "",
             "model.safetensors.index.json": '{"weight_map": {"a": "model-1.safetensors",'
             ' "b": "model-2.safetensors"}}'},
            r"1 of 2 shards: model-2\.safetensors",
        ),
    ],
)  # fmt: skip
def test_a_model_directory_says_what_it_lacks(
    tmp_path: Path, files: dict[str, str], words: str
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(ModelError, match=words):
        check_model_dir(tmp_path)


def test_a_missing_model_directory_is_refused_before_any_process(tmp_path: Path) -> None:
    process = EngineProcess(
        tmp_path / "none", served_name="base", run_dir=tmp_path / "run",
        log=tmp_path / "log", settings=EngineSettings(),
    )  # fmt: skip
    with pytest.raises(ModelError, match="does not exist"):
        process.start()
    assert process.pid is None and not process.log.exists()


def test_flags_follow_the_hardware(tmp_path: Path) -> None:
    """A GPU takes bfloat16 and compiled graphs; a CPU float32, eager and its cache size."""
    (tmp_path / "model.safetensors").write_bytes(b"x" * 10)
    settings = EngineSettings(kv_cache_gib=2)
    cpu = vllm_command(str(tmp_path), "base", Path("/r/s"), settings, gpu=False)
    gpu = vllm_command("Qwen/Qwen3-8B", "base", Path("/r/s"), settings, gpu=True)
    assert "--enforce-eager" in cpu.arguments and "--enforce-eager" not in gpu.arguments
    assert "float32" in cpu.arguments and "bfloat16" in gpu.arguments
    assert cpu.environment["VLLM_CPU_KVCACHE_SPACE"] == "2"
    assert cpu.environment["HF_HUB_OFFLINE"] == "1" and "HF_HUB_OFFLINE" not in gpu.environment
    assert "vllm.entrypoints.openai.api_server" in gpu.arguments


def test_the_engine_keeps_idle_connections_longer_than_the_client(tmp_path: Path) -> None:
    """Else both may let go of one at the moment it is used, and the request is lost."""
    command = vllm_command(str(tmp_path), "base", Path("/r/s"), EngineSettings(), gpu=False)
    assert float(command.environment["VLLM_HTTP_TIMEOUT_KEEP_ALIVE"]) > 10 * IDLE_S


def test_no_gpu_where_the_driver_lists_none(tmp_path: Path) -> None:
    assert has_nvidia_gpu(tmp_path) is False
    assert has_nvidia_gpu(tmp_path / "none") is False
    (tmp_path / "0000:01:00.0").mkdir()
    assert has_nvidia_gpu(tmp_path) is True
