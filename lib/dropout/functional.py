"""Dropout as functions, in the manner of `torch.nn.functional`."""

from dropout.layers.bernoulli import dropout

__all__ = ["dropout"]
