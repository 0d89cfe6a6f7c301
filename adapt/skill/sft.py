"""theta_SFT: a base with documentation in its rows, as an update cycle puts it there.

Follows the defaults of an update's settings. What is done already, by its identity, is not done
again. Called by adapt.skill.recipe and adapt.reproduce.past.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from adapt.base import BaseModel, attribution_corpus, general_corpus, read_conversations
from adapt.loki.implant import implant
from adapt.loki.rows import load_rows
from adapt.loki.selection import Mask
from adapt.loki.settings import ImplantSettings, chosen
from adapt.models import load_model, load_tokenizer
from adapt.stages import attribute_stage
from agent.config import Settings, quota_of
from store.errors import ConfigError
from store.files import write_atomic
from store.records import Example, digest_of

Show = Callable[[str], None]
"""Takes what is going on, in words."""


@dataclass(frozen=True)
class Workplace:
    """A base with what training on it needs, and a folder for what is under way."""

    base: BaseModel
    settings: Settings
    """Of the home: an update here is one as the home's cycles make it."""
    work: Path
    seed: int = 0
    threads: int = 0
    """CPU threads; 0 leaves the process's own."""

    @property
    def tokenizer(self) -> Any:
        """The base's."""
        return load_tokenizer(str(self.base.path))

    def model(self) -> nn.Module:
        """The base, ready to run: float32 on a CPU, the stored type on a GPU if there is one."""
        return load_model(str(self.base.path))

    def general(self, count: int = 2000) -> list[Example]:
        """Conversations that must not be forgotten, a seeded sample. ConfigError without any."""
        path = general_corpus(self.settings.update, self.base)
        if path is None:
            raise ConfigError(
                "this model brings no general corpus, and a skill must not cost what it can do",
                "set update.general_corpus to a JSON-lines file of conversations",
            )
        found = read_conversations(path)
        return random.Random(f"{self.seed}/general").sample(found, min(count, len(found)))


@dataclass(frozen=True)
class Learned:
    """The rows of one theta_SFT."""

    digest: str
    """Of all that decides it."""
    mask: Mask
    rows: tuple[Tensor, ...]

    @torch.no_grad()
    def put_into(self, model: nn.Module) -> None:
        """Move the rows of a base, for good."""
        layers = model.get_submodule("model.layers").children()
        for layer, rows, delta in zip(layers, self.mask.rows, self._by_layer(), strict=True):
            if delta is not None:
                weight = layer.get_parameter("mlp.down_proj.weight")
                weight[list(rows)] += delta.to(weight)

    def _by_layer(self) -> list[Tensor | None]:
        left = list(self.rows)
        return [left.pop(0) if rows else None for rows in self.mask.rows]


@dataclass(frozen=True)
class Onto:
    """What documents are learned on, where it is not the base itself."""

    digest: str
    put_into: Callable[[nn.Module], None]
    """Makes it of a base."""


def learn(
    place: Workplace, examples: Sequence[Example], name: str, show: Show, onto: Onto | None = None
) -> Learned:
    """Train the rows on examples, held on general conversations to what the model answered before.

    `name` says where in the workplace's folder it is kept.
    """
    mask = make_mask(place, show)
    replay = place.general()
    settings = ImplantSettings(
        **{**chosen(place.settings.update), "seed": place.seed},
        checkpoint_every=50, threads=place.threads,
    )  # fmt: skip
    decided = [mask.digest, asdict(settings), [e.digest for e in (*examples, *replay)]]
    identity = digest_of([*decided, onto.digest] if onto else decided)
    if onto:
        # A checkpoint of what was learned on other weights must not be gone on with.
        name = f"{name}-{onto.digest[:8]}"
    folder, done = place.work / f"{name}-sft", place.work / f"{name}-sft.done"
    if not (done.is_file() and done.read_text() == identity):
        model = place.model()
        if onto:
            onto.put_into(model)
        implant(
            model, place.tokenizer, examples, mask, settings, folder,
            place.work / f"{name}-sft-checkpoint",
            lambda said: show(f"documents, {said['done']} of {said['total']}, {said['text']}"),
            replay=replay, log_path=place.work / f"{name}-sft.jsonl",
        )  # fmt: skip
        write_atomic(done, identity)
    return Learned(identity, mask, tuple(load_rows(folder, mask)))


def make_mask(place: Workplace, show: Show) -> Mask:
    """The rows that may move, by the settings of the home's cycles; once per folder.

    Raises ConfigError for a base without a general corpus.
    """
    update = place.settings.update
    corpus = attribution_corpus(update, place.base)
    request: dict[str, Any] = {
        "base_digest": place.base.digest, "seed": place.seed, "rule": update.row_rule,
        "definition": update.attribution,
        "quota_percent": quota_of(update, place.settings.engine, place.base.d_model),
    }  # fmt: skip
    decided = digest_of([request, corpus.read_text() if corpus else ""])
    folder = place.work / f"rows-{decided[:16]}"
    if not (folder / "mask.json").is_file():
        folder.mkdir(exist_ok=True)
        where = {
            "model_dir": str(place.base.path), "conversations": str(corpus or ""),
            "threads": place.threads,
        }  # fmt: skip
        attribute_stage(
            {**request, **where}, folder,
            lambda far: show(f"scoring the rows, {far['done']} of {far['total']} prompts"),
        )  # fmt: skip
    return Mask.load(folder / "mask.json")
