"""Dropout as modules, in the manner of `torch.nn`."""

from dropout.layers.alpha import AlphaDropout, FeatureAlphaDropout
from dropout.layers.attention import (
    Attention,
    SelfAttention,
    TransformerBlock,
    TransformerEmbedding,
)
from dropout.layers.bernoulli import Dropout
from dropout.layers.concrete import ConcreteDropout
from dropout.layers.drop_path import DropPath, StochasticDepth
from dropout.layers.dropblock import DropBlock2d
from dropout.layers.dropconnect import DropConnect
from dropout.layers.embedding import EmbeddingDropout, WordDropout
from dropout.layers.gaussian import GaussianDropout
from dropout.layers.recurrent import LockedDropout, VariationalRNN, WeightDrop
from dropout.layers.spatial import Dropout1d, Dropout2d, Dropout3d
from dropout.layers.uout import Uout

__all__ = [
    "AlphaDropout",
    "Attention",
    "ConcreteDropout",
    "DropBlock2d",
    "DropConnect",
    "DropPath",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Dropout3d",
    "EmbeddingDropout",
    "FeatureAlphaDropout",
    "GaussianDropout",
    "LockedDropout",
    "SelfAttention",
    "StochasticDepth",
    "TransformerBlock",
    "TransformerEmbedding",
    "Uout",
    "VariationalRNN",
    "WeightDrop",
    "WordDropout",
]
