"""`perennial eval`: a suite asked of the embedded model or of a version, with intervals."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from adapt.base import find_model
from adapt.commands import Options
from adapt.evals.items import Suite
from adapt.evals.runner import run_suite
from adapt.evals.suites import general_suite, kept_base_suite, pico_suites, tools_suite
from adapt.running import find_running
from adapt.runtime import open_runtime
from adapt.show import CycleView, eval_rows, table
from agent.config import Settings
from agent.engine import Engine
from agent.serve import EngineProcess
from store.errors import NotFoundError, UserError
from store.records import EvalReport

SEED, ITEMS = 1, 200
"""The seed differs from the gate's: no version was ever chosen by these items."""
_ONE = {"tools": tools_suite, "general": general_suite, "kept": kept_base_suite}


def suites_of(name: str) -> list[Suite]:
    """The suites behind a name. NotFoundError lists the names."""
    every = {s.name: s for s in pico_suites(SEED, ITEMS)}
    if name == "pico":
        return list(every.values())
    if name in _ONE:
        return [_ONE[name](SEED, ITEMS)]
    if name in every:
        return [every[name]]
    known = ", ".join(["pico", *dict.fromkeys([*_ONE, *every])])
    raise NotFoundError(f"no suite {name!r}", f"there are: {known}")


def evaluate(options: Options, name: str, model: str | None, version: str | None) -> int:
    """Ask, show a row per suite and slice, keep what was asked of the home. 1 on engine faults."""
    suites = suites_of(name)
    if name == "pico" and version is not None:
        raise UserError("`pico` tests the embedded model as it ships", "leave --version out")
    settings = options.settings(model=model or ("pico" if name == "pico" else None))
    reports = asyncio.run(_run(settings, suites, version, bare=name == "pico"))
    if name != "pico":
        with options.read_store() as store:
            for report in reports:
                store.reports.add_eval(report)
    rows = eval_rows(reports, [r.engine["seconds"] for r in reports])
    value = {
        "version": reports[0].version,
        "suites": rows,
        "items": sum(len(r.outcomes) for r in reports),
        "seconds": round(sum(r.engine["seconds"] for r in reports), 1),
        "reports": [r.digest for r in reports],
    }
    columns = ("suite", "slice", "mean", "low", "high", "items", "faults", "seconds")
    options.put(value, table(rows, *columns, title=f"{reports[0].version}, 95% intervals"))
    return 1 if any(row["faults"] for row in rows) else 0


async def _run(
    settings: Settings, suites: list[Suite], version: str | None, *, bare: bool
) -> list[EvalReport]:
    """Ask every suite in turn."""
    total = sum(len(s.items) for s in suites)
    reports: list[EvalReport] = []
    with CycleView() as view:
        source = _bare(settings, view) if bare else _of_home(settings, version, view)
        async with source as (engine, name):
            for suite in suites:
                before = sum(len(r.outcomes) for r in reports)

                def progress(done: int, _: int, suite: Suite = suite, before: int = before) -> None:
                    view.moving(f"asking {name}: {suite.name}, {before + done} of {total}")

                reports.append(
                    await run_suite(engine, suite, name, settings=settings, progress=progress)
                )
    return reports


@asynccontextmanager
async def _bare(settings: Settings, view: CycleView) -> AsyncIterator[tuple[Engine, str]]:
    """An engine on the model alone: no home, so that nothing learned can be in the way."""
    with tempfile.TemporaryDirectory(prefix="perennial-eval-") as folder:
        base = find_model(settings.model, Path(folder) / "digests")
        process = EngineProcess(
            base.path,
            served_name=base.version_name,
            run_dir=Path(folder) / "run",
            log=Path(folder) / "engine.log",
            settings=settings.engine,
        )
        try:
            process.start()
            await process.wait_healthy(view.engine)
            async with Engine(
                process.socket, timeout_s=settings.engine.request_timeout_s
            ) as engine:
                yield engine, base.version_name
        finally:
            await asyncio.to_thread(process.stop)


@asynccontextmanager
async def _of_home(
    settings: Settings, version: str | None, view: CycleView
) -> AsyncIterator[tuple[Engine, str]]:
    """The engine of the running server, or of a runtime opened for it, and the version's name."""
    running = find_running(settings)
    if running is None:
        async with open_runtime(settings, view.engine) as runtime:
            name = version or runtime.live()
            await runtime.swap.load(runtime.store.versions.get(name))
            yield runtime.engine, name
        return
    name = version or (await running.status())["live"]
    async with Engine(running.engine, timeout_s=settings.engine.request_timeout_s) as engine:
        if name not in await engine.models():
            raise NotFoundError(f"the engine does not hold {name}", "perennial versions")
        yield engine, name
