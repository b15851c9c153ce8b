"""The book's figures: one style, the drawings that chapters share, and live figures."""

from dropout.figures.drawings import curve, network
from dropout.figures.style import PALETTE, title, use_style
from dropout.figures.widgets import Live, live

__all__ = ["PALETTE", "Live", "curve", "live", "network", "title", "use_style"]
