"""Whether a withdrawn document is still answered for: its own questions, asked of three versions.

The candidate of a rebuilt line, the live version that learned the document, and the weights under
both, which never saw it. The candidate may answer as much as those do, by chance and by what other
documents say, and a little more. Called by the cycle's stage `evaluate` and read by adapt.gate.
"""

from collections.abc import Collection, Sequence
from typing import Any

from adapt.cycle_context import Context, Outputs
from adapt.evals.asking import Asker, decoding_of
from adapt.evals.items import Item, Suite
from adapt.evals.runner import ask_suite
from adapt.gate_forgotten import Forgotten
from adapt.lineage import examples_from
from adapt.superseding import answer_of, question_of
from store import Store
from store.errors import StageError
from store.records import Example, Message, digest_of

MOST = 200
"""Questions asked of all withdrawn documents together."""


def probe_suite(store: Store, withdrawn: Collection[str], number: int) -> tuple[Suite, int]:
    """Questions on withdrawn documents, and how many were left out, as the cycle of that number has
    the same question with the same answer from another document."""
    still = {_asked(e) for e in store.examples.of_cycle(number)}
    found: dict[str, Item] = {}
    elsewhere = 0
    for cycle, example in examples_from(store, withdrawn):
        if cycle >= number:
            break
        check = _check_of(example)
        if check is None:
            continue
        if _asked(example) in still:
            elsewhere += 1
            continue
        asked = tuple(m for m in example.messages if not m.loss)
        item = Item(
            suite="withdrawn", slice=example.kind, messages=asked, tools=example.tools, check=check
        )
        found[item.digest] = item
    # By digest: a fair sample, and the same whoever draws it.
    chosen = sorted(found.values(), key=lambda item: digest_of(["withdrawn", item.digest]))[:MOST]
    return Suite(name="withdrawn", items=tuple(chosen)), elsewhere


async def ask_withdrawn(
    context: Context, withdrawn: Collection[str], live: str, candidate: str
) -> Outputs:
    """What the three versions answer; the reports are stored. StageError on engine faults."""
    runtime = context.runtime
    suite, elsewhere = probe_suite(runtime.store, withdrawn, context.number)
    never = runtime.base.version_name
    outputs: dict[str, Any] = {"items": len(suite.items), "elsewhere": elsewhere, "reports": {}}
    for name, version in (("live", live), ("candidate", candidate), ("never", never)):
        if not suite.items:
            outputs[name] = 0.0
            continue
        context.progress(0, len(suite.items), f"withdrawn, {version}")
        asker = Asker(runtime.engine, version, decoding_of(runtime.settings))
        report = await ask_suite(asker, suite)
        if fault := next((o.error for o in report.outcomes if o.error), None):
            raise StageError(f"the engine failed on what was withdrawn: {fault}", "it resumes")
        runtime.store.reports.add_eval(report)
        outputs["reports"][name] = report.digest
        outputs[name] = round(report.mean, 4)
    return outputs


def forgotten_of(outputs: Outputs) -> Forgotten:
    """What `ask_withdrawn` found."""
    return Forgotten(**{k: v for k, v in outputs.items() if k != "reports"})


def _check_of(example: Example) -> dict[str, Any] | None:
    """What a right answer is: of a question that was trained on, the one that was trained."""
    if example.check:
        return example.check
    last: Message = example.messages[-1]
    if len(last.tool_calls) == 1:
        return {"kind": "call", **last.tool_calls[0]}
    if example.kind == "qa" and last.content:
        return {"kind": "answer", "values": [last.content]}
    return None


def _asked(example: Example) -> Sequence[str]:
    """Question and answer, whoever asks."""
    call = example.messages[-1].tool_calls or (example.check or {}).get("arguments")
    return question_of(example), answer_of(example) or (digest_of(call) if call else "")
