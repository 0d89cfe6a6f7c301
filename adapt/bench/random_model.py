"""A model with a 0.5B model's layers and random weights: to time a computation, no more is needed.

Called by adapt.bench.kva and adapt.bench.implant.
"""

from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM


def random_model(*, layers: int, vocabulary: int, attention: str = "sdpa") -> Any:
    """A Qwen2 of width 896 and 4864 with 14 heads, fp32. The same arguments, the same weights."""
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        "qwen2",
        hidden_size=896,
        intermediate_size=4864,
        num_hidden_layers=layers,
        num_attention_heads=14,
        num_key_value_heads=2,
        vocab_size=vocabulary,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
    )
    return AutoModelForCausalLM.from_config(config, attn_implementation=attention).float()
