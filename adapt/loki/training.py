"""The training loop over moving rows: steps, held-out loss, checkpoints, the live log.

Cross-entropy on new examples; on replayed ones the divergence from the model before the update
(learning without forgetting, arXiv 1606.09282). Only logits of tokens that carry loss are computed.
No weight decay, gradient clipping, a rate that rises and falls. On CPU the same run gives the same
bits, resumed or not. It knows no files but its log and its checkpoint.
Called by adapt.loki.implant.
"""

import contextlib
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from adapt.loki.batches import Batch, Prepared, collate, in_budget
from adapt.loki.checkpoint import TrainState, save_checkpoint
from adapt.loki.packing import packed_hidden
from adapt.loki.settings import ImplantSettings
from adapt.loki.step_log import Progress, StepLog
from store.errors import StageError

_READ_TOKENS = 4096
"""Tokens per pass when nothing is trained."""


@dataclass
class Run:
    """One training run: what stays fixed, and the state that moves."""

    model: nn.Module
    rows: list[nn.Parameter]
    optimizer: torch.optim.Optimizer
    train: Prepared
    replay: Prepared
    held_out: Prepared
    epochs: list[list[list[int]]]
    """Per epoch, batches of indices into `train`."""
    replayed: list[list[int]]
    """Per step, indices into `replay`; empty when nothing is replayed."""
    before: dict[int, Tensor]
    """By index into `replay`: last hidden states [K, d_model], at its K tokens with loss, of the
    model before the update."""
    settings: ImplantSettings
    identity: str
    """Digest of everything that decides the result; a checkpoint of another run is ignored."""
    state: TrainState

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """The precision of the forward pass."""
        kind, wanted = self.rows[0].device.type, self.settings.precision
        if wanted == "auto":
            wanted = "bfloat16" if kind == "cuda" or _cpu_has_bfloat16() else "float32"
        bfloat16 = wanted == "bfloat16"
        return torch.autocast(kind, torch.bfloat16) if bfloat16 else contextlib.nullcontext()

    @property
    def steps(self) -> int:
        """Steps of the whole run, if nothing stops it early."""
        return sum(map(len, self.epochs))


def _cpu_has_bfloat16() -> bool:
    """Whether this CPU has instructions for products of bfloat16; without them it is slower."""
    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))


def answers_before(run: Run, progress: Progress | None) -> dict[int, Tensor]:
    """What `run.before` holds, of everything that will be replayed; rows must be as at the start.

    Once, because asking in every step takes a fifth of it. The batches depend on nothing but the
    run, so that a resumed one gets the same bits.
    """
    wanted = sorted({i for indices in run.replayed for i in indices})
    lengths = [len(run.replay.sequences[i].token_ids) for i in wanted]
    found: dict[int, Tensor] = {}
    for places in in_budget(lengths, _READ_TOKENS):
        indices = [wanted[place] for place in places]
        batch = collate([run.replay.sequences[i] for i in indices], run.rows[0].device)
        with torch.no_grad():
            hidden = _hidden(run, batch)
        found |= zip(indices, hidden.cpu().split(batch.counts), strict=True)
        if progress:
            done, total = len(found), len(wanted)
            progress({"done": done, "total": total, "text": "answers that must stay"})
    return found


def train(run: Run, checkpoint_dir: Path | None, log: StepLog) -> None:
    """Run the steps that `run.state` has not done yet, epoch by epoch, to the end or early stop."""
    state = run.state
    began = time.monotonic() - state.seconds
    end = 0
    for epoch, batches in enumerate(run.epochs):
        first, end = end, end + len(batches)
        for step in range(max(first, state.step), end):
            clock = time.monotonic()
            loss, tokens = _step(run, batches[step - first])
            state.step, state.tokens = step + 1, state.tokens + tokens
            state.losses.append(loss)
            log.write(state.step, run.steps, loss, tokens / (time.monotonic() - clock))
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


def _step(run: Run, indices: list[int]) -> tuple[float, int]:
    """One step of the optimiser; the loss of the new examples, and the tokens of all."""
    settings, device = run.settings, run.rows[0].device
    for group in run.optimizer.param_groups:
        group["lr"] = settings.learning_rate * rate_factor(run.state.step, run.steps, settings)
    again = run.replayed[run.state.step] if run.replayed else []
    sequences = [run.train.sequences[i] for i in indices]
    batch = collate([*sequences, *(run.replay.sequences[i] for i in again)], device)
    logits, new = _logits(run, _hidden(run, batch)), sum(batch.counts[: len(indices)])
    losses = functional.cross_entropy(logits[:new], batch.targets[:new], reduction="none")
    loss = _mean(losses, batch.first[:new], settings)
    total = loss
    if again:
        before = torch.cat([run.before[i] for i in again]).to(device)
        moved = _divergence(run, before, logits[new:], batch.first[new:])
        total = loss + settings.replay_weight * moved
    total.backward()
    norm = nn.utils.clip_grad_norm_(run.rows, settings.grad_clip)
    if not (math.isfinite(loss.item()) and math.isfinite(norm.item())):
        raise StageError(
            f"the loss became {loss.item()} (gradient norm {norm.item()}) at step "
            f"{run.state.step + 1} of {run.steps}",
            f"lower the learning rate ({settings.learning_rate}) and run again",
        )
    run.optimizer.step()
    run.optimizer.zero_grad(set_to_none=True)
    return loss.item(), batch.tokens


def _divergence(run: Run, before: Tensor, logits: Tensor, first: Tensor) -> Tensor:
    """Weighted mean KL(model before the update || model now) over K loss tokens, in nats.

    `before` is [K, d_model], the hidden states; `logits` [K, vocabulary] the model's now.
    """
    with torch.no_grad():
        old = _logits(run, before).log_softmax(-1)
    now = logits.log_softmax(-1)
    each = functional.kl_div(now, old, log_target=True, reduction="none").sum(-1)
    return _mean(each, first, run.settings)


def _mean(losses: Tensor, first: Tensor, settings: ImplantSettings) -> Tensor:
    """Mean of [K] losses in which the first token of an answer counts `first_token_weight`."""
    weights = torch.where(first, settings.first_token_weight, 1.0)
    return (losses * weights).sum() / weights.sum()


def _hidden(run: Run, batch: Batch) -> Tensor:
    """Last hidden states [K, d_model] at the batch's loss positions."""
    with run.autocast():
        hidden = packed_hidden(run.model, batch.ids, batch.packing)
    return hidden.index_select(0, batch.positions)


def _logits(run: Run, hidden: Tensor) -> Tensor:
    """fp32 [K, vocabulary]."""
    with run.autocast():
        logits = run.model.get_submodule("lm_head")(hidden)
    return logits.float()


@torch.no_grad()
def _held_out_loss(run: Run) -> float:
    total, count = 0.0, 0
    lengths = [len(sequence.token_ids) for sequence in run.held_out.sequences]
    for indices in in_budget(lengths, _READ_TOKENS):
        batch = collate([run.held_out.sequences[i] for i in indices], run.rows[0].device)
        logits = _logits(run, _hidden(run, batch))
        total += functional.cross_entropy(logits, batch.targets, reduction="sum").item()
        count += len(batch.targets)
    return total / count


def make_optimizer(rows: list[nn.Parameter], settings: ImplantSettings) -> torch.optim.Optimizer:
    """The optimiser of the rows; a rate means about the same step for both."""
    if settings.optimizer == "adamw":
        fused = rows[0].device.type in ("cpu", "cuda")
        return torch.optim.AdamW(rows, settings.learning_rate, weight_decay=0.0, fused=fused)
    return torch.optim.Muon(
        rows, settings.learning_rate, weight_decay=0.0, momentum=0.9,
        adjust_lr_fn="match_rms_adamw",
    )  # fmt: skip


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
    # torch makes a module of it at import, with a property that its stubs do not show.
    memory: Any = torch.utils.deterministic
    fill = memory.fill_uninitialized_memory
    if threads:
        torch.set_num_threads(threads)
    # Filling every new tensor costs a tenth of a step, and nothing here reads one before it is set.
    memory.fill_uninitialized_memory = False
    # On a GPU some kernels have no such form; there a warning must do.
    torch.use_deterministic_algorithms(True, warn_only=torch.cuda.is_available())
    try:
        yield
    finally:
        torch.set_num_threads(before)
        memory.fill_uninitialized_memory = fill
        torch.use_deterministic_algorithms(deterministic)
