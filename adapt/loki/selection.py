"""Which rows may move: LoKI's layer-balanced choice, and the choices it is compared with.

A rule orders the rows by a table of `adapt.loki.scores.Attribution` and takes the first k of every
layer, or as many of all layers together. It computes no scores and trains nothing. Called by
adapt.stages and adapt.loki; needs only numpy.
"""

import json
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from adapt.loki.scores import Attribution
from store.errors import ConfigError, ModelError
from store.files import write_atomic
from store.records import digest_of

Rule = Literal["lowest", "highest", "global-lowest", "global-highest", "magnitude", "random"]
"""`lowest` is the paper's: the rows that most samples count among the lowest signed scores of their
layer. `highest` is its opposite; `global-*` have one pool for all layers (the paper's ablation).
`magnitude` takes the smallest mean absolute scores of each layer, `random` any rows."""

_HINT = "select again"


@dataclass(frozen=True)
class Mask:
    """The rows of every `down_proj` that updates of one base model may move."""

    rows: tuple[tuple[int, ...], ...]
    """Per layer, ascending output rows of W_down; the global rules may leave a layer without."""
    d_model: int
    quota: float
    """Percent of all rows."""
    rule: str
    base_digest: str
    corpus_digest: str

    def __post_init__(self) -> None:
        if not any(self.rows):
            raise ConfigError(
                f"a mask of {len(self.rows)} layers selects no row", "choose a larger quota"
            )
        for layer, rows in enumerate(self.rows):
            fits = not rows or (rows[0] >= 0 and rows[-1] < self.d_model)
            if list(rows) != sorted(set(rows)) or not fits:
                raise ConfigError(
                    f"the rows of layer {layer} are not ascending within 0..{self.d_model - 1}",
                    _HINT,
                )

    @property
    def rank(self) -> int:
        """Most rows of a layer: the rank of an update's LoRA."""
        return max(map(len, self.rows))

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
        try:
            fields = json.loads(Path(path).read_text())
        except (OSError, ValueError) as error:
            raise ModelError(f"the mask {path} cannot be read: {error}", _HINT) from error
        expected = {*cls.__dataclass_fields__, "digest"}
        if not isinstance(fields, dict) or set(fields) != expected:
            raise ModelError(f"{path} does not hold {', '.join(sorted(expected))}", _HINT)
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
    attribution: Attribution,
    base_digest: str,
    rule: Rule = "lowest",
    *,
    quota: float | None = None,
    rows: int | None = None,
    seed: int = 0,
) -> Mask:
    """k rows per layer by a rule; of equal rows the one of the lower layer and index comes first.

    k is `rows`, or what `quota` percent gives; by default the quota that the samples were counted
    at, as in the paper. Of one attribution, the mask of a smaller k lies within that of a larger.
    `seed` is for `random`. Raises ConfigError for a rule or quota that there is not.
    """
    layers, d_model = attribution.shape
    if rows is not None and not 1 <= rows <= d_model:
        raise ConfigError(f"{rows} rows per layer of {d_model}", f"choose from 1 to {d_model}")
    if rows is not None:
        k, quota = rows, 100 * rows / d_model
    else:
        quota = attribution.quota if quota is None else quota
        k = rows_per_layer(d_model, quota)
    order = _order(attribution, rule, seed)
    if rule.startswith("global"):
        places = order.ravel().argsort(kind="stable")[: layers * k]
        chosen = [np.sort(places[places // d_model == layer] % d_model) for layer in range(layers)]
    else:
        chosen = np.sort(order.argsort(axis=1, kind="stable")[:, :k], axis=1)
    name = rule if rule != "random" else f"random-{seed}"
    picked = tuple(tuple(int(row) for row in layer) for layer in chosen)
    return Mask(picked, d_model, quota, name, base_digest, attribution.corpus_digest)


def _order(attribution: Attribution, rule: Rule, seed: int) -> np.ndarray:
    """[layers, d_model]: the smaller, the sooner a row is taken."""
    if rule not in get_args(Rule):
        raise ConfigError(f"unknown selection rule {rule!r}", f"use {', '.join(get_args(Rule))}")
    if rule == "random":
        generator = np.random.default_rng(seed)
        layers, d_model = attribution.shape
        return np.stack([generator.permutation(d_model) for _ in range(layers)])
    if rule == "magnitude":
        return attribution.magnitude
    return -getattr(attribution, rule.replace("-", "_")).astype(np.int64)
