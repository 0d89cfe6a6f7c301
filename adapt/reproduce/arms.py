"""The methods that a study compares: which weights move, trained how, beside what.

Called by adapt.reproduce.loki.
"""

from dataclasses import dataclass
from typing import Any, Literal

from adapt.loki.selection import Rule
from adapt.loki.settings import ImplantSettings, chosen
from agent.config import USUAL_QUOTA, UpdateSettings

GRID = (2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 4e-2)
"""Learning rates, the same for every arm."""


@dataclass(frozen=True)
class Arm:
    """One method as it is trained."""

    name: str
    method: Literal["loki", "loki-star", "lora", "dora", "pissa", "full"]
    optimizer: Literal["adamw", "muon"] = "adamw"
    replay: bool = False
    """Whether general conversations are replayed, held to the answers from before."""
    rule: Rule | None = None
    """How rows are chosen, for the methods that choose."""
    quota: float = 30.0
    rank: int = 16

    def settings(self, rate: float, seed: int) -> ImplantSettings:
        """As an update of the default settings, but for what the arm is about."""
        fields: dict[str, Any] = chosen(UpdateSettings()) | {
            "learning_rate": rate, "seed": seed, "optimizer": self.optimizer,
        }  # fmt: skip
        if not self.replay:
            fields["replay_examples"] = 0
        if self.method not in ("loki", "full"):
            fields["rank"] = self.rank
        return ImplantSettings(**fields)

    @property
    def words(self) -> str:
        """What moves and how, in short."""
        size = f"{self.rule}, {self.quota:g}% of rows" if self.rule else f"rank {self.rank}"
        parts = [self.optimizer, "replay"] if self.replay else [self.optimizer]
        return ", ".join([*([] if self.method == "full" else [size]), *parts])


DEFAULT = Arm("default", "loki", "muon", True, "lowest", USUAL_QUOTA)
ARMS = (
    DEFAULT,
    Arm("default with random rows", "loki", "muon", True, "random", USUAL_QUOTA),
    Arm("LoRA", "lora"),
    Arm("full fine-tuning", "full"),
    Arm("LoKI as published", "loki", rule="lowest"),
    Arm("published, random rows", "loki", rule="random"),
    Arm("published, highest rows", "loki", rule="highest"),
    Arm("published, smallest magnitudes", "loki", rule="magnitude"),
    Arm("published, global lowest", "loki", rule="global-lowest"),
    Arm("LoKI*", "loki-star", rule="lowest", rank=32),
    Arm("DoRA", "dora"),
    Arm("PiSSA", "pissa"),
    Arm("LoRA with replay", "lora", "muon", True),
    Arm("full fine-tuning with replay", "full", "muon", True),
)
SEQUENCES = tuple(
    arm for arm in ARMS if arm.name in ("default", "LoKI as published", "LoRA", "full fine-tuning")
)
"""Arms whose updates are also run one after the other."""
