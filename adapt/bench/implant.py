"""`perennial bench implant`: what a training step costs with rows that move, against its rivals.

The sides run the same model on the same tokens, forward and backward down to the input: `frozen`
trains nothing, which no method can undercut; `published` is the layer that LoKI's authors describe
(two linear layers, their outputs put side by side and gathered into order); `lora` is PEFT's, in
all linear layers, of as many parameters as there are in the rows. Each side has a process of one
thread (adapt.bench.sides); they take turns, and processor time counts, because other programs
disturb the clock. It measures no learning. Called by adapt.commands.bench.
"""

import atexit
import random
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM

from adapt.base import PICO
from adapt.bench import Progress
from adapt.bench.random_model import random_model
from adapt.bench.sides import Side, Timed
from adapt.loki.anatomy import decoder_layers
from adapt.loki.methods import LINEAR, Method, installed
from adapt.loki.selection import Mask, rows_per_layer

ROUNDS = 7
"""The smallest and the largest of seven ratios enclose the median in 98 of 100 cases."""
STAR_RANK, LENGTH = 8, 128

ALL = ("frozen", "loki", "loki-star", "published", "lora")
METHODS: dict[str, Method] = {"loki": "loki", "loki-star": "loki-star", "lora": "lora"}
"""Those of the sides that adapt.loki.methods installs."""


@dataclass(frozen=True)
class Shape:
    """A model, how many sequences of LENGTH tokens a step has, and the percentage of rows."""

    name: str
    sequences: int
    quota: float
    sides: tuple[str, ...] = ALL


SHAPES = (
    Shape("4 layers, 896/4864", 4, 10),
    Shape("pico", 16, 10),
    Shape("pico", 16, 60, ("frozen", "loki", "published")),
)


class SplitLinear(nn.Module):
    """The published layer: `rows` of a linear layer train, the others are a layer of their own."""

    def __init__(self, linear: nn.Module, rows: Sequence[int]) -> None:
        super().__init__()
        weight = linear.get_parameter("weight").detach()
        others = sorted(set(range(len(weight))) - set(rows))
        self.active = nn.Linear(weight.shape[1], len(rows), bias=False)
        self.still = nn.Linear(weight.shape[1], len(others), bias=False).requires_grad_(False)
        with torch.no_grad():
            self.active.weight.copy_(weight[list(rows)])
            self.still.weight.copy_(weight[others])
        self.order = torch.tensor([*rows, *others]).argsort()

    def forward(self, x: Tensor) -> Tensor:
        """W x; [..., d_ff] -> [..., d_model]."""
        beside = torch.cat([self.active(x), self.still(x)], dim=-1)
        return beside.gather(-1, self.order.expand(beside.shape))


@dataclass
class Installed:
    """A side in its process: the model, and what trains."""

    model: Any
    trained: list[nn.Parameter]
    optimizer: torch.optim.Optimizer | None
    inputs: Tensor
    gradient: Tensor


def run(progress: Progress) -> dict[str, Any]:
    """All sides at all shapes, in fp32 and where the processor has it bfloat16; under three minutes
    on two idle cores."""
    able = torch.cpu.get_capabilities()
    precisions = ["float32"]
    if able.get("avx512_bf16") or able.get("amx_bf16"):
        precisions.append("bfloat16")
    return {
        "benchmark": "implant",
        "torch": torch.__version__,
        "seconds": "processor time of one thread, median; forward + backward, and with AdamW",
        "over_frozen": "forward + backward over that of frozen weights, median and range of pairs",
        "memory": "highest resident memory of a side's process, model included",
        "rows": [row for shape in SHAPES for row in _rows(shape, precisions, progress)],
    }


def _rows(shape: Shape, precisions: Sequence[str], progress: Progress) -> list[dict[str, Any]]:
    rows = []
    with ExitStack() as stack:
        sides = {
            name: stack.enter_context(Side(partial(_install, shape, name))) for name in shape.sides
        }
        for precision in precisions:
            runs: dict[str, list[Timed]] = {name: [] for name in shape.sides}
            for turn in range(ROUNDS + 1):
                progress(f"{shape.name}, {shape.quota}%, {precision}: {turn} of {ROUNDS}")
                # Back and forth, so that no side always follows the same one.
                for name in shape.sides[:: 1 if turn % 2 else -1]:
                    runs[name].append(sides[name].run(_step, precision))
            # The first run of a process makes its buffers.
            rows += [
                {
                    "shape": shape.name,
                    "quota": shape.quota,
                    "precision": precision,
                    "side": name,
                    **_row(runs[name][1:], runs["frozen"][1:], runs["loki"][1:]),
                }
                for name in shape.sides
            ]
    return rows


def _row(runs: list[Timed], frozen: list[Timed], ours: list[Timed]) -> dict[str, Any]:
    """What one side's runs say beside those of the same turns."""
    over = sorted(_ratios(runs, frozen, "passes"))
    return {
        "parameters": runs[0].value["parameters"],
        "seconds": round(median(run.value["passes"] for run in runs), 5),
        "with_optimizer": round(median(run.value["step"] for run in runs), 5),
        "over_frozen": round(median(over), 3),
        "interval": f"{over[0]:.3f} to {over[-1]:.3f}",
        "over_loki": round(median(_ratios(runs, ours, "passes")), 3),
        "step_over_loki": round(median(_ratios(runs, ours, "step")), 3),
        "peak_mb": round(max(run.peak_mb for run in runs)),
    }


def _ratios(runs: list[Timed], others: list[Timed], key: str) -> list[float]:
    return [a.value[key] / b.value[key] for a, b in zip(runs, others, strict=True)]


def _install(shape: Shape, side: str) -> Installed:
    """In the side's process: the model as that side trains it."""
    torch.set_num_threads(1)
    model = _model(shape).eval().requires_grad_(False)
    d_model, stack = model.config.hidden_size, ExitStack()
    layers = decoder_layers(model)
    generator, k = random.Random(0), rows_per_layer(d_model, shape.quota)
    rows = tuple(tuple(sorted(generator.sample(range(d_model), k))) for _ in layers)
    mask = Mask(rows, d_model, shape.quota, "random-0", "b" * 64, "c" * 64)
    trained: list[nn.Parameter] = []
    if side == "published":
        for layer, chosen in zip(layers, rows, strict=True):
            mlp = layer.get_submodule("mlp")
            mlp.down_proj = split = SplitLinear(mlp.get_submodule("down_proj"), chosen)
            trained.append(split.active.get_parameter("weight"))
    elif side in METHODS:
        linears = [m for n, m in layers[0].named_modules() if n.rpartition(".")[2] in LINEAR]
        each = sum(sum(m.get_parameter("weight").shape) for m in linears)
        rank = (
            STAR_RANK if side == "loki-star" else round(k * model.config.intermediate_size / each)
        )
        trained = stack.enter_context(installed(model, METHODS[side], mask, rank=rank))
    noise = torch.Generator().manual_seed(1)
    size = (shape.sequences, LENGTH, d_model)
    inputs, gradient = (torch.randn(size, generator=noise) for _ in range(2))
    # Left to the end of the interpreter, the context would close when half of torch is gone.
    atexit.register(stack.close)
    optimizer = torch.optim.AdamW(trained, 1e-5, fused=True) if trained else None
    return Installed(model, trained, optimizer, inputs * 0.02, gradient / LENGTH)


def _model(shape: Shape) -> Any:
    if shape.name == "pico":
        return AutoModelForCausalLM.from_pretrained(PICO, dtype=torch.float32)
    return random_model(layers=4, vocabulary=512)


def _step(side: Installed, precision: str) -> dict[str, float]:
    """Processor seconds of forward and backward, and of these and the optimiser's step."""
    inputs = side.inputs.clone().requires_grad_()
    began = time.process_time()
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
        hidden = side.model.model(inputs_embeds=inputs, use_cache=False).last_hidden_state
    hidden.backward(side.gradient.to(hidden.dtype))
    passes = time.process_time() - began
    if side.optimizer:
        side.optimizer.step()
        side.optimizer.zero_grad(set_to_none=True)
    step = time.process_time() - began
    return {
        "passes": passes,
        "step": step,
        "parameters": sum(parameter.numel() for parameter in side.trained),
    }
