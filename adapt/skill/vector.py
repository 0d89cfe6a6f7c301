"""A skill vector on disk: the RL adapter, and the card that says what it fits and how it was made.

v = theta_RL - theta_SFT is the adapter itself. The card is written last and holds the digest of the
tensors; without a card, or with other tensors, there is no vector. It trains nothing and adds
nothing to a model. Called by adapt.runtime (card), adapt.skill's recipe (save) and tests.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from safetensors import SafetensorError, safe_open

from adapt.base import BaseModel
from store.errors import IntegrityError, ModelError
from store.files import write_atomic
from store.records import SkillVector, digest_of

if TYPE_CHECKING:
    from torch import Tensor

CARD, WEIGHTS, CONFIG = "card.json", "adapter_model.safetensors", "adapter_config.json"
_NAME = re.compile(r"base_model\.model\.(?P<module>.+)\.lora_(?P<kind>[AB])\.weight")
_AGAIN = "train one for this model, or set update.skill_scale to 0"


@dataclass(frozen=True)
class LoadedVector:
    """A vector that fits its base."""

    record: SkillVector
    tensors: dict[str, "Tensor"]
    """Under PEFT's names: `lora_A` [r, in] and `lora_B` [out, r], scaling 1."""
    facts: dict[str, Any]
    """What the card tells besides: reward curve, measurements."""


def save_vector(
    tensors: Mapping[str, "Tensor"],
    out_dir: Path,
    base: BaseModel,
    *,
    domain: str,
    recipe: Mapping[str, Any],
    rounds: int,
    facts: Mapping[str, Any],
) -> SkillVector:
    """Write adapter, config and card. The same tensors give the same digest.

    `recipe` is what one needs to make it again; `facts` is what was seen (JSON values). Raises
    ModelError when the tensors do not fit the base.
    """
    from safetensors.torch import save as to_bytes

    from adapt.loki.rows import lora_config

    whole = {name: tensor.detach().float().cpu().contiguous() for name, tensor in tensors.items()}
    ranks = _check_shapes({name: list(t.shape) for name, t in whole.items()}, base)
    for name, tensor in whole.items():
        if not tensor.isfinite().all():
            raise ModelError(f"{name} holds values that are no numbers", "nothing is written")
    data = to_bytes(whole, {"format": "pt"})
    record = SkillVector(
        digest=digest_of(data),
        base_digest=base.digest,
        template_digest=base.template_digest,
        domain=domain,
        recipe=dict(recipe),
        rounds=rounds,
    )
    rank = max(ranks.values())
    exceptions = {module: r for module, r in ranks.items() if r != rank}
    write_atomic(out_dir / WEIGHTS, data)
    targets = sorted({module.rpartition(".")[2] for module in ranks})
    write_atomic(out_dir / CONFIG, lora_config(rank, targets, base.digest, exceptions))
    card = {"vector": record.model_dump(mode="json"), "rank": rank, **facts}
    write_atomic(out_dir / CARD, json.dumps(card, indent=1) + "\n")
    return record


def read_card(path: Path) -> SkillVector:
    """The record of the vector in a directory. Loads no torch.

    Raises ModelError when there is no whole vector, IntegrityError when its tensors are others.
    """
    record, _ = _read(path)
    return record


def load_vector(path: Path, base: BaseModel) -> LoadedVector:
    """A vector for `base`. ModelError when it was made for another base, template or shape."""
    from safetensors.torch import load

    record, facts = _read(path)
    for name, own in (
        ("base_digest", base.digest),
        ("template_digest", base.template_digest),
    ):
        made_for = getattr(record, name)
        if made_for != own:
            raise ModelError(
                f"the skill vector {path} was made for another model "
                f"({name} {made_for[:12]}, here {own[:12]})",
                _AGAIN,
            )
    tensors = load((path / WEIGHTS).read_bytes())
    _check_shapes({name: list(t.shape) for name, t in tensors.items()}, base)
    return LoadedVector(record, tensors, facts)


def _read(path: Path) -> tuple[SkillVector, dict[str, Any]]:
    try:
        card = json.loads((path / CARD).read_text())
        record = SkillVector.model_validate(card.pop("vector"))
        data = (path / WEIGHTS).read_bytes()
    except (OSError, ValueError, KeyError, AttributeError, ValidationError) as error:
        raise ModelError(
            f"there is no whole skill vector in {path}: {error}",
            "give the folder of one; perennial skill train makes one",
        ) from error
    if digest_of(data) != record.digest:
        raise IntegrityError(
            f"{path / WEIGHTS} differs from the digest in its card",
            "restore both files from one copy, or train the vector again",
        )
    return record, card


def _check_shapes(shapes: Mapping[str, list[int]], base: BaseModel) -> dict[str, int]:
    """Rank per module. ModelError naming the tensor that fits no weight of the base."""
    weights = _weights_of(base)
    halves: dict[str, dict[str, list[int]]] = {}
    for name, shape in shapes.items():
        found = _NAME.fullmatch(name)
        if not found or len(shape) != 2:
            raise ModelError(f"{name} {shape} is not a LoRA matrix of a linear layer", _AGAIN)
        halves.setdefault(found["module"], {})[found["kind"]] = shape
    if not halves:
        raise ModelError("the skill vector holds no tensors", _AGAIN)
    for module, half in sorted(halves.items()):
        a, b, wanted = half.get("A"), half.get("B"), weights.get(f"{module}.weight")
        if a is None or b is None or a[0] != b[1] or [b[0], a[1]] != wanted:
            raise ModelError(
                f"the skill vector does not fit {module}: lora_A {a}, lora_B {b}, the base has "
                f"{wanted}",
                _AGAIN,
            )
    return {module: half["A"][0] for module, half in halves.items()}


def _weights_of(base: BaseModel) -> dict[str, list[int]]:
    """Name and shape of every tensor of the base, from the headers of its files."""
    shapes: dict[str, list[int]] = {}
    for file in sorted(base.path.glob("*.safetensors")):
        try:
            with safe_open(file, framework="numpy") as opened:
                for name in opened.keys():  # noqa: SIM118
                    shapes[name] = list(opened.get_slice(name).get_shape())
        except (SafetensorError, OSError) as error:
            raise ModelError(f"{file} cannot be read: {error}", "fetch the model again") from error
    return shapes
