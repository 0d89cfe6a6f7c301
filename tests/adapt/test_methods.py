"""The compared methods: each trains, each takes every trace of itself back, all in one loop."""

from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
import torch
from tiny_models import build_tiny_model
from torch.nn import functional
from training_examples import EXAMPLES, MASK, QUICK, example, plain_logits
from transformers import AutoModelForCausalLM, AutoTokenizer

from adapt.loki.batches import collate, prepare
from adapt.loki.learning import train_method
from adapt.loki.memory import recomputed_layers
from adapt.loki.methods import LINEAR, Method, begin_at, check_start, installed
from adapt.loki.packing import packed_hidden
from adapt.render import Renderer
from store.errors import ConfigError, ModelError

METHODS = get_args(Method)


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory) -> Path:
    return build_tiny_model(tmp_path_factory.mktemp("base"), "qwen3")


@pytest.fixture
def model(model_dir):
    return AutoModelForCausalLM.from_pretrained(model_dir).eval()


@pytest.fixture(scope="module")
def tokenizer(model_dir):
    return AutoTokenizer.from_pretrained(model_dir)


@pytest.fixture(scope="module")
def sequences(tokenizer):
    return prepare(Renderer(tokenizer), EXAMPLES, 512).sequences


def settings_of(method: str, **changes):
    """Few steps at a rate that moves; a rank where the method has one."""
    rank = None if method in ("loki", "full") else 2
    return replace(QUICK, epochs=1, rank=rank, optimizer="adamw", **changes)


def state(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(first, second) -> bool:
    return first.keys() == second.keys() and all(
        torch.equal(value, second[name]) for name, value in first.items()
    )


@pytest.mark.parametrize("method", METHODS)
def test_a_method_trains_and_leaves_the_model_as_it_was(model, tokenizer, sequences, method):
    flags = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    pointers = {name: parameter.data_ptr() for name, parameter in model.named_parameters()}
    modules, attributes = [name for name, _ in model.named_modules()], set(vars(model))
    before, base = state(model), plain_logits(model, sequences)
    with train_method(model, tokenizer, EXAMPLES, settings_of(method), method, MASK) as trained:
        result = trained.result
        assert not torch.allclose(plain_logits(model, sequences), base, atol=1e-4)
        assert result.parameters == sum(p.numel() for p in trained.parameters)
        assert all(parameter.dtype == torch.float32 for parameter in trained.parameters)
    assert result.tokens_per_second > 0
    assert result.peak_memory_bytes > 1 << 20
    assert same(before, state(model))
    assert torch.equal(plain_logits(model, sequences), base)
    assert [name for name, _ in model.named_modules()] == modules
    assert set(vars(model)) == attributes
    for name, parameter in model.named_parameters():
        assert (parameter.requires_grad, parameter.data_ptr()) == (flags[name], pointers[name])
        assert parameter.grad is None


@pytest.mark.parametrize("method", METHODS)
def test_a_method_changes_nothing_as_installed(model, sequences, method):
    base = plain_logits(model, sequences)
    with installed(model, method, MASK, rank=2) as trained:
        assert trained
        # PiSSA takes a product out of the weights and adds it again.
        tolerance = {"pissa": 1e-3, "dora": 1e-4}.get(method, 0.0)
        assert torch.allclose(plain_logits(model, sequences), base, rtol=0, atol=tolerance)


@pytest.mark.parametrize("method", METHODS)
def test_a_method_that_fails_leaves_the_model_as_it_was(model, tokenizer, method):
    before = state(model)

    def stop(entry):
        if entry.get("step") == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        settings = settings_of(method)
        with train_method(model, tokenizer, EXAMPLES, settings, method, MASK, progress=stop):
            pass
    assert same(before, state(model))


def test_the_methods_train_what_they_say(model):
    def names(method):
        with installed(model, method, MASK, rank=2) as trained:
            moved = {id(parameter) for parameter in trained}
            return [name for name, p in model.named_parameters() if id(p) in moved]

    assert len(names("loki")) == 2
    assert len(names("loki-star")) == 4
    assert len(names("lora")) == len(names("pissa")) == 2 * 2 * len(LINEAR)
    assert len(names("dora")) == 2 * 3 * len(LINEAR)
    assert names("full") == [name for name, _ in model.named_parameters()]


@pytest.mark.parametrize("method", ["loki-star", "dora", "full"])
def test_a_killed_run_of_any_method_resumes_to_the_same_bits(model, tokenizer, tmp_path, method):
    """With Muon, which leaves vectors and embeddings to AdamW: both have moments to keep."""
    settings = replace(settings_of(method), optimizer="muon", learning_rate=1e-3, epochs=2)

    def run(progress=None, folder=None):
        with train_method(
            model, tokenizer, EXAMPLES, settings, method, MASK,
            replay=[example(40)], checkpoint_dir=folder, progress=progress,
        ) as trained:  # fmt: skip
            return [parameter.detach().clone() for parameter in trained.parameters]

    def stop(entry):
        if entry.get("step") == 6:
            raise KeyboardInterrupt

    whole = run()
    with pytest.raises(KeyboardInterrupt):
        run(stop, tmp_path)
    steps = []
    resumed = run(lambda entry: steps.append(entry.get("step")), tmp_path)
    assert 5 in steps and 4 not in steps
    assert all(torch.equal(a, b) for a, b in zip(whole, resumed, strict=True))


@pytest.mark.parametrize("method", ["loki", "lora"])
def test_accumulated_parts_give_the_step_of_the_whole_batch(model, tokenizer, method):
    """To rounding: with replay, with fewer examples than parts, and counted the same."""
    found = []
    for parts in (1, 3, 50):
        settings = settings_of(method, accumulate=parts, batch_tokens=300)
        with train_method(
            model, tokenizer, EXAMPLES, settings, method, MASK,
            replay=[example(index) for index in range(40, 50)],
        ) as trained:  # fmt: skip
            values = [parameter.detach().clone() for parameter in trained.parameters]
            found.append((values, trained.result))
    (whole, result), *others = found
    for values, other in others:
        assert (other.steps, other.tokens) == (result.steps, result.tokens)
        assert other.last_loss == pytest.approx(result.last_loss, rel=1e-5)
        for value, wanted in zip(values, whole, strict=True):
            assert torch.allclose(value, wanted, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_checkpointed_layers_give_the_same_gradients(model, sequences, method, precision):
    batch = collate(sequences[:4])
    found = []
    with installed(model, method, MASK, rank=2) as trained:
        for wanted in (False, True):
            with (
                recomputed_layers(model, wanted),
                torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"),
            ):
                hidden = packed_hidden(model, batch.ids, batch.packing)
                logits = model.lm_head(hidden[batch.positions])
            functional.cross_entropy(logits.float(), batch.targets).backward()
            found.append([parameter.grad for parameter in trained])
            for parameter in trained:
                parameter.grad = None
    assert not any(module.training for module in model.modules())
    assert not model.is_gradient_checkpointing
    for plain, recomputed in zip(*found, strict=True):
        assert torch.equal(plain, recomputed)


def test_a_checkpointed_run_ends_where_the_plain_one_does(model, tokenizer):
    found = []
    for wanted in (False, True):
        settings = settings_of("loki", gradient_checkpointing=wanted)
        with train_method(model, tokenizer, EXAMPLES, settings, "loki", MASK) as trained:
            found.append([parameter.detach().clone() for parameter in trained.parameters])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


@pytest.mark.parametrize("method", ["loki", "full"])
def test_replay_holds_to_the_model_before_the_update(model, tokenizer, sequences, method):
    """Where the output layer moves too, the old answers are still those of the old one."""
    base = plain_logits(model, sequences).log_softmax(-1)
    others = [example(index) for index in range(60, 70)]
    apart = []
    for weight in (0.0, 30.0):
        settings = settings_of(method, replay_weight=weight)
        with train_method(
            model, tokenizer, others, replace(settings, epochs=6), method, MASK, replay=EXAMPLES
        ):
            now = plain_logits(model, sequences).log_softmax(-1)
        apart.append(functional.kl_div(now, base, log_target=True, reduction="batchmean").item())
    assert apart[1] < 0.6 * apart[0]


def test_full_trains_an_output_layer_of_its_own_too(tmp_path, tokenizer):
    untied = build_tiny_model(tmp_path, "llama", tie_word_embeddings=False)
    model = AutoModelForCausalLM.from_pretrained(untied).eval()
    before = state(model)
    settings = replace(settings_of("full"), optimizer="muon", learning_rate=1e-3)
    with train_method(model, tokenizer, EXAMPLES[:8], settings, "full"):
        for name in ("lm_head.weight", "model.embed_tokens.weight", "model.norm.weight"):
            assert not torch.equal(model.get_parameter(name), before[name]), name
    assert same(before, state(model))


def test_what_was_trained_before_is_where_training_starts(model, tokenizer, sequences):
    settings = settings_of("lora")
    with train_method(model, tokenizer, EXAMPLES, settings, "lora") as trained:
        start = [parameter.detach().clone() for parameter in trained.parameters]
        wanted = plain_logits(model, sequences)
    with installed(model, "lora", rank=2, seed=5) as moving:
        check_start(moving, start)
        begin_at(moving, start)
        assert torch.equal(plain_logits(model, sequences), wanted)
        with pytest.raises(ModelError, match=f"{len(start) - 1} tensors, not {len(start)}"):
            check_start(moving, start[1:])
    other = replace(settings, rank=3)
    with (
        pytest.raises(ModelError, match=r"shape \(2, 64\) at 0, not \(3, 64\)"),
        train_method(model, tokenizer, EXAMPLES, other, "lora", start=start),
    ):
        pass


def test_a_bfloat16_model_trains_in_float32_and_comes_back(model, tokenizer):
    model.to(torch.bfloat16)
    for method in METHODS:
        before = state(model)
        settings = replace(settings_of(method), precision="bfloat16")
        with train_method(model, tokenizer, EXAMPLES[:8], settings, method, MASK) as trained:
            assert all(p.dtype == torch.float32 for p in trained.parameters), method
            assert trained.result.last_loss < 20
        assert same(before, state(model)), method


def test_methods_that_do_not_fit_are_refused(model, tokenizer):
    with pytest.raises(ConfigError, match="moves the rows of a mask"), installed(model, "loki"):
        pass
    with (
        pytest.raises(ConfigError, match="loki has no rank"),
        train_method(model, tokenizer, EXAMPLES, replace(QUICK, rank=2), "loki", MASK),
    ):
        pass
