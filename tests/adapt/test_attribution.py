"""Attribution: the fast methods give the plain methods' scores, and the sums are theirs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import build_tiny_model
from transformers import AutoModelForCausalLM

from adapt.bench.plain_attribution import captum_scores, plain_scores
from adapt.loki.attribution import Scorer, attribute, tally
from adapt.loki.definitions import DEFINITIONS
from adapt.loki.plan import facts_of, make_plan
from adapt.loki.scores import COUNTS, TABLES
from store.errors import ConfigError, ModelError

M = 5
EVERY = sorted(DEFINITIONS)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """On tensors this small, threads only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def load(path: Path, arch: str = "qwen3", dtype: Any = torch.float64, **config: Any) -> Any:
    """sdpa, because eager attention takes its softmax in float32 whatever the model's type."""
    how = config.pop("attention", "sdpa")
    build_tiny_model(path, arch, hidden=64, **{"layers": 3, **config})
    return AutoModelForCausalLM.from_pretrained(path, dtype=dtype, attn_implementation=how).eval()


def prompts(*lengths: int, seed: int = 0) -> list[list[int]]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(0, 300, (n,), generator=generator).tolist() for n in lengths]


def scores_of(model: Any, batch: list[list[int]], name: str, steps: int = M) -> torch.Tensor:
    return Scorer(model, DEFINITIONS[name], steps, max(map(len, batch)))(batch)


def distance(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Largest difference, as a part of the largest score."""
    assert expected.abs().max() > 0
    return float((found - expected).abs().max() / expected.abs().max())


def assert_plain(model: Any, batch: list[list[int]], name: str, most: float) -> None:
    found = scores_of(model, batch, name)
    for index, prompt in enumerate(batch):
        plain = plain_scores(model, prompt, DEFINITIONS[name], M)
        assert found.dtype == plain.dtype
        assert distance(found[index], plain) < most


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("arch", ["qwen2", "qwen3", "llama", "mistral"])
def test_fast_scores_equal_the_definition(tmp_path: Path, arch: str, name: str) -> None:
    assert_plain(load(tmp_path, arch), prompts(17, 1, 2, 25), name, 1e-9)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize(
    ("arch", "config"),
    [
        ("gemma2", {"sliding_window": 8}),
        ("granite", {"residual_multiplier": 0.3, "logits_scaling": 2.0}),
        ("phi3", {}),
    ],
)
def test_what_follows_the_down_proj_and_the_head_is_the_models_own(
    tmp_path: Path, arch: str, config: dict[str, Any], name: str
) -> None:
    """A norm or a factor after the MLP, capped logits, gate and up in one matrix."""
    assert_plain(load(tmp_path, arch, **config), prompts(14, 9), name, 1e-9)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize(
    ("arch", "config"),
    [
        ("mistral", {"sliding_window": 8}),
        ("qwen2", {"use_sliding_window": True, "sliding_window": 8, "max_window_layers": 1}),
    ],
)
def test_a_sliding_window_is_kept(
    tmp_path: Path, arch: str, config: dict[str, Any], name: str
) -> None:
    assert_plain(load(tmp_path, arch, **config), prompts(30, 5), name, 1e-9)


@pytest.mark.parametrize("name", EVERY)
def test_eager_attention_gives_the_same_scores(tmp_path: Path, name: str) -> None:
    model = load(tmp_path, "qwen2", torch.float32, attention="eager")
    assert_plain(model, prompts(17, 3), name, 1e-5)


@pytest.mark.parametrize("name", EVERY)
def test_a_model_of_one_layer(tmp_path: Path, name: str) -> None:
    assert_plain(load(tmp_path, layers=1), prompts(6, 1), name, 1e-9)


def test_captum_is_captums_own(tmp_path: Path) -> None:
    """Its weights are float32 whatever the model is, which leaves eight digits."""
    model = load(tmp_path)
    batch = prompts(12, 20)
    found = scores_of(model, batch, "captum")
    for index, prompt in enumerate(batch):
        assert distance(found[index], captum_scores(model, prompt, M)) < 1e-7


@pytest.mark.parametrize("name", EVERY)
def test_padding_changes_no_score(tmp_path: Path, name: str) -> None:
    model = load(tmp_path)
    short, long = prompts(7, 40)
    both = scores_of(model, [short, long], name)
    assert distance(both[0], scores_of(model, [short], name)[0]) < 1e-12


@pytest.mark.parametrize("name", EVERY)
def test_bfloat16_runs_and_means_the_same(tmp_path: Path, name: str) -> None:
    batch = prompts(9, 16)
    exact = scores_of(load(tmp_path, initializer_range=0.05), batch, name)
    rough = load(tmp_path, dtype=torch.bfloat16, initializer_range=0.05)
    found = scores_of(rough, batch, name)
    assert found.dtype == torch.float32
    both = torch.stack((found.double().flatten(), exact.flatten()))
    assert torch.corrcoef(both)[0, 1] > 0.99


@pytest.mark.parametrize("name", EVERY)
def test_tables_are_those_of_the_plain_scores(tmp_path: Path, name: str) -> None:
    model, batch, k = load(tmp_path), prompts(3, 8, 8, 21), 6
    found = attribute(model, batch, 10, definition=name, steps=M)
    plain = torch.stack([plain_scores(model, p, DEFINITIONS[name], M) for p in batch]).numpy()
    expected = {table: np.zeros((3, 64), np.int32) for table in COUNTS}
    for sample in plain:
        for sign, low in ((1, "lowest"), (-1, "highest")):
            order = np.argsort(sign * sample, axis=1)[:, :k]
            np.add.at(expected[low], (np.arange(3)[:, None], order), 1)
            whole = np.argsort(sign * sample.ravel())[: 3 * k]
            np.add.at(expected[f"global_{low}"].ravel(), whole, 1)
    for table in COUNTS:
        assert getattr(found, table).dtype == np.int32
        assert np.array_equal(getattr(found, table), expected[table]), table
    assert np.allclose(found.mean, plain.mean(0), rtol=0, atol=1e-12 * np.abs(plain).max())
    assert np.allclose(found.magnitude, np.abs(plain).mean(0))
    assert (found.samples, found.definition, found.steps, found.quota) == (4, name, M, 10)


def test_equal_scores_go_to_the_lower_layer_and_row() -> None:
    sums = tally(torch.zeros(2, 3, 4), 2)
    for table in ("lowest", "highest"):
        assert sums.tables[table].tolist() == [[2, 2, 0, 0]] * 3
        assert sums.tables[f"global_{table}"].tolist() == [[2] * 4, [2, 2, 0, 0], [0] * 4]


def test_the_order_of_prompts_does_not_matter_to_counts(tmp_path: Path) -> None:
    model, batch = load(tmp_path), prompts(4, 30, 8, 15)
    forth, back = attribute(model, batch, 10), attribute(model, batch[::-1], 10)
    assert np.array_equal(forth.lowest, back.lowest)


def test_progress_reaches_the_total_with_an_estimate(tmp_path: Path) -> None:
    seen = []
    attribute(load(tmp_path), prompts(*range(20, 80)), 10, progress=seen.append)
    assert [seen[0].done, seen[0].seconds_left] == [0, None]
    assert [seen[-1].done, seen[-1].total, seen[-1].seconds_left] == [60, 60, 0]
    assert all(at.seconds_left > 0 for at in seen[1:-1])


@pytest.mark.parametrize("name", ["release", "captum"])
def test_an_interrupted_run_goes_on_to_the_identical_tables(tmp_path: Path, name: str) -> None:
    model, batch, state = load(tmp_path), prompts(*range(20, 60)), tmp_path / "state"
    whole = attribute(model, batch, 10, definition=name)
    done: list[int] = []

    def stop_at_half(at: Any) -> None:
        done.append(at.done)
        if at.done >= 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        attribute(model, batch, 10, definition=name, progress=stop_at_half, state=state)
    seen = []
    again = attribute(model, batch, 10, definition=name, progress=seen.append, state=state)
    assert done[-1] < 40
    assert seen[0].done == done[-1]
    for table in TABLES:
        assert np.array_equal(getattr(again, table), getattr(whole, table)), table


def test_the_state_of_another_computation_is_ignored(tmp_path: Path) -> None:
    model, batch, state = load(tmp_path), prompts(5, 9), tmp_path / "state"
    attribute(model, batch, 10, state=state, identity="one")
    first = []
    attribute(model, batch, 10, state=state, identity="one", progress=first.append)
    assert first[0].done == 2
    for change in ({"identity": "other"}, {"steps": 3}, {"definition": "paper"}):
        seen = []
        attribute(
            model, batch, 10, state=state, progress=seen.append, **{"identity": "one", **change}
        )
        assert seen[0].done == 0, change
    state.write_bytes(b"not a state")
    assert attribute(model, batch, 10, state=state).samples == 2


def test_batches_hold_every_prompt_once_within_the_budget(tmp_path: Path) -> None:
    batch = prompts(*range(1, 120))
    plan = make_plan(facts_of(load(tmp_path)), batch, 10, "captum", 7, "")
    assert sorted(i for indices in plan.batches for i in indices) == list(range(119))
    assert max(plan.costs) <= 2048


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"prompts": []}, "at least one prompt"),
        ({"prompts": [[1], []]}, "prompt 1 has no tokens"),
        ({"prompts": [[1], [5] * 41]}, "prompt 1 has 41 tokens, the model's context 40"),
        ({"prompts": [[1, 512]]}, "outside 0..511"),
        ({"quota_percent": 0}, "quota of 0%"),
        ({"quota_percent": 100.5}, "quota of 100.5%"),
        ({"definition": "other"}, "unknown definition 'other'"),
        ({"steps": 0}, "0 steps"),
        ({"definition": "captum", "steps": 1}, "1 steps"),
    ],
)
def test_what_cannot_be_used_is_refused(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    model = load(tmp_path, max_length=40)
    given: dict[str, Any] = {"prompts": [[1, 2]], "quota_percent": 10, **change}
    with pytest.raises(ConfigError, match=said):
        attribute(model, **given)


def test_an_unsupported_model_names_what_is_missing(tmp_path: Path) -> None:
    model = load(tmp_path)
    del model.model.layers[1].mlp.down_proj
    with pytest.raises(ModelError, match=r"layer 1 of Qwen3ForCausalLM has no module mlp\.down_"):
        attribute(model, [[1, 2]], 10)
    del model.lm_head
    with pytest.raises(ModelError, match="lm_head"):
        attribute(model, [[1, 2]], 10)


def test_a_change_behind_the_down_proj_inside_the_mlp_is_refused(tmp_path: Path) -> None:
    """Such a model would otherwise get wrong scores without a word."""
    model = load(tmp_path)
    model.model.layers[1].mlp.register_forward_hook(lambda _, __, output: output * 3)
    with pytest.raises(ModelError, match="something else than its down_proj"):
        attribute(model, [[1, 2, 3]], 10)


def test_a_model_in_training_and_scores_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    model = load(tmp_path)
    with pytest.raises(ModelError, match="training mode"):
        attribute(model.train(), [[1, 2, 3]], 10)
    with torch.no_grad():
        model.model.layers[0].mlp.up_proj.weight.fill_(float("nan"))
    with pytest.raises(ModelError, match="not finite"):
        attribute(model.eval(), [[1, 2, 3]], 10)


def test_the_model_is_left_as_it_was(tmp_path: Path) -> None:
    model = load(tmp_path)
    wanting = [p.requires_grad for p in model.parameters()]
    parts = dict(model.named_modules())
    attribute(model, prompts(5, 9), 10, definition="captum")
    assert [p.requires_grad for p in model.parameters()] == wanting
    assert dict(model.named_modules()) == parts
    assert not any(module._forward_hooks for module in model.modules())
    assert all(p.grad is None for p in model.parameters())
