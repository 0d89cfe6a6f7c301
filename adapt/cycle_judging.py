"""The judging stages of an update cycle: from a candidate to what is live.

Called by adapt.cycle, which says what each stage is given.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import numpy as np

from adapt import gate as gates
from adapt.canary import make_live, put_forward
from adapt.cycle_context import Context, Outputs
from adapt.cycle_suites import PINNED, cycle_suites
from adapt.evals.asking import Asker, decoding_of
from adapt.evals.items import Suite
from adapt.evals.pairs import PairedRun
from adapt.evals.runner import ask_suite
from adapt.forgetting import ask_withdrawn, forgotten_of
from adapt.gate_suite import decided_against
from adapt.runtime import Runtime
from adapt.spending import level_of
from store.evidence import EvalReport, ItemOutcome, Verdict
from store.records import VersionState


async def evaluate(context: Context, version: Outputs, corpus: Outputs) -> Outputs:
    """Ask the live version and the candidate the same questions, in the engine that serves both.

    Stops where a suite has shown harm, unless gate.stop_early is off. Where a line is made anew,
    what was withdrawn is asked too.
    """
    runtime = context.runtime
    store = runtime.store
    candidate = store.versions.get(version["version"])
    live = store.versions.live()
    assert live is not None, "a runtime always has a live version"
    await runtime.swap.load(candidate)
    probe = await runtime.swap.check(candidate)
    suites = cycle_suites(runtime, context.number, rebuilds="start" in corpus)
    known = _known_outcomes(runtime, live.name)
    base = store.versions.first()
    total = sum(len(s.items) for s in suites)
    outputs: Outputs = {"reports": {}, "planned": {}, "since": {}}
    asked = 0
    for suite in suites:
        versions = (live.name, candidate.name)
        pair = await _ask_pair(context, suite, versions, known, asked, total)
        for report in pair:
            store.reports.add_eval(report)
        outputs["reports"][suite.name] = {"live": pair[0].digest, "candidate": pair[1].digest}
        outputs["planned"][suite.name] = len(suite.items)
        asked += len(suite.items)
        if suite.name in PINNED and base.name != live.name:
            since = await _since_base(runtime, suite, base.name)
            if since is not None:
                outputs["since"][suite.name] = since.digest
        if len(pair[1].outcomes) < len(suite.items):
            # Harm is shown: what the other suites would say cannot save the candidate.
            break
    if withdrawn := corpus.get("withdrawn"):
        outputs["withdrawn"] = await ask_withdrawn(context, withdrawn, live.name, candidate.name)
    outputs["probe_difference"] = round(probe.max_abs_diff, 5) if probe else None
    return outputs


async def _ask_pair(
    context: Context, suite: Suite, names: tuple[str, str], known: Mapping[str, ItemOutcome],
    asked: int, total: int,
) -> tuple[EvalReport, EvalReport]:  # fmt: skip
    """Both versions' reports on one suite. `asked` of `total` items are done before it."""
    runtime = context.runtime
    settings, decoding = runtime.settings.gate, decoding_of(runtime.settings)

    def settled(outcomes: Sequence[tuple[ItemOutcome, ItemOutcome]]) -> bool:
        d = np.array([candidate.score - live.score for live, candidate in outcomes])
        return decided_against(d, suite.name, settings)

    return await PairedRun(
        live=Asker(runtime.engine, names[0], decoding),
        candidate=Asker(runtime.engine, names[1], decoding),
        suite=suite,
        known=known,
        settled=settled if settings.stop_early else None,
        progress=lambda done, _: context.progress(asked + done, total, suite.name),
    ).ask()


async def _since_base(runtime: Runtime, suite: Suite, base: str) -> EvalReport | None:
    """What the first base answers to a suite. On merged weights no engine serves it: then what was
    recorded of it while one did, None where that is not all of the suite."""
    if runtime.base.version_name == base:
        return await report_of(runtime, suite, base)
    decoding = asdict(decoding_of(runtime.settings))
    for report in reversed(runtime.store.reports.evals_of(base)):
        whole = len(report.outcomes) == len(suite.items) and not any(
            outcome.error for outcome in report.outcomes
        )
        if whole and (report.suite_digest, report.decoding) == (suite.digest, decoding):
            return report
    return None


async def report_of(runtime: Runtime, suite: Suite, version: str) -> EvalReport:
    """What a version answers to a whole suite, in the store: asked now where it is not known."""
    known = _known_outcomes(runtime, version)
    asker = Asker(runtime.engine, version, decoding_of(runtime.settings))
    report = await ask_suite(asker, suite, known=known)
    runtime.store.reports.add_eval(report)
    return report


def _known_outcomes(runtime: Runtime, version: str) -> dict[str, ItemOutcome]:
    """What a version answered before, decoded alike, by item; without engine faults."""
    decoding = asdict(decoding_of(runtime.settings))
    return {
        outcome.item: outcome
        for report in runtime.store.reports.evals_of(version)
        if report.decoding == decoding
        for outcome in report.outcomes
        if not outcome.error
    }


async def gate(context: Context, version: Outputs, reports: Outputs) -> Outputs:
    """Decide from the paired reports, and record the verdict on the version."""
    store = context.runtime.store
    pairs = {
        name: (store.reports.get_eval(pair["live"]), store.reports.get_eval(pair["candidate"]))
        for name, pair in reports["reports"].items()
    }
    settings = context.runtime.settings.gate
    earlier = [r.verdict is Verdict.PROMOTE for r in store.reports.gates() if r.tested]
    report = gates.decide(
        pairs,
        settings,
        level=level_of(earlier, settings.alpha),
        planned=reports.get("planned"),
        forgotten=forgotten_of(reports["withdrawn"]) if "withdrawn" in reports else None,
        since={
            name: (store.reports.get_eval(digest), pairs[name][1])
            for name, digest in reports.get("since", {}).items()
        },
    )
    store.reports.add_gate(report)
    states = {
        Verdict.PROMOTE: VersionState.PROMOTED,
        Verdict.REJECT: VersionState.REJECTED,
        Verdict.ABSTAIN: VersionState.ABSTAINED,
    }
    if store.versions.get(version["version"]).state is VersionState.CANDIDATE:
        store.versions.move(version["version"], states[report.verdict])
    fields = {"suite", "items", "live", "candidate", "verdict"}
    return {
        "gate": report.digest,
        "verdict": report.verdict.value,
        "words": report.words,
        "summary": list(report.summary),
        "suites": [t.model_dump(mode="json", include=fields) for t in report.tests],
    }


async def step_back(context: Context, corpus: Outputs) -> Outputs:
    """Make live the version that a line is made anew from, where there is nothing to add to it."""
    swapped = await make_live(context.runtime, corpus["start"], "what it learned was withdrawn")
    return {
        "live": swapped.live, "previous": swapped.previous,
        "swap_ms": round(swapped.milliseconds, 1),
    }  # fmt: skip


async def swap(context: Context, version: Outputs, verdict: Outputs) -> Outputs:
    """Put a promoted candidate forward, live or as a canary; let a refused one go."""
    runtime = context.runtime
    if Verdict(verdict["verdict"]) is not Verdict.PROMOTE:
        await runtime.swap.trim()
        live = runtime.store.versions.live()
        return {"live": live.name if live else None}
    return await put_forward(runtime, version["version"])
