"""The book's figures: one style, one palette, and the few drawings that chapters share."""

from dropout.figures.drawings import curve, network
from dropout.figures.style import PALETTE, title, use_style

__all__ = ["PALETTE", "curve", "network", "title", "use_style"]
