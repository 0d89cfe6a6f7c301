"""How rows are trained: the settings of one implanting run, checked. Loads no torch.

Called by adapt.loki, adapt.stages, adapt.cycle_learning and adapt.skill.sft.
"""

from dataclasses import dataclass
from typing import Any, Literal

from agent.config import UpdateSettings
from store.errors import ConfigError

_CHOSEN = (
    "epochs", "learning_rate", "batch_tokens", "batch_examples", "replay_examples",
    "replay_weight", "seed",
)  # fmt: skip


def chosen(update: UpdateSettings) -> dict[str, Any]:
    """The fields of ImplantSettings that the user's update settings decide."""
    return {name: getattr(update, name) for name in _CHOSEN}


@dataclass(frozen=True)
class ImplantSettings:
    """How rows are trained."""

    rank: int | None = None
    """None moves whole rows (LoKI). A rank moves them by a product of two matrices (LoKI*). Of the
    methods that LoKI is compared with, LoRA's kind takes it too, and 16 without it."""
    epochs: int = 3
    optimizer: Literal["muon", "adamw"] = "muon"
    """Muon orthogonalises each layer's step: in as many steps it learns more and disturbs less
    (docs/results.md). AdamW is what LoKI's authors use."""
    learning_rate: float = 2e-2
    schedule: Literal["cosine", "linear"] = "cosine"
    warmup: float = 0.05
    """Part of all steps in which the rate rises from zero."""
    batch_tokens: int = 2048
    """Tokens of new examples per step, at most."""
    batch_examples: int = 24
    """Examples per step, at most."""
    replay_examples: int = 8
    """Replayed examples in every step, beside the new ones."""
    replay_weight: float = 1.0
    """Weight of a replayed batch's divergence beside a new batch's loss."""
    first_token_weight: float = 4.0
    """Weight of an answer's first token, which decides between a call, a refusal and words; as one
    of thirty tokens it would hardly be learned."""
    max_length: int = 1024
    """Longer examples are left out and counted."""
    grad_clip: float = 1.0
    accumulate: int = 1
    """A step's batch goes through the model in so many parts: less memory, the same step."""
    gradient_checkpointing: bool = False
    """Layers are run again in the backward pass: far less memory, a third more time."""
    patience: int = 0
    """Stop after so many epochs without a lower held-out loss and keep the best rows; 0: never."""
    checkpoint_every: int = 100
    """Steps between checkpoints."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """bfloat16 computes under autocast; rows and optimiser stay in float32. auto: bfloat16 on a
    GPU and on a CPU that has instructions for it (docs/results.md)."""
    threads: int = 0
    """CPU threads; 0 leaves the process's own. The same bits need the same number."""
    seed: int = 0

    def __post_init__(self) -> None:
        for name in (
            "epochs", "learning_rate", "batch_tokens", "batch_examples", "grad_clip",
            "checkpoint_every", "first_token_weight", "accumulate",
        ):  # fmt: skip
            if not getattr(self, name) > 0:
                raise ConfigError(f"implant {name} is {getattr(self, name)}", "set it above 0")
        for name, allowed in (
            ("schedule", ("cosine", "linear")),
            ("optimizer", ("muon", "adamw")),
            ("precision", ("auto", "float32", "bfloat16")),
        ):
            if getattr(self, name) not in allowed:
                raise ConfigError(
                    f"implant {name} is {getattr(self, name)!r}", f"use {' or '.join(allowed)}"
                )
        for name in ("replay_examples", "replay_weight"):
            if getattr(self, name) < 0:
                raise ConfigError(f"implant {name} is {getattr(self, name)}", "use 0 or more")
        if self.rank is not None and self.rank < 1:
            raise ConfigError(f"implant rank is {self.rank}", "set it above 0, or leave it out")
        if not 0 <= self.warmup < 1:
            raise ConfigError(f"implant warmup is {self.warmup}", "use a part of 1, such as 0.05")
