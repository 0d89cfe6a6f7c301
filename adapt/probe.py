"""The likeliest next tokens at fixed prompts: what a version must answer wherever it is served.

`make_probe` computes them with transformers + PEFT in fp32; `compare` holds what the engine
answered against them and loads no torch. It speaks to no engine. Called by adapt.stages
(make_probe) and adapt.swap (compare).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from store.errors import ConfigError, EngineError, ModelError
from store.records import Probe

TOLERANCE = 0.02


@dataclass(frozen=True)
class ProbeComparison:
    """How far an engine's answers lie from a probe."""

    max_abs_diff: float
    """Largest difference in nats; infinite when an answer is missing."""
    same_top1: bool
    """Whether every prompt's likeliest token is the same."""
    ok: bool
    """Whether the engine serves what was probed."""
    worst_prompt: int
    """Index of the prompt with the largest difference."""


def make_probe(
    model_dir: Path, adapter_dir: Path | None, prompts: Sequence[str], k: int = 5
) -> Probe:
    """The k likeliest next tokens after each prompt, with natural log-probabilities.

    Prompts are rendered text; no special token is added to them, and the engine must be asked the
    same way. Raises ModelError for a model or adapter that cannot be loaded.
    """
    import torch

    if not prompts:
        raise ConfigError("a probe needs at least one prompt", "give rendered prompts")
    model, tokenizer = _load(model_dir, adapter_dir)
    token_ids, logprobs = [], []
    for prompt in prompts:
        ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
        if not ids:
            raise ConfigError(f"the probe prompt {prompt!r} has no tokens", "give rendered prompts")
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1]
        top = logits.double().log_softmax(-1).topk(k)
        token_ids.append(tuple(top.indices.tolist()))
        logprobs.append(tuple(top.values.tolist()))
    return Probe(prompts=tuple(prompts), token_ids=tuple(token_ids), logprobs=tuple(logprobs))


def compare(
    probe: Probe,
    engine_top: Sequence[tuple[Sequence[int], Sequence[float]]],
    tolerance: float = TOLERANCE,
) -> ProbeComparison:
    """Hold an engine's top tokens (ids and log-probabilities per prompt) against a probe.

    A token that only one side lists must lie, on the other, below the least that it lists; so far
    as it does not, that counts as a difference. Two tokens that are equal within the tolerance may
    change places. Raises EngineError when the engine answered another number of prompts.
    """
    if len(engine_top) != len(probe.prompts):
        raise EngineError(
            f"the engine answered {len(engine_top)} of {len(probe.prompts)} probe prompts",
            "ask every prompt of the probe, in order",
        )
    differences, same = [], True
    for ids, logprobs, (engine_ids, engine_logprobs) in zip(
        probe.token_ids, probe.logprobs, engine_top, strict=True
    ):
        expected = dict(zip(ids, logprobs, strict=True))
        answered = dict(zip(engine_ids, engine_logprobs, strict=True))
        differences.append(_difference(expected, answered))
        same = same and bool(answered) and _first(expected) == _first(answered)
    worst = max(range(len(differences)), key=differences.__getitem__)
    return ProbeComparison(
        max_abs_diff=differences[worst],
        same_top1=same,
        ok=differences[worst] <= tolerance,
        worst_prompt=worst,
    )


def _difference(expected: dict[int, float], answered: dict[int, float]) -> float:
    # NaN compares false with everything and would pass any tolerance.
    values = [*expected.values(), *answered.values()]
    if not expected or not answered or any(math.isnan(value) for value in values):
        return math.inf
    largest = 0.0
    for mine, other in ((expected, answered), (answered, expected)):
        least = min(other.values())
        for token, value in mine.items():
            gap = abs(value - other[token]) if token in other else max(0.0, value - least)
            largest = max(largest, gap)
    return largest


def _first(top: dict[int, float]) -> int:
    return max(top, key=top.__getitem__)


def _load(model_dir: Path, adapter_dir: Path | None):
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    path = model_dir
    try:
        tokenizer = AutoTokenizer.from_pretrained(model_dir)
        model = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32)
        if adapter_dir is not None:
            path = adapter_dir
            model = PeftModel.from_pretrained(model, str(adapter_dir))
    except Exception as error:
        # The libraries raise anything from OSError to RuntimeError for a damaged directory.
        raise ModelError(f"{path} cannot be loaded: {error}", "check its files") from error
    return model.eval(), tokenizer
