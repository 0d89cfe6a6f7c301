"""`perennial bench kva`: our attribution against the plain one, in time, memory and result.

The plain side computes each definition word for word, layer by layer and step by step; `captum` is
computed by Captum itself. Both sides take turns, each in a process of its own (adapt.bench.sides)
and on one thread: on more, what else the machine does changes a time threefold. It needs Captum.
Called by adapt.commands.bench.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from adapt.base import PICO
from adapt.bench import Progress
from adapt.bench.plain_attribution import captum_scores, plain_scores
from adapt.bench.random_model import random_model
from adapt.bench.sides import Side, Timed
from adapt.loki.attribution import Scorer
from adapt.loki.definitions import DEFINITIONS

STEPS, QUOTA, TOKENS = 7, 0.1, 128


@dataclass(frozen=True)
class Shape:
    """A model and how often its sides run."""

    name: str
    prompts: int
    """In one pass of ours, and in the forward that it is compared with."""
    plain_prompts: int
    """The first of them, for the plain side."""
    runs: int
    """Of ours, and of one forward; the median counts."""


_PICO = Shape("pico", prompts=6, plain_prompts=2, runs=8)
_LARGE = Shape("24 layers, 896/4864", prompts=6, plain_prompts=1, runs=4)


def run(progress: Progress) -> dict[str, Any]:
    """All definitions at the shape of the embedded model and at that of a 0.5B one; half
    an hour."""
    return _compare([_PICO, _LARGE], progress)


def run_pico(progress: Progress) -> dict[str, Any]:
    """All definitions at the shape of the embedded model; a minute."""
    return _compare([_PICO], progress)


def _compare(shapes: Sequence[Shape], progress: Progress) -> dict[str, Any]:
    rows = [row for shape in shapes for row in _rows(shape, progress)]
    return {
        "benchmark": "kva",
        "torch": torch.__version__,
        "threads": 1,
        "steps": STEPS,
        "tokens": TOKENS,
        "seconds": "of the processor, for a prompt",
        "memory": "highest resident memory of a side's process during a run, model included",
        "rows": rows,
    }


def _rows(shape: Shape, progress: Progress) -> list[dict[str, Any]]:
    load = partial(_load, shape.name)
    with Side(load) as fast, Side(load) as slow:
        return [
            {"shape": shape.name, "definition": name, **_sides(fast, slow, shape, name, progress)}
            for name in DEFINITIONS
        ]


def _sides(fast: Side, slow: Side, shape: Shape, name: str, progress: Progress) -> dict[str, Any]:
    """Half of our runs, the plain one, and the other half."""
    where = f"{shape.name}, {name}"
    forwards, ours = [], []
    # Where one of ours takes as long as dozens of forwards, the plain side's prompts will do, once
    # before and once after its run.
    moves_all = DEFINITIONS[name].positions == "all"
    runs, prompts = (2, shape.plain_prompts) if moves_all else (shape.runs, shape.prompts)

    def half(first: int) -> None:
        for number in range(first, first + runs // 2):
            progress(f"{where}: ours, run {number + 1} of {runs}")
            forwards.append(fast.run(_forward, prompts))
            ours.append(fast.run(_ours, prompts, name))

    # The first run of all is the slower one.
    fast.run(_forward, prompts)
    half(0)
    progress(f"{where}: the plain way")
    plain = slow.run(_plain, shape.plain_prompts, name)
    half(runs // 2)
    return summary(forwards, ours, plain)


def summary(forwards: list[Timed], ours: list[Timed], plain: Timed) -> dict[str, Any]:
    """What two sides' runs say; the plain one may be of the first few prompts only."""
    found, expected = ours[-1].value, plain.value
    fast = median(run.seconds for run in ours)
    per_prompt = fast / len(found), plain.seconds / len(expected)
    found = found[: len(expected)]
    k = int(found.shape[-1] * QUOTA)
    lowest = [scores.argsort(dim=-1, stable=True)[..., :k] for scores in (found, expected)]
    same = sum(
        len(set(one) & set(other))
        for one, other in zip(*(rows.flatten(0, 1).tolist() for rows in lowest), strict=True)
    )
    return {
        "ratio": per_prompt[1] / per_prompt[0],
        "max_relative_difference": float((found - expected).abs().max() / expected.abs().max()),
        "selection_overlap": same / lowest[0].numel(),
        "forward_equivalents": fast / median(run.seconds for run in forwards),
        "ours_seconds": per_prompt[0],
        "plain_seconds": per_prompt[1],
        "ours_peak_mb": round(max(run.peak_mb for run in ours)),
        "plain_peak_mb": round(plain.peak_mb),
    }


def _load(shape: str) -> Any:
    torch.set_num_threads(1)
    if shape == _PICO.name:
        model: Any = AutoModelForCausalLM.from_pretrained(
            PICO, dtype=torch.float32, attn_implementation="eager"
        )
    else:
        model = random_model(layers=24, vocabulary=8192, attention="eager")
    # Or the plain side would pay for gradients that nobody asks for.
    return model.float().eval().requires_grad_(False)


def _prompts(model: Any, count: int) -> list[list[int]]:
    generator = torch.Generator().manual_seed(1)
    size = (count, TOKENS)
    return torch.randint(0, model.config.vocab_size, size, generator=generator).tolist()


@torch.no_grad()
def _forward(model: Any, count: int) -> None:
    model(torch.tensor(_prompts(model, count)))


def _ours(model: Any, count: int, name: str) -> torch.Tensor:
    return Scorer(model, DEFINITIONS[name], STEPS, TOKENS)(_prompts(model, count))


def _plain(model: Any, count: int, name: str) -> torch.Tensor:
    prompts = _prompts(model, count)
    if name == "captum":
        return torch.stack([captum_scores(model, prompt, STEPS) for prompt in prompts])
    return torch.stack([plain_scores(model, p, DEFINITIONS[name], STEPS) for p in prompts])
