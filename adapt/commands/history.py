"""`perennial cycles` and `perennial versions`: what was done and why, read from the store."""

from typing import Any

from rich.console import Group
from rich.markup import escape

from adapt.commands import Options
from adapt.proposal import proposal
from adapt.show import eval_rows, facts, gate_table, state, table
from store import Store
from store.errors import NotFoundError
from store.records import Cycle, Version
from store.trials import Trial


def list_cycles(options: Options) -> int:
    """All cycles, one row each."""
    with options.read_store() as store:
        rows = [_cycle_row(cycle) for cycle in store.cycles.list()]
    columns = ("number", "state", "started", "seconds", "new", "version", "why")
    options.put(rows, table(rows, *columns) if rows else "no updates yet: perennial update")
    return 0


def show_cycle(options: Options, number: int) -> int:
    """One cycle with its stages and the gate's tests."""
    with options.read_store() as store:
        cycle = store.cycles.get(number)
        version = _cycle_row(cycle)["version"]
        gate = store.reports.gate_of(version) if version else None
    value = cycle.model_dump(mode="json")
    value["gate"] = gate.model_dump(mode="json") if gate else None
    rows = [
        {
            "stage": s.stage.value,
            "seconds": s.seconds,
            "gave": s.error or facts(s.stage, s.outputs or {}) or ("" if s.outputs else "..."),
        }
        for s in cycle.stages
    ]
    head = f"cycle {number}: {state(cycle.state.value)}"
    parts: list[Any] = [head, table(rows, "stage", "seconds", "gave")]
    if cycle.error:
        parts.append(f"[red]{escape(cycle.error)}[/]")
    parts += [gate_table(gate)] if gate else []
    gathered = next((s.outputs for s in cycle.stages if s.outputs and "refused" in s.outputs), {})
    if gathered.get("refused"):
        parts.append(table(gathered["refused"], "address", "reason", title="files refused"))
    if gathered.get("failed"):
        parts.append(table(gathered["failed"], "source", "error", title="sources not read"))
    options.put(value, Group(*parts))
    return 0


def _cycle_row(cycle: Cycle) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for stage in cycle.stages:
        given |= stage.outputs or {}
    spent = (cycle.ended_at - cycle.started_at).total_seconds() if cycle.ended_at else None
    return {
        "number": cycle.number,
        "state": cycle.state.value,
        "started": cycle.started_at.isoformat(timespec="seconds"),
        "seconds": round(spent, 1) if spent is not None else None,
        "new": given.get("new"),
        "version": given.get("version"),
        "why": cycle.error or given.get("words"),
    }


def list_versions(options: Options) -> int:
    """All versions, one row each."""
    with options.read_store() as store:
        tried = {trial.version: trial for trial in store.trials.list()}
        rows = [version_row(v) | _tried(tried.get(v.name)) for v in store.versions.list()]
        advice = proposal(store)
    columns = ("name", "state", "kind", "parent", "created", "trial")
    shown: list[Any] = [table(rows, *columns) if rows else "no versions yet: perennial up"]
    options.put(rows, Group(*shown, *([advice] if advice else [])))
    return 0


def version_row(version: Version) -> dict[str, Any]:
    """A version in short."""
    return {
        "name": version.name,
        "number": version.number,
        "state": version.state.value,
        "kind": version.kind,
        "parent": version.parent,
        "digest": version.digest,
        "created": version.created_at.isoformat(timespec="seconds"),
    }


def _tried(trial: Trial | None) -> dict[str, str | None]:
    """How a version does, or did, once users met it."""
    if trial is None:
        return {"trial": None}
    words = f": {trial.words}" if trial.words else f" for {trial.runs} runs"
    return {"trial": f"{trial.kind} {trial.state.value}{words}"}


def show_version(options: Options, name: str) -> int:
    """A version's lineage (update, skills, documents), its gate report and its scores."""
    with options.read_store() as store:
        version = store.versions.get(name)
        gate = store.reports.gate_of(name)
        scores = eval_rows(store.reports.evals_of(name))
        learned = _documents(store, version)
        update = store.versions.get_update(version.update) if version.update else None
    value = version.model_dump(mode="json", exclude={"probe"}) | {
        "update_record": update.model_dump(mode="json") if update else None,
        "documents": learned,
        "gate": gate.model_dump(mode="json") if gate else None,
        "scores": scores,
    }
    about = {
        "state": state(version.state.value),
        "digest": version.digest,
        "base": version.base_digest,
        "parent": version.parent,
        "update": version.update,
        "skills": ", ".join(f"{s.vector[:12]} x {s.scale:g}" for s in version.skills) or None,
        "probe": f"{len(version.probe.prompts)} prompts" if version.probe else None,
    }
    lines = [f"{key:<8} {text}" for key, text in about.items() if text]
    parts: list[Any] = [f"[bold]{name}[/]", *lines]
    if learned:
        parts.append(table(learned, "title", "address", "trust", title="learned"))
    parts += [gate_table(gate)] if gate else []
    if scores:
        parts.append(table(scores, "suite", "slice", "mean", "low", "high", "items"))
    options.put(value, Group(*parts))
    return 0


def _documents(store: Store, version: Version) -> list[dict[str, Any]]:
    """The documents that this version's own update was made from."""
    if version.update is None:
        return []
    corpus = store.versions.get_update(version.update).corpus_digest
    rows: list[dict[str, Any]] = []
    for digest in store.documents.get_snapshot(corpus).documents:
        try:
            document = store.documents.get(digest)
        except NotFoundError:
            continue
        rows.append(
            document.model_dump(mode="json", include={"digest", "title", "address", "trust"})
        )
    return rows
