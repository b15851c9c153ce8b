"""Dropout as modules, in the manner of `torch.nn`."""

from dropout.layers.bernoulli import Dropout

__all__ = ["Dropout"]
