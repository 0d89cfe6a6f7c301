"""Vectors taken apart and put together: extraction, angles, controls, sums."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import build_tiny_model

from adapt.loki.rows import PREFIX
from adapt.loki.selection import Mask
from adapt.skill.controls import across_layers, only_in, random_like
from adapt.skill.extract import extract, truncated
from adapt.skill.geometry import angles, share_in_rows, whole
from store.errors import ConfigError, ModelError

DOWN = "model.layers.1.mlp.down_proj"


@pytest.fixture(scope="module")
def before(tmp_path_factory) -> Path:
    return build_tiny_model(tmp_path_factory.mktemp("before"), "qwen2", hidden=64, layers=2)


def moved(before: Path, out: Path, changes: dict[str, torch.Tensor], dtype=None) -> Path:
    """A checkpoint that differs by `changes`."""
    shutil.copytree(before, out)
    file = next(out.glob("*.safetensors"))
    tensors = load_file(file)
    for name, change in changes.items():
        tensors[name] = tensors[name] + change
    save_file({n: t.to(dtype or t.dtype) for n, t in tensors.items()}, file, {"format": "pt"})
    return out


def low_rank(before: Path, rank: int) -> torch.Tensor:
    out, inside = load_file(next(before.glob("*.safetensors")))[f"{DOWN}.weight"].shape
    generator = torch.Generator().manual_seed(rank)
    return 0.01 * (
        torch.randn(out, rank, generator=generator) @ torch.randn(rank, inside, generator=generator)
    )


def change_of(tensors) -> dict:
    names = [n for n in tensors if ".lora_A." in n]
    return {
        n.removeprefix(PREFIX).removesuffix(".lora_A.weight"): (
            tensors[n], tensors[n.replace("_A.", "_B.")],
        )
        for n in names
    }  # fmt: skip


def test_a_change_of_low_rank_is_extracted_whole(before, tmp_path) -> None:
    change = low_rank(before, 3)
    found = extract(before, moved(before, tmp_path / "after", {f"{DOWN}.weight": change}), 8)
    (cut,) = found.cuts
    a, b = change_of(found.tensors)[DOWN]
    assert (cut.module, cut.rank) == (DOWN, 3), "rounding is no rank"
    assert torch.allclose(b @ a, change, atol=1e-6)
    assert found.error < 1e-3
    assert cut.norm == pytest.approx(change.norm().item(), rel=1e-4)


def test_what_a_lower_rank_cuts_off_is_told(before, tmp_path) -> None:
    """The error is that of the singular values, and of what a LoRA cannot hold."""
    change, norms = low_rank(before, 5), "model.norm.weight"
    after = moved(
        before, tmp_path / "after", {f"{DOWN}.weight": change, norms: torch.full((64,), 0.01)}
    )
    found = extract(before, after, 2)
    values = torch.linalg.svdvals(change.double())
    lost = (values[2:].square().sum() / values.square().sum()).sqrt().item()
    assert found.cuts[0].error == pytest.approx(lost, rel=1e-3)
    assert found.left_out == {norms: pytest.approx(0.08, rel=1e-3)}
    whole_norm = (change.norm() ** 2 + 0.08**2) ** 0.5
    a, b = change_of(found.tensors)[DOWN]
    missing = ((change - b @ a).norm() ** 2 + 0.08**2) ** 0.5 / whole_norm
    assert found.error == pytest.approx(missing.item(), rel=1e-3)


def test_small_updates_survive_where_bfloat16_would_round_them_away(before, tmp_path) -> None:
    """The difference is taken in float32 from float32 checkpoints."""
    change = low_rank(before, 1) * 1e-4
    after = moved(before, tmp_path / "after", {f"{DOWN}.weight": change})
    a, b = change_of(extract(before, after, 1).tensors)[DOWN]
    assert ((b @ a - change).norm() / change.norm()).item() < 0.05
    weight = load_file(next(before.glob("*.safetensors")))[f"{DOWN}.weight"]
    rounded = (weight + change).bfloat16() - weight.bfloat16()
    assert ((rounded.float() - change).norm() / change.norm()).item() > 0.9


def test_checkpoints_that_do_not_fit_are_refused(before, tmp_path) -> None:
    with pytest.raises(ModelError, match="no linear layer of"):
        extract(before, before, 4)
    with pytest.raises(ConfigError, match="a rank of 0"):
        extract(before, before, 0)
    with pytest.raises(ModelError, match=r"holds no \*.safetensors"):
        extract(before, tmp_path, 4)
    broken = moved(before, tmp_path / "nan", {f"{DOWN}.weight": torch.tensor(float("nan"))})
    with pytest.raises(ModelError, match="a number that is none"):
        extract(before, broken, 4)
    other = build_tiny_model(tmp_path / "other", "qwen2", hidden=64, layers=3)
    with pytest.raises(ModelError, match=r"only one of .* has model\.layers\.2"):
        extract(before, other, 4)


def test_truncation_is_the_best_of_its_rank() -> None:
    change = torch.randn(12, 20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    a, b, error = truncated(change, 4)
    values = torch.linalg.svdvals(change)
    assert (change - b @ a).norm().item() == pytest.approx(values[4:].norm().item(), rel=1e-9)
    assert error == pytest.approx((values[4:].norm() / values.norm()).item(), rel=1e-9)


def made(seed: int, rank: int = 3) -> dict:
    generator = torch.Generator().manual_seed(seed)
    return {
        f"model.layers.{layer}.{name}": (
            torch.randn(rank, 10, generator=generator), torch.randn(8, rank, generator=generator),
        )
        for layer in range(2) for name in ("self_attn.q_proj", "mlp.down_proj")
    }  # fmt: skip


def test_angles_are_those_of_the_changes_multiplied_out() -> None:
    one, two = made(1), made(2, rank=5)
    two.pop("model.layers.1.self_attn.q_proj")
    found = {a.module: a for a in angles(one, two)}
    for module, (a, b) in one.items():
        first = (b @ a).flatten().double()
        assert found[module].norm == pytest.approx(first.norm().item(), rel=1e-6)
        if module in two:
            second = (two[module][1] @ two[module][0]).flatten().double()
            cosine = torch.dot(first, second) / (first.norm() * second.norm())
            assert found[module].cosine == pytest.approx(cosine.item(), abs=1e-6)
    assert found["model.layers.1.self_attn.q_proj"].cosine == 0.0
    assert whole(angles(one, one)).cosine == pytest.approx(1.0)
    minus = {module: (a, -b) for module, (a, b) in one.items()}
    assert whole(angles(one, minus)).cosine == pytest.approx(-1.0)


def test_a_dense_change_is_compared_as_it_is() -> None:
    (a, b) = made(1)["model.layers.0.mlp.down_proj"]
    pair, dense = {DOWN: (a, b)}, {DOWN: (b @ a, torch.eye(8))}
    assert whole(angles(pair, dense)).cosine == pytest.approx(1.0, abs=1e-6)


def test_the_share_in_rows_is_that_of_the_squared_norm() -> None:
    change = made(1)
    mask = Mask(((0, 3), ()), 8, 12.5, "lowest", "b" * 64, "c")
    dense = {m: b @ a for m, (a, b) in change.items()}
    inside = dense["model.layers.0.mlp.down_proj"][[0, 3]].square().sum()
    everything = sum(d.square().sum() for d in dense.values())
    assert share_in_rows(change, mask) == pytest.approx((inside / everything).item(), rel=1e-5)


def peft_names(change) -> dict[str, torch.Tensor]:
    return {
        f"{PREFIX}{module}.lora_{half}.weight": tensor
        for module, pair in change.items()
        for half, tensor in zip("AB", pair, strict=True)
    }


def test_the_random_control_has_the_size_of_every_module_and_another_direction() -> None:
    tensors = peft_names(made(1))
    control = change_of(random_like(tensors, 7))
    for angle in angles(change_of(tensors), control):
        assert angle.other == pytest.approx(angle.norm, rel=1e-5)
        assert abs(angle.cosine) < 0.5
    again = random_like(tensors, 7)
    assert all(torch.equal(again[n], t) for n, t in random_like(tensors, 7).items())


def test_the_permuted_control_leaves_no_layer_where_it_was() -> None:
    tensors = peft_names(made(1))
    control = across_layers(tensors, 0)
    assert control.keys() == tensors.keys()
    for name, tensor in control.items():
        other = name.replace("layers.0", "layers.#").replace("layers.1", "layers.0")
        assert torch.equal(tensor, tensors[other.replace("layers.#", "layers.1")])
    one = {n: t for n, t in tensors.items() if "layers.0" in n}
    with pytest.raises(ModelError, match="1 layers cannot be permuted"):
        across_layers(one, 0)


def test_a_part_of_a_vector_moves_only_its_own_modules() -> None:
    tensors = peft_names(made(1))
    norms = {angle.module: angle.norm for angle in angles(change_of(tensors), change_of(tensors))}
    part = change_of(only_in(tensors, ".self_attn."))
    for angle in angles(part, part):
        inside = ".self_attn." in angle.module
        assert angle.norm == pytest.approx(norms[angle.module] if inside else 0.0)
    assert any(".self_attn." in module for module in norms)
    assert not all(".self_attn." in module for module in norms)
