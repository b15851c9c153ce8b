"""The book's figures: one style, one palette, and the few drawings that chapters share."""

from dropout.figures.drawings import curve, network
from dropout.figures.style import PALETTE, use_style

__all__ = ["PALETTE", "curve", "network", "use_style"]
