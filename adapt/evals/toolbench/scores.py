"""The score of a played query, without a judge: it ended with an answer, by the relevant APIs.

Score = (Finish with give_answer and an answer that is not empty) x F1 of the calls against the
query's relevant APIs. Finish alone would pay for answers made up out of nothing. Recall instead of
F1 would pay for calling all that is offered: that alone has recall 1 at a mean precision of 0.59.
On 9,026 published runs of 12 variants of ToolLLaMA, judged by gpt-4-turbo, SoPR correlates over the
variants 0.85 with the Finish rate, 0.87 with Finish x recall and -0.38 with recall alone; on single
queries no such rule agrees with the judge beyond kappa 0.36. So this is a figure to compare
versions by under one setting, and no estimate of SoPR. Asks nothing. Called by
adapt.evals.toolbench.play.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from adapt.evals.items import Item
from adapt.evals.scoring.marks import Mark
from adapt.evals.toolbench.cache import canonical
from adapt.evals.toolbench.functions import FINISH
from adapt.evals.toolbench.protocol import Status
from adapt.evals.toolbench.steps import Step, Trace, read_arguments

_WHY = {
    "give_up": "gave up",
    "context": "the conversation outgrew the context",
    "depth": "reached the step limit without Finish",
    "queries": "reached the limit of replies without Finish",
}


@dataclass(frozen=True)
class Agreement:
    """How the calls of a path agree with the relevant APIs."""

    precision: float
    recall: float

    @property
    def f1(self) -> float:
        """Harmonic mean, 0 where nothing agrees."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0


def agreement_of(steps: Sequence[Step], relevant: Sequence[str]) -> Agreement:
    """Precision: the share of the calls that are valid calls of a relevant API. Recall: the share
    of the relevant APIs with such a call.

    An API may be called several times with other arguments. A call that repeats an earlier one is
    wrong, unless that one had failed. Nothing else that the functions replied matters.
    """
    wanted, called = set(relevant), set[str]()
    answered: set[tuple[str, str]] = set()
    right = made = 0
    for step in steps:
        if step.function == FINISH:
            continue
        made += 1
        given = read_arguments(step.arguments)
        call = (step.function, canonical(given) if given is not None else step.arguments)
        if step.valid and step.function in wanted and call not in answered:
            right += 1
            called.add(step.function)
        if step.status is Status.OK:
            answered.add(call)
    return Agreement(right / made if made else 0.0, len(called) / len(wanted))


def mark_trace(item: Item, trace: Trace) -> Mark:
    """The mark of one played query of kind `toolbench`, with the figures beside the score.

    `valid_calls` is the share of calls whose function is there and whose arguments fit; `replies_x`
    counts the calls over all paths that x answered.
    """
    path, explorer = trace.path, trace.explorer
    agreement = agreement_of(path.steps, item.check["relevant"])
    answered = path.ending == "answer" and bool(path.answer.strip())
    valid = sum(step.valid for step in path.steps)
    measures = {
        "finish": float(answered),
        "precision": agreement.precision,
        "recall": agreement.recall,
        "f1": agreement.f1,
        "valid_calls": valid / len(path.steps) if path.steps else 0.0,
        "steps": float(len(path.steps)),
        "queries": float(explorer.queries),
    } | {f"replies_{source}": float(count) for source, count in explorer.sources.items()}
    if answered:
        return Mark(agreement.f1, _detail(agreement), measures=measures)
    if path.ending == "answer":
        return Mark(0.0, "empty answer", valid=False, measures=measures)
    # A run that never made a call that can be read has nothing that could be right.
    why = _WHY[path.ending] if path.steps else f"called nothing: {_WHY[path.ending]}"
    return Mark(0.0, why, valid=valid > 0, measures=measures)


def _detail(agreement: Agreement) -> str:
    if agreement.f1 == 1.0:
        return "right"
    return f"relevant APIs: precision {agreement.precision:.2f}, recall {agreement.recall:.2f}"
