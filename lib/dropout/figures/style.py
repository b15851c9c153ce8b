"""The look of every figure: quiet, colour-blind safe, legible on a light page and a dark one.

The page recolours figures in dark mode, so they are drawn in dark ink on nothing.
"""

import sys
from typing import Any

import matplotlib.pyplot as plt

# Okabe and Ito, "Color Universal Design" (2008), with the page's ink and grey.
PALETTE = {
    "blue": "#0072B2",
    "vermillion": "#D55E00",
    "green": "#009E73",
    "orange": "#E69F00",
    "purple": "#CC79A7",
    "sky": "#56B4E9",
    "ink": "#1f2328",
    "grey": "#6e7781",
}

_RC: dict[Any, Any] = {
    "figure.figsize": (6.8, 3.4),
    "figure.constrained_layout.use": True,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "svg.fonttype": "path",
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": PALETTE["grey"],
    "axes.labelcolor": PALETTE["ink"],
    "axes.prop_cycle": plt.cycler(color=list(PALETTE.values())[:6]),
    "text.color": PALETTE["ink"],
    "xtick.color": PALETTE["grey"],
    "ytick.color": PALETTE["grey"],
    "xtick.labelcolor": PALETTE["ink"],
    "ytick.labelcolor": PALETTE["ink"],
    "lines.linewidth": 1.8,
    "legend.frameon": False,
}


def use_style() -> None:
    """Give every figure that follows the book's style, and in a notebook draw it as SVG."""
    plt.rcParams.update(_RC)
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is not None and shell.has_trait("kernel"):
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        set_matplotlib_formats("svg")
