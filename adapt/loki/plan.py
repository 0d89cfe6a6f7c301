"""What an attribution is to compute: prompts checked, cut into batches, and told from any other.

It runs no model. Called by adapt.loki.attribution and adapt.loki.workers, which must agree on the
batches, or their sums would differ in the last bit.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from torch import nn

from adapt.loki.anatomy import decoder_layers, down_weight
from adapt.loki.definitions import Definition, find_definition
from adapt.loki.selection import rows_per_layer
from store.errors import ConfigError, ModelError
from store.records import digest_of

Prompts = Sequence[Sequence[int]]

_BATCH_TOKENS = 2048


@dataclass(frozen=True)
class Facts:
    """What of a model decides about batches and tables."""

    layers: int
    d_model: int
    context: int | None
    """Most tokens of a prompt."""
    vocabulary: int
    shape: str
    """Digest of the names, shapes and types of its parameters."""


@dataclass(frozen=True)
class Plan:
    """What is to be computed, in batches."""

    prompts: Prompts
    batches: list[list[int]]
    """Indices of prompts."""
    costs: list[int]
    """Per batch, in padded tokens."""
    definition: Definition
    steps: int
    quota: float
    k: int
    """Rows per layer that count as lowest (and as highest)."""
    facts: Facts
    identity: str
    """Digest of all that decides about the result."""

    @property
    def longest(self) -> int:
        """Most tokens of a prompt."""
        return max(map(len, self.prompts))

    def batch(self, index: int) -> list[Sequence[int]]:
        """The prompts of a batch."""
        return [self.prompts[i] for i in self.batches[index]]


def facts_of(model: nn.Module) -> Facts:
    """Raises ModelError naming what the model lacks."""
    layers = decoder_layers(model)
    if model.training:
        raise ModelError(f"{type(model).__name__} is in training mode", "call its eval() first")
    embedded = model.get_submodule("model.embed_tokens").get_parameter("weight")
    shapes = sorted((n, list(p.shape), str(p.dtype)) for n, p in model.named_parameters())
    return Facts(
        layers=len(layers),
        d_model=down_weight(layers[0]).shape[0],
        context=getattr(getattr(model, "config", None), "max_position_embeddings", None),
        vocabulary=embedded.shape[0],
        shape=digest_of(shapes),
    )


def make_plan(
    facts: Facts, prompts: Prompts, quota: float, definition: str, steps: int, identity: str
) -> Plan:
    """Check everything and cut the prompts into batches. Raises ConfigError."""
    found = find_definition(definition, steps)
    k = rows_per_layer(facts.d_model, quota)
    if not prompts:
        raise ConfigError("attribution needs at least one prompt", "add a corpus")
    for index, prompt in enumerate(prompts):
        if not prompt:
            raise ConfigError(f"prompt {index} has no tokens", "leave empty prompts out")
        if facts.context is not None and len(prompt) > facts.context:
            raise ConfigError(
                f"prompt {index} has {len(prompt)} tokens, the model's context {facts.context}",
                "cut the prompts",
            )
        if not 0 <= min(prompt) <= max(prompt) < facts.vocabulary:
            raise ConfigError(
                f"prompt {index} has a token outside 0..{facts.vocabulary - 1}",
                "use the model's own tokenizer",
            )
    batches = list(_batches(prompts, lambda length: _cost(found, facts, steps, length)))
    costs = [len(batch) * _cost(found, facts, steps, len(prompts[batch[-1]])) for batch in batches]
    whole = [identity, facts.shape, definition, steps, quota, batches, [list(p) for p in prompts]]
    return Plan(prompts, batches, costs, found, steps, quota, k, facts, digest_of(whole))


def _cost(definition: Definition, facts: Facts, steps: int, length: int) -> int:
    """Rows that a prompt adds to the widest step of its computation."""
    if definition.positions == "all":
        return length * steps
    return length + steps * facts.layers


def _batches(prompts: Prompts, cost: Callable[[int], int]) -> Iterator[list[int]]:
    """Indices of prompts of similar length, shortest first, within a budget of padded rows."""
    order = sorted(range(len(prompts)), key=lambda i: (len(prompts[i]), i))
    batch: list[int] = []
    for index in order:
        if batch and cost(len(prompts[index])) * (len(batch) + 1) > _BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(index)
    yield batch
