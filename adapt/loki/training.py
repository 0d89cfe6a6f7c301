"""The training loop over whatever moves: steps, held-out loss, checkpoints, the live log.

No weight decay, gradient clipping, a rate that rises and falls. On CPU the same run gives the same
bits, resumed or not. What is minimised is adapt.loki.objective's; it knows no files but its log and
its checkpoint. Called by adapt.loki.learning.
"""

import contextlib
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from adapt.loki.batches import collate, in_budget
from adapt.loki.checkpoint import save_checkpoint
from adapt.loki.objective import READ_TOKENS, accumulate, held_out_loss, parts_of
from adapt.loki.optimizers import rate_factor, set_rate
from adapt.loki.run import Run
from adapt.loki.step_log import Progress, StepLog
from store.errors import StageError


def answers_before(run: Run, progress: Progress | None) -> dict[int, Tensor]:
    """What `run.before` holds, of everything that will be replayed; nothing may have moved yet.

    Once, because asking in every step takes a fifth of it. The batches depend on nothing but the
    run, so that a resumed one gets the same bits.
    """
    wanted = sorted({i for indices in run.replayed for i in indices})
    lengths = [len(run.replay.sequences[i].token_ids) for i in wanted]
    found: dict[int, Tensor] = {}
    for places in in_budget(lengths, READ_TOKENS):
        indices = [wanted[place] for place in places]
        batch = collate([run.replay.sequences[i] for i in indices], run.device)
        with torch.no_grad():
            hidden = run.hidden(batch)
        found |= zip(indices, hidden.cpu().split(batch.counts), strict=True)
        if progress:
            done, total = len(found), len(wanted)
            progress({"done": done, "total": total, "text": "answers that must stay"})
    return found


def train(run: Run, checkpoint_dir: Path | None, log: StepLog) -> None:
    """Run the steps that `run.state` has not done yet, epoch by epoch, to the end or early stop.

    Leaves what is trained at its best, which is the last when no held-out loss is measured.
    """
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
                save_checkpoint(checkpoint_dir, run.identity, state, run.trained, run.optimizers)
        if _is_enough(run, epoch):
            break
    with torch.no_grad():
        for parameter, best in zip(run.trained, state.best, strict=False):
            parameter.copy_(best)


def _is_enough(run: Run, epoch: int) -> bool:
    """Measure the held-out loss after an epoch, keep the best so far, and say whether to stop."""
    state, patience = run.state, run.settings.patience
    if not patience or not run.held_out.sequences:
        return False
    # A resumed run walks through epochs that have been measured already.
    if len(state.held_out) == epoch:
        loss = held_out_loss(run)
        if not state.held_out or loss < min(state.held_out):
            state.best = [parameter.detach().clone() for parameter in run.trained]
        state.held_out.append(loss)
    measured = state.held_out[: epoch + 1]
    return epoch - measured.index(min(measured)) >= patience


def _step(run: Run, indices: list[int]) -> tuple[float, int]:
    """One step of the optimisers; the loss of the new examples, and the tokens of all."""
    settings = run.settings
    rate = settings.learning_rate * rate_factor(run.state.step, run.steps, settings)
    set_rate(run.optimizers, rate)
    again = run.replayed[run.state.step] if run.replayed else []
    parts = parts_of(run, indices, again)
    loss = accumulate(run, parts)
    norm = nn.utils.clip_grad_norm_(run.trained, settings.grad_clip).item()
    if not (math.isfinite(loss) and math.isfinite(norm)):
        raise StageError(
            f"the loss became {loss} (gradient norm {norm}) at step "
            f"{run.state.step + 1} of {run.steps}",
            f"lower the learning rate ({settings.learning_rate}) and run again",
        )
    for optimizer in run.optimizers:
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return loss, sum(part.batch.tokens for part in parts)


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
