"""Training a model by any method on examples: one way for LoKI and all that it is compared with.

Renders, plans the batches, lets `adapt.loki.training` run the steps, and leaves the trained model
in the caller's hands for a while. It selects no rows, makes no examples, saves nothing and judges
no result. Called by adapt.loki.implant and by whoever compares methods.
"""

import copy
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from adapt.loki import training
from adapt.loki.batches import Prepared, of_epoch, plan, plan_replay, prepare
from adapt.loki.checkpoint import load_checkpoint
from adapt.loki.memory import peak_bytes, recomputed_layers, reset_peak
from adapt.loki.methods import Method, begin_at, check_method, check_start, installed
from adapt.loki.optimizers import make_optimizers
from adapt.loki.run import Run
from adapt.loki.selection import Mask
from adapt.loki.settings import ImplantSettings
from adapt.loki.step_log import Progress, StepLog
from adapt.render import Renderer
from store.errors import ConfigError, StageError
from store.records import Example, digest_of


@dataclass(frozen=True)
class TrainResult:
    """What a run gave. `seconds`, `tokens_per_second` and `peak_memory_bytes` may differ between
    equal runs, and nothing else."""

    parameters: int
    """Numbers trained."""
    steps: int
    tokens: int
    """Tokens processed, padding not counted."""
    examples: int
    """New ones."""
    again: int
    """Of earlier updates, trained on at least once."""
    replayed: int
    """Examples of what was known that were replayed at least once."""
    skipped: int
    """New examples left out: longer than max_length, or without loss."""
    first_loss: float
    last_loss: float
    """Mean training loss of the last epoch."""
    held_out_loss: float | None
    seconds: float
    tokens_per_second: float
    peak_memory_bytes: int
    """The most that tensors took on a GPU during the run; on a CPU, the whole process so far."""


@dataclass(frozen=True)
class Trained:
    """A trained model's parameters, in place as long as the context is open."""

    parameters: Sequence[nn.Parameter]
    result: TrainResult


@contextmanager
def train_method(
    model: nn.Module,
    tokenizer: Any,
    examples: Sequence[Example],
    settings: ImplantSettings,
    method: Method = "loki",
    mask: Mask | None = None,
    *,
    start: Sequence[Tensor] | None = None,
    again: Sequence[Example] = (),
    replay: Sequence[Example] = (),
    held_out: Sequence[Example] = (),
    checkpoint_dir: Path | None = None,
    log_path: Path | None = None,
    progress: Progress | None = None,
) -> Iterator[Trained]:
    """Train `model` by `method` and give it, trained, to the body; then it is what it was.

    `mask` is for the LoKI methods; `start` for what was trained before by the same method. `again`
    are examples of earlier updates: every epoch trains on as many of them as there are new ones. On
    `replay`, examples of what must not change, it is held to the answers of `model` as it came.
    `log_path` gets one JSON line per step (step, steps, loss, tokens_per_second); `progress` gets
    it with done, total and text. With `checkpoint_dir` a killed run resumes there, to the same bits
    on CPU. Raises ConfigError and ModelError for what does not fit together, before any work,
    StageError when nothing can be trained on or the loss is no number.
    """
    if method in ("loki", "full") and settings.rank is not None:
        raise ConfigError(f"{method} has no rank, but settings.rank is {settings.rank}", "leave it")
    rank = settings.rank or 16
    check_method(model, method, mask, rank)
    if not examples:
        raise StageError("there are no examples to train on", "gather documents that give some")
    renderer = Renderer(tokenizer)
    train, earlier, known, held = (
        prepare(renderer, each, settings.max_length) for each in (examples, again, replay, held_out)
    )
    if not train.sequences:
        raise StageError(
            f"none of {len(examples)} examples can be trained on (limit {settings.max_length})",
            "raise max_length, or check that messages carry loss",
        )
    model.eval()
    head = model.get_submodule("lm_head")
    if method == "full":
        head = copy.deepcopy(head).requires_grad_(False)
    with installed(model, method, mask, rank=rank, seed=settings.seed) as trained:
        if start is not None:
            check_start(trained, start)
        with (
            training.fixed_arithmetic(settings.threads),
            recomputed_layers(model, settings.gradient_checkpointing),
        ):
            new = len(train.sequences)
            train = replace(train, sequences=(*train.sequences, *earlier.sequences))
            epochs, replayed = _plans(train, new, known, settings)
            optimizers = make_optimizers(trained, settings, _embeddings(model))
            run = Run(
                model, trained, optimizers, head, train, known, held, epochs, replayed, settings,
                _identity(method, mask, start, settings, train, new, known, held_out),
            )  # fmt: skip
            reset_peak(run.device)
            # While nothing has moved: the answers of a start or checkpoint hold its mistakes too.
            run.before = training.answers_before(run, progress)
            if start is not None:
                begin_at(trained, start)
            if checkpoint_dir:
                found = load_checkpoint(checkpoint_dir, run.identity, trained, optimizers)
                run.state = found or run.state
            training.train(run, checkpoint_dir, StepLog(log_path, run.state.step, progress))
        yield Trained(trained, _result(run, new))


def _plans(
    train: Prepared, new: int, known: Prepared, settings: ImplantSettings
) -> tuple[list[list[list[int]]], list[list[int]]]:
    """The batches of every epoch, and the replayed examples of every step."""
    lengths = [len(sequence.token_ids) for sequence in train.sequences]
    epochs = []
    for epoch in range(settings.epochs):
        chosen = of_epoch(new, len(lengths) - new, epoch)
        batches = plan(
            [lengths[index] for index in chosen], settings.batch_tokens, settings.seed, epoch,
            settings.batch_examples,
        )  # fmt: skip
        epochs.append([[chosen[place] for place in batch] for batch in batches])
    steps, each = sum(map(len, epochs)), settings.replay_examples
    if not (known.sequences and each):
        return epochs, []
    return epochs, plan_replay(len(known.sequences), each, steps, settings.seed)


def _identity(
    method: Method,
    mask: Mask | None,
    start: Sequence[Tensor] | None,
    settings: ImplantSettings,
    train: Prepared,
    new: int,
    known: Prepared,
    held_out: Sequence[Example],
) -> str:
    """Digest of all that decides the result."""
    begun = [hashlib.sha256(t.float().cpu().numpy().tobytes()).hexdigest() for t in start or ()]
    return digest_of(
        {
            "method": method,
            "mask": mask.digest if mask else None,
            "settings": asdict(settings),
            "examples": [asdict(sequence) for sequence in train.sequences],
            "new": new,
            "replay": [asdict(sequence) for sequence in known.sequences],
            "held_out": [example.digest for example in held_out],
            "start": begun,
            "threads": torch.get_num_threads(),
        }
    )


def _embeddings(model: nn.Module) -> list[nn.Parameter]:
    """The weights whose rows stand for tokens."""
    names = ("model.embed_tokens.weight", "lm_head.weight")
    return [model.get_parameter(name) for name in names]


def _result(run: Run, new: int) -> TrainResult:
    losses = run.state.losses
    # After an early stop the last epoch is an earlier one.
    start = done = 0
    for batches in run.epochs:
        if done + len(batches) > len(losses):
            break
        start, done = done, done + len(batches)
    last = losses[start:done]
    return TrainResult(
        parameters=sum(parameter.numel() for parameter in run.trained),
        steps=run.state.step,
        tokens=run.state.tokens,
        examples=new,
        again=len({i for e in run.epochs for b in e for i in b if i >= new}),
        replayed=len({i for batch in run.replayed[: run.state.step] for i in batch}),
        skipped=run.train.skipped,
        first_loss=losses[0],
        last_loss=sum(last) / len(last),
        held_out_loss=min(run.state.held_out, default=None),
        seconds=run.state.seconds,
        tokens_per_second=run.state.tokens / run.state.seconds,
        peak_memory_bytes=peak_bytes(run.device),
    )
