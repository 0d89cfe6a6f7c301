"""The training loop over moving rows: steps, held-out loss, checkpoints, the live log.

Cross-entropy on the tokens that carry loss (only their logits are computed), AdamW without weight
decay, gradient clipping, a rate that rises and falls. On CPU the same run gives the same bits,
resumed or not. It knows no files but its log and its checkpoint. Called by adapt.loki.implant.
"""

import contextlib
import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from adapt.loki.batches import Batch, Prepared, collate
from adapt.loki.checkpoint import TrainState, save_checkpoint
from store.errors import ConfigError, StageError
from store.files import write_atomic


@dataclass(frozen=True)
class ImplantSettings:
    """How rows are trained."""

    epochs: int = 3
    learning_rate: float = 3e-3
    schedule: Literal["cosine", "linear"] = "cosine"
    warmup: float = 0.05
    """Part of all steps in which the rate rises from zero."""
    batch_tokens: int = 2048
    """Padded tokens per step, at most."""
    batch_examples: int = 24
    """Examples per step, at most."""
    max_length: int = 1024
    """Longer examples are left out and counted."""
    grad_clip: float = 1.0
    patience: int = 0
    """Stop after so many epochs without a lower held-out loss and keep the best rows; 0: never."""
    checkpoint_every: int = 100
    """Steps between checkpoints."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """bfloat16 computes under autocast; rows and optimiser stay in float32."""
    threads: int = 0
    """CPU threads; 0 leaves the process's own. The same bits need the same number."""
    seed: int = 0

    def __post_init__(self) -> None:
        for name in (
            "epochs", "learning_rate", "batch_tokens", "batch_examples", "grad_clip",
            "checkpoint_every",
        ):  # fmt: skip
            if not getattr(self, name) > 0:
                raise ConfigError(f"implant {name} is {getattr(self, name)}", "set it above 0")
        for name, allowed in (
            ("schedule", ("cosine", "linear")),
            ("precision", ("float32", "bfloat16")),
        ):
            if getattr(self, name) not in allowed:
                raise ConfigError(
                    f"implant {name} is {getattr(self, name)!r}", f"use {' or '.join(allowed)}"
                )
        if not 0 <= self.warmup < 1:
            raise ConfigError(f"implant warmup is {self.warmup}", "use a part of 1, such as 0.05")


@dataclass
class Run:
    """One training run: what stays fixed, and the state that moves."""

    model: nn.Module
    rows: list[nn.Parameter]
    optimizer: torch.optim.Optimizer
    train: Prepared
    held_out: Prepared
    epochs: list[list[list[int]]]
    """Per epoch, batches of indices into `train`."""
    settings: ImplantSettings
    identity: str
    """Digest of everything that decides the result; a checkpoint of another run is ignored."""
    state: TrainState

    @property
    def steps(self) -> int:
        """Steps of the whole run, if nothing stops it early."""
        return sum(map(len, self.epochs))


class StepLog:
    """One JSON line per step, in a file that can be followed while the run goes on."""

    def __init__(
        self, path: Path | None, done: int, progress: Callable[[dict[str, Any]], None] | None
    ) -> None:
        self.path, self.progress = path, progress
        if path:
            # Steps after the checkpoint are run again; twice in the log they would mislead.
            lines = path.read_text().splitlines(keepends=True)[:done] if path.is_file() else []
            write_atomic(path, "".join(lines))

    def write(self, step: int, steps: int, loss: float, tokens_per_second: float) -> None:
        """Append one step and tell the listener."""
        entry = {
            "step": step,
            "steps": steps,
            "loss": round(loss, 6),
            "tokens_per_second": round(tokens_per_second),
        }
        if self.path:
            with self.path.open("a") as file:
                file.write(json.dumps(entry) + "\n")
        if self.progress:
            self.progress(entry)


def train(run: Run, checkpoint_dir: Path | None, log: StepLog) -> None:
    """Run the steps that `run.state` has not done yet, epoch by epoch, to the end or early stop."""
    state = run.state
    began = time.monotonic() - state.seconds
    end = 0
    for epoch, batches in enumerate(run.epochs):
        first, end = end, end + len(batches)
        for step in range(max(first, state.step), end):
            clock = time.monotonic()
            sequences = [run.train.sequences[i] for i in batches[step - first]]
            batch = collate(sequences, run.rows[0].device)
            loss = _step(run, batch)
            state.step, state.tokens = step + 1, state.tokens + batch.tokens
            state.losses.append(loss)
            log.write(state.step, run.steps, loss, batch.tokens / (time.monotonic() - clock))
            state.seconds = time.monotonic() - began
            if checkpoint_dir and state.step % run.settings.checkpoint_every == 0:
                save_checkpoint(checkpoint_dir, run.identity, state, run.rows, run.optimizer)
        if _is_enough(run, epoch):
            break


def _is_enough(run: Run, epoch: int) -> bool:
    """Measure the held-out loss after an epoch, keep the best rows, and say whether to stop."""
    state, patience = run.state, run.settings.patience
    if not patience or not run.held_out.sequences:
        return False
    # A resumed run walks through epochs that have been measured already.
    if len(state.held_out) == epoch:
        loss = _held_out_loss(run)
        if not state.held_out or loss < min(state.held_out):
            state.best = [row.detach().clone() for row in run.rows]
        state.held_out.append(loss)
    measured = state.held_out[: epoch + 1]
    return epoch - measured.index(min(measured)) >= patience


def _step(run: Run, batch: Batch) -> float:
    settings = run.settings
    for group in run.optimizer.param_groups:
        group["lr"] = settings.learning_rate * rate_factor(run.state.step, run.steps, settings)
    loss = _loss(run, batch)
    loss.backward()
    norm = nn.utils.clip_grad_norm_(run.rows, settings.grad_clip)
    if not (math.isfinite(loss.item()) and math.isfinite(norm.item())):
        raise StageError(
            f"the loss became {loss.item()} (gradient norm {norm.item()}) at step "
            f"{run.state.step + 1} of {run.steps}",
            f"lower the learning rate ({settings.learning_rate}) and run again",
        )
    run.optimizer.step()
    run.optimizer.zero_grad(set_to_none=True)
    return loss.item()


def _loss(run: Run, batch: Batch) -> Tensor:
    """Mean cross-entropy over the batch's loss tokens."""
    kind = run.rows[0].device.type
    bfloat16 = run.settings.precision == "bfloat16"
    with torch.autocast(kind, torch.bfloat16) if bfloat16 else contextlib.nullcontext():
        hidden = run.model.get_submodule("model")(
            input_ids=batch.ids, use_cache=False
        ).last_hidden_state
        chosen = hidden.flatten(0, 1).index_select(0, batch.positions)
        logits = run.model.get_submodule("lm_head")(chosen)
    return functional.cross_entropy(logits.float(), batch.targets)


@torch.no_grad()
def _held_out_loss(run: Run) -> float:
    total, count = 0.0, 0
    for sequence in run.held_out.sequences:
        batch = collate([sequence], run.rows[0].device)
        total += _loss(run, batch).item() * len(batch.targets)
        count += len(batch.targets)
    return total / count


def rate_factor(step: int, steps: int, settings: ImplantSettings) -> float:
    """The part of the learning rate at `step` (from 0): up over the warm-up, then down to zero."""
    warm = max(1, round(settings.warmup * steps)) if settings.warmup else 0
    if step < warm:
        return (step + 1) / warm
    left = 1 - (step - warm) / max(1, steps - warm)
    return left if settings.schedule == "linear" else (1 - math.cos(math.pi * left)) / 2


@contextlib.contextmanager
def fixed_arithmetic(threads: int) -> Iterator[None]:
    """The same sums in the same order: deterministic kernels and a fixed number of threads."""
    before, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    if threads:
        torch.set_num_threads(threads)
    # On a GPU some kernels have no such form; there a warning must do.
    torch.use_deterministic_algorithms(True, warn_only=torch.cuda.is_available())
    try:
        yield
    finally:
        torch.set_num_threads(before)
        torch.use_deterministic_algorithms(deterministic)
