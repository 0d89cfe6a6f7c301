"""The policy: theta_SFT with a LoRA over it, and the log-probabilities it gives to tokens.

The LoRA leaves `down_proj` alone, whose rows belong to LoKI. With the LoRA off the same weights are
the reference. It draws no tokens and takes no steps. Called by adapt.skill.train.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.utils import get_peft_model_state_dict, set_peft_model_state_dict
from torch import Tensor, nn
from torch.nn import functional

from adapt.loki.batches import Batch
from adapt.loki.packing import packed_hidden
from store.errors import ModelError

TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj")


@contextmanager
def lora_over(
    model: nn.Module, rank: int, start: Mapping[str, Tensor] | None = None
) -> Iterator[PeftModel]:
    """The model with a fresh LoRA (scaling 1), or with `start`; afterwards it is what it was.

    Raises ModelError when the model or `start` does not fit.
    """
    config = LoraConfig(
        r=rank, lora_alpha=rank, target_modules=list(TARGETS), task_type="CAUSAL_LM"
    )
    frozen = {parameter: parameter.requires_grad for parameter in model.parameters()}
    try:
        policy = get_peft_model(model, config)  # type: ignore[arg-type]
    except ValueError as error:
        raise ModelError(
            f"{type(model).__name__} cannot take the LoRA: {error}",
            "supported: models built like Qwen2, Qwen3, Llama or Mistral",
        ) from error
    assert isinstance(policy, PeftModel), type(policy)
    try:
        if start is not None:
            _put(policy, start)
        yield policy.eval()
    finally:
        policy.unload()
        for parameter, flag in frozen.items():
            parameter.requires_grad_(flag)


def tensors_of(policy: PeftModel) -> dict[str, Tensor]:
    """A copy of the LoRA under PEFT's names, in float32 on the CPU."""
    state = get_peft_model_state_dict(policy, save_embedding_layers=False)
    return {name: value.detach().float().cpu().clone() for name, value in state.items()}


def _put(policy: PeftModel, tensors: Mapping[str, Tensor]) -> None:
    own = get_peft_model_state_dict(policy, save_embedding_layers=False)
    for name in sorted(own.keys() | tensors.keys()):
        if name not in own or name not in tensors or own[name].shape != tensors[name].shape:
            raise ModelError(
                f"the starting vector does not fit at {name}",
                "start from a vector of the same base and rank",
            )
    set_peft_model_state_dict(policy, dict(tensors))


def distributions(policy: PeftModel, batch: Batch) -> Tensor:
    """Log-probabilities [K, vocabulary], with gradient, where the batch's K own tokens stand."""
    model = policy.get_base_model()
    chosen = packed_hidden(model, batch.ids, batch.packing).index_select(0, batch.positions)
    return model.get_submodule("lm_head")(chosen).float().log_softmax(-1)


def divergence(policy: PeftModel, batch: Batch) -> Tensor:
    """Mean KL(theta_SFT || policy) over the batch's own tokens, in nats, with gradient."""
    with torch.no_grad(), policy.disable_adapter():
        before = distributions(policy, batch)
    now = distributions(policy, batch)
    return functional.kl_div(now, before, log_target=True, reduction="batchmean")


def logprobs(policy: PeftModel, batch: Batch) -> tuple[Tensor, Tensor]:
    """Of the batch's K own tokens: log-probabilities [K], with gradient, and entropies [K]."""
    logs = distributions(policy, batch)
    with torch.no_grad():
        entropy = -(logs.exp() * logs).sum(-1)
    return logs.gather(-1, batch.targets[:, None])[:, 0], entropy


@torch.no_grad()
def reference_logprobs(policy: PeftModel, batch: Batch) -> Tensor:
    """The same tokens [K] under theta_SFT."""
    with policy.disable_adapter():
        return logprobs(policy, batch)[0]
