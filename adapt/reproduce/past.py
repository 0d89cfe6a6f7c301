"""`perennial reproduce past`: what a skill vector adds to documents alone, and what it must beat.

Every category that neither RL nor the vector saw is learned from its documentation, with several
seeds; then the same held-out games are played without the vector, with it at several scales, and
with controls of its size. Single results are kept, so that a stopped study goes on. It draws
nothing (adapt.reproduce.past_report). Called by adapt.commands.reproduce_past.
"""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from adapt.base import BaseModel
from adapt.evals.suites import CATALOGUE_SEED, catalogue_of
from adapt.reproduce.ledger import Ledger, Result
from adapt.skill.controls import across_layers, random_like
from adapt.skill.environment import ToolTask
from adapt.skill.policy import lora_over
from adapt.skill.recipe import measure
from adapt.skill.rollout import Rollout
from adapt.skill.sft import Learned, Show, Workplace, learn
from adapt.skill.source import Part, ToolPart
from agent.config import Settings
from store.records import digest_of
from tools.virtual_api.lexicon import UNSEEN_CATEGORIES

TARGETS = (*UNSEEN_CATEGORIES, "Gardening", "Energy")
"""Categories that no RL saw; the first six are in no training stream of the embedded model."""
TASKS = 60
"""Held-out tasks of each category, the same for every seed and condition."""


@dataclass(frozen=True)
class Condition:
    """What is added to theta_SFT when the games are played."""

    name: str
    adds: str
    """`nothing`, `vector`, `random` (noise of its norm in every module) or `permuted` (its modules
    in other layers)."""
    scale: float = 1.0
    seeds: int = 0
    """In how many of the seeds it is run; 0 in all."""


CONDITIONS = (
    Condition("documents alone", "nothing"),
    Condition("with the vector", "vector"),
    Condition("random of equal norm", "random"),
    Condition("permuted across layers", "permuted"),
    Condition("vector x 0.5", "vector", 0.5, seeds=1),
    Condition("vector x 1.5", "vector", 1.5, seeds=1),
    Condition("vector x 2", "vector", 2.0, seeds=1),
)


class PastStudy:
    """A base, a vector, and the results so far."""

    def __init__(
        self, base: BaseModel, settings: Settings, vector: Mapping[str, Tensor], digest: str,
        folder: Path, work: Path, progress: Show,
    ) -> None:  # fmt: skip
        """`vector` under PEFT's names, known by `digest`; `work` is for what is under way."""
        # As in an update: gradients of what is learned already are denormal, and slow on a CPU.
        torch.set_flush_denormal(True)
        # The same bits on any machine; two studies of other categories share two cores better.
        torch.set_num_threads(1)
        self.progress = progress
        self.vector, self.digest = vector, digest
        self.place = Workplace(base, settings, work, 0, 1)
        work.mkdir(parents=True, exist_ok=True)
        self.ledger = Ledger(folder / "runs.jsonl")
        self._learned: dict[tuple[str, int], Learned] = {}

    def target(self, category: str) -> ToolPart:
        """A category as something to learn and to play."""
        catalogue = catalogue_of(CATALOGUE_SEED)
        return ToolPart(catalogue, catalogue.category(category))

    def run(self, category: str, condition: Condition, seed: int) -> Result:
        """`solved` has a 0 or 1 per task, in order; `kinds` the kind of each."""
        part = self.target(category)
        asked = part.held_out(TASKS)
        facts = {
            "kind": "tools", "base": self.place.base.digest[:16], "category": category,
            "condition": condition.name, "adds": condition.adds, "scale": condition.scale,
            "vector": self.digest[:16] if condition.adds != "nothing" else None, "seed": seed,
            "tasks": digest_of([task.digest for task in asked])[:16],
            "update": digest_of(self.place.settings.update.model_dump(mode="json"))[:16],
        }  # fmt: skip

        def work() -> Result:
            learned = self.learned(part, category, seed)
            self.progress(f"{category}, seed {seed}: {condition.name}")
            played = self._play(learned, asked, self.added(condition, seed))
            return {
                "solved": "".join("1" if game.outcome.solved else "0" for game in played),
                "kinds": [task.task.kind[0] for task in asked],
                "malformed": sum("malformed" in game.outcome.reason for game in played),
            }

        return self.ledger.run(facts, work)

    def _play(
        self, learned: Learned, asked: Sequence[ToolTask], added: dict[str, Tensor]
    ) -> list[Rollout]:
        model: Any = self.place.model()
        learned.put_into(model)
        rank = max((t.shape[0] for n, t in added.items() if ".lora_A." in n), default=1)
        with lora_over(model, rank, added) if added else nullcontext(model) as policy:
            return measure(policy, self.place.tokenizer, asked)

    def learned(self, part: Part, name: str, seed: int) -> Learned:
        """theta_SFT of a target; trained once."""
        if (name, seed) not in self._learned:

            def show(said: str) -> None:
                self.progress(f"{name}, seed {seed}: {said}")

            place = replace(self.place, seed=seed)
            self._learned[name, seed] = learn(place, part.examples(seed), f"{name}-{seed}", show)
        return self._learned[name, seed]

    def added(self, condition: Condition, seed: int) -> dict[str, Tensor]:
        """The tensors of a condition; none where nothing is added."""
        if condition.adds == "nothing":
            return {}
        found = dict(self.vector)
        if condition.adds == "random":
            found = random_like(found, seed)
        elif condition.adds == "permuted":
            found = across_layers(found, seed)
        return {n: t * condition.scale if ".lora_B." in n else t for n, t in found.items()}


def seeds_of(condition: Condition, seeds: int) -> Sequence[int]:
    """The seeds in which a condition is run."""
    return range(1, 1 + (min(condition.seeds, seeds) or seeds))
