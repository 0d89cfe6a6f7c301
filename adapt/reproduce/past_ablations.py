"""Other ways to the same end: when the vector comes in, longer or poorer documents, RL on the spot.

Each way makes theta_SFT of a category; what is made once is kept in the study's folder. PaST adds
the vector after the documents; it compares with adding it before them, and with learning them on
top of the RL model (arXiv 2601.11258). Called by adapt.reproduce.past.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from adapt.loki.rows import changes_of_tensors
from adapt.skill.grpo import GrpoSettings
from adapt.skill.sft import Learned, Onto, Workplace, learn
from adapt.skill.source import ToolPart, tool_parts
from adapt.skill.train import train_skill
from store.records import Example, digest_of

if TYPE_CHECKING:
    from adapt.reproduce.past import PastStudy

STEPS = 50
"""Of RL on a category itself: as many as the source has."""
Way = Callable[["PastStudy", ToolPart, str, int], nn.Module]
"""(study, category, its name with the seed, seed) -> theta_SFT."""


@torch.no_grad()
def add_vector(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Add B A of every module to its weight, for good."""
    for module, (a, b) in changes_of_tensors(tensors).items():
        model.get_parameter(f"{module}.weight").add_(b @ a)


def longer(place: Workplace, times: int) -> Workplace:
    """The same place with so many times the epochs."""
    update = place.settings.update
    update = update.model_copy(update={"epochs": times * update.epochs})
    return replace(place, settings=place.settings.model_copy(update={"update": update}))


def _alone(study: "PastStudy", part: ToolPart, name: str, seed: int) -> nn.Module:
    return _learned(study, part.examples(seed), name, replace(study.place, seed=seed))


def _twice(study: "PastStudy", part: ToolPart, name: str, seed: int) -> nn.Module:
    place = longer(replace(study.place, seed=seed), 2)
    return _learned(study, part.examples(seed), f"{name}-twice", place)


def _without_rewritings(study: "PastStudy", part: ToolPart, name: str, seed: int) -> nn.Module:
    found = [e for e in part.examples(seed) if e.kind != "api-doc" or _is_json(e)]
    return _learned(study, found, f"{name}-plain", replace(study.place, seed=seed))


def _is_json(example: Example) -> bool:
    return example.messages[-1].content.startswith("{")


def _on_the_vector(study: "PastStudy", part: ToolPart, name: str, seed: int) -> nn.Module:
    onto = Onto(study.record.digest, partial(add_vector, tensors=study.vector))
    place = replace(study.place, seed=seed)
    return _learned(study, part.examples(seed), f"{name}-on-vector", place, onto)


def _on_theta_rl(study: "PastStudy", part: ToolPart, name: str, seed: int) -> nn.Module:
    source = _source(study)

    def put_into(model: nn.Module) -> None:
        source.put_into(model)
        add_vector(model, study.vector)

    onto = Onto(digest_of([source.digest, study.record.digest]), put_into)
    place = replace(study.place, seed=seed)
    return _learned(study, part.examples(seed), f"{name}-on-rl", place, onto)


def _source(study: "PastStudy") -> Learned:
    """theta_SFT of the last round that the vector was learned on, made again by its card.

    Of a sum of vectors, which may be sums themselves, that of the first.
    """
    recipe, rounds = study.record.recipe, study.record.rounds
    while "sum" in recipe:
        recipe = recipe["sum"][0]["recipe"]
    part = tool_parts(study.catalogue, recipe["categories"], rounds)[-1]
    place = replace(study.place, seed=recipe["grpo"]["seed"])
    return learn(place, part.examples(place.seed), "source", study.progress)


def _learned(
    study: "PastStudy", examples: Sequence[Example], name: str, place: Workplace,
    onto: Onto | None = None,
) -> nn.Module:  # fmt: skip
    if name not in study.learned:
        study.learned[name] = learn(place, examples, name, study.under(name), onto)
    model = place.model()
    if onto:
        onto.put_into(model)
    study.learned[name].put_into(model)
    return model


WAYS: Mapping[str, Way] = {
    "documents": _alone,
    "for twice as long": _twice,
    "without rewritings": _without_rewritings,
    "on the vector": _on_the_vector,
    "on theta_RL": _on_theta_rl,
}


def own_vector(
    study: "PastStudy", part: ToolPart, model: nn.Module, name: str, seed: int
) -> tuple[dict[str, Tensor], float]:
    """What RL on the category itself adds to its theta_SFT, the upper bound, and its seconds.

    It plays tasks of the same tools as the study asks, but none of those.
    """
    settings = GrpoSettings(steps=STEPS, seed=seed, threads=1)
    place = study.place
    made_by = digest_of([place.base.digest, study.update_digest, asdict(settings)])[:16]
    kept = place.work / f"{name}-own-{made_by}.safetensors"
    if not kept.is_file():
        found = train_skill(
            model, place.tokenizer, part.draw, settings, sft_digest=made_by,
            replay=place.general(), checkpoint_dir=place.work / f"{name}-grpo",
            progress=lambda p: study.progress(f"{name}: RL, step {p['step']:.0f} of {STEPS}"),
        )  # fmt: skip
        save_file(found.tensors, kept, {"seconds": f"{found.seconds:.0f}"})
    with safe_open(kept, "pt") as file:
        return load_file(kept), float(file.metadata()["seconds"])
