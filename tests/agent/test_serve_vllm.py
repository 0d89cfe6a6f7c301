"""The same client and process against real vLLM on a tiny random model."""

import asyncio
import os
import signal
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from tiny_models import build_tiny_adapter

from agent.engine import Engine, Reply
from agent.engine_errors import too_long
from agent.fleet import Fleet
from agent.fleet_member import Member
from agent.serve import EngineProcess
from agent.serve_supervisor import Supervisor
from store.errors import EngineRefused

USER = [{"role": "user", "content": "the weather in the city"}]
PROMPT = "<|im_start|>user\nthe weather<|im_end|>\n<|im_start|>assistant\n"


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(work, 300))


@pytest.fixture(scope="module")
def adapter(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_adapter(tiny_model, tmp_path_factory.mktemp("adapter"), rank=27)


def test_an_adapter_is_loaded_asked_streamed_and_unloaded(
    pico_engine: EngineProcess, adapter: Path
) -> None:
    async def work() -> None:
        async with Engine(pico_engine.socket) as engine:
            await engine.load_adapter("serve-a", adapter)
            assert await engine.models() == ["base", "serve-a"]
            before = await engine.metrics()
            base = await engine.chat("base", USER, max_tokens=12)
            other = await engine.chat("serve-a", USER, max_tokens=12, priority=5)
            assert (base.model, other.model) == ("base", "serve-a")
            assert base.content != other.content
            assert base.completion_tokens == 12 and base.finish_reason == "length"
            pieces = [p async for p in engine.chat_stream("serve-a", USER, max_tokens=12)]
            assert isinstance(pieces[-1], Reply) and pieces[-1] == other
            after = await engine.metrics()
            made = "vllm:generation_tokens_total"
            assert after[made] - before[made] == 36
            await engine.unload_adapter("serve-a")
            assert await engine.models() == ["base"]

    run(work())


def test_the_engine_counts_a_prompt_as_it_reads_it(pico_engine: EngineProcess) -> None:
    """Threads are cut by this count before the engine refuses them."""
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    tools = [{"type": "function", "function": {"name": "weather", "parameters": schema}}]

    async def work() -> None:
        async with Engine(pico_engine.socket) as engine:
            for shown in (None, tools):
                reply = await engine.chat("base", USER, shown, max_tokens=1)
                length = await engine.length("base", USER, shown)
                assert length.tokens == reply.prompt_tokens
            long = [{"role": "user", "content": "the weather " * length.window}]
            assert (await engine.length("base", long)).tokens >= length.window
            with pytest.raises(EngineRefused) as refused:
                await engine.chat("base", long, max_tokens=1)
            assert too_long(refused.value)

    run(work())


def test_refusals_come_in_the_engines_words(
    pico_engine: EngineProcess, adapter: Path, tmp_path: Path
) -> None:
    async def refused(work: Coroutine[Any, Any, Any], status: int, words: str) -> None:
        with pytest.raises(EngineRefused, match=words) as raised:
            await work
        assert raised.value.status == status

    async def work() -> None:
        async with Engine(pico_engine.socket) as engine:
            await engine.load_adapter("serve-b", adapter)
            await refused(engine.load_adapter("serve-b", adapter), 400, "already been loaded")
            await refused(engine.load_adapter("serve-c", tmp_path), 404, "serve-c")
            await refused(engine.unload_adapter("serve-d"), 404, "serve-d")
            await refused(engine.chat("serve-e", USER, max_tokens=4), 404, "serve-e")
            await refused(engine.chat("base", USER, max_tokens=4000), 400, "max_model_len")
            await engine.unload_adapter("serve-b")
            assert await engine.health()

    run(work())


def test_the_engine_gives_the_logprobs_of_transformers_and_peft(
    pico_engine: EngineProcess, tiny_model: Path, adapter: Path
) -> None:
    """What a version's probe rests on: same ids, same log-probabilities, base and adapter."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    async def ask() -> list[Any]:
        async with Engine(pico_engine.socket) as engine:
            await engine.load_adapter("serve-f", adapter)
            tops = [await engine.top_logprobs(name, PROMPT, 5) for name in ("base", "serve-f")]
            made = await engine.generate("base", PROMPT, max_tokens=4)
            await engine.unload_adapter("serve-f")
            assert made.token_ids[0] == tops[0].token_ids[0]
            assert len(made.token_ids) == len(made.logprobs) == 4
            return tops

    tokenizer: Any = AutoTokenizer.from_pretrained(tiny_model)
    ids = tokenizer(PROMPT, return_tensors="pt", add_special_tokens=False).input_ids
    model: Any = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    for top, make in zip(
        run(ask()), (lambda: model, lambda: PeftModel.from_pretrained(model, adapter)), strict=True
    ):
        with torch.no_grad():
            logprobs = torch.log_softmax(make().eval()(ids).logits[0, -1].float(), -1)
        best = logprobs.topk(5)
        assert top.token_ids == tuple(best.indices.tolist())
        assert top.logprobs == pytest.approx(best.values.tolist(), abs=2e-3)


def test_many_at_once_over_base_and_adapter_all_answer_alike(
    pico_engine: EngineProcess, adapter: Path
) -> None:
    async def work() -> None:
        async with Engine(pico_engine.socket) as engine:
            await engine.load_adapter("serve-g", adapter)
            names = ["base", "serve-g"] * 24
            replies = await asyncio.gather(
                *(engine.chat(name, USER, max_tokens=8) for name in names)
            )
            await engine.unload_adapter("serve-g")
            assert [r.model for r in replies] == names
            assert len({(r.model, r.content) for r in replies}) == 2

    run(work())


def test_a_killed_engine_comes_back_with_its_adapters(
    pico_engine: EngineProcess, adapter: Path
) -> None:
    """SIGKILL of vLLM; no engine core is left over, and the adapter is there before traffic."""

    async def work() -> None:
        async with Engine(pico_engine.socket) as engine:

            async def fill(member: Member) -> None:
                await member.engine.load_adapter("serve-h", adapter)
                member.adapters.add("serve-h")

            member = Member("engine", engine)
            supervisor = Supervisor(pico_engine, member, fill, backoff_s=0.1)
            await supervisor.start()
            want = await engine.chat("serve-h", USER, max_tokens=8)
            first = pico_engine.pid
            assert first is not None
            for pid in group(first) - {first}:
                os.kill(pid, signal.SIGKILL)
                break
            while member.ready:
                await asyncio.sleep(0.05)
            await Fleet([member]).wait_ready(500)
            assert not group(first)
            assert pico_engine.pid != first
            assert await engine.chat("serve-h", USER, max_tokens=8) == want
            await engine.unload_adapter("serve-h")

    # The end of the loop cancels the supervisor; the engine stays for the tests that follow.
    asyncio.run(asyncio.wait_for(work(), 560))


def group(leader: int) -> set[int]:
    """Live processes of a process group."""
    found: set[int] = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(fields[2]) == leader and fields[0] != "Z":
                found.add(int(entry.name))
    return found
