"""Scores of the rows of every `down_proj`, counted as they come.

Prompts of similar length make a batch; a batch's scores become sums (`adapt.loki.scores.Tally`) and
are dropped, so that memory does not grow with their number. Batches are added up in one order,
whoever computed them. It selects nothing. Called by adapt.stages, adapt.reproduce and, batch by
batch, by adapt.loki.workers; adapt.bench.plain_attribution has the plain forms of the scores.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from adapt.loki.all_positions import baseline, score_all_positions
from adapt.loki.anatomy import frozen
from adapt.loki.definitions import Definition
from adapt.loki.last_token import score_last_token
from adapt.loki.plan import Plan, Prompts, facts_of, make_plan
from adapt.loki.scores import Attribution, Tally
from adapt.loki.tally_file import TallyFile
from store.errors import ModelError


@dataclass(frozen=True)
class Progress:
    """How far attribution is."""

    done: int
    """Prompts."""
    total: int
    seconds_left: float | None
    """An estimate by the tokens so far; None before the first batch of this call."""


def attribute(
    model: nn.Module,
    prompts: Prompts,
    quota_percent: float,
    *,
    definition: str = "release",
    steps: int = 7,
    progress: Callable[[Progress], None] | None = None,
    state: Path | None = None,
    identity: str = "",
) -> Attribution:
    """Score every prompt at its last token, and count and average per row.

    `model` is a causal LM in evaluation mode, on any device; `prompts` are token ids, `steps` the
    points m of the path. k = floor(d_model x quota / 100) rows of each layer count as its lowest
    and highest, and layers x k of the whole model as the global ones; of equal scores the one of
    the lower layer, then the lower row, comes first.

    With `state`, a file, sums are kept there at most every 10 s and whenever this call ends; a
    later call with the same prompts, settings and model goes on from there to the identical result.
    `identity` names the model for that; its shapes always count. Raises ConfigError before any
    work for prompts or settings that cannot be used, ModelError for a model that cannot be.
    """
    plan = make_plan(facts_of(model), prompts, quota_percent, definition, steps, identity)
    scorer = Scorer(model, plan.definition, plan.steps, plan.longest)
    return add_up(
        plan, lambda todo: (tally(scorer(plan.batch(i)), plan.k) for i in todo), progress, state
    )


class Scorer:
    """Scores of batches by one definition; what all batches share is computed once."""

    def __init__(self, model: nn.Module, definition: Definition, steps: int, longest: int) -> None:
        """`longest` is the most tokens of any prompt to come."""
        self.model, self.definition, self.steps = model, definition, steps
        self._start = baseline(model, longest) if definition.positions == "all" else None

    def __call__(self, prompts: Prompts) -> Tensor:
        """Signed scores [N, layers, d_model] of prompts of any lengths, on the model's device.

        float64 when the model is, else float32.
        """
        with frozen(self.model):
            if self._start is None:
                return score_last_token(self.model, prompts, self.definition, self.steps)
            return score_all_positions(
                self.model, prompts, self.definition, self.steps, self._start
            )


def tally(scores: Tensor, k: int) -> Tally:
    """The sums of scores [N, layers, d_model], k rows per layer. ModelError if any is no number."""
    if not bool(torch.isfinite(scores).all()):
        raise ModelError("scores are not finite", "check the weights, or load them in a wider type")
    samples, layers, d_model = scores.shape
    flat = scores.reshape(samples, 1, layers * d_model)

    def hits(values: Tensor, most: int) -> Tensor:
        # A stable sort gives equal scores to the lower index, on every machine.
        chosen = values.sort(dim=-1, stable=True).indices[..., :most]
        table = torch.zeros_like(values, dtype=torch.int32).scatter_(-1, chosen, 1)
        return table.sum(0, dtype=torch.int32).view(layers, d_model)

    exact = scores.double()
    tables = {
        "lowest": hits(scores, k),
        "highest": hits(-scores, k),
        "global_lowest": hits(flat, layers * k),
        "global_highest": hits(-flat, layers * k),
        "mean": exact.sum(0),
        "magnitude": exact.abs().sum(0),
    }
    return Tally({name: table.cpu().numpy() for name, table in tables.items()}, samples)


def add_up(
    plan: Plan,
    work: Callable[[range], Iterator[Tally]],
    progress: Callable[[Progress], None] | None,
    state: Path | None,
) -> Attribution:
    """Add the batches' sums in order. `work` gives those of a range of batches, in its order."""
    kept = TallyFile(state, plan.identity)
    sums, done = kept.read() or (Tally.empty(plan.facts.layers, plan.facts.d_model), 0)
    began, first = time.monotonic(), done
    if progress:
        progress(Progress(sums.samples, len(plan.prompts), None))
    try:
        for found in work(range(done, len(plan.batches))):
            more = Tally.empty(plan.facts.layers, plan.facts.d_model)
            more.add(sums)
            more.add(found)
            # At once: Ctrl-C in between would keep a batch in the sums that is then added again.
            sums, done = more, done + 1
            kept.write_sometimes(sums, done)
            if progress:
                pace = (time.monotonic() - began) / sum(plan.costs[first:done])
                left = pace * sum(plan.costs[done:])
                progress(Progress(sums.samples, len(plan.prompts), left))
    finally:
        kept.write(sums, done)
    return sums.result(plan.quota, plan.definition.name, plan.steps)
