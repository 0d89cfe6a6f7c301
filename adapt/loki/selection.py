"""Which rows may move: the layer-balanced choice of LoKI, and the controls beside it.

Selection works on counts: how often a row was among the lowest (or highest) scores of its layer.
It computes no scores and trains nothing. Called by adapt.stages and adapt.loki; needs only numpy.
"""

import json
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np

from store.errors import ConfigError, ModelError
from store.files import write_atomic
from store.records import digest_of

Rule = Literal["lowest", "random", "highest"]

_HINT = "run attribution again"


@dataclass(frozen=True)
class SelectionCounts:
    """In how many samples each row was among the k lowest and the k highest of its layer.

    Both arrays are int32 [layers, d_model]; every layer of each sums to `samples` x k.
    """

    lowest: np.ndarray
    highest: np.ndarray
    samples: int
    quota: float
    """Percent of the rows of a layer."""
    definition: str
    """Which attribution made the scores."""

    def save(self, path: Path) -> None:
        """Write as JSON, whole or not at all."""
        fields = {"lowest": self.lowest.tolist(), "highest": self.highest.tolist()}
        write_atomic(
            path,
            json.dumps(
                fields
                | {"samples": self.samples, "quota": self.quota, "definition": self.definition}
            ),
        )

    @classmethod
    def load(cls, path: Path) -> "SelectionCounts":
        """Read what `save` wrote. Raises ModelError for anything else."""
        fields = _read(path, set(cls.__dataclass_fields__))
        return cls(
            lowest=np.asarray(fields["lowest"], dtype=np.int32),
            highest=np.asarray(fields["highest"], dtype=np.int32),
            samples=fields["samples"],
            quota=fields["quota"],
            definition=fields["definition"],
        )


@dataclass(frozen=True)
class Mask:
    """The rows of every `down_proj` that updates of one base model may move."""

    rows: tuple[tuple[int, ...], ...]
    """Per layer, ascending output rows of W_down; the same number in every layer."""
    d_model: int
    quota: float
    rule: str
    base_digest: str
    corpus_digest: str

    def __post_init__(self) -> None:
        sizes = {len(rows) for rows in self.rows}
        if len(sizes) != 1 or 0 in sizes:
            raise ConfigError(
                f"a mask needs the same number of rows in every layer, not {sorted(sizes)}",
                "select again with a quota that gives at least one row",
            )
        for layer, rows in enumerate(self.rows):
            if list(rows) != sorted(set(rows)) or rows[0] < 0 or rows[-1] >= self.d_model:
                raise ConfigError(
                    f"the rows of layer {layer} are not ascending within 0..{self.d_model - 1}",
                    "select again",
                )

    @property
    def rank(self) -> int:
        """Rows per layer: the rank of an update's LoRA."""
        return len(self.rows[0])

    @property
    def digest(self) -> str:
        """SHA-256 of all that the mask says."""
        return digest_of(asdict(self))

    def save(self, path: Path) -> None:
        """Write as JSON with its digest, whole or not at all; equal masks give equal bytes."""
        fields = asdict(self) | {"digest": self.digest}
        write_atomic(path, json.dumps(fields, sort_keys=True) + "\n")

    @classmethod
    def load(cls, path: Path) -> "Mask":
        """Read what `save` wrote. Raises ModelError for anything else, or changed rows."""
        fields = _read(path, {*cls.__dataclass_fields__, "digest"})
        digest = fields.pop("digest")
        mask = cls(**{**fields, "rows": tuple(tuple(rows) for rows in fields["rows"])})
        if mask.digest != digest:
            raise ModelError(f"the mask {path} differs from its digest", _HINT)
        return mask


def rows_per_layer(d_model: int, quota: float) -> int:
    """k = floor(d_model x quota / 100). Raises ConfigError when that is none or more than all."""
    # Fractions, because 0.29 * 100 is 28.999999999999996 in floating point.
    k = int(Fraction(str(quota)) * d_model / 100)
    if quota > 100 or k < 1:
        raise ConfigError(
            f"a quota of {quota}% selects {k} of {d_model} rows per layer",
            f"choose a quota from {100 / d_model:.3g} to 100",
        )
    return k


def select(
    counts: SelectionCounts,
    base_digest: str,
    corpus_digest: str,
    rule: Rule = "lowest",
    seed: int = 0,
) -> Mask:
    """The k rows of every layer with the largest counts; of equal counts the lower index.

    `lowest` is the paper's rule; `highest` and `random` (which reads only `seed`) are its
    controls.
    """
    layers, d_model = counts.lowest.shape
    k = rows_per_layer(d_model, counts.quota)
    if rule == "random":
        generator = np.random.default_rng(seed)
        chosen = np.stack([generator.permutation(d_model)[:k] for _ in range(layers)])
    elif rule in ("lowest", "highest"):
        table = counts.lowest if rule == "lowest" else counts.highest
        chosen = np.argsort(-table.astype(np.int64), axis=1, kind="stable")[:, :k]
    else:
        raise ConfigError(f"unknown selection rule {rule!r}", "use lowest, random or highest")
    rows = tuple(tuple(int(row) for row in sorted(layer)) for layer in chosen)
    name = rule if rule != "random" else f"random-{seed}"
    return Mask(rows, d_model, counts.quota, name, base_digest, corpus_digest)


def _read(path: Path, expected: set[str]) -> dict[str, Any]:
    try:
        fields = json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {error}", _HINT) from error
    if not isinstance(fields, dict) or set(fields) != expected:
        raise ModelError(f"{path} does not hold {', '.join(sorted(expected))}", _HINT)
    return fields
