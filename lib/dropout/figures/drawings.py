"""Drawings that more than one chapter uses."""

import numpy as np
from jaxtyping import Bool, Float, Real
from matplotlib.axes import Axes
from matplotlib.patches import Circle

from dropout.figures.style import PALETTE


def curve(
    ax: Axes,
    x: Real[np.ndarray, "points"],
    runs: Float[np.ndarray, "seeds points"],
    label: str,
    colour: str,
    **line,
) -> None:
    """The mean of several runs, a band from the least to the greatest, and a label at its end."""
    mean = runs.mean(axis=0)
    ax.fill_between(x, runs.min(axis=0), runs.max(axis=0), color=PALETTE[colour], alpha=0.2, lw=0)
    ax.plot(x, mean, color=PALETTE[colour], **line)
    ax.margins(x=0)  # else the axis would go on through the label
    ax.annotate(
        label,
        (x[-1], mean[-1]),
        xytext=(6, 0),
        textcoords="offset points",
        va="center",
        color=PALETTE[colour],
        annotation_clip=False,
    )


def network(ax: Axes, kept: list[Bool[np.ndarray, "_"]]) -> None:
    """A network of one column of units a layer; a dropped unit is hollow and has no connections."""
    places = [
        [(layer, unit - (len(units) - 1) / 2) for unit in range(len(units))]
        for layer, units in enumerate(kept)
    ]
    for left, right, left_kept, right_kept in zip(places, places[1:], kept, kept[1:], strict=False):
        for (x0, y0), a in zip(left, left_kept, strict=True):
            for (x1, y1), b in zip(right, right_kept, strict=True):
                if a and b:
                    ax.plot([x0, x1], [y0, y1], color=PALETTE["grey"], lw=0.6, zorder=1)
    for column, units in zip(places, kept, strict=True):
        for centre, alive in zip(column, units, strict=True):
            edge = PALETTE["blue" if alive else "grey"]
            style = {"facecolor": PALETTE["blue"]} if alive else {"facecolor": "none", "ls": ":"}
            ax.add_patch(Circle(centre, 0.2, edgecolor=edge, zorder=2, **style))
    height = max(len(units) for units in kept) / 2
    ax.set(xlim=(-0.4, len(kept) - 0.6), ylim=(-height, height), aspect="equal")
    ax.axis("off")
