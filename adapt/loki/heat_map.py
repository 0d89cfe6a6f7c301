"""What attribution found, as figures per layer and as a heat map (PNG, HTML).

Draws and computes nothing new. Called by adapt.commands.loki.
"""

import itertools
from pathlib import Path
from typing import Any

import numpy as np

from adapt import pictures
from adapt.loki.scores import Attribution
from adapt.loki.selection import Mask
from adapt.pictures import Panel

MOST_COLUMNS = 1024
"""Wider tables are drawn as means of neighbouring rows: no screen has more points."""
_ROW = "row of down_proj"


def layer_rows(found: Attribution, mask: Mask | None) -> list[dict[str, Any]]:
    """A dict per layer: `share` of all contribution (mean absolute score) that the layer has,
    `negative`: share of rows whose mean score is below zero, and of the mask's rows their number
    and `chosen_share`: the part of the layer's contribution that they have."""
    total = found.magnitude.sum() or 1.0
    rows = []
    for layer in range(found.shape[0]):
        magnitude = found.magnitude[layer]
        row: dict[str, Any] = {
            "layer": layer,
            "share": round(float(magnitude.sum() / total), 4),
            "negative": round(float((found.mean[layer] < 0).mean()), 4),
        }
        if mask is not None:
            chosen = magnitude[list(mask.rows[layer])].sum() / (magnitude.sum() or 1.0)
            row |= {"rows": len(mask.rows[layer]), "chosen_share": round(float(chosen), 4)}
        rows.append(row)
    return rows


def write_png(found: Attribution, mask: Mask | None, path: Path) -> None:
    """The heat map as a picture: contribution of every row, and which rows were chosen."""
    pictures.write_png(_panels(found, mask), _title(found), path)


def write_html(found: Attribution, mask: Mask | None, path: Path) -> None:
    """The same as a page of its own."""
    pictures.write_html(_panels(found, mask), _title(found), path)


def _panels(found: Attribution, mask: Mask | None) -> list[Panel]:
    # Each layer by its own largest: raw scores of early and late layers differ by powers of ten.
    largest = found.magnitude.max(axis=1, keepdims=True)
    relative = found.magnitude / np.where(largest > 0, largest, 1.0)
    counted = f"share of samples that count the row among the {found.quota:g}% lowest"
    panels = [
        Panel("contribution: mean absolute score, of the layer's largest", _narrowed(relative),
              "viridis", _ROW),
        Panel(counted, _narrowed(found.lowest / found.samples), "magma", _ROW),
    ]  # fmt: skip
    if mask is not None:
        chosen = np.zeros(found.shape)
        for layer, rows in enumerate(mask.rows):
            chosen[layer, list(rows)] = 1.0
        title = f"rows that may move: {mask.rule}, {mask.quota:g}%"
        marks = ((0.0, "frozen"), (1.0, "may move"))
        panels.append(Panel(title, _narrowed(chosen), "Greys", _ROW, span=(0, 1), marks=marks))
    return panels


def _narrowed(values: np.ndarray) -> np.ndarray:
    width = values.shape[1]
    if width <= MOST_COLUMNS:
        return values
    edges = np.linspace(0, width, MOST_COLUMNS + 1).astype(int)
    return np.stack([values[:, a:b].mean(1) for a, b in itertools.pairwise(edges)], 1)


def _title(found: Attribution) -> str:
    return f"{found.definition}, {found.samples} samples: {found.corpus}"
