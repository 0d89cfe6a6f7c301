"""Merging: whole weights that are the base's plus the adapter's change, and nothing else."""

import json
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from tiny_models import build_tiny_adapter, build_tiny_model
from torch import Tensor
from transformers import AutoModelForCausalLM

from adapt.base import find_model
from adapt.compose import changes_of
from adapt.merge import merge
from store.errors import ModelError
from store.files import digest_of_directory


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_model(tmp_path_factory.mktemp("merge") / "base", layers=3)


@pytest.fixture(scope="module")
def adapter(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of two kinds of layers, so that some tensors change and some do not."""
    folder = tmp_path_factory.mktemp("merge") / "adapter"
    return build_tiny_adapter(base, folder, modules=("down_proj", "q_proj"), scale=0.1)


def in_format(base: Path, folder: Path, dtype: torch.dtype) -> Path:
    """The same model in another number format."""
    model = AutoModelForCausalLM.from_pretrained(base, dtype=dtype)
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (folder / name).write_bytes((base / name).read_bytes())
    return folder


def weights(folder: Path) -> dict[str, Tensor]:
    """Every tensor of a model directory, however many files it has."""
    found: dict[str, Tensor] = {}
    for file in folder.glob("*.safetensors"):
        found |= load_file(file)
    return found


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_merged_weights_are_the_rounded_sum(
    base: Path, adapter: Path, tmp_path: Path, dtype: torch.dtype
) -> None:
    """Each changed tensor is the sum in float64, rounded once."""
    model = in_format(base, tmp_path / "base", dtype)
    done = merge(model, adapter, tmp_path / "merged")
    before, after = weights(model), weights(tmp_path / "merged")
    changes = changes_of(adapter)
    assert before.keys() == after.keys()
    assert (done.tensors, done.changed) == (len(before), 6)
    assert done.format == str(dtype).removeprefix("torch.")
    for module, (a, b) in changes.items():
        name = f"{module}.weight"
        exact = before[name].double() + b.double() @ a.double()
        assert after[name].dtype == dtype
        half_step = torch.finfo(dtype).eps / 2
        off = (after[name].double() - exact).abs()
        assert (off <= half_step * exact.abs() * (1 + 1e-6) + 1e-30).all()
        assert not torch.equal(after[name], before[name])


def test_what_no_change_touches_keeps_its_bits(base: Path, adapter: Path, tmp_path: Path) -> None:
    """The tied embedding among it: nothing is written twice, and nothing is rounded."""
    merge(base, adapter, tmp_path / "merged")
    before, after = weights(base), weights(tmp_path / "merged")
    changed = {f"{module}.weight" for module in changes_of(adapter)}
    assert "model.embed_tokens.weight" in before.keys() - changed
    assert "lm_head.weight" not in after
    for name in before.keys() - changed:
        assert torch.equal(before[name].view(torch.uint8), after[name].view(torch.uint8))


def test_shards_hold_the_same_tensors(base: Path, adapter: Path, tmp_path: Path) -> None:
    """Many files or one; no shard is larger than asked for, but for a tensor that is by itself."""
    one = merge(base, adapter, tmp_path / "one")
    many = merge(base, adapter, tmp_path / "many", max_shard_bytes=60_000)
    assert (one.shards, (one.path / "model.safetensors").is_file()) == (1, True)
    assert not (one.path / "model.safetensors.index.json").exists()
    assert many.shards > 5
    index = json.loads((many.path / "model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == one.bytes == many.bytes
    whole, parts = weights(one.path), weights(many.path)
    assert whole.keys() == parts.keys() == index["weight_map"].keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    for file in many.path.glob("*.safetensors"):
        tensors = load_file(file)
        size = sum(t.nbytes for t in tensors.values())
        assert size <= 60_000 or len(tensors) == 1
        assert all(index["weight_map"][name] == file.name for name in tensors)


def test_a_sharded_base_is_merged_as_one_of_a_single_file(
    base: Path, adapter: Path, tmp_path: Path
) -> None:
    """And weights beside those of the index, as some models bring them twice, are left out."""
    model = AutoModelForCausalLM.from_pretrained(base)
    split = tmp_path / "split"
    model.save_pretrained(split, max_shard_size="60KB")
    save_file({"other.weight": torch.ones(2)}, split / "consolidated.safetensors")
    assert (split / "model.safetensors.index.json").is_file()
    merge(split, adapter, tmp_path / "from_many")
    merge(base, adapter, tmp_path / "from_one")
    ours, theirs = weights(tmp_path / "from_many"), weights(tmp_path / "from_one")
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_the_merged_model_answers_as_base_and_adapter(
    base: Path, adapter: Path, tmp_path: Path
) -> None:
    """In transformers, from the written directory alone; and it is a model that find_model takes,
    with the same chat template."""
    merge(base, adapter, tmp_path / "merged", max_shard_bytes=60_000)
    ids = torch.arange(3, 40)[None]
    with torch.no_grad():
        plain = AutoModelForCausalLM.from_pretrained(base)(ids).logits
        merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")(ids).logits
        whole = AutoModelForCausalLM.from_pretrained(base)
        adapted = PeftModel.from_pretrained(whole, str(adapter))(ids).logits
    assert (adapted - plain).abs().max() > 0.1
    assert (merged - adapted).abs().max() / adapted.abs().max() < 1e-5
    first, made = find_model(str(base)), find_model(str(tmp_path / "merged"))
    assert made.template_digest == first.template_digest
    assert made.digest != first.digest


def test_equal_inputs_give_equal_bytes_also_after_a_stop(
    base: Path, adapter: Path, tmp_path: Path
) -> None:
    """A try that died may leave parts; the next one replaces them, and nothing else is left."""
    first = merge(base, adapter, tmp_path / "a", max_shard_bytes=60_000)

    class Died(BaseException):
        pass

    def die(done: int, total: int) -> None:
        if done > total / 2:
            raise Died

    with pytest.raises(Died):
        merge(base, adapter, tmp_path / "b", max_shard_bytes=60_000, progress=die)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a"]
    for killed in (tmp_path / ".b.unfinished", tmp_path / "b"):
        killed.mkdir()
        (killed / "model-00001-of-00009.safetensors").write_bytes(b"half a shard")
    second = merge(base, adapter, tmp_path / "b", max_shard_bytes=60_000)
    assert digest_of_directory(first.path) == digest_of_directory(second.path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]


def test_a_change_that_fits_no_weight_is_an_error(base: Path, tmp_path: Path) -> None:
    """A module that the base has not, and one of another size; both are named."""
    other = build_tiny_model(tmp_path / "deeper", layers=4)
    deeper = build_tiny_adapter(other, tmp_path / "deeper_adapter")
    with pytest.raises(ModelError, match=r"layers\.3\.mlp\.down_proj"):
        merge(base, deeper, tmp_path / "out")
    wide = build_tiny_model(tmp_path / "wide", layers=3, intermediate=256)
    wider = build_tiny_adapter(wide, tmp_path / "wide_adapter")
    with pytest.raises(ModelError, match=r"by 64 x 256, in .* it is 64 x 192"):
        merge(base, wider, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_base_that_cannot_be_added_to_is_named(base: Path, adapter: Path, tmp_path: Path) -> None:
    """Eight-bit weights, a shard that is missing, and bytes that are no weights."""
    model = in_format(base, tmp_path / "model", torch.float32)
    file = model / "model.safetensors"
    name = "model.layers.0.mlp.down_proj.weight"
    good = load_file(file)
    save_file(good | {name: good[name].to(torch.float8_e4m3fn)}, file, {"format": "pt"})
    with pytest.raises(ModelError, match="float8"):
        merge(model, adapter, tmp_path / "out")
    file.write_bytes(b"no weights")
    with pytest.raises(ModelError, match="cannot be read"):
        merge(model, adapter, tmp_path / "out")
    assert not (tmp_path / "out").exists()
