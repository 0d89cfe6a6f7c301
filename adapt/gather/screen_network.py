"""The small networks that screen_meaning judges by: one hidden layer over vectors of texts.

They are kept in one file of safetensors, with what they take to hold in its metadata. Fitted by
adapt.reproduce.screening_fit; used by adapt.gather.screen_meaning.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save

from store.files import write_atomic

Array = NDArray[np.float64]
SCALE = 4.0
"""What goes in is multiplied by it: entries of unit vectors are small."""


@dataclass(frozen=True)
class Network:
    """log-odds(x) = out . relu(inner (SCALE x) + inner_bias) + bias.

    `inner` is [hidden, inputs]; inputs beyond those are left out, so that a network over vectors
    alone reads the same rows as one that also sees their context.
    """

    inner: Array
    inner_bias: Array
    out: Array
    bias: float
    hold: float
    """Log-odds from which a text holds a document."""
    note: float
    """Log-odds from which it is told of."""

    def log_odds(self, rows: Array) -> Array:
        """How much more likely each is an instruction to a model than anything else; [texts]."""
        x = SCALE * rows[:, : self.inner.shape[1]]
        return np.maximum(x @ self.inner.T + self.inner_bias, 0) @ self.out + self.bias


def save_networks(path: Path, embedder: str, kinds: Mapping[str, Sequence[Network]]) -> None:
    """All networks, by what they judge, in half precision."""
    tensors: dict[str, Any] = {}
    told: dict[str, Any] = {"embedder": embedder}
    for kind, networks in kinds.items():
        told[kind] = [{"bias": n.bias, "hold": n.hold, "note": n.note} for n in networks]
        for number, network in enumerate(networks):
            for name in ("inner", "inner_bias", "out"):
                values = getattr(network, name).astype(np.float16)
                tensors[f"{kind}.{number}.{name}"] = values
    write_atomic(path, save(tensors, {"told": json.dumps(told)}))


def load_networks(path: Path) -> tuple[str, dict[str, list[Network]]]:
    """The embedder's name, and the networks by what they judge."""
    with safe_open(path, "numpy") as file:
        told = json.loads(file.metadata()["told"])
        return told.pop("embedder"), {
            kind: [
                Network(
                    *(
                        file.get_tensor(f"{kind}.{number}.{name}").astype(np.float64)
                        for name in ("inner", "inner_bias", "out")
                    ),
                    **figures,
                )
                for number, figures in enumerate(networks)
            ]
            for kind, networks in told.items()
        }
