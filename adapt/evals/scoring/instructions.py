"""IFEval's score of one reply: every rule kept, to the letter; how many were, beside it.

The rules are in adapt.evals.scoring.instruction_rules. A check has `instructions`, a list of
`{"id": ..., "arguments": {...}}`. Called by adapt.evals.scoring.checks.
"""

from collections.abc import Callable

from adapt.evals.items import Item
from adapt.evals.scoring.instruction_rules import holds
from adapt.evals.scoring.marks import Mark, invalid, wrong
from agent.engine import Reply


def mark_instructions(item: Item, reply: Reply) -> Mark:
    """Right when all rules hold: the paper's strict accuracy by prompt.

    Measures: `kept`, the share of the item's rules that hold; `loose` and `kept_loose`, the same
    two by the paper's loose criterion, which also takes the reply without its first line, its last
    line, both, or its asterisks.
    """
    if reply.tool_calls:
        return wrong("called a tool instead of answering", kept=0.0, loose=0.0, kept_loose=0.0)
    text = reply.content
    if not text.strip():
        return invalid("empty answer", kept=0.0, loose=0.0, kept_loose=0.0)
    rules = [(one["id"], one["arguments"]) for one in item.check["instructions"]]
    strict = [holds(id, arguments, text) for id, arguments in rules]
    # Most of the eight are the same where there are no asterisks or one line.
    variants = [form for form in dict.fromkeys(loose_variants(text)) if form != text]
    loose = [
        kept or any(holds(id, arguments, variant) for variant in variants)
        for kept, (id, arguments) in zip(strict, rules, strict=True)
    ]
    broken = [id for (id, _), kept in zip(rules, strict, strict=True) if not kept]
    measures = {
        "kept": sum(strict) / len(rules) if rules else 1.0,
        "loose": float(all(loose)),
        "kept_loose": sum(loose) / len(rules) if rules else 1.0,
    }
    detail = f"broke {', '.join(broken)}" if broken else "right"
    return Mark(float(not broken), detail, measures=measures)


def loose_variants(text: str) -> list[str]:
    """The reply in eight forms: without first line, last line or both, each without asterisks."""
    lines = text.split("\n")
    cut = [lines, lines[1:], lines[:-1], lines[1:-1]]
    forms = ["\n".join(kept).strip() for kept in cut]
    return [*forms, *(form.replace("*", "") for form in forms)]


SCORERS: dict[str, Callable[[Item, Reply], Mark]] = {"instructions": mark_instructions}
