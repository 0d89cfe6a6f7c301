"""The judging stages of an update cycle: from a candidate to what is live.

Called by adapt.cycle, which says what each stage is given.
"""

from dataclasses import asdict

from adapt import gate as gates
from adapt.cycle_context import Context, Outputs
from adapt.cycle_suites import cycle_suites
from adapt.evals.items import Suite
from adapt.evals.runner import Progress, decoding_of, run_suite
from adapt.runtime import Runtime
from store.records import EvalReport, Verdict, VersionState


async def evaluate(context: Context, version: Outputs) -> Outputs:
    """Ask the live version and the candidate the same questions, in the engine that serves both."""
    runtime = context.runtime
    store = runtime.store
    candidate = store.versions.get(version["version"])
    live = store.versions.live()
    assert live is not None, "a runtime always has a live version"
    await runtime.swap.load(candidate)
    probe = await runtime.swap.check(candidate)
    suites = cycle_suites(runtime, context.number)
    total = 2 * sum(len(s.items) for s in suites)
    reports: dict[str, dict[str, str]] = {}
    asked = 0
    for suite in suites:
        pair: dict[str, str] = {}
        for side, name in (("live", live.name), ("candidate", candidate.name)):
            report = await report_of(
                runtime,
                suite,
                name,
                lambda done, _, b=asked, s=suite.name: context.progress(b + done, total, s),
            )
            pair[side] = report.digest
            asked += len(suite.items)
        reports[suite.name] = pair
    return {"reports": reports, "probe_difference": round(probe.max_abs_diff, 5) if probe else None}


async def report_of(
    runtime: Runtime, suite: Suite, version: str, progress: Progress | None = None
) -> EvalReport:
    """What a version answers to a suite, in the store: as it was asked before, or asked now."""
    known = _known_report(runtime, version, suite.digest)
    if known is not None:
        return known
    report = await run_suite(
        runtime.engine, suite, version, settings=runtime.settings, progress=progress
    )
    runtime.store.reports.add_eval(report)
    return report


def _known_report(runtime: Runtime, version: str, suite: str) -> EvalReport | None:
    """A report of the same questions to the same version, decoded alike, without engine faults."""
    decoding = asdict(decoding_of(runtime.settings))
    for report in runtime.store.reports.evals_of(version):
        same = report.suite_digest == suite and report.decoding == decoding
        if same and not any(o.error for o in report.outcomes):
            return report
    return None


async def gate(context: Context, version: Outputs, reports: Outputs) -> Outputs:
    """Decide from the paired reports, and record the verdict on the version."""
    store = context.runtime.store
    pairs = {
        name: (store.reports.get_eval(pair["live"]), store.reports.get_eval(pair["candidate"]))
        for name, pair in reports["reports"].items()
    }
    report = gates.decide(pairs, context.runtime.settings.gate)
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
        "suites": [t.model_dump(mode="json", include=fields) for t in report.tests],
    }


async def swap(context: Context, version: Outputs, verdict: Outputs) -> Outputs:
    """Make a promoted candidate live; let a refused one go."""
    runtime = context.runtime
    if Verdict(verdict["verdict"]) is not Verdict.PROMOTE:
        await runtime.swap.trim()
        live = runtime.store.versions.live()
        return {"live": live.name if live else None}
    swapped = await runtime.swap.promote(version["version"])
    return {
        "live": swapped.live,
        "previous": swapped.previous,
        "swap_ms": round(swapped.milliseconds, 1),
    }
