"""The look of every figure: quiet, colour-blind safe, legible on a light page and a dark one.

The page recolours figures in dark mode, so they are drawn in dark ink on nothing. Their typeface is
the page's sans serif, Source Sans 3, cut down to the signs of figures; its bold is a semibold, the
weight of the page's headings.
"""

import sys
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib import font_manager
from matplotlib.figure import Figure

FONT = "Dropout Sans"
FONTS = Path(__file__).with_name("fonts")

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
    "savefig.pad_inches": 0.01,  # what is outermost stands flush with the text
    "svg.fonttype": "path",  # a picture in a page cannot use the page's fonts
    "font.family": [FONT, "DejaVu Sans"],  # the second for signs that the first has not
    "font.size": 10.5,
    "mathtext.fontset": "custom",
    "mathtext.rm": FONT,
    "mathtext.sf": FONT,
    "mathtext.it": f"{FONT}:italic",
    "mathtext.cal": f"{FONT}:italic",
    "mathtext.bf": f"{FONT}:bold",
    "mathtext.bfit": f"{FONT}:bold",
    "mathtext.fallback": "stixsans",
    "figure.titlesize": 12,
    "figure.titleweight": "bold",
    "axes.titlesize": 12,
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
    "legend.fontsize": 10,
}


def use_style() -> None:
    """Give every figure that follows the book's style, and in a notebook draw it as SVG."""
    known = {font.fname for font in font_manager.fontManager.ttflist}
    for path in map(str, sorted(FONTS.glob("*.ttf"))):
        if path not in known:
            font_manager.fontManager.addfont(path)
    plt.rcParams.update(_RC)
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is not None and shell.has_trait("kernel"):
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        if plt.get_backend().lower() == "agg":  # many servers set MPLBACKEND so; it shows nothing
            shell.enable_matplotlib("inline")
        set_matplotlib_formats("svg")


def title(fig: Figure, text: str) -> None:
    """One title over several panels: at the left and in the weight of all titles."""
    fig.suptitle(text, x=0, ha="left")
