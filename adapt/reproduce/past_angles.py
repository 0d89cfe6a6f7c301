"""How a skill vector lies to what documents do to all weights: the claim behind adding them.

LoKI's updates move other matrices than the vector does, so their cosine with it is 0 by
construction. To ask what PaST asks (arXiv 2601.11258), documents are also learned with full
weights, of two categories: each against the vector, and for contrast against one another. Called
by adapt.commands.reproduce_past.
"""

from collections.abc import Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

import torch

from adapt.loki.learning import train_method
from adapt.loki.rows import changes_of_tensors
from adapt.reproduce.arms import ARMS
from adapt.reproduce.past import PastStudy
from adapt.skill.geometry import Angle, Change, angles, whole

BETWEEN = ("Astronomy", "Museums")
RATE = 5e-4
"""What full fine-tuning was tuned to in the study of LoKI."""


def measured(study: PastStudy) -> dict[str, Any]:
    """Cosines of all pairs, in all and by module; the first is of a category and the vector."""
    first, second = (_learned_in_full(study, category) for category in BETWEEN)
    vector = changes_of_tensors(study.vector)
    pairs = {
        f"{BETWEEN[0]}, vector": angles(first, vector),
        f"{BETWEEN[1]}, vector": angles(second, vector),
        f"{BETWEEN[0]}, {BETWEEN[1]}": angles(first, second),
    }
    return {
        name: {
            "median_absolute_cosine": median(abs(a.cosine) for a in _shared(found)),
            "largest_absolute_cosine": max(abs(a.cosine) for a in _shared(found)),
            "whole": whole(found).cosine,
            "modules": [asdict(angle) for angle in found],
        }
        for name, found in pairs.items()
    }


def _shared(found: Sequence[Angle]) -> list[Angle]:
    """The modules that both move: elsewhere a cosine is 0 whatever was learned."""
    return [angle for angle in found if angle.norm > 0 and angle.other > 0]


def _learned_in_full(study: PastStudy, category: str) -> Change:
    """How the linear layers move when a category's documents are learned with all weights."""
    study.progress(f"{category}: documents into all weights")
    arm = next(arm for arm in ARMS if arm.name == "full fine-tuning")
    model, examples = study.place.model(), study.target(category).examples(1)
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    with train_method(model, study.place.tokenizer, examples, arm.settings(RATE, 1), "full"):
        return {
            name.removesuffix(".weight"): (weight.detach() - before[name], torch.eye(len(weight)))
            for name, weight in model.named_parameters()
            if weight.dim() == 2 and name.startswith("model.layers.")
        }
