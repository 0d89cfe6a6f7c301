"""Training the selected rows: examples in, a PEFT adapter out.

Renders, plans the batches, lets `adapt.loki.training` run the steps, and writes the adapter. It
selects no rows, makes no examples and judges no result. Called by adapt.stages in a child process.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from adapt.loki import training
from adapt.loki.batches import plan, plan_replay, prepare
from adapt.loki.checkpoint import TrainState, load_checkpoint
from adapt.loki.rows import installed_rows, load_rows, save_rows
from adapt.loki.selection import Mask
from adapt.loki.settings import ImplantSettings
from adapt.loki.step_log import Progress, StepLog
from adapt.loki.training import Run
from adapt.render import Renderer
from store.errors import StageError
from store.files import digest_of_directory
from store.records import Example, digest_of


@dataclass(frozen=True)
class ImplantResult:
    """What a run gave. `seconds` and nothing else differs between equal runs."""

    path: str
    rank: int
    steps: int
    tokens: int
    """Tokens processed, padding not counted."""
    examples: int
    replayed: int
    """Examples of what was known that were replayed at least once."""
    skipped: int
    """New examples left out: longer than max_length, or without loss."""
    first_loss: float
    last_loss: float
    """Mean training loss of the last epoch."""
    held_out_loss: float | None
    seconds: float


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
    replay: Sequence[Example] = (),
    held_out: Sequence[Example] = (),
    log_path: Path | None = None,
) -> ImplantResult:
    """Train the mask's rows on `examples` and write a PEFT adapter to `out_dir`.

    `warm_start` is an earlier adapter of the same mask. On `replay`, examples of what must not
    change, the model is held to its answers before the update. `log_path` gets one JSON line per
    step (step, steps, loss, tokens_per_second); `progress` gets it with done, total and text. With
    `checkpoint_dir` a killed run resumes there, to the same bits on CPU. The model itself is left
    as it was. Raises StageError when nothing can be trained on or the loss is no number, ModelError
    for a model, template or adapter that cannot be used.
    """
    renderer = Renderer(tokenizer)
    train = prepare(renderer, examples, settings.max_length)
    if not train.sequences:
        raise StageError(
            f"none of {len(examples)} examples can be trained on (limit {settings.max_length})",
            "raise max_length, or check that messages carry loss",
        )
    lengths = [len(sequence.token_ids) for sequence in train.sequences]
    epochs = [
        plan(lengths, settings.batch_tokens, settings.seed, epoch, settings.batch_examples)
        for epoch in range(settings.epochs)
    ]
    known = prepare(renderer, replay, settings.max_length)
    steps = sum(map(len, epochs))
    replayed: list[list[int]] = []
    if known.sequences and settings.replay_examples:
        each = settings.replay_examples
        replayed = plan_replay(len(known.sequences), each, steps, settings.seed)
    start = load_rows(warm_start, mask) if warm_start else None
    model.eval()
    with training.fixed_arithmetic(settings.threads), installed_rows(model, mask, start) as rows:
        identity = digest_of(
            {
                "mask": mask.digest,
                "settings": asdict(settings),
                "examples": [asdict(sequence) for sequence in train.sequences],
                "replay": [asdict(sequence) for sequence in known.sequences],
                "held_out": [example.digest for example in held_out],
                "warm_start": digest_of_directory(warm_start) if warm_start else None,
                "threads": torch.get_num_threads(),
            }
        )
        optimizer = training.make_optimizer(rows, settings)
        held = prepare(renderer, held_out, settings.max_length)
        run = Run(
            model, rows, optimizer, train, known, held, epochs, replayed, {}, settings, identity,
            TrainState(),
        )  # fmt: skip
        # Ahead of the checkpoint, which moves the rows away from where they start.
        run.before = training.answers_before(run, progress)
        if checkpoint_dir:
            run.state = load_checkpoint(checkpoint_dir, identity, rows, optimizer) or run.state
        training.train(run, checkpoint_dir, StepLog(log_path, run.state.step, progress))
        save_rows(run.state.best or rows, mask, out_dir)
    return _result(run, mask, out_dir)


def _result(run: Run, mask: Mask, out_dir: Path) -> ImplantResult:
    losses = run.state.losses
    # After an early stop the last epoch is an earlier one.
    start = done = 0
    for batches in run.epochs:
        if done + len(batches) > len(losses):
            break
        start, done = done, done + len(batches)
    last = losses[start:done]
    return ImplantResult(
        path=str(out_dir),
        rank=mask.rank,
        steps=run.state.step,
        tokens=run.state.tokens,
        examples=len(run.train.sequences),
        replayed=len({i for batch in run.replayed[: run.state.step] for i in batch}),
        skipped=run.train.skipped,
        first_loss=losses[0],
        last_loss=sum(last) / len(last),
        held_out_loss=min(run.state.held_out, default=None),
        seconds=run.state.seconds,
    )
