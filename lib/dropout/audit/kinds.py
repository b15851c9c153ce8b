"""What can be wrong with the dropout in a model, by name."""

from types import MappingProxyType
from typing import Literal

Confidence = Literal["certain", "likely", "possible"]
KINDS = MappingProxyType({
    # Found by `audit`.
    "drops-in-evaluation":
        "Something drops although the model is in evaluation mode, so that two predictions differ.",
    "idle-rate":
        "A rate that is set and cannot act: its layer is never called, stays in evaluation mode, "
        "drops between the layers of a recurrent network that has one, or its result is not used.",
    "drops-everything":
        "p = 1: nothing passes in training.",
    "keep-for-drop":
        "p of 0.8 or more: perhaps the probability to keep, as in TensorFlow 1 and the paper of "
        "2014, where PyTorch takes the probability to drop.",
    "wrong-shape":
        "Dropout1d, 2d or 3d meets a tensor without its channel axis, and drops something else.",
    "before-batch-norm":
        "Dropout widens the input of a batch norm in training, so that its running variance is "
        "too large in evaluation.",
    "dropped-twice":
        "Two dropouts on the same numbers, with nothing between them: one of a higher rate.",
    "before-softmax":
        "Dropout on logits or scores, right before a softmax: a score of 0 is no absent score.",
    "on-output":
        "Dropout on what a last layer returns: in training a part of the predictions is 0.",
    "shared-over-batch":
        "One mask for all examples of a batch, where a mask for each is less noise for the same "
        "rate.",
    "same-mask":
        "Each pass in training drops the same, whatever the state of the generator.",
    "reseeds":
        "The forward seeds a global generator, PyTorch's, NumPy's or Python's, and so makes all "
        "random numbers after it repeat.",
    "wrong-scale":
        "What dropout lets through in training has another mean than in evaluation: it is not "
        "scaled by 1/(1 - p), or scaled twice.",
    "frozen-but-dropping":
        "All parameters of a part are frozen, or no gradient reaches them, and its dropout still "
        "acts in training.",
    "in-place":
        "Dropout in place writes over a tensor that is needed: by the gradient, by another branch, "
        "or by the caller.",
    "recomputed-otherwise":
        "Activation checkpointing draws another mask when it computes the forward again, so that "
        "gradients belong to another network.",
    # Found by `Watch`, in a training loop.
    "same-mask-each-step":
        "Steps of training begin in the same state of the generator, or with the same key, and "
        "drop the same: a seed is set in the loop.",
    "same-mask-on-ranks":
        "Processes with different data drop the same: they were seeded alike.",
    "evaluates-in-training-mode":
        "Forwards without gradients, as for a validation loss, in which dropout still acts: "
        "torch.no_grad() is not model.eval().",
    "trains-in-evaluation-mode":
        "The optimizer takes steps on gradients of a model in evaluation mode, without dropout.",
})  # fmt: skip
CONFIDENCE = MappingProxyType({
    "certain": "a fact of what ran",
    "likely": "a fact of what ran, and seldom meant",
    "possible": "may be meant: look whether it is",
})  # fmt: skip
