"""How likely text is to a model, and how far a model has moved from its base: figures, no scores.

Both go through the engine's own log-probabilities, so that what is measured is what is served.
Texts and prompts come fully rendered; nothing is stored or decided here. Called by the command
line.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from adapt.evals.asking import PRIORITY
from adapt.evals.encyclopedia import KNOWN_SEED, articles
from adapt.evals.published.reading import field, records
from agent.engine_errors import too_long
from agent.fleet import Inference
from store.errors import ConfigError, EngineError, NotFoundError

CONCURRENCY = 16
RESAMPLES = 2000
PINNED_ENTITIES = 50
TEXT_CHARS = 1000
"""Least length of a text that is cut out of a longer one."""
TOP_K = 20
"""Most tokens that the engine tells the probabilities of."""
_LEAST = 1e-6
"""Float32 log-probabilities do not add up to 1 any closer."""
_In = TypeVar("_In")
_Out = TypeVar("_Out")


def pinned_texts(file: Path | None = None) -> list[str]:
    """The texts of a file, or the known encyclopedia, which is the same on every machine.

    A .jsonl file has a `text` in each record; any other is cut at blank lines. NotFoundError,
    ConfigError.
    """
    if file is None:
        return list(articles(KNOWN_SEED, PINNED_ENTITIES).values())
    if file.suffix == ".jsonl":
        return [field(record, "text", where, str) for where, record in records(file)]
    if not file.is_file():
        raise NotFoundError(f"there is no file {file}", "give a text or .jsonl file")
    try:
        paragraphs = file.read_text(encoding="utf-8").split("\n\n")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file} is no UTF-8 at byte {error.start}", "save it so") from error
    texts = [""]
    for paragraph in paragraphs:
        if len(texts[-1]) >= TEXT_CHARS:
            texts.append("")
        texts[-1] += f"{paragraph}\n\n"
    return [text.strip() for text in texts if text.strip()]


async def perplexity(engine: Inference, model: str, texts: Sequence[str]) -> dict[str, Any]:
    """Perplexity per token over all texts, with a 95% bootstrap interval over the texts.

    A text beyond the model's context is cut in halves; the first token of each piece is not
    counted, for nothing comes before it. ConfigError where no text has two tokens; EngineError.
    """
    scored = await _each(texts, lambda text: _surprise(engine, model, text))
    mean, low, high = _ratio([s for s, _ in scored], [n for _, n in scored], "text")
    return {
        "model": model,
        "perplexity": math.exp(mean),
        "low": math.exp(low),
        "high": math.exp(high),
        "texts": len(texts),
        "tokens": sum(n for _, n in scored),
    }


async def kl_to_base(
    engine: Inference,
    base: str,
    model: str,
    prompts: Sequence[str],
    k: int = TOP_K,
    tokens: int = 32,
) -> dict[str, Any]:
    """Mean KL(base || model) per token, in nats, over the base's own greedy continuations.

    At each of the first `tokens` places behind a prompt both models' `k` likeliest next tokens are
    compared, those that both have one by one and all others as one bucket. Merging outcomes cannot
    raise a divergence, so this is a lower bound of the true one. With a 95% bootstrap interval over
    the prompts. ConfigError for a `k` that the engine does not have; EngineError.
    """
    if not 1 <= k <= TOP_K:
        raise ConfigError(f"k is {k}", f"use 1 to {TOP_K}")
    if tokens < 1:
        raise ConfigError(f"tokens is {tokens}", "use at least 1")
    scored = await _each(prompts, lambda one: _divergence(engine, base, model, one, k, tokens))
    mean, low, high = _ratio([s for s, _ in scored], [n for _, n in scored], "prompt")
    return {
        "base": base,
        "model": model,
        "kl": mean,
        "low": low,
        "high": high,
        "prompts": len(prompts),
        "tokens": sum(n for _, n in scored),
        "k": k,
    }


def kl_of(base: Mapping[int, float], model: Mapping[int, float]) -> float:
    """Lower bound of KL(base || model) at one place, of some tokens' log-probabilities each."""
    both = base.keys() & model.keys()
    total = sum(math.exp(base[t]) * (base[t] - model[t]) for t in sorted(both))
    rest = max(0.0, 1.0 - math.fsum(math.exp(base[t]) for t in both))
    other = max(_LEAST, 1.0 - math.fsum(math.exp(model[t]) for t in both))
    if rest > _LEAST:
        total += rest * math.log(rest / other)
    return max(0.0, total)


async def _surprise(engine: Inference, model: str, text: str) -> tuple[float, int]:
    """Negative log-likelihood of a text, and of how many tokens."""
    try:
        told = await engine.prompt_logprobs(model, text, priority=PRIORITY)
    except EngineError as error:
        half = len(text) // 2
        if not too_long(error) or half < 1:
            raise
        blank = text.rfind(" ", 1, half + 1)
        cut = blank if blank > 0 else half
        pieces = [await _surprise(engine, model, part) for part in (text[:cut], text[cut:])]
        return sum(s for s, _ in pieces), sum(n for _, n in pieces)
    return -math.fsum(told.logprobs), len(told.logprobs)


async def _divergence(
    engine: Inference, base: str, model: str, prompt: str, k: int, tokens: int
) -> tuple[float, int]:
    """Sum of the divergences behind one prompt, and at how many places."""
    # As ids from here on: a text and its continuation need not be cut as the two are.
    asked = (await engine.prompt_logprobs(base, prompt, priority=PRIORITY)).token_ids
    said = await engine.generate(base, asked, max_tokens=tokens, priority=PRIORITY)
    whole = [*asked, *said.token_ids]
    ours, theirs = [
        (await engine.prompt_logprobs(name, whole, k, priority=PRIORITY)).tops[len(asked) - 1 :]
        for name in (base, model)
    ]
    return math.fsum(map(kl_of, ours, theirs)), len(ours)


async def _each(inputs: Sequence[_In], work: Callable[[_In], Awaitable[_Out]]) -> list[_Out]:
    """`work` on every input, some at once, in the inputs' order."""
    places = asyncio.Semaphore(CONCURRENCY)

    async def one(value: _In) -> _Out:
        async with places:
            return await work(value)

    return list(await asyncio.gather(*(one(value) for value in inputs)))


def _ratio(sums: Sequence[float], counts: Sequence[int], what: str) -> tuple[float, float, float]:
    """Total over total, with the percentile bootstrap's 95% interval over the parts."""
    total = sum(counts)
    if not total:
        raise ConfigError(f"no {what} has a token to count", "give longer ones")
    drawn = np.random.default_rng(0).multinomial(
        len(sums), np.full(len(sums), 1 / len(sums)), size=RESAMPLES
    )
    below = drawn @ np.array(counts, dtype=float)
    # A sample of parts without tokens says nothing.
    ratios = (drawn @ np.array(sums))[below > 0] / below[below > 0]
    low, high = np.quantile(ratios, [0.025, 0.975])
    return math.fsum(sums) / total, float(low), float(high)
