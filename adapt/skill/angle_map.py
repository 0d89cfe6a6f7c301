"""How large a change is in which layer and module, and how it lies to another: heat maps.

Draws and computes nothing new. Called by adapt.commands.skill and adapt.reproduce.past.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from adapt import pictures
from adapt.pictures import Panel
from adapt.skill.geometry import Angle


def write_png(found: Sequence[Angle], title: str, path: Path, *, cosines: bool) -> None:
    """The maps as a picture; with `cosines`, also of the other change and of the angle."""
    pictures.write_png(_panels(found, cosines), title, path)


def write_html(found: Sequence[Angle], title: str, path: Path, *, cosines: bool) -> None:
    """The same as a page of its own."""
    pictures.write_html(_panels(found, cosines), title, path)


def _panels(found: Sequence[Angle], cosines: bool) -> list[Panel]:
    places = {angle.module: _place(angle.module) for angle in found}
    kinds = list(dict.fromkeys(kind for _, kind in places.values()))
    layers = max(layer for layer, _ in places.values()) + 1

    def table(name: str) -> np.ndarray:
        values = np.zeros((layers, len(kinds)))
        for angle in found:
            layer, kind = places[angle.module]
            values[layer, kinds.index(kind)] = getattr(angle, name)
        return values

    panels = [Panel("norm of the change", table("norm"), "viridis", "module", kinds)]
    if cosines:
        panels += [
            Panel("norm of the other change", table("other"), "viridis", "module", kinds),
            Panel("cosine between them", table("cosine"), "RdBu", "module", kinds, span=(-1, 1)),
        ]
    return panels


def _place(module: str) -> tuple[int, str]:
    """Layer and kind of a module such as model.layers.3.mlp.up_proj."""
    parts = module.split(".")
    number = next((int(part) for part in parts if part.isdigit()), 0)
    return number, parts[-1]
