"""vLLM's LoRA on a CPU by groups of tokens: the same numbers as vLLM's own path."""

from importlib.metadata import entry_points

import pytest
import torch

from agent.serve_lora import GroupedLora, groups_of, register

SLOTS, RANK, WIDTH, SLICES = 4, 8, 24, (16, 6, 6)
LOADED = [None, 5, 7, 9]
"""Adapter ids by slot. vLLM reads the last slot for tokens without an adapter."""


@pytest.mark.parametrize("prefill", [True, False])
@pytest.mark.parametrize(
    "ids", [(5, 5, 5, 0, 0, 7, 7, 5), (7,) * 6, (0,) * 5, (9, 0, 5, 7)],
    ids=["mixed", "one adapter", "no adapter", "one token each"],
)  # fmt: skip
def test_grouped_equals_vllms_own_path(ids: tuple[int, ...], prefill: bool) -> None:
    """Packed slices, mixed batches, tokens without adapter: as the per-token reference."""
    from vllm.lora.layers import LoRAMapping
    from vllm.lora.punica_wrapper.punica_cpu import PunicaWrapperCPU

    generator = torch.Generator().manual_seed(0)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    x, y = noise(len(ids), WIDTH), noise(len(ids), sum(SLICES))
    a = tuple(noise(SLOTS + 1, 1, RANK, WIDTH) for _ in SLICES)
    b = tuple(noise(SLOTS + 1, 1, width, RANK) for width in SLICES)
    for weights in (*a, *b):
        weights[-1] = 0.0
    mapping = LoRAMapping(index_mapping=ids, prompt_mapping=ids, is_prefill=prefill)
    results = []
    for wrapper in (PunicaWrapperCPU(64, 16, "cpu"), GroupedLora(64, 16, "cpu")):
        wrapper.update_metadata(mapping, [*LOADED, None], SLOTS + 1, 100)
        linear, logits = y.clone(), y[:, : SLICES[0]].clone()
        wrapper.add_lora_linear(linear, x, a, b, 0.5, SLICES)
        wrapper.add_lora_logits(logits, x, a[0], b[0], 0.5)
        results.append((linear, logits))
    for own, reference in zip(results[1], results[0], strict=True):
        torch.testing.assert_close(own, reference)
    changed = (results[1][0] != y).any(1)
    assert changed.tolist() == [i > 0 for i in ids]


def test_a_token_without_adapter_stays_when_every_slot_is_taken() -> None:
    """vLLM's own path gives such tokens the last slot's adapter."""
    from vllm.lora.layers import LoRAMapping

    ids = (0, 9)
    wrapper = GroupedLora(64, 16, "cpu")
    mapping = LoRAMapping(index_mapping=ids, prompt_mapping=ids, is_prefill=True)
    wrapper.update_metadata(mapping, LOADED, SLOTS, 100)
    a, b = torch.ones(SLOTS, 1, RANK, WIDTH), torch.ones(SLOTS, 1, 6, RANK)
    y = torch.zeros(2, 6)
    wrapper.add_lora_linear(y, torch.ones(2, WIDTH), (a,), (b,), 1.0, (6,))
    assert y.tolist() == [[0.0] * 6, [float(RANK * WIDTH)] * 6]


def test_a_slot_that_changes_hands_is_read_anew() -> None:
    """Only the ranks in use are multiplied; those of the adapter before would cut the next off."""
    from vllm.lora.layers import LoRAMapping

    a, b = torch.zeros(SLOTS, 1, RANK, WIDTH), torch.ones(SLOTS, 1, 6, RANK)
    wrapper, changed = GroupedLora(64, 16, "cpu"), []
    for adapter, rank in ((5, 2), (6, RANK), (7, 0)):
        a[0] = 0.0
        a[0, 0, :rank] = 1.0
        mapping = LoRAMapping(index_mapping=(adapter,), prompt_mapping=(adapter,), is_prefill=True)
        wrapper.update_metadata(mapping, [adapter, None, None, None], SLOTS, 100)
        y = torch.zeros(1, 6)
        wrapper.add_lora_linear(y, torch.ones(1, WIDTH), (a,), (b,), 1.0, (6,))
        changed.append(y[0, 0].item())
    assert changed == [2 * WIDTH, RANK * WIDTH, 0]


def test_groups_cover_each_token_with_an_adapter_once() -> None:
    """A token in two groups would be changed twice."""
    indices = torch.tensor([1, -1, 0, 1, 3])
    rows = {slot: rows.tolist() for slot, rows in groups_of(indices) if not isinstance(rows, slice)}
    assert rows == {0: [2], 1: [0, 3], 3: [4]}


def test_vllm_finds_the_plugin() -> None:
    """vLLM loads it through the installed entry point; it then names the grouped path."""
    (found,) = [
        e for e in entry_points(group="vllm.general_plugins") if e.name == "perennial_cpu_lora"
    ]
    assert found.load() is register
    from vllm.platforms import current_platform

    register()
    if current_platform.is_cpu():
        assert current_platform.get_punica_wrapper() == "agent.serve_lora.GroupedLora"
