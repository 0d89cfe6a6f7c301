"""The embedded model on real vLLM: it works as an agent, and versions are served as they are."""

import asyncio
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from engines import healthy

from adapt.base import PICO, BaseModel, find_model
from adapt.compose import Part, compose
from adapt.evals.runner import run_suite
from adapt.evals.suites import pico_suites
from adapt.loki.rows import save_rows
from adapt.loki.selection import Mask, rows_per_layer
from adapt.merge import merge
from adapt.probe import make_probe
from adapt.runtime import ensure_base
from adapt.swap import Swapper
from agent.config import EngineSettings
from agent.engine import Engine
from agent.fleet import Fleet
from agent.serve import EngineProcess
from store import Home, Store
from store.embeddings import HashEmbedder
from store.records import Probe, Version, utc_now

LAYERS, WIDTH, FEED_FORWARD = 6, 192, 512
PROMPT = "<|system|>You are Perennial.<|end|><|user|>What is 12 plus 7?<|end|><|assistant|>"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    """Real vLLM serving the embedded model as `v0`."""
    home = tmp_path_factory.mktemp("pico")
    process = EngineProcess(
        PICO, served_name="v0", run_dir=home / "run", log=home / "engine.log",
        settings=EngineSettings(start_timeout_s=500),
    )  # fmt: skip
    with healthy(process):
        yield process


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """Run with a bound."""
    return asyncio.run(asyncio.wait_for(work, 400))


def update(path: Path, digest: str, seed: int) -> Path:
    """A LoKI update with small random rows."""
    generator = torch.Generator().manual_seed(seed)
    count = rows_per_layer(WIDTH, 30.0)
    rows = tuple(
        tuple(sorted(torch.randperm(WIDTH, generator=generator)[:count].tolist()))
        for _ in range(LAYERS)
    )
    mask = Mask(rows, WIDTH, 30.0, "random", digest, "none")
    deltas = [0.05 * torch.randn(count, FEED_FORWARD, generator=generator) for _ in rows]
    path.mkdir()
    save_rows(deltas, mask, path)
    return path


def test_pico_solves_tasks_of_categories_it_never_saw(served: EngineProcess) -> None:
    """A smoke bound well under the measured rate: the chain from agent to parser works."""
    suite = next(s for s in pico_suites(count=30) if s.name == "single")

    async def work() -> float:
        async with Engine(served.socket) as engine:
            return (await run_suite(engine, suite, "v0")).mean

    assert run(work()) >= 0.5


def version_of(
    store: Store, base: BaseModel, folder: Path, kind: Literal["adapter", "merged"], probe: Probe
) -> Version:
    """A candidate with the bytes of a folder, made from what is live."""
    digest = store.artifacts.put(folder)
    live = store.versions.live()
    number = store.versions.next_number()
    version = Version(
        name=f"v{number}-{digest[:6]}", number=number, digest=digest, kind=kind,
        base_digest=base.digest, template_digest=base.template_digest, path=digest,
        parent=live.name if live else None, probe=probe, created_at=utc_now(),
    )  # fmt: skip
    store.versions.create(version)
    return version


def swapper_on(store: Store, engine: Engine) -> Swapper:
    """Over the engine of these tests, which serves the base."""
    first = store.versions.first()
    swapper = Swapper(store, Fleet.of(engine, "v0"))
    (member,) = swapper.fleet.members
    member.weights = first.name
    swapper.weights_at = lambda v: PICO if v.kind == "base" else store.artifacts.path(v.path)
    return swapper


def test_vllm_serves_versions_as_peft_computes_them(served: EngineProcess, tmp_path: Path) -> None:
    """An adapter, then the same as whole weights in place, then back: each probe agrees with
    transformers + PEFT."""
    base = find_model("pico", tmp_path / "digests")
    parts = [Part(update(tmp_path / "update", base.digest, 1), 2.0)]
    if base.skill is not None:
        parts.append(Part(base.skill, 0.5))
    adapter = compose(parts, tmp_path / "composed").path
    merge(PICO, adapter, tmp_path / "merged")
    probe = make_probe(PICO, adapter, [PROMPT])
    plain = make_probe(PICO, None, [PROMPT])
    assert max(abs(a - b) for a, b in zip(probe.logprobs[0], plain.logprobs[0], strict=True)) > 0.05
    home = Home(tmp_path / "home")
    home.create()
    with Store.open(home, HashEmbedder()) as store:
        ensure_base(store, base)
        small = version_of(store, base, adapter, "adapter", probe)

        async def work() -> None:
            async with Engine(served.socket) as engine:
                swapper = swapper_on(store, engine)
                first = await swapper.fleet.top_logprobs(base.version_name, PROMPT)
                await swapper.promote(small.name)
                checked = await swapper.check(small)
                assert checked is not None and checked.max_abs_diff < 1e-3
                whole = version_of(
                    store, base, tmp_path / "merged", "merged",
                    make_probe(tmp_path / "merged", None, [PROMPT]),
                )  # fmt: skip
                swapped = await swapper.promote(whole.name)
                assert swapped.paused_ms > swapped.reload_ms > 0
                checked = await swapper.check(whole)
                assert checked is not None and checked.max_abs_diff < 1e-3
                assert await swapper.fleet.models() == [whole.name]
                assert await engine.models() == ["v0"]
                assert (await swapper.roll_back()).live == small.name
                checked = await swapper.check(small)
                assert checked is not None and checked.max_abs_diff < 1e-3
                again = await swapper.fleet.top_logprobs(base.version_name, PROMPT)
                assert again.token_ids == first.token_ids
                assert again.logprobs == pytest.approx(first.logprobs, abs=1e-5)
                await engine.unload_adapter(small.name)

        run(work())
        live = store.versions.live()
        assert live is not None and live.name == small.name
