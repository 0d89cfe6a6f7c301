"""`perennial bench kva`: our attribution against the plain one, in time, memory and result.

The plain side computes each definition word for word, layer by layer and step by step; `captum` is
computed by Captum itself. Both sides take turns, each in a process of its own (adapt.bench.sides).
It needs Captum. Called by adapt.commands.bench.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from adapt.base import PICO
from adapt.bench import Progress
from adapt.bench.plain_attribution import captum_scores, plain_scores
from adapt.bench.sides import Side, Timed
from adapt.loki.attribution import Scorer
from adapt.loki.definitions import DEFINITIONS

STEPS, QUOTA, TOKENS = 7, 0.1, 128


@dataclass(frozen=True)
class Shape:
    """A model and how often its sides run."""

    name: str
    prompts: int
    ours: int
    """Runs of ours, and of one forward; the median counts."""
    plain: int
    attention: str


_PICO = Shape("pico", prompts=2, ours=8, plain=2, attention="eager")
_LARGE = Shape("24 layers, 896/4864", prompts=1, ours=4, plain=1, attention="eager")


def run(progress: Progress) -> dict[str, Any]:
    """All definitions at the shape of the embedded model and at that of a 0.5B one; half an hour
    on two cores."""
    return _compare([_PICO, _LARGE], progress)


def run_pico(progress: Progress) -> dict[str, Any]:
    """All definitions at the shape of the embedded model; a minute."""
    return _compare([_PICO], progress)


def _compare(shapes: Sequence[Shape], progress: Progress) -> dict[str, Any]:
    rows = [row for shape in shapes for row in _rows(shape, progress)]
    return {
        "benchmark": "kva",
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "steps": STEPS,
        "tokens": TOKENS,
        "memory": "highest resident memory of a side's process during a run, model included",
        "rows": rows,
    }


def _rows(shape: Shape, progress: Progress) -> list[dict[str, Any]]:
    load = partial(_load, shape.name, shape.attention)
    rows = []
    with Side(load) as fast, Side(load) as slow:
        for name in DEFINITIONS:
            where = f"{shape.name}, {name}"
            forwards, ours, plain = [], [], []
            fast.run(_ours, shape.prompts, name)
            for turn in range(shape.plain):
                # Ours before and after the long run of the other: the machine may have changed.
                for half in ("before", "after"):
                    for number in range(-(-shape.ours // (2 * shape.plain))):
                        progress(f"{where}: ours, run {number + 1} {half} plain run {turn + 1}")
                        forwards.append(fast.run(_forward, shape.prompts))
                        ours.append(fast.run(_ours, shape.prompts, name))
                    if half == "before":
                        progress(f"{where}: plain, run {turn + 1} of {shape.plain}")
                        plain.append(slow.run(_plain, shape.prompts, name))
            rows.append({"shape": shape.name, "definition": name, **summary(forwards, ours, plain)})
    return rows


def summary(forwards: list[Timed], ours: list[Timed], plain: list[Timed]) -> dict[str, Any]:
    """What two sides' runs of the same prompts say."""
    fast, slow = (median(run.seconds for run in side) for side in (ours, plain))
    fast_cpu, slow_cpu = (median(run.cpu_seconds for run in side) for side in (ours, plain))
    found, expected = ours[-1].value, plain[-1].value
    k = int(found.shape[-1] * QUOTA)
    lowest = [scores.argsort(dim=-1, stable=True)[..., :k] for scores in (found, expected)]
    same = sum(
        len(set(one) & set(other))
        for one, other in zip(*(rows.flatten(0, 1).tolist() for rows in lowest), strict=True)
    )
    return {
        "ratio": slow / fast,
        "cpu_ratio": slow_cpu / fast_cpu,
        "max_relative_difference": float((found - expected).abs().max() / expected.abs().max()),
        "selection_overlap": same / lowest[0].numel(),
        "forward_equivalents": fast / median(run.seconds for run in forwards),
        "ours_seconds": fast,
        "plain_seconds": slow,
        "ours_peak_mb": round(max(run.peak_mb for run in ours)),
        "plain_peak_mb": round(max(run.peak_mb for run in plain)),
    }


def _load(shape: str, attention: str) -> Any:
    if shape == _PICO.name:
        model: Any = AutoModelForCausalLM.from_pretrained(
            PICO, dtype=torch.float32, attn_implementation=attention
        )
    else:
        torch.manual_seed(0)
        config = AutoConfig.for_model(
            "qwen2",
            hidden_size=896,
            intermediate_size=4864,
            num_hidden_layers=24,
            num_attention_heads=14,
            num_key_value_heads=2,
            vocab_size=8192,
            max_position_embeddings=1024,
            tie_word_embeddings=True,
        )
        model = AutoModelForCausalLM.from_config(config, attn_implementation=attention)
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
