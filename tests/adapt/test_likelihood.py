"""Perplexity and divergence: right figures from known probabilities, and from the real engine."""

import asyncio
import json
import math
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_models import build_tiny_adapter

from adapt.evals.likelihood import kl_of, kl_to_base, perplexity, pinned_texts
from agent.engine import Engine
from agent.fake_engine import FakeVllm, Logprobs
from agent.serve import EngineProcess
from store.errors import ConfigError, EngineRefused, EngineUnavailable, NotFoundError

A, B, C = ord("a"), ord("b"), ord("c")
EVEN = {A: math.log(0.5), B: math.log(0.25), C: math.log(0.25)}
SHIFTED = {A: math.log(0.25), B: math.log(0.25), C: math.log(0.5)}


def of_model(model: str, prompt: Any) -> dict[int, float]:
    """The base is even everywhere, the other model is not."""
    return EVEN if model == "base" else SHIFTED


def ask(
    work: Callable[[Engine], Awaitable[Any]],
    logprobs: Logprobs = of_model,
    fake: FakeVllm | None = None,
) -> Any:
    """`work` on an engine that has these probabilities."""

    async def run() -> Any:
        transport = fake or FakeVllm(lambda *_: "unused", logprobs)
        transport.adapters["v1"] = "-"
        async with Engine(Path("-"), transport=transport) as engine:
            return await work(engine)

    return asyncio.run(run())


def test_prompt_logprobs_are_those_of_the_tokens_that_are_there() -> None:
    """One for each token but the first, whether it is among the likeliest or not."""
    told = ask(lambda engine: engine.prompt_logprobs("base", "abz", 1))
    assert told.token_ids == (A, B, ord("z"))
    assert told.logprobs == (EVEN[B], -100.0)
    assert told.tops == ({A: EVEN[A], B: EVEN[B]}, {A: EVEN[A], ord("z"): -100.0})


def test_an_answer_without_prompt_logprobs_is_a_refusal() -> None:
    """Another server than vLLM leaves them out: that must not become a figure."""

    class Without(FakeVllm):
        def _prompt_logprobs(self, model: str, prompt: Any, k: int) -> dict[str, Any]:
            return {}

    fake = Without(lambda *_: "unused", of_model)
    with pytest.raises(EngineRefused, match="cannot be read"):
        ask(lambda engine: engine.prompt_logprobs("base", "ab"), fake=fake)


def test_perplexity_is_that_of_all_tokens_together() -> None:
    """exp of the mean over tokens, not of the mean over texts; the interval is over texts."""
    found = ask(lambda engine: perplexity(engine, "base", ["aaaaa", "ab", "c"]))
    tokens = [0.5] * 4 + [0.25]
    assert found["perplexity"] == pytest.approx(math.exp(-sum(map(math.log, tokens)) / 5))
    assert (found["texts"], found["tokens"], found["model"]) == (3, 5, "base")
    assert found["low"] == pytest.approx(2.0) and found["high"] == pytest.approx(4.0)


def test_equal_texts_leave_no_width_and_the_figure_repeats() -> None:
    """The bootstrap is seeded."""
    found = ask(lambda engine: perplexity(engine, "base", ["aa"] * 9))
    assert [found[figure] for figure in ("low", "perplexity", "high")] == pytest.approx([2.0] * 3)
    mixed = ["aa", "ab", "aba"]
    again = [ask(lambda engine: perplexity(engine, "base", mixed)) for _ in range(2)]
    assert again[0] == again[1]


def test_a_text_beyond_the_context_is_cut_in_halves() -> None:
    """Each piece loses its first token and nothing else; what cannot be cut is refused."""

    class Short(FakeVllm):
        async def handle_async_request(self, request: Any) -> Any:
            if len(json.loads(request.content)["prompt"]) > 50:
                self.fail("/completions", 400, "maximum context length is 8 tokens")
            return await super().handle_async_request(request)

    fake = Short(lambda *_: "unused", of_model)
    found = ask(lambda engine: perplexity(engine, "base", ["ab " * 40]), fake=fake)
    pieces = (len(fake.requests) + 1) // 2
    assert pieces == 4 and found["tokens"] == 120 - pieces
    fake = FakeVllm(lambda *_: "unused", of_model)
    fake.down = True
    with pytest.raises(EngineUnavailable):
        ask(lambda engine: perplexity(engine, "base", ["ab"]), fake=fake)


@pytest.mark.parametrize("texts", [[], ["a", ""]])
def test_nothing_to_count_is_an_error(texts: list[str]) -> None:
    """No figure is made of no tokens."""
    with pytest.raises(ConfigError, match="no text"):
        ask(lambda engine: perplexity(engine, "base", texts))


def test_the_divergence_of_known_distributions_is_exact() -> None:
    """With all tokens told there is no rest, and the bound is the divergence itself."""
    exact = 0.5 * math.log(0.5 / 0.25) + 0.25 * math.log(0.25 / 0.5)
    assert kl_of(EVEN, SHIFTED) == pytest.approx(exact)
    assert kl_of(EVEN, EVEN) == 0.0


def test_merging_tokens_only_lowers_the_divergence() -> None:
    """Fewer tokens told, and tokens that only one of the two tells, give a lower bound."""
    exact = kl_of(EVEN, SHIFTED)
    for told in ({A}, {B}, {A, B}, {A, C}, {B, C}, set()):
        part = kl_of({t: EVEN[t] for t in told}, {t: SHIFTED[t] for t in told})
        assert 0.0 <= part <= exact + 1e-9
    assert kl_of({A: EVEN[A]}, {B: SHIFTED[B]}) == 0.0
    # Certainty on one side: the floor of the rest keeps it finite.
    assert kl_of({A: math.log(0.5)}, {A: 0.0}) < 10.0


def test_the_divergence_from_the_base_is_over_its_own_answers() -> None:
    """The base writes, both read: one place for each token written, none of the prompt's."""
    found = ask(lambda engine: kl_to_base(engine, "base", "v1", ["ab", "c"], k=3, tokens=1))
    assert found["kl"] == pytest.approx(kl_of(EVEN, SHIFTED))
    assert (found["prompts"], found["tokens"], found["k"]) == (2, 2, 3)
    same = ask(lambda engine: kl_to_base(engine, "base", "base", ["ab"], k=3))
    assert (same["kl"], same["low"], same["high"]) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(("k", "tokens"), [(0, 1), (21, 1), (5, 0)])
def test_what_the_engine_cannot_tell_is_refused(k: int, tokens: int) -> None:
    """Before anything is asked."""
    with pytest.raises(ConfigError):
        ask(lambda engine: kl_to_base(engine, "base", "v1", ["a"], k=k, tokens=tokens))


def test_pinned_texts_are_the_encyclopedia_or_a_users_file(tmp_path: Path) -> None:
    """Records as they are; a long text in pieces at blank lines, with nothing lost."""
    assert pinned_texts() == pinned_texts() and len(pinned_texts()) > 10
    lines = tmp_path / "a.jsonl"
    lines.write_text('{"text": "one"}\n{"text": "two"}\n')
    assert pinned_texts(lines) == ["one", "two"]
    prose = tmp_path / "a.md"
    prose.write_text("\n\n".join(f"{n} {'word ' * 99}".strip() for n in range(6)))
    pieces = pinned_texts(prose)
    assert len(pieces) == 2 and "\n\n".join(pieces) == prose.read_text()
    with pytest.raises(NotFoundError):
        pinned_texts(tmp_path / "none.txt")
    lines.write_text('{"words": "one"}\n')
    with pytest.raises(ConfigError, match=r"a\.jsonl:1"):
        pinned_texts(lines)


def test_the_real_engine_tells_the_same_of_prompts(
    pico_engine: EngineProcess, tiny_model: Path, tmp_path: Path
) -> None:
    """A random model is near its vocabulary's size, as far from itself as nowhere, and an adapter
    moves it."""

    async def work() -> None:
        async with Engine(pico_engine.socket) as engine:
            await engine.load_adapter(
                "likelihood-a", build_tiny_adapter(tiny_model, tmp_path / "adapter", rank=27)
            )
            told = await engine.prompt_logprobs("base", "the weather in the city", 5)
            assert len(told.logprobs) == len(told.tops) == len(told.token_ids) - 1
            again = await engine.prompt_logprobs("base", told.token_ids, 0)
            assert again.token_ids == told.token_ids
            assert again.logprobs == pytest.approx(told.logprobs, abs=1e-3)
            assert all(len(top) in (5, 6) for top in told.tops)
            found = await perplexity(engine, "base", ["the weather in the city " * 400, "a day"])
            assert found["perplexity"] > 10 and found["tokens"] > 500
            prompts = ["the weather", "the city is"]
            same = await kl_to_base(engine, "base", "base", prompts, tokens=4)
            moved = await kl_to_base(engine, "base", "likelihood-a", prompts, tokens=4)
            await engine.unload_adapter("likelihood-a")
            assert same["kl"] < 1e-3 < moved["kl"] and same["tokens"] == moved["tokens"] == 8

    asyncio.run(asyncio.wait_for(work(), 300))
