"""Studies too long for a chapter: one file each, and their stored results."""

from dropout.experiments.results import read, write

__all__ = ["read", "write"]
