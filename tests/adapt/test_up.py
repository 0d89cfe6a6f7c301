"""The running service: real uvicorn and worker over the fake engine."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import fake_runtime
import httpx
import pytest
from fake_runtime import BASE, settings_of

from adapt.show import CycleView
from adapt.up import preflight, service
from agent.fake_engine import FakeVllm
from agent.fleet_member import Member
from agent.serve import EngineProcess, StartProgress
from agent.serve_supervisor import Supervisor
from store import Home
from store.errors import BusyError, ConfigError
from store.records import CycleState

CHAT = {"model": "live", "messages": [{"role": "user", "content": "hello"}]}


class Process:
    """An engine process that lives and dies on command."""

    def __init__(self, starts: bool = True) -> None:
        self.lives = False
        self.starts = starts

    def alive(self) -> bool:
        return self.lives

    def start(self) -> None:
        if not self.starts:
            raise BusyError("no room")
        self.lives = True

    async def wait_healthy(self, progress: Callable[[StartProgress], None] | None = None) -> None:
        await asyncio.sleep(0)

    def stop(self, timeout_s: float = 1.0) -> None:
        self.lives = False


async def loaded(_: Member) -> None:
    """Nothing to load."""


def transport(runtime: Any) -> FakeVllm:
    """The fake behind a runtime's engine."""
    return runtime.engine.members[0].engine._http._transport


def test_it_answers_and_publishes_its_address_until_it_ends(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with fake_runtime.fake_runtime(settings_of(tmp_path)) as runtime:
            async with service(runtime, CycleView()) as url, httpx.AsyncClient() as client:
                status = runtime.home.read_status()
                assert status is not None and status["url"] == url
                assert (await client.get(f"{url}/health")).json()["version"] == BASE.version_name
                reply = await client.post(f"{url}/v1/chat/completions", json=CHAT)
                said = reply.json()["choices"][0]["message"]["content"]
                assert said == f"{BASE.version_name} heard hello"
                report = (await client.get(f"{url}/admin/status")).json()
                assert report["live"] == BASE.version_name and report["running"] is None
            assert runtime.home.read_status() is None
            assert [e.version for e in runtime.store.episodes.list()] == [BASE.version_name]

    asyncio.run(scenario())


def test_promote_rollback_and_update_over_http(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            fake_runtime.fake_runtime(settings_of(tmp_path)) as runtime,
            service(runtime, CycleView()) as url,
            httpx.AsyncClient(base_url=url) as client,
        ):
            name = runtime.store.versions.list()[1].name
            assert (await client.post("/admin/rollback")).status_code == 409
            assert (
                await client.post("/admin/promote", json={"version": "v9-x"})
            ).status_code == 404
            promoted = (await client.post("/admin/promote", json={"version": name})).json()
            assert (promoted["live"], promoted["previous"]) == (name, BASE.version_name)
            said = (await client.post("/v1/chat/completions", json=CHAT)).json()
            assert said["model"] == name
            assert (await client.post("/admin/rollback")).json()["live"] == BASE.version_name
            begun = await client.post("/admin/update")
            assert (begun.status_code, begun.json()) == (202, {"cycle": 1})
            async with asyncio.timeout(60):
                while (await client.get("/admin/status")).json()["running"]:
                    await asyncio.sleep(0.05)
            assert runtime.store.cycles.get(1).state is CycleState.SKIPPED

    asyncio.run(scenario())


def test_a_request_under_way_ends_well_when_the_service_stops(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with fake_runtime.fake_runtime(settings_of(tmp_path)) as runtime:
            transport(runtime).delay_s = 0.5
            async with httpx.AsyncClient(timeout=60) as client:
                async with service(runtime, CycleView()) as url:
                    asked = asyncio.create_task(
                        client.post(f"{url}/v1/chat/completions", json=CHAT)
                    )
                    async with asyncio.timeout(60):
                        while not transport(runtime).requests:
                            await asyncio.sleep(0.01)
                assert (await asked).status_code == 200

    asyncio.run(scenario())


def test_a_request_waits_for_an_engine_that_comes_back(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with fake_runtime.fake_runtime(settings_of(tmp_path)) as runtime:
            process = Process()
            (member,) = runtime.engine.members
            supervisor = Supervisor(cast(EngineProcess, process), member, loaded, backoff_s=0.3)
            await supervisor.start()
            async with (
                service(runtime, CycleView()) as url,
                httpx.AsyncClient(timeout=60) as client,
            ):
                process.lives = False
                while member.ready:
                    await asyncio.sleep(0.01)
                reply = await client.post(f"{url}/v1/chat/completions", json=CHAT)
                assert reply.status_code == 200
                assert supervisor.restarts == 1
            await supervisor.stop()

    asyncio.run(scenario())


def test_an_engine_that_was_given_up_is_a_503(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with fake_runtime.fake_runtime(settings_of(tmp_path)) as runtime:
            process = Process()
            (member,) = runtime.engine.members
            supervisor = Supervisor(
                cast(EngineProcess, process), member, loaded, backoff_s=0.01, max_failures=2
            )
            await supervisor.start()
            async with (
                service(runtime, CycleView()) as url,
                httpx.AsyncClient(timeout=60) as client,
            ):
                process.starts = process.lives = False
                while member.ready:
                    await asyncio.sleep(0.01)
                reply = await client.post(f"{url}/v1/chat/completions", json=CHAT)
                assert reply.status_code == 503
                assert reply.json()["error"]["code"] == "engine_unavailable"
            await supervisor.stop()

    asyncio.run(scenario())


def test_a_second_up_on_a_home_is_told_who_has_it(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with home.lock():
        home.write_status({"url": "http://127.0.0.1:1", "pid": 1, "engine": "-"})
        with pytest.raises(BusyError, match=r"at http://127\.0\.0\.1:1"):
            preflight(settings_of(tmp_path))


def test_what_is_wrong_is_said_before_anything_heavy_starts(tmp_path: Path) -> None:
    """A port in use, a cron that is none; no home is made for either."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BusyError, match=str(port)):
            preflight(settings_of(tmp_path / "home", server__port=port))
    with pytest.raises(ConfigError, match="cron"):
        preflight(settings_of(tmp_path / "home", schedule__cron="61 * * * *"))
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_ends_with_0_and_frees_the_home(tmp_path: Path, number: int) -> None:
    process = subprocess.Popen(
        [sys.executable, fake_runtime.__file__, str(tmp_path), "0"],
        cwd=Path(__file__).resolve().parents[2],
        env={"PYTHONPATH": ".:tests", "PATH": "/usr/bin:/bin"},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + 300
        while Home(tmp_path).read_status() is None:
            assert process.poll() is None and time.monotonic() < deadline, "it did not start"
            time.sleep(0.05)
        process.send_signal(number)
        _, said = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 0, said
    assert "http://127.0.0.1:" in said and "Traceback" not in said
    assert Home(tmp_path).read_status() is None and Home(tmp_path).locked_by() is None
