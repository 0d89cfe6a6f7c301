"""Whether our marks of BFCL are those of the benchmark's own checker, item by item.

Right answers, changed ones and, where given, a model's own are judged by both; bfcl_eval runs in
adapt.evals.bfcl.sandbox. Changes nothing and keeps nothing. Called by `perennial eval selfcheck`.
"""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from adapt.evals.benchmarks import Case, folder_of
from adapt.evals.bfcl import mutants as bfcl_mutants
from adapt.evals.bfcl.mutants import Answer, Turns
from adapt.evals.bfcl.sandbox import Sandbox
from adapt.evals.bfcl.turns import judged
from adapt.evals.published.bfcl import SILENT, TURNS, answers, base_of, file_of, load
from adapt.evals.published.reading import lines
from adapt.evals.scoring import bfcl_ast, calls
from adapt.evals.scoring.call_text import Called
from agent.engine import Reply, ToolCall

CPU_S = 600
"""Seconds of CPU that all of bfcl_eval's verdicts may take."""
SHOWN = 20
"""Most differences that are listed."""


def parity(
    data: Path,
    *,
    replies: Mapping[str, Sequence[Called]] | None = None,
    turns_step: int = 8,
    seed: int = 0,
) -> dict[str, Any]:
    """Both verdicts on every item, with every change of its right answer; of conversations, on one
    in `turns_step`, 0 for none: each of theirs takes some tenths of a second.

    `replies` has a model's calls by item name. The result: `items`, `compared`, `differ`, `kinds`
    (by change: how many were compared, right by ours, and differ), `differences` (the first ones)
    and `seconds`. NotFoundError where bfcl-eval is not installed or there are no files.
    """
    return asyncio.run(_compared(data, replies or {}, turns_step, seed))


async def _compared(
    data: Path, replies: Mapping[str, Sequence[Called]], turns_step: int, seed: int
) -> dict[str, Any]:
    started = time.monotonic()
    tally = _Tally()
    folder = folder_of("bfcl", data)
    raw = _Raw(base_of(folder))
    conversations = 0
    async with Sandbox("reference", CPU_S) as box:
        for number, case in enumerate(load(folder)):
            if case.item.slice not in TURNS:
                outputs = list(_outputs(case, replies, seed + number))
                theirs = await _theirs(box, raw, case, [made for _, made in outputs])
                for (kind, made), valid in zip(outputs, theirs, strict=True):
                    tally.add(case, kind, _ours(case, made), valid, made)
                continue
            conversations += 1
            if turns_step and conversations % turns_step == 0:
                await _compare_turns(box, raw, case, tally, seed + number)
    return tally.report() | {"seconds": round(time.monotonic() - started, 1)}


async def _compare_turns(box: Sandbox, raw: "_Raw", case: Case, tally: "_Tally", seed: int) -> None:
    gold: Turns = [list(turn) for turn in case.gold.turns]
    outputs = list(bfcl_mutants.conversations(gold, seed))
    record, listed = raw.of(case)
    answer = await box.ask(
        "turns", entry=record, gold=listed, category=case.item.slice,
        functions=case.item.check["functions"],
        # Each turn is one step of calls; a turn without any has no step.
        outputs=[[[turn] if turn else [] for turn in turns] for _, turns in outputs],
    )  # fmt: skip
    for (kind, turns), valid in zip(outputs, answer["valid"], strict=True):
        mark = await judged(case.item, turns)
        tally.add(case, kind, mark.score == 1.0, valid, turns)


def _outputs(case: Case, replies: Mapping[str, Sequence[Called]], seed: int) -> Iterator[Answer]:
    yield from bfcl_mutants.answers(case.gold.calls, case.item.check.get("calls", ()), seed)
    if case.item.name in replies:
        yield "a model's own", list(replies[case.item.name])


async def _theirs(
    box: Sandbox, raw: "_Raw", case: Case, outputs: Sequence[Sequence[Called]]
) -> list[bool]:
    sent = [[[call.name, call.arguments] for call in made] for made in outputs]
    if case.item.slice in SILENT:
        return (await box.ask("silence", outputs=sent))["valid"]
    record, listed = raw.of(case)
    answer = await box.ask(
        "ast", category=case.item.slice, functions=record["function"], answer=listed, outputs=sent
    )
    return answer["valid"]


def _ours(case: Case, made: Sequence[Called]) -> bool:
    if case.item.slice in SILENT:
        calling = tuple(ToolCall("c", call.name, "{}") for call in made)
        reply = Reply(case.gold.content, calling, "stop", 0, 0, "")
        return calls.mark_silence(case.item, reply).score == 1.0
    return bfcl_ast.compare(case.item, made).score == 1.0


class _Raw:
    """Records and listed answers as published, by category when first asked for."""

    def __init__(self, base: Path) -> None:
        self._base = base
        self._read: dict[str, dict[str, tuple[dict[str, Any], list[Any]]]] = {}

    def of(self, case: Case) -> tuple[dict[str, Any], list[Any]]:
        category = case.item.slice
        if category not in self._read:
            listed = answers(self._base, category)
            read = (record for _, record in lines(file_of(self._base, category)))
            self._read[category] = {one["id"]: (one, listed[one["id"]]) for one in read}
        return self._read[category][case.item.name]


class _Tally:
    """Counts by kind of change, and the first differences."""

    def __init__(self) -> None:
        self._items: set[str] = set()
        self._kinds: dict[str, dict[str, int]] = {}
        self._differences: list[dict[str, Any]] = []

    def add(self, case: Case, kind: str, ours: bool, theirs: bool, made: Any) -> None:
        self._items.add(case.item.name)
        counts = self._kinds.setdefault(kind, {"compared": 0, "right": 0, "differ": 0})
        counts["compared"] += 1
        counts["right"] += ours
        counts["differ"] += ours != theirs
        if ours != theirs and len(self._differences) < SHOWN:
            self._differences.append(
                {
                    "item": case.item.name,
                    "kind": kind,
                    "ours": ours,
                    "theirs": theirs,
                    "made": repr(made)[:400],
                }
            )

    def report(self) -> dict[str, Any]:
        kinds = self._kinds.values()
        return {
            "items": len(self._items),
            "compared": sum(counts["compared"] for counts in kinds),
            "differ": sum(counts["differ"] for counts in kinds),
            "kinds": self._kinds,
            "differences": self._differences,
        }
