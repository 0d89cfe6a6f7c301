"""Consolidation: the live version as whole weights, killed at every point, and what is learned
on them."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from consolidated import Story, told, version_of
from cycle_driver import build_runtime
from fake_runtime import add_version, fake_runtime, settings_of
from peft import PeftModel
from tiny_models import build_tiny_adapter, build_tiny_model
from transformers import AutoModelForCausalLM

from adapt.base import BaseModel, base_of, find_model, general_corpus, skill_vector
from adapt.consolidate import consolidate
from adapt.cycle_learning import learned_documents
from adapt.events import silent
from adapt.loki.selection import Mask
from adapt.probe import compare, make_probe
from adapt.running import Running
from adapt.show import CycleView
from adapt.skill.vector import save_vector
from adapt.up import service
from store import Home, Store
from store.embeddings import HashEmbedder
from store.errors import IntegrityError, ModelError, StageError, StateError
from store.records import (
    CycleStage,
    CycleState,
)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    with told(tmp_path_factory.mktemp("story")) as whole:
        yield whole


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model(torch.arange(3, 43)[None]).logits


def test_a_killed_consolidation_goes_on_and_makes_one_version(story: Story) -> None:
    """The old version stays live until the new one is; nothing is made twice or left behind."""
    assert story.lives == [story.learned] * 4 + [story.merged] * 3
    versions = story.runtime.store.versions.list()
    assert [v.kind for v in versions] == ["base", "adapter", "merged", "adapter"]
    flips = story.runtime.store.versions.history()
    assert [f.version for f in flips] == [v.name for v in versions]
    assert not list((story.runtime.home.path / "merges").iterdir())


def test_a_merged_version_is_whole_weights_with_a_lineage(story: Story) -> None:
    """Its own digest is the base of what follows; what is inside is told by its parent."""
    merged = story.version(story.merged)
    assert merged.parent == story.learned
    assert (merged.update, merged.skills, merged.digest) == (None, (), merged.path)
    found = find_model(str(story.path(merged.name)))
    assert (found.digest, found.template_digest) == (merged.base_digest, merged.template_digest)
    assert Path(story.fake.weights) == story.path(merged.name)


def test_whole_weights_answer_as_base_and_adapter_did(story: Story) -> None:
    """In transformers, and in the probe that was taken of them."""
    merged, before_it = story.version(story.merged), story.version(story.learned)
    assert merged.probe is not None and before_it.probe is not None
    base = AutoModelForCausalLM.from_pretrained(story.first.path)
    before = logits(base).clone()
    adapted = logits(PeftModel.from_pretrained(base, str(story.path(story.learned))))
    whole = logits(AutoModelForCausalLM.from_pretrained(story.path(merged.name)))
    assert (adapted - before).abs().max() > 1e-3
    assert (whole - adapted).abs().max() < 1e-4
    answers = list(zip(merged.probe.token_ids, merged.probe.logprobs, strict=True))
    assert compare(before_it.probe, answers, tolerance=1e-4).ok


def test_the_next_update_is_an_adapter_of_the_whole_weights(story: Story) -> None:
    """It names them as its base, and on them transformers answers as its probe says."""
    assert story.cycle is not None and story.cycle.state is CycleState.PROMOTED, story.cycle
    merged, live = story.version(story.merged), story.version(story.runtime.live())
    assert (live.kind, live.parent, live.base_digest) == (
        "adapter", merged.name, merged.base_digest
    )  # fmt: skip
    config = json.loads((story.path(live.name) / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == merged.base_digest
    assert live.probe is not None
    again = make_probe(
        story.path(merged.name), story.path(live.name), live.probe.prompts,
        len(live.probe.token_ids[0]),
    )  # fmt: skip
    answers = list(zip(again.token_ids, again.logprobs, strict=True))
    assert compare(live.probe, answers, tolerance=1e-5).ok
    plain = make_probe(story.path(merged.name), None, live.probe.prompts)
    other = list(zip(plain.token_ids, plain.logprobs, strict=True))
    assert not compare(live.probe, other, tolerance=1e-5).ok


def test_rows_are_chosen_anew_and_begin_at_zero(story: Story) -> None:
    """A mask of the whole weights; no rows of the old base are gone on with."""
    masks = [Mask.load(p) for p in story.runtime.home.path.glob("masks/*/mask.json")]
    merged = story.version(story.merged)
    assert [m.base_digest for m in masks] == [merged.base_digest]
    assert story.gave(CycleStage.ATTRIBUTE)["mask"] == masks[0].digest
    child = story.runtime.home.cycles / "0002" / "implant" / "child" / "request.json"
    request = json.loads(child.read_text())["request"]
    assert request["warm_start"] is None
    assert Path(request["model_dir"]) == story.path(story.merged)


def test_what_was_learned_before_is_rehearsed_and_not_learned_anew(story: Story) -> None:
    """The documents of both updates count as learned; those inside the weights are only repeated,
    as ever no more than there is of the new; general talk is still that of the first base."""
    store = story.runtime.store
    assert story.gave(CycleStage.GATHER)["new"] == 2
    assert len(learned_documents(story.runtime)) == 4
    work = story.runtime.home.cycles / "0002" / "implant"
    new = {e.digest for e in store.examples.of_cycle(2, "train")}
    old = {e.digest for e in store.examples.of_cycle(1, "train")}
    files = {name: (work / f"{name}.jsonl").read_text() for name in ("examples", "again", "replay")}
    digests = {
        name: {json.loads(line)["digest"] for line in text.splitlines()}
        for name, text in files.items()
    }
    assert digests["examples"] == new
    assert digests["again"] and digests["again"] <= old
    assert len(digests["replay"]) == 24
    assert story.gave(CycleStage.EVALUATE)["planned"]["kept"] > 0


def test_since_the_base_is_compared_where_the_base_was_asked(story: Story) -> None:
    """No engine serves it any more: its recorded answers to one suite are used, the other suite
    is left out."""
    since = story.gave(CycleStage.EVALUATE)["since"]
    assert set(since) == {"general"}
    report = story.runtime.store.reports.get_eval(since["general"])
    assert report.version == story.first.version_name


def test_the_base_is_read_from_the_records(story: Story) -> None:
    """As a start does: for what is live the whole weights, for what was before the first base."""
    store, merged = story.runtime.store, story.version(story.merged)
    for name in (story.runtime.live(), story.merged):
        base = base_of(store, story.version(name), story.first)
        assert (base.digest, base.path) == (merged.base_digest, story.path(merged.name))
        assert (base.version_name, base.first) == (merged.name, story.first)
        assert base_of(store, story.version(name), base) == base
        assert general_corpus(story.runtime.settings.update, base) == story.first.general_corpus
        assert base_of(store, story.version(story.learned), base) == story.first
    assert story.runtime.base == base_of(store, merged, story.first)


def test_a_vector_that_is_inside_is_not_added_again(story: Story, tmp_path: Path) -> None:
    """Also the user's own. One of other weights is refused, one of the whole weights is added."""
    base = story.runtime.base
    module = "model.layers.0.self_attn.q_proj"
    half = {"lora_A": torch.ones(2, 64), "lora_B": torch.ones(64, 2)}
    tensors = {f"base_model.model.{module}.{k}.weight": t for k, t in half.items()}
    other = BaseModel(story.first.path, "f" * 64, base.template_digest)
    about: dict[str, Any] = {"domain": "d", "recipe": {}, "rounds": 1, "facts": {}}
    found: dict[str, Path | None] = {}
    for name, made_for in (("first", story.first), ("whole", base), ("other", other)):
        save_vector(tensors, tmp_path / name, made_for, **about)
        update = story.runtime.settings.update.model_copy(update={"skill_vector": tmp_path / name})
        found[name] = skill_vector(update, base)
    assert found == {"first": None, "whole": tmp_path / "whole", "other": tmp_path / "other"}
    assert story.runtime.skill_vector(tmp_path / "whole").base_digest == base.digest
    with pytest.raises(ModelError, match="made for another model"):
        story.runtime.skill_vector(tmp_path / "other")


def test_what_cannot_be_made_whole_is_refused(tmp_path: Path) -> None:
    """A base that is live, a cycle at work or left over, a canary: each is named."""

    async def scenario() -> None:
        async with fake_runtime(settings_of(tmp_path / "home")) as runtime:
            store = runtime.store
            with pytest.raises(StateError, match="whole weights already"):
                await consolidate(runtime, silent)
            name = store.versions.list()[1].name
            store.versions.go_live(name)
            async with runtime.cycle_lock:
                with pytest.raises(StateError, match="an update is running"):
                    await consolidate(runtime, silent)
            cycle = store.cycles.start({})
            with pytest.raises(StateError, match="update 1 was interrupted"):
                await consolidate(runtime, silent)
            store.cycles.finish(cycle.number, CycleState.FAILED)
            tried = add_version(store, number=2).name
            store.trials.begin("canary", tried, name, runs=5, alpha=0.05, share=0.5, key="00")
            with pytest.raises(StateError, match=f"{tried} is tried"):
                await consolidate(runtime, silent)
            assert len(store.versions.list()) == 3

    asyncio.run(scenario())


def test_a_damaged_adapter_is_not_merged(tmp_path: Path) -> None:
    """Weights made of it would have a digest of their own, and nothing would tell."""

    async def scenario() -> None:
        async with fake_runtime(settings_of(tmp_path / "home")) as runtime:
            version = runtime.store.versions.list()[1]
            runtime.store.versions.go_live(version.name)
            file = runtime.store.artifacts.path(version.path) / "adapter.txt"
            file.chmod(0o600)
            file.write_text("other bytes")
            with pytest.raises(IntegrityError, match=r"adapter\.txt differs"):
                await consolidate(runtime, silent)

    asyncio.run(scenario())


def test_weights_that_round_the_change_away_are_refused(tmp_path: Path) -> None:
    """In bfloat16, which keeps eight bits of each sum: the refusal says how far off the answers
    are and what to do, the adapter stays live, and no bytes are left."""
    model = build_tiny_model(tmp_path / "model", initializer_range=1.0)
    coarse = AutoModelForCausalLM.from_pretrained(model, dtype=torch.bfloat16)
    coarse.save_pretrained(model)
    adapter = build_tiny_adapter(model, tmp_path / "adapter", scale=0.5)
    home = Home(tmp_path / "home")
    (tmp_path / "inbox").mkdir()
    with home.lock(), Store.open(home, HashEmbedder()) as store:
        runtime, _ = build_runtime(home, store, model, tmp_path / "inbox")
        digest = store.artifacts.put(adapter)
        name = version_of(runtime, adapter, digest)
        store.versions.go_live(name)
        with pytest.raises(StageError, match=r"0\.02 is allowed; they are bfloat16") as refused:
            asyncio.run(consolidate(runtime, silent))
        assert "keep the adapter" in refused.value.hint
        assert runtime.live() == name
        assert store.artifacts.digests() == [digest]
        left = [p for p in (home.path / "merges").rglob("*") if p.is_file()]
        assert not left


def test_a_server_passes_the_refusal_on(tmp_path: Path) -> None:
    """`perennial consolidate` beside a running server is the server's own."""

    async def scenario() -> None:
        async with (
            fake_runtime(settings_of(tmp_path / "home")) as runtime,
            service(runtime, CycleView()) as url,
        ):
            with pytest.raises(StateError, match="whole weights already"):
                await Running(url, "").consolidate()

    asyncio.run(scenario())
