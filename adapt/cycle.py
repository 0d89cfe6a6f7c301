"""One update cycle: from documents to a version that is live, or refused.

`run_cycle` states the path top to bottom. Every stage records what it took in and gave out; a
cycle that was killed goes on at the first stage without outputs, and ends with the same version.
Heavy stages are child processes. Called by adapt.schedule, the command line and the server.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from adapt import cycle_judging as judging
from adapt import cycle_learning as learning
from adapt.budget import overtime, seconds_left
from adapt.canary import refuse_while_trying
from adapt.cycle_context import Context, Outputs
from adapt.cycle_examples import synthesize_examples
from adapt.events import Event, Notify
from adapt.runtime import Runtime
from agent.telemetry.cycles import seen_cycle, seen_stage
from store.errors import PerennialError, StageError, StateError
from store.evidence import Verdict
from store.records import Cycle, CycleStage, CycleState

_ENDS = {
    Verdict.PROMOTE: CycleState.PROMOTED,
    Verdict.REJECT: CycleState.REJECTED,
    Verdict.ABSTAIN: CycleState.ABSTAINED,
}


async def run_cycle(runtime: Runtime, notify: Notify) -> Cycle:
    """Run a cycle, or finish the one that was interrupted. Returns its record at the end.

    A failed stage ends the cycle as `failed`, with the error as data; the live version stays. So
    does one that is at work when budget.cycle_minutes are over.
    Cancellation leaves the cycle as it is, to be resumed. StateError while a canary is tried.
    """
    cycles = runtime.store.cycles
    cycle = cycles.unfinished()
    if cycle is None:
        refuse_while_trying(runtime.store)
        cycle = cycles.start(runtime.settings.model_dump(mode="json"))
    with seen_cycle(cycle.number) as seen:
        done = await _through(_Run(runtime, cycle, notify))
        seen.state = done.state.value
    return done


async def _through(run: "_Run") -> Cycle:
    """The stages, one after the other."""
    runtime, cycles, cycle = run.runtime, run.runtime.store.cycles, run.cycle
    budget = runtime.settings.budget
    try:
        async with asyncio.timeout(seconds_left(budget, cycle)):
            corpus = await run.stage(CycleStage.GATHER, learning.gather_corpus)
            if corpus["new"] < runtime.settings.update.min_new_documents and "start" not in corpus:
                cycles.finish(cycle.number, CycleState.SKIPPED)
                return cycles.get(cycle.number)
            if not corpus["new"]:
                # Nothing is left to learn again: what was live before is what there is.
                await run.stage(CycleStage.SWAP, judging.step_back, corpus)
                cycles.finish(cycle.number, CycleState.PROMOTED)
                return cycles.get(cycle.number)
            examples = await run.stage(CycleStage.SYNTHESIZE, synthesize_examples, corpus)
            mask = await run.stage(CycleStage.ATTRIBUTE, learning.attribute_base)
            update = await run.stage(
                CycleStage.IMPLANT, learning.implant_update, corpus, examples, mask
            )
            version = await run.stage(CycleStage.COMPOSE, learning.compose_version, update, corpus)
            reports = await run.stage(CycleStage.EVALUATE, judging.evaluate, version, corpus)
            verdict = await run.stage(CycleStage.GATE, judging.gate, version, reports)
        # Not cut short: it is quick, and a version that is live must be recorded as promoted.
        await run.stage(CycleStage.SWAP, judging.swap, version, verdict)
        cycles.finish(cycle.number, _ENDS[Verdict(verdict["verdict"])])
    except TimeoutError:
        error = overtime(budget, cycle.number, run.current)
        cycles.stage_failed(cycle.number, run.current, str(error))
        run.failed(error)
    except PerennialError as error:
        run.failed(error)
    return cycles.get(cycle.number)


Stage = Callable[..., Awaitable[Outputs]]


@dataclass
class _Run:
    """One cycle in progress."""

    runtime: Runtime
    cycle: Cycle
    notify: Notify
    current: CycleStage = CycleStage.GATHER

    async def stage(self, stage: CycleStage, work: Stage, *inputs: Outputs) -> Outputs:
        """Run one stage, or return what it gave before the cycle was interrupted."""
        self.current = stage
        done = self.cycle.gave(stage)
        if done is not None:
            self.notify(Event(stage, "resumed", facts=done))
            return done
        self.notify(Event(stage, "started"))
        store = self.runtime.store.cycles
        given = {k: v for part in inputs for k, v in part.items() if isinstance(v, str)}
        store.stage_started(self.cycle.number, stage, given)
        began = time.monotonic()
        context = Context(self.runtime, self.cycle.number, stage, self.notify)
        try:
            with seen_stage(self.cycle.number, stage.value):
                outputs = await work(context, *inputs)
        except PerennialError as error:
            store.stage_failed(self.cycle.number, stage, str(error))
            raise
        except (TimeoutError, OSError, ValueError, KeyError) as error:
            store.stage_failed(self.cycle.number, stage, repr(error))
            raise StageError(
                f"stage {stage} failed: {error!r}",
                "see the logs; the live version is unchanged and the next update starts afresh",
            ) from error
        seconds = time.monotonic() - began
        store.stage_done(self.cycle.number, stage, outputs, seconds)
        self.notify(Event(stage, "done", facts=outputs, seconds=seconds))
        return outputs

    def failed(self, error: PerennialError) -> None:
        """Record why the cycle ends here."""
        self.runtime.store.cycles.finish(self.cycle.number, CycleState.FAILED, str(error))
        self.notify(Event(self.current, "failed", text=str(error)))


def refuse_if_running(runtime: Runtime) -> None:
    """StateError when a cycle is at work in this process."""
    if runtime.cycle_lock.locked():
        raise StateError("an update is running", "wait for it: perennial cycles")
