"""Chapter 01, overfitting."""

from dropout.exercises.forms import Choice, Code, Exercise, Formula, Number, Open, Slip, Wrong
from dropout.exercises.probes import close, expect, saw

EXERCISES: list[Exercise] = []

# ---- by hand ------------------------------------------------------------------------------------

EXERCISES.append(
    Number(
        id="01.1",
        title="Four images, one loss",
        trains="the cross-entropy, worked by hand",
        question=r"""
A network gives the true classes of four images the probabilities $\frac12$, $\frac12$, $\frac14$
and $\frac1{16}$. What is its loss on this set, in nats? ($\log 2 = 0.693$; a text such as
`"3*log(2)"` will do.)
""",
        answer=1.3862944,
        follows="With that, the four images would together cost {4 * answer} nats, which is "
                "{4 * answer / log(2)} times log 2. Each of them costs a whole multiple of log 2.",
        hints=[
            "The loss on one image is $-\\log \\pi$, where $\\pi$ is the probability of its true "
            "class.",
            "$-\\log \\frac1{16} = 4 \\log 2$, since $16 = 2^4$.",
            "The four cost 1, 1, 2 and 4 times $\\log 2$, and the loss on a set is the mean.",
        ],
        solution=r"""
The images cost $\log 2$, $\log 2$, $2 \log 2$ and $4 \log 2$. The loss is their mean,
$\frac84 \log 2 = 2 \log 2 = 1.386$ nats. The one image at $\frac1{16}$ costs as much as the other
three together. The same loss is that of a network that gives each true class $\frac14$.
""",
        wrong=[
            Wrong(1.1144, "You took the mean of the probabilities, and then its logarithm. The "
                          "loss is the mean of the logarithms; a small probability weighs more "
                          "there."),
            Wrong(5.5452, "That is the sum over the images. The loss on a set is the mean, so that "
                          "sets of different sizes can be compared."),
            Wrong(2, "You used the logarithm to base 2, whose unit is the bit. The nat goes with "
                     "the natural logarithm."),
            Wrong(0.602, "You used the logarithm to base 10. `log` in PyTorch, NumPy and this book "
                         "is the natural one."),
            Wrong(-1.3863, "You left out the minus. The logarithm of a probability is negative, "
                           "and the loss turns it into a cost."),
        ],
    )
)  # fmt: skip

EXERCISES.append(
    Number(
        id="01.2",
        title="Stop with patience",
        trains="early stopping and the generalisation gap, read off a log",
        question=r"""
Both losses of a network, measured in evaluation mode every ten epochs:

| epoch | 10 | 20 | 30 | 40 | 50 | 60 | 70 | 80 | 90 |
|---|---|---|---|---|---|---|---|---|---|
| training | 0.92 | 0.55 | 0.38 | 0.29 | 0.22 | 0.17 | 0.13 | 0.10 | 0.07 |
| validation | 0.98 | 0.66 | 0.52 | 0.49 | 0.50 | 0.47 | 0.51 | 0.55 | 0.46 |

Early stopping with *patience* 2: training stops as soon as two measurements in a row have brought
no validation loss below the lowest so far, and the network with the lowest one up to then is kept.
What is the generalisation gap of the network that is kept (validation less training loss)?
""",
        answer=0.30,
        follows="Then the validation loss of the network that is kept lies {answer} above its "
                "training loss. In which column of the table is that so, and is that network kept?",
        hints=[
            "At epoch 50 the validation loss is not below the lowest so far: that is one. What "
            "happens at 60?",
            "Epoch 60 brings a new lowest, and the counting begins anew. When have two in a row "
            "brought none?",
            "Training stops after epoch 80; what comes later is never seen. Which network is kept?",
        ],
        solution=r"""
Epoch 40 has the lowest validation loss so far, epoch 50 is the first without a lower one, epoch 60
has a new lowest: 0.47. Epochs 70 and 80 bring none, so training stops at 80 and the network of
epoch 60 is kept, with the gap $0.47 - 0.17 = 0.30$. The 0.46 of epoch 90 would never have been
seen: patience is a bet.
""",
        wrong=[
            Wrong(0.45, "That is the gap at the epoch where training stops. What is kept is the "
                        "network with the lowest validation loss, from two measurements before."),
            Wrong(0.39, "You let training run to the end. With this patience it has stopped "
                        "before epoch 90, and nobody knows what would have come."),
            Wrong(0.20, "You stopped at the first rise, which is patience 1. One worse measurement "
                        "may be noise; patience 2 waits for another."),
            Wrong(0.28, "That is the first measurement that got worse. Neither does training stop "
                        "there, nor is that network kept."),
            Wrong(-0.30, "You took training less validation loss. The gap is how much worse the "
                         "network is on images that it has not been trained on."),
            Wrong(0.47, "That is a validation loss. The gap is its difference from the training "
                        "loss."),
        ],
    )
)  # fmt: skip

# ---- choices ------------------------------------------------------------------------------------

EXERCISES.append(
    Choice(
        id="01.3",
        title="Predict: the same plot with dropout",
        trains="saying beforehand what dropout does to overfitting",
        question=r"""
Without dropout the mean validation loss turned near epoch 60. Now the same images, seeds, steps and
learning rate, with `Dropout(0.5)` after each hidden layer. What will its validation loss do in 200
epochs? Commit yourself before you look at the figure.
""",
        options={
            "a": "It falls, and then stays down: with dropout there is no overfitting.",
            "b": "It turns at about the same epoch, at a lower value.",
            "c": "It turns later, at a lower value, and then rises too.",
            "d": "It stays above that without dropout, since half of the units are missing.",
        },
        answer="c",
        after="It turned after epoch 100 here, at about seven tenths of the loss.",
        reveals="fig-one-line",
        hints=[
            "A network with dropout has the same weights, and nothing stops it from fitting all "
            "300 images in the end.",
            "Each step is noisier, so fitting takes longer. What follows for the turning point?",
        ],
        solution=r"""
Dropout delays overfitting and softens it. In the mean over three seeds the lowest validation loss
comes at epoch 116 in place of 61, and is 0.172 in place of 0.247; then the loss rises to 0.196.
The training images are all classified rightly in the end, with dropout too.
""",
        wrong=[
            Wrong("a", "Dropout is no guarantee. The network can still fit every training image, "
                       "and when it has, its validation loss gets worse as well, more slowly."),
            Wrong("b", "Noise in each step slows the fitting down, so the turning point moves. "
                       "Who stops by the old number of epochs stops too early."),
            Wrong("d", "Half of the units are missing in training only. The losses of the figure "
                       "are measured in evaluation mode, with all of them."),
        ],
    )
)  # fmt: skip

EXERCISES.append(
    Choice(
        id="01.4",
        title="Three logs, three troubles",
        trains="reading both losses together",
        question=r"""
Training and validation loss (both in evaluation mode) of three classifiers of ten digits, with 300
training images each:

| epoch | A: training | A: validation | B: training | B: validation | C: training | C: validation |
|---|---|---|---|---|---|---|
| 50 | 0.21 | 0.42 | 1.61 | 1.63 | 0.21 | 0.22 |
| 100 | 0.06 | 0.39 | 1.20 | 1.23 | 0.06 | 0.06 |
| 150 | 0.02 | 0.43 | 0.95 | 0.99 | 0.02 | 0.02 |
| 200 | 0.01 | 0.48 | 0.78 | 0.83 | 0.01 | 0.01 |

For one of the three a script had copied the validation images into the training set as well. What
is going on?
""",
        options={
            "a": "A overfits, B underfits, C was trained on its validation images.",
            "b": "A was trained on its validation images, B underfits, C is well regularised.",
            "c": "A overfits, B was trained on its validation images, C underfits.",
            "d": "A underfits, B overfits, C was trained on its validation images.",
        },
        answer="a",
        hints=[
            "In which log does one loss fall while the other rises? In which could both still "
            "fall?",
            "What would the two losses look like if the validation images were among those that "
            "the network is trained on?",
        ],
        solution=r"""
In A the training loss falls on while the validation loss has turned: overfitting. In B both are
high and still fall: underfitting; train longer, or with a larger step. In C there is no gap at any
time, down to a loss of 0.01: the network has seen the validation images. In the tables of this
chapter no loss on a whole validation or test set is below 0.15. When a validation loss is too good,
look at the data.
""",
        wrong=[
            Wrong("b", "Images that a network is trained on have a loss that falls with the "
                       "training loss. In A the two part. And with 300 images nothing in this "
                       "chapter has a validation loss of 0.01, let alone without a gap."),
            Wrong("c", "C cannot underfit: its training loss is 0.01 and can hardly fall. In B "
                       "both losses are far from the bottom, and neither is too good to be true."),
            Wrong("d", "You have the two words the wrong way round. Underfit is a network whose "
                       "two losses could both still fall."),
        ],
    )
)  # fmt: skip

EXERCISES.append(
    Choice(
        id="01.5",
        title="A training loss above the validation loss",
        trains="knowing which of two losses has dropout in it",
        question=r"""
The network of this chapter with `Dropout(0.5)`, in plain PyTorch. The training loss is the mean
that the training loop printed over its minibatches; the validation loss was measured after
`model.eval()`:

| epoch | training loss, as printed | validation loss |
|---|---|---|
| 20 | 0.823 | 0.671 |
| 40 | 0.387 | 0.306 |
| 60 | 0.175 | 0.218 |

What do the first two rows show?
""",
        options={
            "a": "Nothing is wrong: the printed loss is that of networks with units missing.",
            "b": "The validation images are easier than the training images.",
            "c": "Validation images have got into the training set.",
            "d": "The network overfits.",
        },
        answer="a",
        hints=[
            "In which mode is the network when the training loop computes its loss?",
            "Measured in evaluation mode, the training loss of the same network was 0.506 at epoch "
            "20.",
        ],
        solution=r"""
The loop's loss is computed in training mode, with half of the units missing. In evaluation mode the
training loss of this network at epochs 20, 40 and 60 was 0.506, 0.145 and 0.050: below the
validation loss, as one expects. Compare two losses only where both are measured in evaluation
mode.
""",
        wrong=[
            Wrong("b", "Both sets are drawn at random from the same digits. What differs between "
                       "the two columns is the mode in which they were measured."),
            Wrong("c", "Leaked images would bring the validation loss down to the training loss "
                       "when both are measured alike. These two are not."),
            Wrong("d", "Where a network overfits, the training loss falls and the validation loss "
                       "rises. Here both fall."),
        ],
    )
)  # fmt: skip

EXERCISES.append(
    Choice(
        id="01.6",
        title="Which of these three curves?",
        trains="knowing a step that is too large by its training loss",
        question=r"""
The training loss (in evaluation mode, nats) of three networks of this chapter, trained on 20 images
of ten classes:

| epoch | 10 | 50 | 100 | 200 | 300 |
|---|---|---|---|---|---|
| A | 2.21 | 1.79 | 0.87 | 0.19 | 0.06 |
| B | 2.19 | 1.05 | 0.04 | 0.01 | 0.00 |
| C | 1.95 | 2.13 | 2.12 | 2.11 | 2.11 |

One has no dropout and the learning rate 0.02, one has $p = 0.8$ and 0.02, one has $p = 0.8$ and
0.2. Which network is which, in this order?
""",
        options={
            "a": "A, B, C",
            "b": "B, A, C",
            "c": "B, C, A",
            "d": "C, B, A",
        },
        answer="b",
        hints=[
            "Who guesses among ten classes, and gives each the probability 1/10, has the loss "
            "$\\log 10 = 2.30$.",
            "One network has learned no more than how often each class comes. Which of the "
            "settings does the chapter warn of?",
            "Of the two that learn, which is slowed down by noise?",
        ],
        solution=r"""
B falls quickly: no dropout. A is the same step with $p = 0.8$: it learns, and takes several times
as long. C stays near $\log 10$, the loss of guessing; its 2.11 is what a network gets that knows
how often each class comes, and nothing of the image. That is the large step with $p = 0.8$. The
remedy is a smaller learning rate, not more images.
""",
        wrong=[
            Wrong("a", "With the same step, noise makes fitting slower, not quicker. The network "
                       "without dropout is the quicker of the two that learn."),
            Wrong("c", "A learns: slowly, but down to 0.06. Ask which setting could not even tell "
                       "its own training images apart."),
            Wrong("d", "C never gets far below the loss of guessing. Without dropout, and with a "
                       "small step, nothing keeps a network from fitting 20 images."),
        ],
    )
)  # fmt: skip

# ---- formulas -----------------------------------------------------------------------------------

EXERCISES.append(
    Formula(
        id="01.7",
        title="What being sure costs",
        trains="the loss as a sum over right and wrong answers",
        question=r"""
A network has $k$ classes. On each image it gives the class that it chooses the probability $c$, its
confidence, and shares the rest equally among the other $k - 1$. It is wrong on a share $a$ of the
images. What is its loss, in $a$, $c$ and $k$? (`log` is the natural logarithm.)
""",
        answer="-(1 - a)*log(c) - a*log((1 - c)/(k - 1))",
        names={
            "a": (0.05, 0.1, 0.2, 0.3, 0.5, 0.02, 0.7),
            "c": (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.3, 0.4, 0.85, 0.65, 0.75),
            "k": (10, 2, 3, 5, 100),
        },
        equal=[
            "(a - 1) log(c) + a log((k - 1)/(1 - c))",
            "-log(c) + a (log(c) - log(1-c) + log(k-1))",
            "-log(c^(1-a) ((1-c)/(k-1))^a)",
        ],
        hints=[
            "On an image that it gets right, the true class has the probability $c$.",
            "On an image that it gets wrong, the true class is one of the other $k - 1$.",
            "The loss is the mean: a share $1 - a$ costs $-\\log c$, and a share $a$ costs "
            "$-\\log \\frac{1-c}{k-1}$.",
        ],
        solution=r"""
A share $1 - a$ of the images costs $-\log c$ each, and a share $a$ costs $-\log\frac{1-c}{k-1}$
each, since there the true class is one of the others. The mean is
$-(1-a) \log c - a \log \frac{1-c}{k-1}$. For $c \to 1$ the second term grows without bound, however
few the mistakes are.
""",
        wrong=[
            Wrong("-log(c)", "That is what every image would cost if all were right. The mistakes "
                             "cost something else."),
            Wrong("-(1 - a)*log(c)", "You let the mistakes cost nothing. There the true class has "
                                     "a small probability, and that is what costs most."),
            Wrong("-(1 - a)*log(c) - a*log(1 - c)", "On a mistake the rest, $1 - c$, is shared "
                                                    "among several classes, and only one of them "
                                                    "is the true one."),
            Wrong("-a*log(c) - (1 - a)*log((1 - c)/(k - 1))", "You swapped the two shares: $a$ is "
                                                              "the share of mistakes."),
            Wrong("(1 - a)*log(c) + a*log((1 - c)/(k - 1))", "The logarithm of a probability is "
                                                             "negative, so this loss is below 0."),
            Wrong("-log((1 - a)*c + a*(1 - c)/(k - 1))", "That is the logarithm of the mean "
                  "probability of the true class, where the mean of the logarithms is asked for."),
        ],
    )
)  # fmt: skip

EXERCISES.append(
    Number(
        id="01.8",
        title="How sure should it be?",
        trains="what over-confidence is, in numbers",
        question=r"""
The network of exercise 01.7 has ten classes and is wrong on a share of 0.2 of the images, which no
training changes any more. Only its confidence $c$, the same on every image, can still be moved.
At which $c$ is its loss the lowest?
""",
        answer=0.8,
        within=0.005,
        follows="Who says {answer} of each answer promises that {100 * answer} of 100 images will "
                "be right.",
        hints=[
            "As a function of $c$ the loss is $-0.8 \\log c - 0.2 \\log(1 - c)$ and a constant. "
            "Where is its derivative 0?",
            "The derivative is $-\\frac{0.8}{c} + \\frac{0.2}{1 - c}$.",
            "$0.8\\,(1 - c) = 0.2\\,c$.",
        ],
        solution=r"""
$-\frac{1-a}{c} + \frac{a}{1-c} = 0$ gives $(1-a)(1-c) = ac$, so $c = 1 - a = 0.8$: the network
should be as sure as it is often right. The number of classes only adds a constant. Above that $c$
the loss grows while the accuracy stays the same: this is the over-confidence that the chapter
finds after the dotted line.
""",
        wrong=[
            Wrong(1, "Then each mistake gives its true class the probability 0, and costs "
                     "infinitely much. Sureness pays on the images that are right only."),
            Wrong(0.2, "That is how often it is *wrong*. With that confidence it would be paying "
                       "for its many right answers."),
            Wrong(0.1, "That is what a network says that knows nothing. This one knows the class "
                       "of most images, and may say so."),
            Wrong(0.5, "Halfway between sure and unsure is best only for a network that is right "
                       "every second time."),
        ],
    )
)  # fmt: skip

# ---- code ---------------------------------------------------------------------------------------


def check_project(project):
    w = [0.3, -0.4]
    out = project(w, 1.0)
    yield expect(
        "weights that are short enough stay", close(out, w), saw(project, out, w),
        "compare the length of the whole vector, here 0.5, with c",
    )  # fmt: skip
    out = project([3.0, -4.0], 1.0)
    want = [0.6, -0.8]
    yield expect(
        "weights that are too long get the length c", close(out, want),
        saw(project, out, want, ", of length 1"),
        "compute the length of `[3, -4]` by hand, and compare",
    )  # fmt: skip
    out = project([3.0, -4.0], 2.0)
    want = [1.2, -1.6]
    yield expect(
        "the same for other c", close(out, want), saw(project, out, want, ", of length 2"),
        "which factor takes a vector of length 5 to length 2?",
    )  # fmt: skip
    out = project([1.2, 1.6], 1.5)
    want = [0.9, 1.2]
    yield expect(
        "the length counts, not the single weight", close(out, want),
        saw(project, out, want, ", of length 1.5"),
        "multiply all weights of the unit by the same factor",
    )  # fmt: skip
    out = project([0.0, 0.0, 0.0], 1.0)
    yield expect(
        "weights that are all 0 stay 0", close(out, [0.0] * 3), saw(project, out, [0.0] * 3),
        "do not divide by a length of 0",
    )  # fmt: skip
    out = project([0.5] * 16, 1.0)
    yield expect(
        "many small weights can be too long together", close(out, [0.25] * 16),
        saw(project, out, [0.25] * 16), "the length of sixteen weights 0.5 is 2",
    )  # fmt: skip


EXERCISES.append(
    Code(
        id="01.9",
        title="Max-norm",
        trains="another regulariser, which is often used along with dropout",
        question=r"""
*Max-norm* keeps a unit's weights from growing long: after each step, the vector $w$ of the weights
into a unit is scaled back to the length $c$ if it has become longer. Its length is
$\sqrt{\sum_j w_j^2}$. Write `project(w, c)` for one unit: `w` is a list, an array
or a tensor of its incoming weights, and what comes out has the same direction and a length of at
most `c`. Weights that are no longer than that stay as they are.
""",
        given="""
import math

def project(w, c):
    ...
""",
        code="""
import math

def project(w, c):
    length = math.sqrt(sum(v * v for v in w))
    if length <= c:
        return w
    return [v * c / length for v in w]
""",
        alike=[
            """
import numpy as np

def project(w, c):
    w = np.asarray(w)
    return w * c / max(c, np.linalg.norm(w))
""",
            """
import torch

def project(w, c):
    return torch.renorm(w[None], p=2, dim=0, maxnorm=c)[0]
""",
            """
import torch

def project(w, c):
    norm = w.norm()
    return w * (c / norm) if norm > c else w
""",
            """
def project(w, c):
    squares = 0
    for v in w:
        squares += v ** 2
    if squares == 0:
        return w
    factor = min(1, c / squares ** 0.5)
    return [factor * v for v in w]
""",
        ],
        check=check_project,
        in_page=True,
        harmless={
            "length <= c -> length < c": "at that length the factor is 1",
        },
        hints=[
            "First compute the length of the whole vector.",
            "If it is at most `c`, return `w`. Otherwise multiply all weights by one factor.",
            "A vector of length `length` times `c / length` has the length `c`.",
        ],
        solution="""
One factor for all weights of the unit, `c / length`, keeps the direction and gives the length `c`.
The condition matters: max-norm is a ceiling, and never makes weights longer.
""",
        wrong=[
            Slip("length <= c", "length == 0", "You scale always, so short weights are drawn out "
                 "to the length `c`. Max-norm is a ceiling, not a fixed length."),
            Slip("v * c / length for", "max(-c, min(c, v)) for", "You clip each weight by itself. "
                 "That changes the direction, and a vector of many small weights stays too long."),
            Slip("math.sqrt(sum(v * v for v in w))", "sum(v * v for v in w)", "You compare the "
                 "*square* of the length with `c`, and divide by it: the root is missing."),
            Slip("math.sqrt(sum(v * v for v in w))", "sum(abs(v) for v in w)", "That is the sum of "
                 "the absolute values, another norm. Max-norm uses the Euclidean length."),
            Slip("math.sqrt(sum(v * v for v in w))", "max(abs(v) for v in w)", "In spite of its "
                 "name, max-norm does not look at the largest weight: it is a *maximum for* the "
                 "norm."),
            Slip("math.sqrt(sum(v * v for v in w))", "math.sqrt(sum(v * v for v in w) / len(w))",
                 "You took the mean of the squares, so the ceiling would grow with the number of "
                 "weights."),
            Slip("v * c / length", "v / length", "You give all that is too long the length 1, "
                 "whatever `c` is."),
            Slip("v * c / length", "v - (length - c)", "You subtract from each weight what the "
                 "vector is too long by. Subtracting turns the direction; scaling keeps it."),
        ],
    )
)  # fmt: skip


def check_keep(keep):
    cases = [
        ("the epoch of the lowest loss is kept, not that of the stop",
         [0.9, 0.5, 0.6, 0.7, 0.8], 3, 2, "which epoch has the lowest loss here, counted from 1?"),
        ("losses that only fall keep the last epoch", [0.9, 0.7, 0.5, 0.4], 2, 4,
         "each epoch here brings a lower loss, the last one too"),
        ("a rise that is shorter than the patience stops nothing",
         [0.9, 0.5, 0.6, 0.4, 0.5, 0.6, 0.7], 3, 4, "wait until `patience` epochs have passed"),
        ("each new lowest loss begins the count anew",
         [0.9, 0.5, 0.6, 0.4, 0.5, 0.6, 0.3], 3, 7, "set the count back at each new lowest loss"),
        ("what comes after the stop is not seen",
         [0.9, 0.5, 0.6, 0.7, 0.8, 0.9, 0.3], 2, 2, "leave the loop where training would stop"),
        ("it stops after as many epochs as the patience says",
         [0.9, 0.5, 0.6, 0.7, 0.3], 2, 2, "count: which epochs have brought no lower loss?"),
        ("each loss is compared with the lowest so far",
         [0.9, 0.3, 0.6, 0.5, 0.7, 0.4], 3, 2, "which epoch is `losses[epoch - 2]` here?"),
        ("an equal loss is no lower one",
         [0.5, 0.4, 0.4, 0.4, 0.3], 2, 2, "an epoch counts as better only if its loss is below"),
        ("a rise at the very beginning counts once for each epoch",
         [0.5, 0.6, 0.7, 0.4], 3, 4, "begin the count at 0"),
        ("a longer patience is counted in the same way",
         [0.9, 0.5, 0.6, 0.7, 0.8, 0.3], 3, 2, "count one for each epoch without a lower loss"),
        ("one epoch is enough", [0.7], 2, 1, "with one loss there is nothing to compare"),
    ]  # fmt: skip
    for claim, losses, patience, want, step in cases:
        out = keep(losses, patience)
        yield expect(claim, close(out, want), saw(keep, out, want), step)


EXERCISES.append(
    Code(
        id="01.10",
        title="The early stopper that never learns",
        trains="early stopping as a program",
        question=r"""
`keep(losses, patience)` gets the validation loss after each epoch, that of epoch 1 first. Training
is stopped as soon as `patience` epochs in a row have brought no loss below the lowest so far (or
when the losses end). It returns the number of the epoch whose weights are kept: that of the lowest
loss up to the stop, the first of them where several are equal. This version is from a training
script. On a validation loss that goes up and down it stops too late, and keeps the wrong epoch.
Find the bug and mend it.
""",
        given="""
def keep(losses, patience):
    best, waited = 1, 0
    for epoch in range(2, len(losses) + 1):
        if losses[epoch - 1] < losses[epoch - 2]:
            best, waited = epoch, 0
        else:
            waited += 1
        if waited == patience:
            break
    return best
""",
        code="""
def keep(losses, patience):
    best, waited = 1, 0
    for epoch in range(2, len(losses) + 1):
        if losses[epoch - 1] < losses[best - 1]:
            best, waited = epoch, 0
        else:
            waited += 1
        if waited == patience:
            break
    return best
""",
        alike=[
            """
def keep(losses, patience):
    lowest = float("inf")
    for k, loss in enumerate(losses):
        if loss < lowest:
            lowest, best = loss, k
        if k - best >= patience:
            break
    return best + 1
""",
            """
def keep(losses, patience):
    epoch = 1
    while True:
        window = losses[epoch:epoch + patience]
        better = [k for k, loss in enumerate(window) if loss < losses[epoch - 1]]
        if not better:
            return epoch
        epoch += better[0] + 1
""",
            """
import numpy as np

def keep(losses, patience):
    lowest = np.minimum.accumulate(losses)
    new = [k for k in range(len(losses)) if k == 0 or lowest[k] < lowest[k - 1]]
    for k, after in zip(new, new[1:] + [None]):
        if after is None or after - k > patience:
            return k + 1
""",
        ],
        check=check_keep,
        in_page=True,
        hints=[
            "`losses[epoch - 1]` is the loss of this epoch. Which epoch's is `losses[epoch - 2]`?",
            "Follow the losses 0.9, 0.3, 0.6, 0.5: is epoch 4 an improvement?",
            "Compare with the loss of the epoch `best`.",
        ],
        solution="""
The script compared each loss with that of the epoch before, so any fall after a rise counted as an
improvement, and took the place of the best. What must be beaten is the lowest loss so far,
`losses[best - 1]`.
""",
        wrong=[
            Slip("return best", "return best - 1", "You return the place in the list, which begins "
                 "at 0. Epochs are counted from 1."),
            Slip("return best", "return epoch", "You return the epoch at which training stops. Its "
                 "weights are those that have overfitted for `patience` epochs."),
            Slip("waited == patience", "waited == 1", "You stop at the first epoch without an "
                 "improvement. Validation losses are noisy; that is what patience is for."),
            Slip("best, waited = epoch, 0", "best = epoch", "You never set the count back, so "
                 "rises from before the last improvement are held against the network."),
            Wrong("""
def keep(losses, patience):
    return losses.index(min(losses)) + 1
""", "You look for the lowest of all losses, those after the stop too. Early stopping cannot look "
     "into the future: these epochs are never trained."),
            Slip("waited == patience", "waited > patience", "You wait one epoch more than the "
                 "patience says."),
            Slip("losses[epoch - 1] < losses[best - 1]", "losses[epoch - 1] <= losses[best - 1]",
                 "You take an equal loss for an improvement: a loss that has stopped falling would "
                 "be trained on for ever."),
            Slip("losses[epoch - 1] < losses[best - 1]",
                 "losses[epoch - 1] < max(losses[epoch - 2], losses[best - 1])", "You still take "
                 "each fall for an improvement, even one that comes after a larger rise."),
            Slip("len(losses) + 1", "len(losses)", "You never look at the last epoch: a `range` "
                 "ends before its second number."),
        ],
    )
)  # fmt: skip


def check_accuracy(accuracy):
    import torch

    def number(value):
        try:
            return float(value)
        except (TypeError, ValueError, RuntimeError):
            return None

    def shown(value):
        return "no number" if value is None else f"{value:.4g}"

    modes, flags, sizes, rates = [], [], [], []

    class Seen(torch.nn.Sequential):
        def train(self, mode=True):
            modes.append(mode)
            return super().train(mode)

    def note(module, given):
        flags.append(module.training)
        rates.append(module[1].p)
        sizes.extend(len(each) for each in given)

    dropout = torch.nn.Dropout(0.5)
    model = Seen(torch.nn.Linear(3, 3, bias=False), dropout)
    with torch.no_grad():
        model[0].weight.copy_(torch.eye(3))
    model.register_forward_pre_hook(note)
    x, y = torch.eye(3).repeat(40, 1), torch.tensor([0, 1, 2]).repeat(40)
    model.eval()
    out = number(accuracy(model, x, torch.tensor([0, 1, 1]).repeat(40)))
    yield expect(
        "it gives the share that is right", out is not None and close(out, 2 / 3),
        f"A model in evaluation mode, right on 80 of 120 images, gets {shown(out)}; 0.6667 is "
        "wanted.", "return the mean" if out is not None else "return one number",
    )  # fmt: skip
    model.train()
    for seen in (modes, flags, sizes, rates):
        seen.clear()
    out = number(accuracy(model, x, y))
    yield expect(
        "dropout is off while it measures", out is not None and close(out, 1.0),
        f"A model in training mode, which is right on all 120 images without dropout, gets "
        f"{shown(out)}; 1 is wanted.", "before the model is asked, switch all of it to evaluation",
        "often" if sizes.count(120) > 1 else "flag" if flags == [False]
        else "late" if False in modes else "on",
    )  # fmt: skip
    yield expect(
        "the model is asked in evaluation mode", not any(flags),
        "Nothing is dropped, but `model.training` is still True while the model is asked.",
        "switch the mode, and leave the single layers to the model",
        "rate" if 0 in rates else "layer",
    )  # fmt: skip
    left = "`model.training` was True, after it it is False"
    yield expect(
        "a model that was in training mode is so again", model.training and dropout.training,
        f"Before the call {left}." if not model.training else
        "After the call the model is in training mode, and its dropout layer is not.",
        "put the mode back in which the model came",
        "model" if not model.training else "layer",
    )  # fmt: skip
    dropped = model(x)
    yield expect(
        "and then drops as before", (dropped.sum(1) == 0).any() and dropped.max() == 2,
        "After the call, the model in training mode drops nothing any more.",
        "leave the layers as they are, and change the mode only",
    )  # fmt: skip
    model.eval()
    accuracy(model, x, y)
    yield expect(
        "a model that was in evaluation mode stays in it", not model.training,
        "Before the call `model.training` was False, after it it is True.",
        "remember `model.training` before you change it",
    )  # fmt: skip


EXERCISES.append(
    Code(
        id="01.11",
        title="The accuracy that flickers",
        trains="evaluating in evaluation mode, and going back to where one was",
        question=r"""
`accuracy(model, x, y)` is called by a training loop after each epoch, on validation images `x` with
classes `y`. Called twice for the same network it gives two numbers, as a rule both too low. Mend it
so that the model is asked in evaluation mode, and is afterwards in the mode in which it came:
in training mode if it was, in evaluation mode if it was.
""",
        given="""
import torch

def accuracy(model, x, y):
    with torch.no_grad():
        choice = model(x).argmax(1)
    return (choice == y).double().mean().item()
""",
        code="""
import torch

def accuracy(model, x, y):
    was_training = model.training
    model.eval()
    with torch.no_grad():
        choice = model(x).argmax(1)
    model.train(was_training)
    return (choice == y).double().mean().item()
""",
        alike=[
            """
import torch

@torch.no_grad()
def accuracy(model, x, y):
    before = model.training
    right = (model.eval()(x).argmax(dim=-1) == y).float().mean()
    if before:
        model.train()
    return right
""",
            """
import copy
import torch

def accuracy(model, x, y):
    fixed = copy.deepcopy(model).eval()
    with torch.inference_mode():
        return float((fixed(x).argmax(1) == y).sum()) / len(y)
""",
            """
import torch

def accuracy(model, x, y):
    modes = [(module, module.training) for module in model.modules()]
    model.train(False)
    try:
        with torch.no_grad():
            return (model(x).max(1).indices == y).double().mean().item()
    finally:
        for module, mode in modes:
            module.training = mode
""",
        ],
        takes="object",
        check=check_accuracy,
        power="120 images, two thirds of which a dropped score turns wrong with probability 1/2: "
              "dropout that is on goes unseen with probability 2^-80",
        hints=[
            "`torch.no_grad()` switches gradients off, and dropout not.",
            "`model.eval()` before the model is asked. But what of the rest of the training?",
            "Keep `model.training` in a variable before, and call `model.train(…)` with it after.",
        ],
        solution="""
`model.eval()` switches the whole model over, and `model.train(was_training)` puts the mode back. A
function that measures should leave what it measures as it was: a bare `model.train()` at the end
would switch dropout on in a model that was being used, and none at all would train the remaining
epochs without dropout.
""",
        wrong=[
            Slip("mean()", "sum()", "You count the images that are right. The accuracy is a share, "
                 "which does not depend on how many images were asked about."),
            Slip("    model.train(was_training)\n", "", "You switch dropout off and leave it off: "
                 "the loop goes on to train without dropout, and nothing tells anybody."),
            Slip("model.train(was_training)", "model.train()", "You end in training mode always. "
                 "A model that was already in use then begins to drop."),
            Slip("model.eval()", "model.training = False", "You set the flag of the outermost "
                 "module only. Its layers have flags of their own, and those are what they obey."),
            Wrong("""
import torch

def accuracy(model, x, y):
    with torch.no_grad():
        choice = model(x).argmax(1)
    was_training = model.training
    model.eval()
    model.train(was_training)
    return (choice == y).double().mean().item()
""", "When you call `eval()` the model has already answered, with half of its units missing."),
            Wrong("""
import torch

def accuracy(model, x, y):
    with torch.no_grad():
        right = [(model(x).argmax(1) == y).double().mean() for _ in range(20)]
    return torch.stack(right).mean().item()
""", "Averaging makes the number steadier, not right: it is the accuracy of thinned networks, and "
     "the whole one is better."),
            Wrong("""
import torch

def accuracy(model, x, y):
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    with torch.no_grad():
        choice = model(x).argmax(1)
    return (choice == y).double().mean().item()
""", "You set the rates to 0. Other layers, such as batch normalisation, go by the mode too; and a "
     "rate that nobody puts back stays 0."),
        ],
    )
)  # fmt: skip

# ---- an experiment ------------------------------------------------------------------------------

EXERCISES.append(
    Open(
        id="01.12",
        title="When the labels are noisy",
        trains="asking under which condition a finding holds",
        question=r"""
In this chapter the validation accuracy does *not* fall when the network overfits. The classes of
the training images were all right. Make some of them wrong, after the cells of this chapter:

```python
from dropout.training.data import Images

def noisy(draw):
    generator = torch.Generator().manual_seed(draw)
    labels, at = train.y.clone(), torch.randperm(300, generator=generator)[:60]
    labels[at] = (labels[at] + torch.randint(1, 10, (60,), generator=generator)) % 10
    return Images(train.x, labels)
```

For five draws of the noise train three networks each *without* dropout, as `train_networks` does
(`sweep` with `noisy(draw)` in place of `train`, other seeds for each draw). The validation images
keep their right classes. Average the fifteen curves of the validation accuracy. How many percentage
points does the mean accuracy at epoch 200 lie below its highest value?
""",
        answer=10.8,
        within=0.35,
        unit="percentage points",
        follows="Of the 297 validation images {2.97 * answer} more would be wrong in the end than "
                "at the best.",
        hints=[
            "`history.validation_accuracy` of one sweep has a row for each network and a column "
            "for each measurement.",
            "Collect the rows of all five sweeps, take the mean over them, and call it `curve`: "
            "`100 * (curve.max() - curve[-1])`.",
        ],
        solution=r"""
The accuracy rises to about 87 % near epoch 45, while the network learns what the images have in
common, and falls to about 76 % as it learns the sixty wrong classes by heart. With right classes it
does not fall: 0.0 points in the same experiment. So "the accuracy does not fall" holds for clean
labels and not for overfitting as such. With `Dropout(0.5)` the fall is about 4 points, from 89 %:
fewer wrong classes are learned by heart in 200 epochs.
""",
        reference="300 training images of the chapter's split (seed 0), 60 of them with another "
        "class; learning rate 0.02, momentum 0.9, batches of 50, 200 epochs, measured every 4. "
        "Eight repetitions with five draws and fifteen fresh seeds each gave 9.4 to 12.4 points, "
        "mean 10.8, standard deviation 1.2. With dropout 0.5, four repetitions gave 2.7 to 5.1. "
        "With the right classes, six repetitions gave 0.0 to 0.1. One repetition takes about 10 "
        "seconds.",
        rubric=[
            "The number of draws and of networks, and how far single draws lie apart.",
            "Loss beside accuracy: which of the two turns, and when.",
            "The control: the same with the right classes.",
            "The same with dropout, and that both were trained with one learning rate only.",
            "Whether the share of the training images that the network names as *given*, wrong "
            "ones too, reaches 1.",
        ],
        wrong=[
            Wrong(0, "No percentage point is what the chapter finds, with all classes right. Is "
                     "yours a share? If not, look whether you really train on the changed labels, "
                     "and measure on the right ones."),
            Wrong(3.8, "That is about what one finds with `Dropout(0.5)`. This asks for the "
                       "networks without it, and their own fall."),
            Wrong(24, "That is about the share of validation images that the networks get wrong in "
                      "the end. How many did they get wrong at their best?"),
        ],
    )
)  # fmt: skip
