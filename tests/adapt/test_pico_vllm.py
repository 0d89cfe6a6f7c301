"""The embedded model on real vLLM: it works as an agent, and versions are served as they are."""

import asyncio
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from engines import healthy

from adapt.base import PICO, find_model
from adapt.compose import Part, compose
from adapt.evals.runner import run_suite
from adapt.evals.suites import pico_suites
from adapt.loki.rows import save_rows
from adapt.loki.selection import Mask, rows_per_layer
from adapt.probe import make_probe
from adapt.swap import Swapper
from agent.config import EngineSettings
from agent.engine import Engine
from agent.fleet import Fleet
from agent.serve import EngineProcess
from store import Home, Store
from store.embeddings import HashEmbedder
from store.records import Version, VersionState, utc_now

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


def test_vllm_serves_a_composed_version_as_peft_computes_it(
    served: EngineProcess, tmp_path: Path
) -> None:
    """The probe of transformers + PEFT and the engine agree; then it goes live."""
    base = find_model("pico", tmp_path / "digests")
    parts = [Part(update(tmp_path / "update", base.digest, 1), 2.0)]
    if base.skill is not None:
        parts.append(Part(base.skill, 0.5))
    adapter = compose(parts, tmp_path / "composed").path
    probe = make_probe(PICO, adapter, [PROMPT])
    plain = make_probe(PICO, None, [PROMPT])
    assert max(abs(a - b) for a, b in zip(probe.logprobs[0], plain.logprobs[0], strict=True)) > 0.05
    home = Home(tmp_path / "home")
    home.create()
    with Store.open(home, HashEmbedder()) as store:
        digest = store.artifacts.put(adapter)
        version = Version(
            name=f"v1-{digest[:6]}", number=1, digest=digest, kind="adapter",
            base_digest=base.digest, template_digest=base.template_digest, path=digest,
            probe=probe, state=VersionState.CANDIDATE, created_at=utc_now(),
        )  # fmt: skip
        store.versions.create(version)

        async def work() -> None:
            async with Engine(served.socket) as engine:
                swapper = Swapper(store, Fleet.of(engine, base.version_name))
                swapped = await swapper.promote(version.name)
                assert swapped.live == version.name
                checked = await swapper.check(version)
                assert checked is not None and checked.max_abs_diff < 1e-3

        run(work())
        live = store.versions.live()
        assert live is not None and live.name == version.name
