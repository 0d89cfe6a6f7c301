"""Heat maps of layers, as PNG and as a page of its own. Draws, and computes nothing.

Loads matplotlib or plotly only when it draws. Called by adapt.loki.heat_map and
adapt.skill.angle_map.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from store.files import write_atomic


@dataclass(frozen=True)
class Panel:
    """One map: values [layers, columns]."""

    title: str
    values: np.ndarray
    colours: str
    """A name that matplotlib and plotly both know."""
    across: str
    """What a column is."""
    columns: Sequence[str] = ()
    """Names of columns, where they have any."""
    span: tuple[float, float] | None = None
    """Smallest and largest of the colours; the values' own without it."""
    marks: tuple[tuple[float, str], ...] = ()
    """Names of values, for a map that knows only a few."""


def write_png(panels: Sequence[Panel], title: str, path: Path) -> None:
    """The maps below one another, as a picture."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    height = sum(max(1.6, 0.18 * panel.values.shape[0]) for panel in panels)
    figure = Figure(figsize=(11, 1.2 + height), dpi=120)
    FigureCanvasAgg(figure)
    for place, panel in enumerate(panels, 1):
        axes = figure.add_subplot(len(panels), 1, place)
        low, high = panel.span or (None, None)
        # Lines between pixels of a stretched picture would show layers that there are not.
        image = axes.imshow(
            panel.values, aspect="auto", cmap=panel.colours, interpolation="nearest", vmin=low,
            vmax=high,
        )  # fmt: skip
        axes.set_title(panel.title, fontsize=10, loc="left")
        axes.set_ylabel("layer")
        if panel.columns:
            axes.set_xticks(range(len(panel.columns)), labels=list(panel.columns))
        if place == len(panels):
            axes.set_xlabel(panel.across)
        bar = figure.colorbar(image, ax=axes, pad=0.01)
        if panel.marks:
            bar.set_ticks([at for at, _ in panel.marks], labels=[name for _, name in panel.marks])
    figure.suptitle(title, fontsize=11, x=0.02, ha="left")
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="png")


def write_html(panels: Sequence[Panel], title: str, path: Path) -> None:
    """The same as a page of its own, with values under the pointer; it loads nothing."""
    from plotly.graph_objects import Heatmap
    from plotly.subplots import make_subplots

    figure = make_subplots(len(panels), 1, subplot_titles=[panel.title for panel in panels])
    for place, panel in enumerate(panels, 1):
        bar: dict[str, Any] = {"len": 0.9 / len(panels), "y": 1 - (place - 0.5) / len(panels)}
        if panel.marks:
            bar |= {"tickvals": [at for at, _ in panel.marks],
                    "ticktext": [name for _, name in panel.marks]}  # fmt: skip
        low, high = panel.span or (None, None)
        figure.add_trace(
            Heatmap(
                z=np.round(panel.values, 5), x=list(panel.columns) or None,
                colorscale=panel.colours, colorbar=bar, zmin=low, zmax=high,
                hovertemplate=f"layer %{{y}}, {panel.across} %{{x}}: %{{z}}<extra></extra>",
            ),
            place, 1,
        )  # fmt: skip
        figure.update_yaxes(title_text="layer", autorange="reversed", row=place, col=1)
    figure.update_xaxes(title_text=panels[-1].across, row=len(panels), col=1)
    height = 140 + sum(max(180, 22 * panel.values.shape[0]) for panel in panels)
    figure.update_layout(title=title, height=height)
    write_atomic(path, figure.to_html(include_plotlyjs=True))
