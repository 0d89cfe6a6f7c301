"""Implanting: the selected rows are trained on examples and written as a PEFT adapter.

It selects no rows, makes no examples and judges no result; the training is adapt.loki.learning's.
Called by adapt.stages in a child process, and by adapt.skill.sft.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from adapt.loki.learning import TrainResult, train_method
from adapt.loki.rows import load_rows, save_rows
from adapt.loki.selection import Mask
from adapt.loki.settings import ImplantSettings
from adapt.loki.step_log import Progress
from store.errors import ConfigError, ModelError
from store.records import Example


@dataclass(frozen=True)
class ImplantResult(TrainResult):
    """What a run gave, and where: the adapter's directory and its rank."""

    path: str
    rank: int


def implant(
    model: nn.Module,
    tokenizer: Any,
    examples: Sequence[Example],
    mask: Mask,
    settings: ImplantSettings,
    out_dir: Path,
    checkpoint_dir: Path | None = None,
    progress: Progress | None = None,
    *,
    warm_start: Path | None = None,
    again: Sequence[Example] = (),
    replay: Sequence[Example] = (),
    held_out: Sequence[Example] = (),
    log_path: Path | None = None,
    base_digest: str | None = None,
    max_rank: int | None = None,
) -> ImplantResult:
    """Train the mask's rows on `examples` and write a PEFT adapter to `out_dir`.

    With `settings.rank` it is LoKI*. `warm_start` is an earlier adapter of the same mask and rank.
    The other arguments, and what is raised, are those of `train_method`; besides, before any work,
    ModelError when the mask is of another base than `base_digest`, and ConfigError when the adapter
    would have a higher rank than `max_rank`, the engine's limit. The model is left as it was.
    """
    rank = settings.rank or mask.rank
    if base_digest is not None and base_digest != mask.base_digest:
        raise ModelError(
            f"the mask was made for the base {mask.base_digest}, not {base_digest}",
            "run attribution on this base model",
        )
    if max_rank is not None and rank > max_rank:
        raise ConfigError(
            f"the adapter would have rank {rank}, the engine takes at most {max_rank}",
            "select fewer rows, or set a rank (LoKI*)",
        )
    start = load_rows(warm_start, mask, settings.rank) if warm_start else None
    with train_method(
        model,
        tokenizer,
        examples,
        settings,
        "loki" if settings.rank is None else "loki-star",
        mask,
        start=start,
        again=again,
        replay=replay,
        held_out=held_out,
        checkpoint_dir=checkpoint_dir,
        log_path=log_path,
        progress=progress,
    ) as trained:
        save_rows(trained.parameters, mask, out_dir, settings.rank)
    return ImplantResult(**vars(trained.result), path=str(out_dir), rank=rank)
