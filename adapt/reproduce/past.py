"""`perennial reproduce past`: what a skill vector adds to documents alone, and what it must beat.

Every category that RL did not see is learned from its documentation, with several seeds; then the
same held-out games are played without the vector, with it at several scales, with controls of its
size, and after other ways of learning. Single results are kept, so that a stopped study goes on. It
draws nothing (adapt.reproduce.past_report). Called by adapt.commands.reproduce_past.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from adapt.base import BaseModel
from adapt.evals.suites import CATALOGUE_SEED, catalogue_of
from adapt.loki.settings import chosen
from adapt.reproduce.ledger import Ledger, Result
from adapt.reproduce.past_ablations import WAYS, own_vector
from adapt.reproduce.past_report import MAIN, PLAIN, RANDOM
from adapt.skill.controls import across_layers, only_in, random_like
from adapt.skill.environment import ToolTask
from adapt.skill.policy import lora_over
from adapt.skill.recipe import measure
from adapt.skill.rollout import Rollout
from adapt.skill.sft import Learned, Show, Workplace
from adapt.skill.source import ToolPart
from adapt.skill.vector import LoadedVector
from agent.config import Settings, quota_of
from store.records import digest_of
from tools.virtual_api.lexicon import UNSEEN_CATEGORIES

TARGETS = (*UNSEEN_CATEGORIES, "Gardening", "Energy")
"""Categories that no RL saw; the first six are in no training stream of the embedded model."""
TASKS = 60
"""Held-out tasks of each category, the same for every seed and condition."""
PLACES = {"attention": ".self_attn.", "mlp": ".mlp."}
"""Parts of a vector by what stands in the names of their modules."""


@dataclass(frozen=True)
class Condition:
    """What is added to theta_SFT when the games are played."""

    name: str
    adds: str
    """`nothing`, `vector`, `random` (noise of its norm in every module), `permuted` (its modules
    in other layers), `attention` or `mlp` (its modules there), or `own`: what RL on the category
    itself gives."""
    scale: float = 1.0
    seeds: int = 0
    """In how many of the seeds it is run; 0 in all."""
    learns: str = "documents"
    """How theta_SFT comes about: one of `adapt.reproduce.past_ablations.WAYS`."""
    categories: int = 0
    """On how many of the categories; 0 on all."""

    def takes(self, category: str, seed: int) -> bool:
        """Whether it is run there."""
        chosen = TARGETS[: self.categories or None]
        return category in chosen and (not self.seeds or seed <= self.seeds)


CONDITIONS = (
    Condition(PLAIN, "nothing"),
    Condition(MAIN, "vector"),
    Condition(RANDOM, "random"),
    Condition("permuted across layers", "permuted"),
    Condition("vector x 0.5", "vector", 0.5, seeds=1),
    Condition("vector x 1.5", "vector", 1.5, seeds=1),
    Condition("vector x 2", "vector", 2.0, seeds=1),
    Condition("its attention alone", "attention", seeds=1),
    Condition("its gate and up alone", "mlp", seeds=1),
    Condition("vector first, then documents", "nothing", 1.0, 1, "on the vector", 2),
    Condition("the source's RL model, then documents", "nothing", 1.0, 1, "on theta_RL", 2),
    Condition("documents for twice as long", "nothing", 1.0, 1, "for twice as long", 2),
    Condition("documents without rewritings", "nothing", 1.0, 1, "without rewritings", 2),
    Condition("RL on the category itself", "own", 1.0, 1, "documents", 1),
)


class PastStudy:
    """A base, a vector, and the results so far."""

    def __init__(
        self, base: BaseModel, settings: Settings, vector: LoadedVector,
        folder: Path, work: Path, progress: Show,
    ) -> None:  # fmt: skip
        """Results go to `folder`; `work` is for what is under way."""
        # As in an update: gradients of what is learned already are denormal, and slow on a CPU.
        torch.set_flush_denormal(True)
        # The same bits on any machine; two studies of other categories share two cores better.
        torch.set_num_threads(1)
        self.progress = progress
        self.vector, self.record = vector.tensors, vector.record
        self.place = Workplace(base, settings, work, 0, 1)
        work.mkdir(parents=True, exist_ok=True)
        self.catalogue = catalogue_of(CATALOGUE_SEED)
        self.ledger = Ledger(folder / "runs.jsonl")
        self.learned: dict[str, Learned] = {}
        """What this process has learned or read, by name; filled by the ways to learn."""

    def target(self, category: str) -> ToolPart:
        """A category as something to learn and to play."""
        return ToolPart(self.catalogue, self.catalogue.category(category))

    @property
    def update_digest(self) -> str:
        """Of the settings that documents are learned with; what else an update has, such as who
        may write its sources, would only throw results of hours away."""
        settings, base = self.place.settings, self.place.base
        update = settings.update
        rows = [update.row_rule, update.attribution]
        quota = quota_of(update, settings.engine, base.d_model)
        return digest_of([chosen(update), quota, *rows])[:16]

    def under(self, name: str) -> Show:
        """Shows what is going on, as that of `name`."""
        return lambda said: self.progress(f"{name}: {said}")

    def run(self, category: str, condition: Condition, seed: int) -> Result:
        """`solved` has a 0 or 1 per task, in order; `kinds` the kind of each."""
        part = self.target(category)
        asked = part.held_out(TASKS)
        plain = condition.adds in ("nothing", "own") and not condition.learns.startswith("on ")
        facts = {
            "kind": "tools", "base": self.place.base.digest[:16], "category": category,
            "condition": condition.name, "adds": condition.adds, "scale": condition.scale,
            "vector": None if plain else self.record.digest[:16], "seed": seed,
            "tasks": digest_of([task.digest for task in asked])[:16],
            "update": self.update_digest,
        }  # fmt: skip
        if condition.learns != "documents":
            facts["learns"] = condition.learns

        def work() -> Result:
            cost: Result = {}
            model = WAYS[condition.learns](self, part, f"{category}-{seed}", seed)
            if condition.adds == "own":
                added, seconds = own_vector(self, part, model, f"{category}-{seed}", seed)
                cost["rl_seconds"] = seconds
            else:
                added = self.added(condition, seed)
            self.progress(f"{category}, seed {seed}: {condition.name}")
            played = self._play(model, asked, added)
            return {
                **cost,
                "solved": "".join("1" if game.outcome.solved else "0" for game in played),
                "kinds": [task.task.kind[0] for task in asked],
                "malformed": sum("malformed" in game.outcome.reason for game in played),
            }

        return self.ledger.run(facts, work)

    def _play(
        self, model: Any, asked: Sequence[ToolTask], added: dict[str, Tensor]
    ) -> list[Rollout]:
        rank = max((t.shape[0] for n, t in added.items() if ".lora_A." in n), default=1)
        with lora_over(model, rank, added) if added else nullcontext(model) as policy:
            return measure(policy, self.place.tokenizer, asked)

    def added(self, condition: Condition, seed: int) -> dict[str, Tensor]:
        """The tensors of a condition; none where nothing is added."""
        if condition.adds == "nothing":
            return {}
        found = dict(self.vector)
        if condition.adds == "random":
            found = random_like(found, seed)
        elif condition.adds == "permuted":
            found = across_layers(found, seed)
        elif condition.adds in PLACES:
            found = only_in(found, PLACES[condition.adds])
        return {n: t * condition.scale if ".lora_B." in n else t for n, t in found.items()}
