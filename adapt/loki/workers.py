"""Attribution by several processes, with the result of one.

Each worker loads the model once, on a GPU of its own where there are several, and turns batches
into sums; the sums are added here, in the order of the batches, so that no bit depends on who was
first. It computes no scores. Called by adapt.stages.
"""

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import cached_property
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import Any

import torch
from torch import nn

from adapt.loki.attribution import Progress, Scorer, add_up, tally
from adapt.loki.definitions import DEFINITIONS, find_definition
from adapt.loki.plan import Facts, Plan, Prompts, facts_of, make_plan
from adapt.loki.scores import Attribution, Tally
from adapt.stage import die_with_parent
from store.errors import ConfigError, StageError

Load = Callable[[str], nn.Module]
"""Device ("cpu", "cuda:0") -> the model there, in evaluation mode. It must pickle by name."""


@dataclass(frozen=True)
class _Task:
    """What all batches of a plan have in common, as far as a worker needs it."""

    definition: str
    steps: int
    k: int
    longest: int


@dataclass
class _Worker:
    """What a worker process keeps between batches."""

    load: Load
    device: str
    scorers: dict[_Task, Scorer] = field(default_factory=dict)

    @cached_property
    def model(self) -> nn.Module:
        """Loaded on first use: an error here is then that of a task, and reaches the caller."""
        return self.load(self.device)


_worker: list[_Worker] = []
"""The one of this process."""


def attribute_in_workers(
    load: Load,
    prompts: Prompts,
    quota_percent: float,
    *,
    workers: int,
    threads: int = 0,
    definition: str = "release",
    steps: int = 7,
    progress: Callable[[Progress], None] | None = None,
    state: Path | None = None,
    identity: str = "",
) -> Attribution:
    """`adapt.loki.attribution.attribute`, a batch at a time in each of `workers` processes.

    With as many `threads` in each (0 leaves torch's own number) as one process has, the result is
    that of one process bit by bit; `state` can be gone on with by either. `load` runs in each
    worker. Raises StageError when a worker dies, and what `attribute` raises.
    """
    find_definition(definition, steps)
    if workers < 1 or threads < 0:
        raise ConfigError(f"{workers} workers with {threads} threads", "use one worker or more")
    context = multiprocessing.get_context("spawn")
    numbers: SimpleQueue[int] = context.SimpleQueue()
    for number in range(workers):
        numbers.put(number)
    pool = ProcessPoolExecutor(workers, context, _begin, (load, numbers, threads, os.getpid()))
    try:
        # One for each worker, so that all load the model at the same time.
        loading = [pool.submit(_facts) for _ in range(workers)]
        plan = make_plan(loading[0].result(), prompts, quota_percent, definition, steps, identity)
        ahead = 2 * workers
        return add_up(plan, lambda todo: _in_order(pool, plan, todo, ahead), progress, state)
    except BrokenProcessPool as error:
        raise StageError(
            "an attribution worker died",
            "out of memory is the usual cause; use fewer workers, it goes on from its state",
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        numbers.close()


def _in_order(
    pool: ProcessPoolExecutor, plan: Plan, todo: Sequence[int], ahead: int
) -> Iterator[Tally]:
    """The sums of batches, at most so many of which are asked for and not yet taken."""
    task = _Task(plan.definition.name, plan.steps, plan.k, plan.longest)
    waiting: deque[Future[Tally]] = deque()
    for index in todo:
        if len(waiting) == ahead:
            yield waiting.popleft().result()
        waiting.append(pool.submit(_tally, task, plan.batch(index)))
    while waiting:
        yield waiting.popleft().result()


def _begin(load: Load, numbers: "SimpleQueue[int]", threads: int, parent: int) -> None:
    """The first thing that a worker does."""
    die_with_parent(parent)
    # Ctrl-C reaches the whole group: without this each worker would print a traceback of its own.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if threads:
        torch.set_num_threads(threads)
    number, gpus = numbers.get(), torch.cuda.device_count()
    _worker[:] = [_Worker(load, f"cuda:{number % gpus}" if gpus else "cpu")]


def _facts() -> Facts:
    return facts_of(_worker[0].model)


def _tally(task: _Task, prompts: list[Any]) -> Tally:
    worker = _worker[0]
    if task not in worker.scorers:
        found = DEFINITIONS[task.definition]
        worker.scorers[task] = Scorer(worker.model, found, task.steps, task.longest)
    return tally(worker.scorers[task](prompts), task.k)
