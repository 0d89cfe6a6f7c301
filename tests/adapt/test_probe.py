"""The probe: what it holds, and which engine answers pass for the same model."""

import math
import subprocess
import sys

import pytest
import torch
from tiny_models import build_tiny_adapter, build_tiny_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from adapt.probe import compare, make_probe
from store.errors import ConfigError, EngineError, ModelError
from store.records import Probe

PROBE = Probe(
    prompts=("a", "b"),
    token_ids=((5, 6, 7), (8, 9, 10)),
    logprobs=((-0.5, -1.5, -3.0), (-1.0, -1.005, -4.0)),
)
SAME = [((5, 6, 7), (-0.5, -1.5, -3.0)), ((8, 9, 10), (-1.0, -1.005, -4.0))]


def test_equal_answers_pass():
    result = compare(PROBE, SAME)
    assert (result.ok, result.same_top1, result.max_abs_diff) == (True, True, 0.0)


def test_order_of_the_answer_does_not_matter():
    shuffled = [(ids[::-1], values[::-1]) for ids, values in SAME]
    assert compare(PROBE, shuffled).ok


def test_a_difference_above_the_tolerance_fails_and_names_the_prompt():
    result = compare(PROBE, [SAME[0], ((8, 9, 10), (-1.0, -1.1, -4.0))])
    assert not result.ok
    assert result.worst_prompt == 1
    assert result.max_abs_diff == pytest.approx(0.095)
    assert compare(PROBE, [SAME[0], ((8, 9, 10), (-1.0, -1.1, -4.0))], tolerance=0.1).ok


def test_a_tie_within_the_tolerance_may_change_places():
    result = compare(PROBE, [SAME[0], ((9, 8, 10), (-1.0, -1.004, -4.0))])
    assert result.ok
    assert not result.same_top1


def test_a_token_that_only_one_side_lists_must_be_unlikely_on_the_other():
    """The tail may differ by a near-tie, the head may not."""
    tail = [((5, 6, 11), (-0.5, -1.5, -3.01)), SAME[1]]
    assert compare(PROBE, tail).ok
    head = [((5, 11, 7), (-0.5, -1.5, -3.0)), SAME[1]]
    assert not compare(PROBE, head).ok
    other = [((21, 22, 23), (-0.5, -1.5, -3.0)), SAME[1]]
    assert not compare(PROBE, other).ok


def test_no_answer_or_no_number_fails():
    for bad in (((), ()), ((5, 6, 7), (math.nan, -1.5, -3.0))):
        result = compare(PROBE, [bad, SAME[1]])
        assert not result.ok
        assert math.isinf(result.max_abs_diff)
        assert result.worst_prompt == 0


def test_a_missing_prompt_is_an_engine_error():
    with pytest.raises(EngineError, match="1 of 2"):
        compare(PROBE, SAME[:1])


def test_comparing_loads_no_torch():
    code = (
        "import adapt.probe, sys; assert not {'torch', 'transformers', 'peft'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_a_probe_tells_base_and_adapter_apart(tmp_path):
    base = build_tiny_model(tmp_path / "base", "qwen3", hidden=64, layers=2)
    adapter = build_tiny_adapter(base, tmp_path / "adapter", scale=0.3)
    prompts = ["<|im_start|>user\nhello<|im_end|>\n", "the quick"]
    plain, adapted = (make_probe(base, path, prompts, k=4) for path in (None, adapter))
    ids = AutoTokenizer.from_pretrained(base)(prompts[0], add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        logits = AutoModelForCausalLM.from_pretrained(base)(torch.tensor([ids])).logits[0, -1]
    top = logits.log_softmax(-1).topk(4)
    assert plain.token_ids[0] == tuple(top.indices.tolist())
    assert plain.logprobs[0] == pytest.approx(top.values.tolist(), abs=1e-5)
    answers = list(zip(adapted.token_ids, adapted.logprobs, strict=True))
    assert compare(adapted, answers).ok
    assert not compare(plain, answers).ok


def test_what_cannot_be_probed_is_named(tmp_path):
    base = build_tiny_model(tmp_path / "base", "qwen3", hidden=64, layers=2)
    with pytest.raises(ModelError, match="missing"):
        make_probe(tmp_path / "missing", None, ["a"])
    with pytest.raises(ModelError, match="gone"):
        make_probe(base, tmp_path / "gone", ["a"])
    with pytest.raises(ConfigError):
        make_probe(base, None, [])
