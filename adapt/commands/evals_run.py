"""`perennial eval run`: suites asked of a model, in run folders that go on after any stop."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from adapt.commands import Options, refuse_below_file
from adapt.commands.evals_show import trivial_rows
from adapt.commands.evals_toolbench import SUITE, Playing
from adapt.evals import benchmarks
from adapt.evals.asking import Asker, Decoding, decoding_of
from adapt.evals.runner import ask_suite
from adapt.evals.runs.folders import Asked, RunFolder, plain_name
from adapt.evals.runs.journal import open_journal
from adapt.evals.runs.named import PICO, Named, Part, check_names, suites_named
from adapt.evals.runs.results import Run, measures_of, open_run, slice_rows
from adapt.evals.runs.target import Target, choose
from adapt.evals.runs.transcript import readable
from adapt.evals.runs.watch import Watch
from adapt.evals.selfchecking import trivial
from adapt.evals.selfchecking.trivial import trivial_of
from adapt.show import CycleView, stderr, table
from agent.config import home_of
from agent.fleet import Inference
from store import Store
from store.errors import ConfigError, PerennialError
from store.evidence import EvalReport

SLICES_SHOWN = 12
"""Most slices of a suite in the table of a run; `perennial eval show` has all."""
WORDS_SHOWN = 300
"""Characters of an engine's words."""


@dataclass(frozen=True)
class Request:
    """What the command line asks for, but for the suites."""

    version: str | None = None
    model: str | None = None
    endpoint: str | None = None
    data: Path = Path("data")
    limit: int | None = None
    sample: int | None = None
    concurrency: int = 64
    max_tokens: int | None = None
    out: Path | None = None
    fresh: bool = False
    playing: Playing = field(default_factory=Playing)
    """How ToolBench is played."""


@dataclass(frozen=True)
class Job:
    """One suite in its folder."""

    named: Named
    asked: Asked
    folder: RunFolder


def run(options: Options, names: Sequence[str], request: Request) -> int:
    """Ask what is not asked yet, and show a row per suite and slice. 1 on engine faults."""
    check_names(names)
    if request.limit is not None and request.sample is not None:
        raise ConfigError(
            "--limit and --sample are two ways to take a part", "leave one of them out"
        )
    request.playing.check(list(names))
    if PICO in names and not (request.version or request.model or request.endpoint):
        # It is about the model as it ships: a home may hold another, or what was learned.
        request = replace(request, model=PICO)
    settings = options.settings(model=None if request.endpoint else request.model)
    target = choose(settings, request.version, request.model, request.endpoint)
    loaders = {SUITE: request.playing.loader(target)}
    suites = suites_named(names, request.data, Part(request.limit, request.sample, loaders))
    decoding = decoding_of(settings)
    if request.max_tokens is not None:
        decoding = replace(decoding, max_tokens=request.max_tokens)
    jobs = _jobs(suites, target, decoding, request)
    home = home_of(settings)
    if target.source == "version" and not home.exists():
        words = f"there is no home at {home.path}: one is made, and its base is asked"
        stderr().print(words, highlight=False, markup=False)
    todo = [j for j in jobs if j.folder.check(j.asked, fresh=request.fresh) is None]
    if todo:
        try:
            with CycleView() as view:
                asyncio.run(_ask(target, todo, decoding, request, view))
        except (KeyboardInterrupt, PerennialError):
            _say_how_to_go_on(todo, request.fresh)
            raise
    for job in jobs:
        if job.named.label in benchmarks.names():
            trivial.keep(job.folder.path, job.asked.suite_digest, job.named.suite.items)
    runs = [open_run(job.folder.path) for job in jobs]
    if target.source == "version":
        with Store.open(home_of(settings)) as store:
            for one in runs:
                store.reports.add_eval(one.report)
    return _show(options, runs)


def _jobs(
    suites: Sequence[Named], target: Target, decoding: Decoding, request: Request
) -> list[Job]:
    """A folder for each suite: of the home, or `--out`, with a folder below it for each of many."""
    jobs: list[Job] = []
    for named in suites:
        asked = Asked(
            label=named.label, suite=named.suite.name, suite_digest=named.suite.digest,
            items=len(named.suite.items), limit=request.limit, sample=request.sample,
            setting=request.playing.recorded(target) if named.label == SUITE else {},
            source=target.source,
            model=target.model, shown=target.shown, endpoint=target.endpoint,
            decoding=asdict(decoding),
        )  # fmt: skip
        if request.out is None:
            path = home_of(target.settings).evals / asked.folder_name
        else:
            path = request.out / plain_name(named.label) if len(suites) > 1 else request.out
            if path.is_file():
                raise ConfigError(f"--out {path} is a file", "give a folder")
            refuse_below_file("--out", path)
        jobs.append(Job(named, asked, RunFolder(path)))
    return jobs


async def _ask(
    target: Target, jobs: Sequence[Job], decoding: Decoding, request: Request, view: CycleView
) -> None:
    """Ask each suite in turn; its report is written as soon as it is through."""
    async with target.opened(view.engine) as engine:
        foreign = target.source == "endpoint"
        for job in jobs:
            if aside := job.folder.begin(job.asked, fresh=request.fresh):
                _say(view, f"the earlier run is kept as {aside}")
            try:
                async with _extras(job, target, engine, request.playing) as extras:
                    asker = Asker(engine, target.model, decoding, foreign, extras)
                    report = await _ask_one(asker, job, request.concurrency, view)
            except ExceptionGroup as group:
                # One worker stopped the others: what it says is for people, the group is not.
                raise _first(group) from group
            job.folder.finish(report)


@asynccontextmanager
async def _extras(
    job: Job, target: Target, engine: Inference, playing: Playing
) -> AsyncIterator[dict[str, Any]]:
    """What the players of a suite take besides."""
    if job.named.label != SUITE:
        yield {}
        return
    async with playing.opened(target, engine) as extras:
        yield extras


async def _ask_one(asker: Asker, job: Job, concurrency: int, view: CycleView) -> EvalReport:
    with open_journal(job.folder.items, lambda words: _say(view, f"warning: {words}")) as journal:
        suite = job.named.suite
        seen = Watch(job.named.label, len(suite.items), len(journal.known()), view.moving)
        report = await ask_suite(asker, suite, concurrency=concurrency, journal=journal, seen=seen)
        # The runner's seconds are of this part alone.
        engine = {**report.engine, "seconds": round(journal.elapsed, 3)}
        return report.model_copy(update={"engine": engine})


def _first(error: Exception) -> Exception:
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


def _say(view: CycleView, words: str) -> None:
    view.still()
    view.console.print(words, highlight=False, markup=False)


def _say_how_to_go_on(jobs: Sequence[Job], fresh: bool) -> None:
    asked = total = 0
    for job in jobs:
        try:
            one = open_run(job.folder.path)
        except PerennialError:
            # Its turn had not come, or it cannot be read: what stopped the run matters more.
            continue
        asked += len(one.report.outcomes)
        total += one.items
    if asked:
        again = "the same command" + " without --fresh" * fresh
        stderr().print(
            f"stopped after {asked} of {total} items, which are kept; {again} goes on",
            highlight=False,
        )


def _show(options: Options, runs: Sequence[Run]) -> int:
    rows: list[dict[str, Any]] = []
    shown: list[dict[str, Any]] = []
    for one in runs:
        own = [{"suite": one.label, **row} for row in slice_rows(one.report.outcomes)]
        own[0]["seconds"] = round(one.report.engine["seconds"], 1)
        rows += own
        shown += own if len(own) <= SLICES_SHOWN else own[:1]
        shown += [{"suite": one.label, **row} for row in trivial_rows(one)]
    value = {
        "version": runs[0].report.version,
        "suites": rows,
        "items": sum(len(one.report.outcomes) for one in runs),
        "seconds": round(sum(one.report.engine["seconds"] for one in runs), 1),
        "reports": [one.report.digest for one in runs],
        "runs": [str(one.folder) for one in runs],
        "trivial": {one.label: told for one in runs if (told := trivial_of(one))},
    }
    # Each suite has its own measures: all of them beside one another would not fit.
    measures = measures_of(runs[0].report.outcomes) if len(runs) == 1 else []
    columns = ("suite", "slice", "mean", "low", "high", "items", "invalid", "faults", *measures)
    title = f"{runs[0].model}, 95% intervals"
    options.put(value, table(shown, *columns, "seconds", title=title))
    for one in runs:
        stderr().print(f"{one.label} is in {one.folder}", highlight=False, markup=False)
    faults = [o.error for one in runs for o in one.report.outcomes if o.error is not None]
    if faults:
        why, count = Counter(faults).most_common(1)[0]
        stderr().print(
            f"{len(faults)} engine faults: the same command asks those items again; "
            f"{count} of them say: {readable(why, WORDS_SHOWN)}",
            markup=False, highlight=False,
        )  # fmt: skip
    return 1 if faults else 0
