"""The gate's operating curve as a picture. Loads matplotlib only when it draws."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from store.files import write_atomic


def draw(
    lines: Mapping[str, Sequence[Sequence[float]]], margin: float, alpha: float, path: Path
) -> None:
    """Share of updates promoted, by true loss on one suite and by true gain on what is new."""
    import io

    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.8), dpi=130)
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, sharey=True)
    for name, points in lines.items():
        axes = right if name.startswith("learned") else left
        axes.plot([p[0] for p in points], [p[1] for p in points], marker="o", ms=3, label=name)
    left.axvline(margin, color="grey", lw=1, ls="--")
    left.annotate("margin", (margin, 0.5), xytext=(4, 0), textcoords="offset points", color="grey")
    left.set_xlabel("true loss on one suite (difference of mean scores)")
    right.set_xlabel("true gain on what is new")
    left.set_ylabel("share promoted")
    for axes in (left, right):
        axes.axhline(alpha, color="tab:red", lw=1, ls=":")
        axes.set_ylim(-0.02, 1.02)
        axes.grid(alpha=0.25)
        axes.legend(frameon=False, fontsize=8)
    figure.suptitle("How often the gate promotes (dotted: alpha)", fontsize=11, x=0.02, ha="left")
    figure.tight_layout()
    held = io.BytesIO()
    figure.savefig(held, format="png")
    write_atomic(path, held.getvalue())
