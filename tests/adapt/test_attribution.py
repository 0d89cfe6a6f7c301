"""Attribution: the fast method gives the plain method's scores, on every supported architecture."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_models import build_tiny_model
from transformers import AutoModelForCausalLM

from adapt.loki.attribution import attribute, score_batch
from adapt.loki.selection import rows_per_layer
from store.errors import ConfigError, ModelError

M = 7


def reference(model, prompt, m=M):
    """The definition, word for word: one full forward per layer and step. [layers, d_model]."""
    ids = torch.tensor([prompt])
    scores = []
    with torch.no_grad():
        target = model(ids).logits[0, -1].argmax()
    for layer in model.model.layers:
        total = 0
        for step in range(m):
            taken = {}

            def scale(_, __, output, taken=taken, step=step):
                taken["y"] = output[0, -1].detach()
                taken["z"] = (taken["y"] * (step / m)).requires_grad_()
                replaced = output.clone()
                replaced[0, -1] = taken["z"]
                return replaced

            hook = layer.mlp.down_proj.register_forward_hook(scale)
            probability = model(ids).logits[0, -1].float().softmax(-1)[target]
            hook.remove()
            (gradient,) = torch.autograd.grad(probability, taken["z"])
            total = total + gradient * taken["y"] / m
        scores.append(total)
    return torch.stack(scores)


def load(path: Path, arch: str, **config):
    build_tiny_model(path, arch, hidden=64, layers=3, **config)
    return AutoModelForCausalLM.from_pretrained(path).eval()


def prompts(count=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, 40, (count,), generator=generator).tolist()
    return [torch.randint(0, 300, (n,), generator=generator).tolist() for n in lengths]


def lowest_set(scores, k):
    return scores.sort(dim=-1, stable=True).indices[..., :k].sort(-1).values


@pytest.mark.parametrize("arch", ["qwen2", "qwen3", "llama", "mistral"])
def test_fast_scores_equal_the_definition(tmp_path, arch):
    model = load(tmp_path, arch)
    batch = [*prompts(), [7]]
    fast = score_batch(model, batch)
    for index, prompt in enumerate(batch):
        slow = reference(model, prompt)
        assert (fast[index] - slow).abs().max() / slow.abs().max() < 1e-5
        assert torch.equal(lowest_set(fast[index], 6), lowest_set(slow, 6))


@pytest.mark.parametrize(
    ("arch", "config"),
    [
        ("mistral", {"sliding_window": 8}),
        ("qwen2", {"use_sliding_window": True, "sliding_window": 8, "max_window_layers": 1}),
    ],
)
def test_a_sliding_window_is_kept(tmp_path, arch, config):
    model = load(tmp_path, arch, **config)
    prompt = list(range(3, 33))
    fast, slow = score_batch(model, [prompt, prompt[:5]])[0], reference(model, prompt)
    assert (fast - slow).abs().max() / slow.abs().max() < 1e-5


def test_counts_are_those_of_the_definition(tmp_path):
    model = load(tmp_path, "qwen3")
    batch = prompts(6)
    counts = attribute(model, batch, 10)
    k = rows_per_layer(64, 10)
    expected = np.zeros((3, 64), dtype=np.int32)
    for prompt in batch:
        chosen = lowest_set(reference(model, prompt), k).numpy()
        for layer in range(3):
            expected[layer, chosen[layer]] += 1
    assert counts.lowest.dtype == np.int32
    assert np.array_equal(counts.lowest, expected)
    assert (counts.samples, counts.definition) == (6, "release")
    assert (counts.highest.sum(1) == 6 * k).all()


def test_the_order_of_prompts_does_not_matter(tmp_path):
    model = load(tmp_path, "qwen3")
    batch = prompts(8)
    forth, back = attribute(model, batch, 10), attribute(model, batch[::-1], 10)
    assert np.array_equal(forth.lowest, back.lowest)


def test_progress_reaches_the_total(tmp_path):
    model = load(tmp_path, "llama")
    seen = []
    attribute(model, prompts(4), 10, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (4, 4)


def test_an_unsupported_model_names_what_is_missing(tmp_path):
    model = load(tmp_path, "llama")
    model.model.layers[0].mlp.other = model.model.layers[0].mlp.down_proj
    del model.model.layers[0].mlp.down_proj
    with pytest.raises(ModelError, match=r"mlp\.down_proj"):
        attribute(model, [[1, 2]], 10)


def test_a_norm_after_the_mlp_is_refused(tmp_path):
    """Such a model (Gemma's kind) would otherwise get wrong scores without a word."""
    model = load(tmp_path, "llama")
    mlp = model.model.layers[1].mlp
    mlp.register_forward_hook(lambda _, __, output: output * 3)
    with pytest.raises(ModelError, match="layer 1"):
        attribute(model, [[1, 2, 3]], 10)


def test_empty_prompts_are_refused(tmp_path):
    model = load(tmp_path, "llama")
    with pytest.raises(ConfigError):
        attribute(model, [[1], []], 10)
    with pytest.raises(ConfigError):
        attribute(model, [], 10)
