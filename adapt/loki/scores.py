"""What attribution found of every row, as tables that selection, inspection and tests read.

It computes nothing but sums: `Tally` adds up the scores of samples, so that memory does not grow
with their number. Needs only numpy. Called by adapt.loki.attribution and adapt.loki.selection.
"""

import json
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from store.errors import ModelError
from store.files import write_atomic

COUNTS = ("lowest", "highest", "global_lowest", "global_highest")
MEANS = ("mean", "magnitude")
TABLES = (*COUNTS, *MEANS)


@dataclass(frozen=True)
class Attribution:
    """Six tables [layers, d_model] over one corpus, and how they were made."""

    lowest: np.ndarray
    """int32: in how many samples the row's signed score was among the k lowest of its layer."""
    highest: np.ndarray
    """int32: the same of the k highest."""
    global_lowest: np.ndarray
    """int32: among the layers x k lowest of all rows of the model."""
    global_highest: np.ndarray
    mean: np.ndarray
    """float64: mean signed score."""
    magnitude: np.ndarray
    """float64: mean absolute score."""
    samples: int
    quota: float
    """Percent of a layer's rows that k is."""
    definition: str
    """release, paper or captum: see adapt.loki.definitions."""
    steps: int
    """Points of the path, m."""
    corpus: str = ""
    """What the prompts were, in words."""
    corpus_digest: str = ""

    @property
    def shape(self) -> tuple[int, int]:
        """(layers, d_model)."""
        layers, d_model = self.lowest.shape
        return layers, d_model

    def of(self, corpus: str, digest: str) -> "Attribution":
        """The same with its corpus named."""
        return replace(self, corpus=corpus, corpus_digest=digest)

    def save(self, path: Path) -> None:
        """Write as safetensors, whole or not at all; equal tables give equal bytes."""
        facts = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in TABLES}
        tables = {name: np.ascontiguousarray(getattr(self, name)) for name in TABLES}
        write_atomic(path, save(tables, {"attribution": json.dumps(facts, sort_keys=True)}))

    @classmethod
    def load(cls, path: Path) -> "Attribution":
        """Read what `save` wrote. Raises ModelError for anything else."""
        try:
            with safe_open(path, "numpy") as file:
                facts: dict[str, Any] = json.loads(file.metadata()["attribution"])
                return cls(**{name: file.get_tensor(name) for name in TABLES}, **facts)
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise ModelError(
                f"{path} is no attribution: {error}", "make one: perennial loki attribute"
            ) from error


@dataclass
class Tally:
    """Sums over samples so far, to which those of a batch are added."""

    tables: dict[str, np.ndarray]
    samples: int = 0

    @classmethod
    def empty(cls, layers: int, d_model: int) -> "Tally":
        """Nothing counted yet."""
        shape = (layers, d_model)
        counts = {name: np.zeros(shape, np.int32) for name in COUNTS}
        return cls(counts | {name: np.zeros(shape) for name in MEANS})

    def add(self, other: "Tally") -> None:
        """Add the sums of other samples. In floating point the order of additions matters."""
        for name, table in self.tables.items():
            table += other.tables[name]
        self.samples += other.samples

    def result(self, quota: float, definition: str, steps: int) -> Attribution:
        """The tables; the means are over the samples."""
        means = {name: self.tables[name] / self.samples for name in MEANS}
        return Attribution(
            **{**self.tables, **means},
            samples=self.samples, quota=quota, definition=definition, steps=steps,
        )  # fmt: skip
