"""A run as one HTML page: scores by slice, what went wrong, transcripts; two runs side by side.

The page needs no network and runs no script. All text of models and benchmarks is escaped, and cut
where it is very long. The layout is report.html.jinja. Called by `perennial eval report`.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapt.evals.runs.compare import Comparison, compare
from adapt.evals.runs.journal import Entry
from adapt.evals.runs.results import (
    Run,
    label_of,
    measures_of,
    reasons,
    slice_rows,
    worst,
)
from adapt.evals.runs.transcript import MOST, calls_of, readable, text_of
from adapt.evals.selfchecking.trivial import trivial_of
from store.evidence import ItemOutcome

WRONG_SHOWN, RIGHT_SHOWN, CHANGED_SHOWN = 200, 20, 200
"""Most transcripts of a page: thousands of them no browser opens."""
DETAIL_SHOWN = 160
"""Characters of a reason beside an item's name."""
TEMPLATE = "report.html.jinja"


@dataclass(frozen=True)
class Said:
    """One message as it is shown."""

    role: str
    text: str
    calls: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Shown:
    """One item: what it was asked, and what each run (one or two) said."""

    name: str
    slice: str
    asked: Sequence[Said]
    tools: str
    wanted: str
    answers: "Sequence[Answer]"


@dataclass(frozen=True)
class Answer:
    """What one run said to an item, and its score."""

    score: float
    state: str
    """`right`, `partly`, `wrong`, `invalid` or `fault`."""
    detail: str
    said: Sequence[Said]
    tokens: int


def page(run: Run, against: Run | None = None) -> str:
    """The page. ConfigError where `against` asked other items or with other decoding."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, finalize=_plain,
    )  # fmt: skip
    environment.filters["short"] = lambda text: readable(text, DETAIL_SHOWN)
    outcomes = run.report.outcomes
    compared = compare(against.report, run.report) if against else None
    rows = _rows(run, compared)
    return environment.get_template(TEMPLATE).render(
        run=run,
        against=against,
        compared=compared,
        whole=rows[0],
        trivial=trivial_of(run) or {},
        slices=rows[1:],
        measures=measures_of(outcomes),
        reasons=reasons(outcomes, 8),
        facts=_facts(run),
        sections=_changed(run, against, compared) if against and compared else _sections(run),
    )


def _plain(value: Any) -> Any:
    """What each text of the page goes through, so that none is forgotten."""
    if not isinstance(value, str) or hasattr(value, "__html__"):
        # What has __html__ is the page's own: its texts have been here already.
        return value
    # Texts of messages are cut already, and end in words that say so.
    return readable(value, 2 * MOST)


def _rows(run: Run, compared: Comparison | None) -> list[dict[str, Any]]:
    """Slices, with what a comparison says of them, and whether they are a part of the row above."""
    rows = slice_rows(run.report.outcomes)
    other = {d.slice: d for d in compared.slices} if compared else {}
    families = {row["slice"] for row in rows if row["slice"].endswith("/*")}
    return [
        {
            **row, "change": other.get(row["slice"]),
            "part": row["slice"] not in families and f"{row['slice'].split('/')[0]}/*" in families,
        }
        for row in rows
    ]  # fmt: skip


def _facts(run: Run) -> list[tuple[str, str]]:
    """How the run was made."""
    report = run.report
    decoding = ", ".join(f"{name} {value}" for name, value in report.decoding.items())
    facts = [("suite", f"{run.label}, digest {report.suite_digest[:12]}"), ("decoding", decoding)]
    if run.asked and run.asked.setting:
        told = ", ".join(f"{name} {value}" for name, value in run.asked.setting.items() if value)
        facts.append(("played by", told))
    if run.asked and run.asked.endpoint:
        facts.append(("endpoint", run.asked.endpoint))
    if seconds := report.engine.get("seconds"):
        facts.append(("time", f"{seconds:,.0f} s"))
    facts.append(("report", report.digest[:12]))
    facts.append(("made", report.created_at.strftime("%Y-%m-%d %H:%M UTC")))
    return facts


def _sections(run: Run) -> list[tuple[str, str, list[Shown]]]:
    """Transcripts of one run by what came of the items: title, how many of how many, items."""
    outcomes = run.report.outcomes
    wrong = worst(outcomes)
    right = [o for o in outcomes if o.score == 1 and o.error is None]
    faults = [o for o in outcomes if o.error is not None]
    entries = _entries(run, [*wrong[:WRONG_SHOWN], *right[:RIGHT_SHOWN]])
    sections = [
        ("Not right, the worst first", wrong, WRONG_SHOWN),
        ("Engine faults: not asked, and in no score", faults, WRONG_SHOWN),
        ("Right, the first ones", right, RIGHT_SHOWN),
    ]
    return [
        (title, _of(found, most), [_shown([o], [entries.get(o.item)]) for o in found[:most]])
        for title, found, most in sections
        if found
    ]


def _changed(run: Run, against: Run, compared: Comparison) -> list[tuple[str, str, list[Shown]]]:
    """Items that one run did better at than the other, both transcripts."""
    groups = [("Lost", compared.lost), ("Won", compared.won)]
    chosen = [o for _, pairs in groups for pair in pairs[:CHANGED_SHOWN] for o in pair]
    before, after = _entries(against, chosen), _entries(run, chosen)
    return [
        (
            title,
            _of(pairs, CHANGED_SHOWN),
            [
                _shown(pair, [before.get(pair[0].item), after.get(pair[1].item)])
                for pair in pairs[:CHANGED_SHOWN]
            ],
        )
        for title, pairs in groups
    ]


def _of(found: Sequence[Any], most: int) -> str:
    return f"{most} of {len(found):,}" if len(found) > most else f"{len(found)}"


def _entries(run: Run, outcomes: Iterable[ItemOutcome]) -> Mapping[str, Entry]:
    """The transcripts of these items; others are not kept in memory."""
    wanted = {o.item for o in outcomes}
    return {entry.item: entry for entry in run.entries() if entry.item in wanted}


def _shown(outcomes: Sequence[ItemOutcome], entries: Sequence[Entry | None]) -> Shown:
    """What the runs' conversations have in common is the question; the rest is each one's."""
    talks = [list(e.messages) if e else [] for e in entries]
    told = [talk for talk in talks if talk]
    common = 0
    while told and all(len(t) > common and t[common] == told[0][common] for t in told):
        if told[0][common].get("role") == "assistant":
            break
        common += 1
    first = next((e for e in entries if e), None)
    check = first.check if first else {}
    return Shown(
        name=readable(label_of(outcomes[0])),
        slice=outcomes[0].slice,
        asked=[_said(m) for m in told[0][:common]] if told else [],
        tools=readable(", ".join(first.tools)) if first else "",
        wanted=readable(_wanted(check)),
        answers=[
            _answer(outcome, entry, talk[common:])
            for outcome, entry, talk in zip(outcomes, entries, talks, strict=True)
        ],
    )


def _answer(outcome: ItemOutcome, entry: Entry | None, talk: list[dict[str, Any]]) -> Answer:
    said = [_said(m) for m in talk]
    if not said and outcome.answer:
        # A report of a store has the last words alone.
        said = [Said("assistant", readable(outcome.answer))]
    return Answer(
        score=outcome.score,
        state=_state(outcome),
        detail=readable(outcome.error or outcome.detail),
        said=said,
        tokens=entry.completion_tokens if entry else 0,
    )


def _state(outcome: ItemOutcome) -> str:
    if outcome.error is not None:
        return "fault"
    if outcome.score == 1:
        return "right"
    if outcome.score > 0:
        return "partly"
    return "wrong" if outcome.valid else "invalid"


def _said(message: Mapping[str, Any]) -> Said:
    return Said(str(message.get("role")), text_of(message), calls_of(message))


def _wanted(check: Mapping[str, Any]) -> str:
    """What the item's check holds, for people."""
    if "value" in check:
        return str(check["value"])
    if "values" in check:
        return " | ".join(map(str, check["values"]))
    rest = {name: value for name, value in check.items() if name != "kind"}
    return json.dumps(rest, indent=1, ensure_ascii=False) if rest else str(check.get("kind", ""))
