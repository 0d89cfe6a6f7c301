"""What attribution found, as figures per layer and as a heat map (PNG, HTML).

Draws and computes nothing new. Loads matplotlib or plotly only when it draws. Called by
adapt.commands.loki.
"""

import itertools
from pathlib import Path
from typing import Any

import numpy as np

from adapt.loki.scores import Attribution
from adapt.loki.selection import Mask
from store.files import write_atomic

_CHOSEN = "Greys"
"""The colours of the panel that knows only two values."""
MOST_COLUMNS = 1024
"""Wider tables are drawn as means of neighbouring rows: no screen has more points."""


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
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = _panels(found, mask)
    figure = Figure(figsize=(11, 1.2 + len(panels) * max(1.6, 0.18 * found.shape[0])), dpi=120)
    FigureCanvasAgg(figure)
    for place, (title, values, colours) in enumerate(panels, 1):
        axes = figure.add_subplot(len(panels), 1, place)
        # Row lines between pixels of a stretched picture would show layers that there are not.
        image = axes.imshow(values, aspect="auto", cmap=colours, interpolation="nearest")
        axes.set_title(title, fontsize=10, loc="left")
        axes.set_ylabel("layer")
        bar = figure.colorbar(image, ax=axes, pad=0.01)
        if colours == _CHOSEN:
            bar.set_ticks([0, 1], labels=["frozen", "may move"])
    figure.axes[2 * len(panels) - 2].set_xlabel("row of down_proj")
    figure.suptitle(_title(found), fontsize=11, x=0.02, ha="left")
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="png")


def write_html(found: Attribution, mask: Mask | None, path: Path) -> None:
    """The same as a page of its own, with values under the pointer; it loads nothing."""
    from plotly.graph_objects import Heatmap
    from plotly.subplots import make_subplots

    panels = _panels(found, mask)
    figure = make_subplots(len(panels), 1, subplot_titles=[title for title, _, _ in panels])
    for place, (_, values, colours) in enumerate(panels, 1):
        bar: dict[str, Any] = {"len": 0.9 / len(panels), "y": 1 - (place - 0.5) / len(panels)}
        if colours == _CHOSEN:
            bar |= {"tickvals": [0, 1], "ticktext": ["frozen", "may move"]}
        figure.add_trace(
            Heatmap(
                z=np.round(values, 5), colorscale=colours, colorbar=bar,
                hovertemplate="layer %{y}, row %{x}: %{z}<extra></extra>",
            ),
            place, 1,
        )  # fmt: skip
        figure.update_yaxes(title_text="layer", autorange="reversed", row=place, col=1)
    figure.update_xaxes(title_text="row of down_proj", row=len(panels), col=1)
    height = 140 + len(panels) * max(180, 22 * found.shape[0])
    figure.update_layout(title=_title(found), height=height)
    write_atomic(path, figure.to_html(include_plotlyjs=True))


def _panels(found: Attribution, mask: Mask | None) -> list[tuple[str, np.ndarray, str]]:
    """Title, [layers, columns] and colours of each map."""
    # Each layer by its own largest: raw scores of early and late layers differ by powers of ten.
    largest = found.magnitude.max(axis=1, keepdims=True)
    relative = found.magnitude / np.where(largest > 0, largest, 1.0)
    panels = [
        ("contribution: mean absolute score, of the layer's largest", relative, "viridis"),
        (f"share of samples that count the row among the {found.quota:g}% lowest",
         found.lowest / found.samples, "magma"),
    ]  # fmt: skip
    if mask is not None:
        chosen = np.zeros(found.shape)
        for layer, rows in enumerate(mask.rows):
            chosen[layer, list(rows)] = 1.0
        panels.append((f"rows that may move: {mask.rule}, {mask.quota:g}%", chosen, _CHOSEN))
    return [(title, _narrowed(values), colours) for title, values, colours in panels]


def _narrowed(values: np.ndarray) -> np.ndarray:
    width = values.shape[1]
    if width <= MOST_COLUMNS:
        return values
    edges = np.linspace(0, width, MOST_COLUMNS + 1).astype(int)
    return np.stack([values[:, a:b].mean(1) for a, b in itertools.pairwise(edges)], 1)


def _title(found: Attribution) -> str:
    return f"{found.definition}, {found.samples} samples: {found.corpus}"
