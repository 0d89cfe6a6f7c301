"""`perennial reproduce loki`: what each method learns of new documents, and what it loses.

Every arm is tuned over the same learning rates on a world of its own, then run on worlds of other
seeds; also what happens when rows are zeroed, and ten updates in a row. Results of single runs are
kept, so that a stopped study goes on. It draws nothing (adapt.reproduce.report). Called by
adapt.commands.reproduce.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoTokenizer

from adapt.base import BaseModel
from adapt.loki.anatomy import decoder_layers
from adapt.loki.attribution import attribute
from adapt.loki.batches import cut_prompts
from adapt.loki.learning import Trained, train_method
from adapt.loki.scores import Attribution
from adapt.loki.selection import Mask, Rule, select
from adapt.rehearsal import rehearsed
from adapt.render import Rendered, Renderer
from adapt.reproduce.arms import GRID, Arm
from adapt.reproduce.forced import given
from adapt.reproduce.ledger import Ledger, Result
from adapt.reproduce.losses import learned_of
from adapt.reproduce.world import Abilities, general_examples, make_world, old_abilities
from store.records import Example, digest_of

Progress = Callable[[str], None]
TUNED_ON = 0
"""The world on which learning rates are chosen; the compared seeds begin at 1."""
TARGET = 0.6
"""Share of what is new that must be known, so that methods are compared at matched learning."""
SEQUENCE = 100
"""First seed of the worlds that are learned in a row."""


class Study:
    """The embedded model, what it could do before, and the results so far."""

    def __init__(self, base: BaseModel, folder: Path, progress: Progress) -> None:
        self.base, self.folder, self.progress = base, folder, progress
        # As in an update: gradients of what is learned already are denormal, and slow on a CPU.
        torch.set_flush_denormal(True)
        # The same bits on any machine; two studies of other arms use two cores better than one.
        torch.set_num_threads(1)
        self.ledger = Ledger(folder / "runs.jsonl")
        self.tokenizer: Any = AutoTokenizer.from_pretrained(base.path)
        self.model: Any = _load(base)
        self.renderer = Renderer(self.tokenizer)
        self.general = general_examples()
        self.old = self._rendered(old_abilities())
        self._attributions: dict[float, Attribution] = {}
        self._identity = digest_of(
            [base.digest, [[n, [s.token_ids for s in seqs]] for n, seqs in self.old.items()]]
        )[:16]

    def before(self) -> dict[str, float]:
        """Of every old ability, the share of answers that the base gives."""
        return self.ledger.run(
            {"kind": "base", "of": self._identity}, lambda: {"old": self._ask(self.old)}
        )["old"]

    def run(self, arm: Arm, rate: float, seed: int) -> Result:
        """Train an arm on the world of a seed; `new` and `old` are shares of answers given."""
        settings = arm.settings(rate, seed)
        facts = {
            "kind": "compare", "of": self._identity, "arm": arm.name, "method": arm.method,
            "rule": arm.rule, "quota": arm.quota if arm.rule else None, "rank": arm.rank,
            "rate": rate, "seed": seed, "settings": digest_of(repr(settings))[:16],
        }  # fmt: skip

        def work() -> Result:
            world = make_world(seed)
            began = time.monotonic()
            with self._trained(arm, rate, seed, world.examples) as trained:
                seconds = time.monotonic() - began
                return {
                    "new": self._ask(self._rendered(world.asked)),
                    "old": self._ask(self.old),
                    "loss": round(trained.result.last_loss, 4),
                    "seconds": round(seconds, 1),
                }

        return self.ledger.run(facts, work)

    def tuned(self, arm: Arm) -> float:
        """The smallest learning rate that learns enough; where none does, the one that learns most.

        A larger rate teaches more, until it breaks training, and loses more: halving finds it.
        """
        learned: dict[float, float] = {}
        low, high = 0, len(GRID)
        while low < high:
            middle = (low + high) // 2
            rate = GRID[middle]
            learned[rate] = learned_of(self.run(arm, rate, TUNED_ON))
            if learned[rate] >= TARGET:
                high = middle
            else:
                low = middle + 1
        if low < len(GRID) and learned.get(GRID[low], 0.0) >= TARGET:
            return GRID[low]
        return max(learned, key=learned.__getitem__)

    def compare(self, arm: Arm, seeds: Sequence[int]) -> list[Result]:
        """The arm at its tuned rate, on each seed's world."""
        rate = self.tuned(arm)
        return [self.run(arm, rate, seed) for seed in seeds]

    def suppress(self, rule: Rule, quota: float = 1.0) -> Result:
        """What is left of the old abilities when the rows of a rule are zero."""
        facts = {"kind": "suppress", "of": self._identity, "rule": rule, "quota": quota}

        def work() -> Result:
            mask = self._mask(rule, quota, 0)
            kept = {}
            for layer, rows in zip(decoder_layers(self.model), mask.rows, strict=True):
                weight = layer.get_parameter("mlp.down_proj.weight")
                kept[weight] = weight.detach().clone()
                weight.data[list(rows)] = 0
            try:
                return {"old": self._ask(self.old)}
            finally:
                for weight, value in kept.items():
                    weight.data.copy_(value)

        return self.ledger.run(facts, work)

    def sequence(self, arm: Arm, updates: int) -> Result:
        """Updates in a row, each on another world.

        `kept` has a row per update: what is answered of each world learned so far; `old` the old
        abilities at the end. Each begins where the one before ended; an arm with replay learns some
        of the earlier worlds again, as cycles do.
        """
        rate = self.tuned(arm)
        facts = {
            "kind": "sequence", "of": self._identity, "arm": arm.name, "rate": rate,
            "updates": updates, "settings": digest_of(repr(arm.settings(rate, 0)))[:16],
            "rehearsed": "others every epoch" if arm.replay else None,
        }  # fmt: skip
        return self.ledger.run(facts, lambda: self._in_a_row(arm, rate, updates))

    def _in_a_row(self, arm: Arm, rate: float, updates: int) -> Result:
        worlds = [make_world(SEQUENCE + number) for number in range(updates)]
        asked = [self._rendered(world.asked) for world in worlds]
        kept: list[list[float]] = []
        start: list[Tensor] | None = None
        old: dict[str, float] = {}
        for number, world in enumerate(worlds):
            self.progress(f"{arm.name}: update {number + 1} of {updates}")
            earlier = [e for w in worlds[:number] for e in w.examples]
            epochs = arm.settings(rate, SEQUENCE).epochs
            again = rehearsed(world.examples, earlier, epochs, str(number)) if arm.replay else []
            with self._trained(arm, rate, SEQUENCE, world.examples, start, again) as trained:
                start = [parameter.detach().clone() for parameter in trained.parameters]
                kept.append([mean(self._ask(asked[n]).values()) for n in range(number + 1)])
                if number == updates - 1:
                    old = self._ask(self.old)
        return {"kept": kept, "old": old}

    def _trained(
        self,
        arm: Arm,
        rate: float,
        seed: int,
        examples: list[Example],
        start: list[Tensor] | None = None,
        again: Sequence[Example] = (),
    ) -> AbstractContextManager[Trained]:
        mask = self._mask(arm.rule, arm.quota, seed) if arm.rule else None
        return train_method(
            self.model, self.tokenizer, examples, arm.settings(rate, seed), arm.method, mask,
            start=start, again=again, replay=self.general if arm.replay else (),
            progress=lambda said: self.progress(
                f"{arm.name}, rate {rate:g}, seed {seed}: {said['done']} of {said['total']}, "
                f"{said['text']}"
            ),
        )  # fmt: skip

    def _mask(self, rule: Rule, quota: float, seed: int) -> Mask:
        if quota not in self._attributions:
            self.progress(f"attribution at {quota:g}%")
            sequences = [self.renderer(example) for example in self.general[:300]]
            prompts = cut_prompts(sequences, 0, 512)
            self._attributions[quota] = attribute(self.model, prompts, quota)
        return select(self._attributions[quota], self.base.digest, rule, seed=seed)

    def _rendered(self, abilities: Abilities) -> dict[str, list[Rendered]]:
        return {name: [self.renderer(e) for e in asked] for name, asked in abilities.items()}

    def _ask(self, asked: dict[str, list[Rendered]]) -> dict[str, float]:
        return {name: round(mean(given(self.model, seqs)), 4) for name, seqs in asked.items()}


def _load(base: BaseModel) -> nn.Module:
    return AutoModelForCausalLM.from_pretrained(base.path, dtype=torch.float32).eval()
