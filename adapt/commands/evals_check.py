"""`perennial eval selfcheck`: whether the scorers hold, and whether BFCL's are those of BFCL."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adapt.commands import Options
from adapt.commands.evals_find import run_named
from adapt.evals.bfcl.parity import parity
from adapt.evals.bfcl.sandbox import root
from adapt.evals.runs.results import Run
from adapt.evals.runs.transcript import readable
from adapt.evals.scoring.call_text import Called
from adapt.evals.scoring.calls import calls_of
from adapt.evals.scoring.marks import Mark
from adapt.evals.selfchecking.replaying import OWN
from adapt.evals.selfchecking.selfcheck import selfcheck as check
from adapt.show import CycleView, stderr, table
from agent.engine import Reply, ToolCall
from store.errors import ConfigError, NotFoundError

BFCL, PARITY = "bfcl", "bfcl_parity"


def selfcheck(options: Options, names: Sequence[str], data: Path, run: str | None) -> int:
    """Whether the scorers pass every gold answer and no spoiled one, and mark BFCL as its own
    checker does. 1 when not."""
    replies: dict[str, list[Called]] = {}
    if not data.is_dir() and not (names and all(name in OWN for name in names)):
        # Without this, a mistyped folder would check nothing published and say that all is well.
        raise NotFoundError(
            f"there is no folder {data}", "give the folder with the benchmarks' files as --data"
        )
    if run is not None:
        if names and BFCL not in names:
            raise ConfigError("--run is about bfcl, which is not checked", "name bfcl as well")
        # What was asked for and then left out would look compared: this raises where it is not
        # installed.
        root()
        replies = _replies(run_named(options, run))
    with CycleView() as view:

        def progress(name: str, items: int) -> None:
            view.moving(f"checking {name}: {items} items")

        found = check(data, list(names), progress)
        if BFCL in found["benchmarks"]:
            view.moving("comparing our marks of bfcl with those of bfcl-eval")
            try:
                found[PARITY] = parity(data, replies=replies)
            except NotFoundError as error:
                found["skipped"][PARITY] = f"{error.message}; {error.hint}"
    compared = found.get(PARITY)
    if compared and compared["differ"]:
        found["ok"] = False
    _show(options, found)
    if run is not None and not (compared and compared["kinds"].get("a model's own")):
        raise NotFoundError(
            f"none of the items of {run} was compared", "give a run of bfcl with items of --data"
        )
    return 0 if found["ok"] else 1


def _show(options: Options, found: dict[str, Any]) -> None:
    rows = [
        {
            "benchmark": name,
            **{key: told[key] for key in ("items", "gold", "exceptions")},
            # Of spoiled answers none may pass: 0 of those tried is well.
            **{c: f"{n['passed']} of {n['tried']}" for c, n in told["corruptions"].items()},
            **told["trivial"],
        }
        for name, told in found["benchmarks"].items()
    ]
    options.put(found, table(rows, *dict.fromkeys(key for row in rows for key in row)))
    for name, why in found["skipped"].items():
        _say(f"skipped {name}: {why}")
    for failure in found["failures"]:
        where = " ".join(failure[key] for key in ("benchmark", "item") if failure[key])
        _say(f"failed: {where}: {failure['what']}: {failure['detail']}")
    if compared := found.get(PARITY):
        _say(
            f"bfcl beside bfcl-eval: {compared['compared']:,} replies to {compared['items']:,} "
            f"items marked by both, {compared['differ']} differ"
        )
        for one in compared["differences"]:
            _say(
                f"differs: {one['item']} ({one['kind']}), ours {one['ours']}, theirs "
                f"{one['theirs']}: {one['made']}"
            )


def _say(words: str) -> None:
    stderr().print(readable(words), markup=False, highlight=False)


def _replies(run: Run) -> dict[str, list[Called]]:
    """The calls that a model made, by item; of replies that can be read, to items of one reply."""
    if run.report.suite != BFCL:
        raise ConfigError(f"--run is a run of {run.label}", "give a run of bfcl")
    found: dict[str, list[Called]] = {}
    for entry in run.entries():
        if entry.check.get("kind") not in ("calls", "silence") or not entry.messages:
            continue
        called = calls_of(_reply(entry.messages[-1]))
        if not isinstance(called, Mark):
            found[entry.name] = called
    if not found:
        raise NotFoundError(
            f"{run.label} of {run.model} has no transcripts to compare", "give a run's folder"
        )
    return found


def _reply(message: dict[str, Any]) -> Reply:
    calls = tuple(
        ToolCall(call["id"], call["function"]["name"], call["function"]["arguments"])
        for call in message.get("tool_calls") or ()
    )
    return Reply(message["content"], calls, "", 0, 0, "")
