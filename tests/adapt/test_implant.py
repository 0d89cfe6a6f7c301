"""Implanting: the rows train as PEFT's LoRA would, nothing else moves, and a resume is exact."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from tiny_models import build_tiny_model
from torch.nn import functional
from training_examples import EXAMPLES, MASK, QUICK, example, plain_logits
from transformers import AutoModelForCausalLM, AutoTokenizer

from adapt.compose import Part, compose
from adapt.loki.batches import collate, plan, plan_replay, prepare
from adapt.loki.implant import implant
from adapt.loki.optimizers import make_optimizers, rate_factor
from adapt.loki.row_layers import installed_rows
from adapt.loki.rows import load_rows
from adapt.loki.selection import Mask
from adapt.render import Rendered, Renderer
from store.errors import ConfigError, ModelError, StageError
from store.files import digest_of_directory


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory) -> Path:
    return build_tiny_model(tmp_path_factory.mktemp("base"), "qwen3", hidden=64, layers=2)


@pytest.fixture
def model(model_dir):
    return AutoModelForCausalLM.from_pretrained(model_dir)


@pytest.fixture(scope="module")
def tokenizer(model_dir):
    return AutoTokenizer.from_pretrained(model_dir)


def one_hot(rows):
    selector = torch.zeros(64, len(rows))
    selector[list(rows), range(len(rows))] = 1
    return selector


def train_with_peft(model, tokenizer, settings):
    """The same optimisation, plainly: PEFT's LoRA with a frozen one-hot lora_B; for LoKI* with a
    lora_B whose gradient is that of the rows alone."""
    rank = settings.rank or 3
    with installed_rows(model, MASK, settings.rank, settings.seed) as rows:
        start = [parameter.detach().clone() for parameter in rows]
    lora = LoraConfig(r=rank, lora_alpha=rank, target_modules=["down_proj"], task_type="CAUSAL_LM")
    wrapped = get_peft_model(model, lora)
    trained = []
    for name, parameter in wrapped.named_parameters():
        selector = one_hot(MASK.rows[int(name.split(".")[4])]) if "lora_B" in name else None
        parameter.requires_grad_(False)
        if "lora_A" in name:
            parameter.data.copy_(start[len(trained)])
        elif selector is not None and settings.rank is None:
            parameter.data.copy_(selector)
        if "lora_A" in name or (selector is not None and settings.rank):
            trained.append(parameter.requires_grad_(True))
        if selector is not None and settings.rank:
            chosen = selector.any(1, keepdim=True)
            parameter.register_hook(lambda grad, chosen=chosen: grad * chosen)
    sequences = prepare(Renderer(tokenizer), EXAMPLES, 512).sequences
    lengths = [len(s.token_ids) for s in sequences]
    steps = [b for e in range(settings.epochs) for b in plan(lengths, settings.batch_tokens, 0, e)]
    optimizer = make_optimizers(trained, settings)[0]
    for step, indices in enumerate(steps):
        optimizer.param_groups[0]["lr"] = settings.learning_rate * rate_factor(
            step, len(steps), settings
        )
        batch = collate([sequences[i] for i in indices])
        logits = plain_logits(wrapped, [sequences[i] for i in indices])
        weights = 1.0 + (settings.first_token_weight - 1.0) * batch.first
        losses = functional.cross_entropy(logits, batch.targets, reduction="none")
        ((losses * weights).sum() / weights.sum()).backward()
        torch.nn.utils.clip_grad_norm_(trained, settings.grad_clip)
        optimizer.step()
        optimizer.zero_grad()
    return trained


@pytest.mark.parametrize(("optimizer", "rank"), [("muon", None), ("adamw", None), ("adamw", 2)])
def test_rows_train_as_peft_trains_them(model, model_dir, tokenizer, tmp_path, optimizer, rank):
    """LoKI with both optimisers, and LoKI*."""
    settings = replace(QUICK, optimizer=optimizer, rank=rank)
    implant(model, tokenizer, EXAMPLES, MASK, settings, tmp_path / "out")
    loaded = PeftModel.from_pretrained(model, str(tmp_path / "out"))
    kinds = ("lora_A", "lora_B") if rank else ("lora_A",)
    ours = [p for n, p in loaded.named_parameters() if any(kind in n for kind in kinds)]
    other = AutoModelForCausalLM.from_pretrained(model_dir)
    theirs = train_with_peft(other, tokenizer, settings)
    assert max(float(p.abs().max()) for p in ours) > 1e-3
    # Muon orthogonalises in bfloat16, where one rounding more or less becomes many.
    tolerance = 1e-6 if optimizer == "adamw" else 1e-4
    for mine, plain in zip(ours, theirs, strict=True):
        assert torch.allclose(mine, plain, atol=tolerance)


UNEVEN = Mask(((), (0, 2, 9, 63)), 64, 3.0, "global-lowest", "b" * 64, "c" * 64)
"""As a global rule may choose: one layer has no rows."""


@pytest.mark.parametrize("rank", [None, 2])
@pytest.mark.parametrize("mask", [MASK, UNEVEN], ids=["even", "uneven"])
def test_nothing_but_the_selected_rows_moves(model, model_dir, tokenizer, tmp_path, mask, rank):
    """LoKI and LoKI*, read by PEFT and merged: every other number is the base's, bit for bit."""
    settings = replace(QUICK, rank=rank)
    result = implant(model, tokenizer, EXAMPLES, mask, settings, tmp_path / "out")
    assert result.last_loss < result.first_loss
    base = AutoModelForCausalLM.from_pretrained(model_dir).state_dict()
    assert all(torch.equal(base[name], value) for name, value in model.state_dict().items())
    merged = PeftModel.from_pretrained(model, str(tmp_path / "out")).merge_and_unload()
    for name, value in merged.state_dict().items():
        if not name.endswith("down_proj.weight"):
            assert torch.equal(value, base[name]), name
            continue
        rows = list(mask.rows[int(name.split(".")[2])])
        others = [row for row in range(64) if row not in rows]
        assert torch.equal(value[others], base[name][others])
        assert (value[rows] != base[name][rows]).any(1).all()


def test_equal_runs_give_equal_bytes(model, tokenizer, tmp_path):
    for name in ("a", "b"):
        implant(model, tokenizer, EXAMPLES, MASK, QUICK, tmp_path / name)
    assert digest_of_directory(tmp_path / "a") == digest_of_directory(tmp_path / "b")


class Killed(Exception):
    pass


@pytest.mark.parametrize("at", [1, 5, 9])
def test_a_killed_run_resumes_to_the_same_bits(model, tokenizer, tmp_path, at):
    """Killed before the first checkpoint, after one, and in a later epoch with held-out loss."""
    settings = replace(QUICK, patience=3)
    held_out = [example(index) for index in range(30, 34)]

    def run(name, progress=None, checkpoints=True):
        return implant(
            model, tokenizer, EXAMPLES, MASK, settings, tmp_path / name,
            tmp_path / "ck" if checkpoints else None, progress,
            held_out=held_out, log_path=tmp_path / f"{name}.jsonl",
        )  # fmt: skip

    def kill(entry):
        if entry["step"] == at:
            raise Killed

    whole = run("whole", checkpoints=False)
    with pytest.raises(Killed):
        run("resumed", kill)
    steps = []
    resumed = run("resumed", lambda entry: steps.append(entry["step"]))
    # A kill in the progress call of a step comes before that step's checkpoint.
    assert steps[0] == (at - 1) // 4 * 4 + 1
    assert digest_of_directory(tmp_path / "whole") == digest_of_directory(tmp_path / "resumed")
    assert whole.held_out_loss == resumed.held_out_loss
    logs = [
        [json.loads(line) for line in (tmp_path / f"{name}.jsonl").read_text().splitlines()]
        for name in ("whole", "resumed")
    ]
    first, second = ([(entry["step"], entry["loss"]) for entry in log] for log in logs)
    assert first == second


def test_a_checkpoint_of_other_settings_is_not_used(model, tokenizer, tmp_path):
    implant(model, tokenizer, EXAMPLES, MASK, QUICK, tmp_path / "a", tmp_path / "ck")
    other = replace(QUICK, seed=1)
    steps = []
    implant(
        model, tokenizer, EXAMPLES, MASK, other, tmp_path / "b", tmp_path / "ck",
        lambda entry: steps.append(entry["step"]),
    )  # fmt: skip
    assert steps[0] == 1


@pytest.mark.parametrize(("mask", "rank"), [(MASK, None), (MASK, 2), (UNEVEN, None), (UNEVEN, 3)])
def test_a_warm_start_goes_on_from_the_earlier_rows(model, tokenizer, tmp_path, mask, rank):
    settings = replace(QUICK, rank=rank)
    first = implant(model, tokenizer, EXAMPLES, mask, settings, tmp_path / "a")
    second = implant(
        model, tokenizer, EXAMPLES, mask, settings, tmp_path / "b", warm_start=tmp_path / "a"
    )
    assert second.first_loss < first.first_loss
    assert second.rank == first.rank == (rank or mask.rank)


def test_a_warm_start_of_another_rank_is_refused(model, tokenizer, tmp_path):
    implant(model, tokenizer, EXAMPLES, MASK, QUICK, tmp_path / "a")
    settings = replace(QUICK, rank=2)
    with pytest.raises(ModelError, match=r"shape \(64, 3\), not \(64, 2\)"):
        implant(
            model, tokenizer, EXAMPLES, MASK, settings, tmp_path / "b", warm_start=tmp_path / "a"
        )


def test_rows_of_differing_numbers_load_and_compose(model, tokenizer, tmp_path):
    """Three rows in one layer and one in the other: PEFT and composition read the same change."""
    mask = Mask(((7,), (0, 2, 63)), 64, 3.0, "global-lowest", "b" * 64, "c" * 64)
    implant(model, tokenizer, EXAMPLES, mask, QUICK, tmp_path / "a")
    composition = compose([Part(tmp_path / "a"), Part(tmp_path / "a")], tmp_path / "twice")
    assert sorted(composition.ranks.values()) == [2, 6]
    deltas = load_rows(tmp_path / "a", mask)
    with torch.no_grad():
        for layer, rows, delta in zip(model.model.layers, mask.rows, deltas, strict=True):
            layer.mlp.down_proj.weight[list(rows)] += 2 * delta
    sequences = prepare(Renderer(tokenizer), EXAMPLES[:2], 512).sequences
    wanted = plain_logits(model, sequences)
    with torch.no_grad():
        for layer, rows, delta in zip(model.model.layers, mask.rows, deltas, strict=True):
            layer.mlp.down_proj.weight[list(rows)] -= 2 * delta
    twice = PeftModel.from_pretrained(model, str(tmp_path / "twice"))
    assert torch.allclose(plain_logits(twice, sequences), wanted, atol=1e-4)


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"base_digest": "d" * 64}, ModelError, "mask was made for the base bbb"),
        ({"max_rank": 2}, ConfigError, "rank 3, the engine takes at most 2"),
        ({"examples": []}, StageError, "no examples"),
        ({"settings": replace(QUICK, rank=3)}, ConfigError, "no lower rank than its 3 rows"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused_before_any_work(
    model, tokenizer, tmp_path, change, error, match
):
    given = {"examples": EXAMPLES, "mask": MASK, "settings": QUICK} | change
    said = []
    with pytest.raises(error, match=match):
        implant(model, tokenizer, out_dir=tmp_path / "out", progress=said.append, **given)
    assert not said
    assert not (tmp_path / "out").exists()


def test_a_warm_start_of_another_mask_is_refused(model, tokenizer, tmp_path):
    implant(model, tokenizer, EXAMPLES, MASK, QUICK, tmp_path / "a")
    other = Mask(((1, 5, 31), (0, 2, 63)), 64, 5.0, "lowest", "b" * 64, "c" * 64)
    with pytest.raises(ModelError, match=r"layers\.0\.mlp\.down_proj\.lora_B"):
        implant(model, tokenizer, EXAMPLES, other, QUICK, tmp_path / "b", warm_start=tmp_path / "a")


def test_a_mask_of_another_model_is_refused(model, tokenizer, tmp_path):
    other = Mask(((1, 2),) * 3, 64, 5.0, "lowest", "b" * 64, "c" * 64)
    with pytest.raises(ModelError, match="3 layers"):
        implant(model, tokenizer, EXAMPLES, other, QUICK, tmp_path / "out")


def test_a_loss_that_is_no_number_stops_the_run(model, tokenizer, tmp_path):
    with torch.no_grad():
        model.model.layers[0].mlp.down_proj.weight[0, 0] = float("nan")
    with pytest.raises(StageError, match="step 1"):
        implant(model, tokenizer, EXAMPLES, MASK, QUICK, tmp_path / "out")
    assert not (tmp_path / "out" / "adapter_config.json").exists()


def test_early_stop_keeps_the_best_rows(model, tokenizer, tmp_path):
    """At a rate that overshoots, an epoch soon makes the held-out loss worse."""
    held_out = [example(index) for index in range(30, 34)]
    settings = replace(QUICK, patience=1, epochs=30, learning_rate=0.5)
    result = implant(
        model, tokenizer, EXAMPLES, MASK, settings, tmp_path / "out", held_out=held_out
    )
    lengths = [len(s.token_ids) for s in prepare(Renderer(tokenizer), EXAMPLES, 512).sequences]
    assert result.steps < sum(len(plan(lengths, 200, 0, epoch)) for epoch in range(30))
    kept = PeftModel.from_pretrained(model, str(tmp_path / "out"))
    sequences = prepare(Renderer(tokenizer), held_out, 512).sequences
    with torch.no_grad():
        logits = plain_logits(kept, sequences)
    loss = functional.cross_entropy(logits, collate(sequences).targets).item()
    assert result.held_out_loss == pytest.approx(loss, rel=1e-3)


def test_examples_that_do_not_fit_are_counted(model, tokenizer, tmp_path):
    settings = replace(QUICK, epochs=1, max_length=38)
    result = implant(model, tokenizer, EXAMPLES, MASK, settings, tmp_path / "out")
    assert result.skipped > 0
    assert result.skipped + result.examples == len(EXAMPLES)
    none = replace(QUICK, max_length=4)
    with pytest.raises(StageError, match="none of 20"):
        implant(model, tokenizer, EXAMPLES, MASK, none, tmp_path / "none")


def test_bfloat16_learns_too(model, tokenizer, tmp_path):
    settings = replace(QUICK, precision="bfloat16")
    result = implant(model, tokenizer, EXAMPLES, MASK, settings, tmp_path / "out")
    assert result.last_loss < result.first_loss


def test_a_plan_uses_every_example_once_within_the_budget():
    lengths = [5 + 7 * i % 90 for i in range(200)]
    batches = plan(lengths, 256, seed=3, epoch=1)
    assert sorted(i for batch in batches for i in batch) == list(range(200))
    assert all(sum(lengths[i] for i in batch) <= 256 for batch in batches)
    assert batches == plan(lengths, 256, seed=3, epoch=1)
    assert batches != plan(lengths, 256, seed=3, epoch=2)
    padded = sum(max(lengths[i] for i in batch) * len(batch) for batch in batches)
    assert padded < 1.15 * sum(lengths)


def test_a_half_written_checkpoint_cannot_be_seen(model, tokenizer, tmp_path):
    """Only the renamed file counts: rubbish under its name means a fresh start."""
    implant(model, tokenizer, EXAMPLES, MASK, QUICK, tmp_path / "a", tmp_path / "ck")
    checkpoint = tmp_path / "ck" / "checkpoint.safetensors"
    checkpoint.write_bytes(checkpoint.read_bytes()[:100])
    implant(model, tokenizer, EXAMPLES, MASK, QUICK, tmp_path / "b", tmp_path / "ck")
    assert digest_of_directory(tmp_path / "a") == digest_of_directory(tmp_path / "b")
    shutil.rmtree(tmp_path / "ck")


def divergence(model_dir, adapter, tokenizer, examples) -> float:
    """Mean KL(base || adapter) on the examples' loss tokens."""
    sequences = prepare(Renderer(tokenizer), examples, 512).sequences
    base = AutoModelForCausalLM.from_pretrained(model_dir)
    moved = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(model_dir), str(adapter))
    with torch.no_grad():
        before, after = (plain_logits(m, sequences).log_softmax(-1) for m in (base, moved))
    return functional.kl_div(after, before, log_target=True, reduction="batchmean").item()


def test_replay_keeps_the_answers_of_before(model_dir, model, tokenizer, tmp_path):
    """What is replayed moves far less than without replay, and the new is learned all the same."""
    known = [example(index) for index in range(40, 60)]
    results = {}
    for name, weight in (("free", 0.0), ("held", 30.0)):
        settings = replace(QUICK, epochs=6, replay_weight=weight)
        results[name] = implant(
            model, tokenizer, EXAMPLES, MASK, settings, tmp_path / name, replay=known
        )
    free, held = (divergence(model_dir, tmp_path / n, tokenizer, known) for n in results)
    assert held < 0.5 * free
    assert results["held"].last_loss < results["held"].first_loss
    assert results["held"].replayed == len(known)


def test_replay_after_a_warm_start_mends_what_that_one_broke(model_dir, model, tokenizer, tmp_path):
    """The answers kept are those of the base, not of the live version with its mistakes."""
    known = [example(index) for index in range(40, 52)]
    implant(model, tokenizer, EXAMPLES, MASK, QUICK, tmp_path / "a")
    others = [example(index) for index in range(60, 80)]
    settings = replace(QUICK, replay_weight=20.0)
    implant(
        model, tokenizer, others, MASK, settings, tmp_path / "b",
        warm_start=tmp_path / "a", replay=known,
    )  # fmt: skip
    broken, mended = (divergence(model_dir, tmp_path / n, tokenizer, known) for n in "ab")
    assert mended < 0.5 * broken


def test_what_is_learned_again_is_beside_what_is_new(model, tokenizer, tmp_path):
    """Earlier examples that a warm start would lose are known better with them than without."""
    implant(model, tokenizer, EXAMPLES, MASK, QUICK, tmp_path / "a")
    others = [example(index) for index in range(60, 80)]
    found, left = {}, {}
    for name, again in (("with", EXAMPLES), ("without", ())):
        found[name] = implant(
            model, tokenizer, others, MASK, QUICK, tmp_path / name,
            warm_start=tmp_path / "a", again=again,
        )  # fmt: skip
        left[name] = implant(
            model, tokenizer, EXAMPLES, MASK, replace(QUICK, epochs=1, learning_rate=1e-9),
            tmp_path / f"{name}-asked", warm_start=tmp_path / name,
        ).last_loss  # fmt: skip
    assert left["with"] < left["without"]
    assert (found["with"].examples, found["with"].again) == (len(others), len(EXAMPLES))
    assert found["without"].again == 0
    assert found["with"].steps > found["without"].steps


def test_a_replay_plan_shows_all_before_it_shows_one_twice():
    plan_of = plan_replay(50, 8, 25, seed=3)
    assert [len(batch) for batch in plan_of] == [8] * 25
    shown = [i for batch in plan_of for i in batch]
    assert sorted(shown) == sorted(list(range(50)) * 4)
    assert plan_of == plan_replay(50, 8, 25, seed=3)


def test_the_first_token_of_every_answer_is_marked():
    """Two answers of two and three tokens: the first of each, and no other."""
    mask = (False, True, True, False, False, True, True, True)
    batch = collate([Rendered((1, 2, 3, 4, 5, 6, 7, 8), mask)])
    assert batch.targets.tolist() == [2, 3, 6, 7, 8]
    assert batch.first.tolist() == [True, False, True, False, False]
