"""Without a GPU, Triton's interpreter stands in for one: it must be asked for before any import."""

import os

import torch

if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")
