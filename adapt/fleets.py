"""The engines of a home as its settings want them: started here or reached elsewhere, and watched.

Routes nothing (`agent.fleet`) and swaps nothing (`adapt.swap`). Called by adapt.runtime.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from adapt.swap import Swapper
from agent.config import Settings
from agent.engine import Engine
from agent.fleet_member import Member
from agent.serve import EngineProcess, StartProgress
from agent.serve_supervisor import Supervisor, Watcher
from store import Home
from store.errors import EngineError, EngineUnavailable

log = logging.getLogger(__name__)

SETTLED = 5
"""Swaps after which an engine has all the memory that it should ever have."""
GROWTH = 1.10
"""More than this times that level, and vLLM holds on to what was unloaded."""
RENEW_DRAIN_S = 60.0


@dataclass
class Engines:
    """The fleet's engines with those who watch over them."""

    supervisors: Sequence[Supervisor | Watcher]
    memory: dict[str, list[int]] = field(default_factory=dict)
    """Bytes of each engine of ours after each swap, by its name."""

    @property
    def restarts(self) -> int:
        """How often engines have come back."""
        return sum(supervisor.restarts for supervisor in self.supervisors)

    async def start(self, progress: Callable[[StartProgress], None] | None = None) -> None:
        """Start all at once. An engine of ours that fails fails the start; one elsewhere only when
        it is the last, and else joins when it answers."""
        ours = [s for s in self.supervisors if isinstance(s, Supervisor)]
        others = [s for s in self.supervisors if isinstance(s, Watcher)]
        starting = [asyncio.create_task(supervisor.start(progress)) for supervisor in ours]
        try:
            await asyncio.gather(*starting)
        except BaseException:
            for task in starting:
                task.cancel()
            await asyncio.gather(*starting, return_exceptions=True)
            # Those that were up already must not be left running behind an error.
            await self.stop()
            raise
        faults: list[EngineError] = []
        for watcher in others:
            try:
                await watcher.start()
            except EngineError as error:
                faults.append(error)
                watcher.wait_for_it()
        if not ours and len(faults) == len(others):
            raise (
                faults[0]
                if faults
                else EngineUnavailable(
                    "there is no engine: fleet.engines is 0 and fleet.urls is empty",
                    "set one of them",
                )
            )

    async def stop(self) -> None:
        """Stop watching, and the engines of ours."""
        await asyncio.gather(*(supervisor.stop() for supervisor in self.supervisors))

    async def after_swap(self) -> None:
        """Note the memory that engines take, and start one anew that does not give it back.

        Only where its peers serve meanwhile.
        """
        for supervisor in self.supervisors:
            if not isinstance(supervisor, Supervisor) or not supervisor.member.ready:
                continue
            levels = self.memory.setdefault(supervisor.member.name, [])
            levels.append(memory_of(supervisor.process.pid))
            peers = any(s is not supervisor and s.member.ready for s in self.supervisors)
            if not peers or len(levels) <= SETTLED or levels[-1] < GROWTH * levels[SETTLED - 1]:
                continue
            log.warning(
                "%s takes %.2f GiB, %.2f after its first swaps: it is started anew",
                supervisor.member.name, levels[-1] / 2**30, levels[SETTLED - 1] / 2**30,
            )  # fmt: skip
            levels.clear()
            try:
                await supervisor.renew(RENEW_DRAIN_S)
            except EngineUnavailable as error:
                log.warning("%s", error)


def memory_of(pid: int | None) -> int:
    """Resident bytes of a process and all below it; what has ended counts as nothing."""
    if pid is None:
        return 0
    total = 0
    try:
        first = psutil.Process(pid)
        for process in [first, *first.children(recursive=True)]:
            try:
                total += process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
    except psutil.NoSuchProcess:
        return 0
    return total


def engines_of(settings: Settings, home: Home, swapper: Swapper, first: Path) -> Engines:
    """Members of the swapper's fleet, with their supervisors; nothing is started.

    `first` is the directory of the home's first base.
    """
    timeout, cards = settings.engine.request_timeout_s, settings.fleet.cards

    def plan(process: EngineProcess) -> None:
        # What is live when it starts: weights that were merged since would else be loaded twice.
        live = swapper.store.versions.live()
        line = swapper.hands.line_of(live) if live else swapper.store.versions.first()
        process.model, process.served_name = str(swapper.weights_at(line)), line.name

    found: list[Supervisor | Watcher] = []
    for place in range(settings.fleet.engines):
        name = f"engine-{place}" if place else "engine"
        process = EngineProcess(
            first, served_name="", run_dir=home.run / name if place else home.run,
            log=home.logs / f"{name}.log", settings=settings.engine,
            card=cards[place % len(cards)] if cards else "",
        )  # fmt: skip
        member = Member(name, Engine(process.socket, timeout_s=timeout))
        found.append(Supervisor(process, member, swapper.fill, before_start=plan))
    for url in settings.fleet.urls:
        member = Member(url, Engine.ours_at(url, timeout_s=timeout))
        found.append(Watcher(member, swapper.fill))
    swapper.fleet.members.extend(supervisor.member for supervisor in found)
    return Engines(found)
