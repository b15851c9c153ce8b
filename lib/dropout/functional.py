"""Dropout as functions, in the manner of `torch.nn.functional`."""

from dropout.layers.alpha import alpha_dropout, feature_alpha_dropout
from dropout.layers.attention import attention
from dropout.layers.bernoulli import dropout
from dropout.layers.concrete import concrete_dropout
from dropout.layers.drop_path import drop_path
from dropout.layers.dropblock import drop_block2d
from dropout.layers.dropconnect import drop_connect
from dropout.layers.embedding import embedding_dropout, word_dropout
from dropout.layers.gaussian import gaussian_dropout
from dropout.layers.max_norm import max_norm_
from dropout.layers.recurrent import locked_dropout
from dropout.layers.spatial import dropout1d, dropout2d, dropout3d
from dropout.layers.uout import uout

__all__ = [
    "alpha_dropout",
    "attention",
    "concrete_dropout",
    "drop_block2d",
    "drop_connect",
    "drop_path",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "embedding_dropout",
    "feature_alpha_dropout",
    "gaussian_dropout",
    "locked_dropout",
    "max_norm_",
    "uout",
    "word_dropout",
]
