"""Chapter 02, the procedure."""

from dropout.exercises.forms import (
    RATES,
    Choice,
    Code,
    Exercise,
    Formula,
    Number,
    Open,
    Slip,
    Wrong,
)
from dropout.exercises.probes import close, expect, flat, mean, plausible, saw, shape

EXERCISES: list[Exercise] = []

# ---- by hand ------------------------------------------------------------------------------------

EXERCISES.append(
    Number(
        id="02.1",
        title="Exactly three of four",
        trains="the probability of a number of survivors",
        question=r"""
A layer has four units, and dropout acts on it with the drop rate $p = \frac14$. What is the
probability that exactly three of them stay in a step?
""",
        answer=0.421875,
        within=0.005,
        follows="Then, of 256 steps, {256 * answer} would keep exactly three units on average. "
                "There are 81 that keep all four.",
        hints=[
            "What is the probability of one such mask, say 1 1 1 0?",
            "It is $q^3 p$ with $q = \\frac34$. How many masks keep exactly three units?",
            "Any one of the four units may be the one that drops: $4 \\cdot q^3 p$.",
        ],
        solution=r"""
Each mask that keeps three has the probability $q^3 p = \frac{27}{64} \cdot \frac14 =
\frac{27}{256}$. There are four of them, one for each unit that may drop: $\frac{108}{256} = 0.42$.
The mean number of survivors is $4 q = 3$; yet in more than half of the steps it is another number.
""",
        wrong=[
            Wrong(0.10546875, "That is the probability of *one* mask that keeps three units. "
                              "Others do so too."),
            Wrong(0.046875, "You swapped the two rates: that is the probability that exactly three "
                            "*drop*."),
            Wrong(0.31640625, "That is the probability that all four stay."),
            Wrong(0.73828125, "That is the probability of three *or more*. The mask that keeps all "
                              "four does not count here."),
            Wrong(0.25, "You counted masks, 4 of 16. They are equally probable only at "
                        "$p = \\frac12$."),
            Wrong(0.75, "That is the probability that one given unit stays, or the share that "
                        "stays on average."),
        ],
    )
)  # fmt: skip

EXERCISES.append(
    Number(
        id="02.2",
        title="Coins of one step",
        trains="what has a coin of its own",
        question=r"""
A network has two hidden layers, of three and of two units, with `nn.Dropout(0.5)` after each. A
training step takes a minibatch of two examples. In how many ways can the coins of this one step
fall?
""",
        answer=1024,
        follows="With one coin more there would be {2 * answer}, since each coin doubles the "
                "number of ways.",
        hints=[
            "How many coins are tossed for one example?",
            "Five for one example. Does the second example use the same five?",
            "Each example has its own: ten coins, each with two faces.",
        ],
        solution=r"""
Each of the five hidden units has a coin for each of the two examples: ten coins, and $2^{10} =
1024$ ways. One example alone passes through one of $2^5 = 32$ thinned networks, and the two
examples through any two of them: $32^2$ pairs.
""",
        wrong=[
            Wrong(32, "That is the number of thinned networks for one example. The other example "
                      "tosses its own coins."),
            Wrong(64, "You added the ways of the two examples. Each way of the one goes with every "
                      "way of the other."),
            Wrong(10, "That is the number of coins. Each of them can fall in two ways."),
            Wrong(144, "Within an example you added the ways of the two layers, $8 + 4$. The masks "
                       "of the layers combine freely, too."),
            Wrong(4, "That would be one coin for a whole layer or a whole example. Each unit has "
                     "its own."),
        ],
    )
)  # fmt: skip

EXERCISES.append(
    Number(
        id="02.3",
        title="Dropped, and moving all the same",
        trains="the difference between no gradient and no change",
        question=r"""
PyTorch's SGD with momentum keeps for each weight a velocity $v$, which begins at 0. In each step
$v \leftarrow 0.9\,v + g$, where $g$ is the gradient of this step, and then
$w \leftarrow w - 0.1\,v$. In the first step a weight has the gradient $g = 2$. In the second step
all examples drop the unit that the weight leads to. By how much does the weight move in the
*second* step (as an absolute value)?
""",
        answer=0.18,
        follows="With the learning rate 0.1, a move of {answer} needs a velocity of "
                "{answer / 0.1}.",
        hints=[
            "What is $g$ in the second step, for a weight into a unit that everybody drops?",
            "$g = 0$, but $v$ still has the first step in it.",
            "After the first step $v = 2$, after the second $v = 0.9 \\cdot 2 + 0$.",
        ],
        solution=r"""
The weight's gradient is 0 in the second step, but its velocity is $0.9 \cdot 2 = 1.8$, so it moves
by $0.1 \cdot 1.8 = 0.18$, almost as far as in the first step. "A dropped unit does not learn in
this step" holds for plain gradient descent only.
""",
        wrong=[
            Wrong(0, "No gradient is not no change. Momentum goes on with what earlier steps have "
                     "built up."),
            Wrong(0.2, "That is the move of the first step. The velocity decays before it is used "
                       "again."),
            Wrong(0.38, "You added the gradient 2 once more. In the second step the unit sends "
                        "nothing up, so nothing comes down."),
            Wrong(0.02, "You kept a tenth of the velocity. Momentum 0.9 keeps nine tenths of it."),
            Wrong(1.8, "That is the velocity. The weight moves by the learning rate times that."),
        ],
    )
)  # fmt: skip

EXERCISES.append(
    Number(
        id="02.4",
        title="Predict: connections that are left",
        trains="seeing a dropped unit as a deleted one",
        question=r"""
The next figure shows a network with layers of 4, 6, 6 and 2 units, and what three training steps
make of it: dropout with $p = \frac12$ acts on both hidden layers, and a dropped unit loses all its
connections. Between the two hidden layers there are $6 \cdot 6 = 36$ connections. How many of them
will be left in a step, on average? Commit yourself before you look.
""",
        answer=9,
        after="The three steps of the figure have 15, 9 and 8 of them.",
        reveals="fig-thinned-networks",
        follows="For {answer} to be left, a connection would have to be there with probability "
                "{answer / 36}.",
        hints=[
            "A connection has two ends. When is it left?",
            "Both ends must stay, and their coins are independent.",
            "Each connection is left with probability $q \\cdot q$.",
        ],
        solution=r"""
A connection is left if the units at both its ends stay: with probability $q^2 = \frac14$. So 9 of
36 are left on average; the three steps of the figure have $3 \cdot 5 = 15$, $3 \cdot 3 = 9$ and
$4 \cdot 2 = 8$. Half of the units are a quarter of the connections.
""",
        wrong=[
            Wrong(18, "Half of the connections would be left if only one of their ends could drop. "
                      "Both hidden layers have coins."),
            Wrong(27, "A connection does not need both its ends dropped to be gone; one is "
                      "enough."),
            Wrong(36, "Dropout zeroes activations, and the weights are still stored. But through a "
                      "dropped unit nothing passes in this step, so its connections do no work."),
            Wrong(12, "Twelve is the number of units in the two layers. Each unit has six "
                      "connections to the other layer."),
        ],
    )
)  # fmt: skip

# ---- choices ------------------------------------------------------------------------------------

EXERCISES.append(
    Choice(
        id="02.5",
        title="Which of these printouts?",
        trains="knowing dropout by what it sends",
        question=r"""
Three examples of five units, each of which sends 1, pass through a layer in training mode at
$p = 0.5$. Three of these four printouts come from home-made layers, one from `nn.Dropout(0.5)`:

| | A | B | C | D |
|---|---|---|---|---|
| example 1 | 2 0 2 2 0 | 1 0 1 1 0 | 2 0 2 2 0 | 1.67 0 1.67 1.67 0 |
| example 2 | 2 0 2 2 0 | 0 1 0 0 1 | 0 2 0 0 2 | 0 2.5 0 0 2.5 |
| example 3 | 2 0 2 2 0 | 1 1 1 0 1 | 2 2 2 0 2 | 1.25 1.25 1.25 0 1.25 |

Which one?
""",
        options={"a": "A", "b": "B", "c": "C", "d": "D"},
        answer="c",
        hints=[
            "What is a survivor divided by, and does that depend on how many survive?",
            "Each example has coins of its own.",
        ],
        solution=r"""
C: a coin for each unit of each example, and $1/q = 2$ for whoever survives, however many they are.
A shares one mask among the examples, B leaves out the scale, and D scales each example so that its
sum stays 5. The sum under dropout does change from mask to mask; only its mean is 5.
""",
        wrong=[
            Wrong("a", "All three rows of A have the same mask. A mask belongs to an example; that "
                       "three of them agree in five coins by chance happens once in 1024 times."),
            Wrong("b", "In B survivors are sent as they are. PyTorch divides them by $q$ in "
                       "training, so that evaluation has nothing to do."),
            Wrong("d", "In D the factor depends on how many survived, so that each row sums to 5. "
                       "Dropout has a fixed factor; its sums are right on average only."),
        ],
    )
)  # fmt: skip

EXERCISES.append(
    Choice(
        id="02.6",
        title="Half, none, none, none",
        trains="diagnosing a mode that was not switched back",
        question=r"""
A network is trained for four epochs and evaluated on validation images after each. A hook counts
which share of a dropout layer's outputs is 0; its inputs are never 0:

| epoch | in training | in evaluation |
|---|---|---|
| 1 | 0.50 | 0.00 |
| 2 | 0.00 | 0.00 |
| 3 | 0.00 | 0.00 |
| 4 | 0.00 | 0.00 |

What is wrong?
""",
        options={
            "a": "The evaluation lacks `torch.no_grad()`.",
            "b": "`nn.Dropout` is made anew in each call of `forward`.",
            "c": "The evaluation calls `model.eval()`, and nothing calls `model.train()` after it.",
            "d": "The step was too large, and the units are dead.",
        },
        answer="c",
        hints=[
            "In which mode is the layer in epoch 2?",
            "Which call puts a model into evaluation mode, and how long does that last?",
        ],
        solution=r"""
`eval()` stays in force until `train()` is called. The first evaluation switched dropout off, and
epochs 2 to 4 were trained without it. Call `model.train()` after every evaluation, not once
before the loop. No message tells of this; the only sign is that the network overfits as if it had
no dropout.
""",
        wrong=[
            Wrong("a", "`torch.no_grad()` has to do with gradients. It neither switches dropout "
                       "off nor on."),
            Wrong("b", "A layer that is made in `forward` is always in training mode. The "
                       "evaluation would show 0.50 as well."),
            Wrong("d", "Dead units *send* 0; they would be zeros in the layer's inputs, and would "
                       "add to the zeros here. There are none."),
        ],
    )
)  # fmt: skip

EXERCISES.append(
    Choice(
        id="02.7",
        title="Before the sigmoid",
        trains="what the place of dropout does to a dropped unit",
        question=r"""
A unit computes $a = 2$ and has a sigmoid as its activation function; $\sigma(2) = 0.88$ and
$\sigma(4) = 0.98$. What it sends up in six training steps, at $p = \frac12$, in four networks:

| | step 1 | 2 | 3 | 4 | 5 | 6 |
|---|---|---|---|---|---|---|
| A | 0 | 1.76 | 1.76 | 0 | 0 | 1.76 |
| B | 0.50 | 0.98 | 0.98 | 0.50 | 0.50 | 0.98 |
| C | 0.88 | 0.88 | 0.88 | 0.88 | 0.88 | 0.88 |
| D | 0 | 0.98 | 0.98 | 0 | 0 | 0.98 |

In which of them does dropout stand *before* the sigmoid?
""",
        options={"a": "A", "b": "B", "c": "C", "d": "D"},
        answer="b",
        hints=[
            "Before the sigmoid, dropout makes 0 or 4 of $a = 2$.",
            "What is $\\sigma(0)$?",
        ],
        solution=r"""
Dropout makes 0 or $2/q = 4$ of $a$, and the sigmoid makes $\frac12$ or 0.98 of that: B. The unit
that is "dropped" sends $\frac12$ to everybody above. A has dropout after the sigmoid, where
$0.88 / q = 1.76$ and 0 are sent. C drops nothing. D mixes the two, and no order of the two layers
gives it.
""",
        wrong=[
            Wrong("a", "1.76 is $\\sigma(2)/q$: here the sigmoid came first and dropout acted on "
                       "what it sent."),
            Wrong("c", "Nothing is ever dropped or scaled in this row: it is what evaluation "
                       "sends."),
            Wrong("d", "0.98 is $\\sigma(4)$, as it is where dropout comes first. But then the "
                       "dropped steps would go through the sigmoid as well."),
        ],
    )
)  # fmt: skip

# ---- formulas -----------------------------------------------------------------------------------

EXERCISES.append(
    Formula(
        id="02.8",
        title="Exactly two survivors",
        trains="counting thinned networks by their size",
        question=r"""
Dropout with drop rate $p$ acts on $n$ units, $n \ge 2$. What is the probability that exactly two of
them stay, in $n$ and $p$? (Write binomial coefficients out.)
""",
        answer="n*(n - 1)/2*(1 - p)^2*p^(n - 2)",
        names={"n": (2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12), "p": RATES},
        also={"q": "1 - p"},
        equal=[
            "n(n-1) q^2 p^(n-2) / 2",
            "(n² - n)/2 q² p^n/p²",
            "n (n-1) p^n (q/p)^2 / 2",
        ],
        hints=[
            "One mask that keeps $k$ units has the probability $q^k p^{n-k}$.",
            "How many masks keep exactly two units? The first may be any of $n$, the second any of "
            "the others, and their order does not matter.",
            "There are $n(n-1)/2$ such masks, with the probability $q^2 p^{n-2}$ each.",
        ],
        solution=r"""
Two of $n$ units can be chosen in $\frac{n(n-1)}{2}$ ways, and each such mask has the probability
$q^2 p^{n-2}$: $\frac{n(n-1)}{2}\,(1-p)^2\,p^{n-2}$. For $n = 10$ and $p = 0.5$ that is 4.4 %.
""",
        wrong=[
            Wrong("(1 - p)^2 * p^(n - 2)", "That is the probability of one given mask that keeps "
                                           "two. There is one for every pair of units."),
            Wrong("n*(n - 1)*(1 - p)^2*p^(n - 2)", "You counted each pair twice: first unit 1 and "
                                                   "then 2, and first 2 and then 1."),
            Wrong("n*(n - 1)/2*p^2*(1 - p)^(n - 2)", "That is the probability that exactly two "
                                                     "*drop*: here $p$ belongs to those that go."),
            Wrong("n*(n - 1)/2*(1 - p)^2", "That lets the other $n - 2$ units do as they like. "
                                           "They all have to drop."),
            Wrong("n*(n - 1)/2/2^n", "You divided the number of masks by the number of all masks. "
                                     "At rates other than one half they are not equally probable."),
        ],
    )
)  # fmt: skip

EXERCISES.append(
    Formula(
        id="02.9",
        title="One mask for a minibatch with mixed labels",
        trains="the theorem on a shared mask, between its two ends",
        question=r"""
A logistic unit with weight 0 above one dropped unit: $h_b = 1$ for every example, and the unit
answers $\frac12$ whatever the mask, so that $\delta_b = \frac12 - y_b$. Of the $B$ labels $y_b$ of
a minibatch, $k$ are 1 and the others 0. How many times as large is the variance of the weight's
gradient with one mask for all as with a mask for each, in $k$ and $B$?
""",
        answer="(2*k - B)^2/B",
        names={"k": (0, 1, 2, 3, 5, 7, 11), "B": (12, 16, 20, 24, 32, 50)},
        equal=["(B - 2k)^2/B", "B - 4k + 4k^2/B", "B (1 - 2k/B)^2"],
        hints=[
            "The ratio is $(\\sum_b \\delta_b h_b)^2 / \\sum_b (\\delta_b h_b)^2$.",
            "$\\delta_b$ is $-\\frac12$ for the $k$ examples with label 1, and $+\\frac12$ for the "
            "others.",
            "The sum is $\\frac{B - k}{2} - \\frac k2$, and each square is $\\frac14$.",
        ],
        solution=r"""
The sum of the $\delta_b$ is $\frac{B-k}2 - \frac k2 = \frac{B - 2k}2$, and the sum of their squares
is $\frac B4$. The ratio is $\frac{(B-2k)^2}{B}$: it is $B$ if all labels are alike, and 0 if half
of them are 1. With 12 of 32 it is 2.
""",
        wrong=[
            Wrong("B", "That is the upper bound. It is reached if all $\\delta_b h_b$ are equal; "
                       "here some of them cancel."),
            Wrong("1", "With a shared mask the examples' noise is not independent any more, so the "
                       "covariances of all pairs come in."),
            Wrong("(2*k - B)^2", "You left out the denominator. Masks of their own have a variance "
                                 "too, which grows with the number of examples."),
            Wrong("(2*k - B)^2/B^2", "You took means where the theorem has sums. The square of a "
                                     "mean has $1/B^2$ in it, and a mean of squares only $1/B$: "
                                     "they do not cancel."),
            Wrong("k", "You left out the examples with label 0. Their $\\delta_b$ is "
                       "$+\\frac12$, not 0."),
            Wrong("(2*k - B)^2/(2*B)", "Look at the squares once more: the square of one half is "
                                       "one quarter."),
        ],
    )
)  # fmt: skip

# ---- code ---------------------------------------------------------------------------------------


def check_given(dropout):
    ones = [1.0] * 40
    turned = any(v != 0 for v in flat(dropout(ones, [0.0] * 40, 0.5)))
    out = dropout(ones, ones, 0.5)
    size = len(out) if isinstance(out, list) else 0
    yield expect(
        "there is a number for each unit", size == 40,
        f"For 40 units, all kept, `dropout` gives {size} numbers.",
        "return as many numbers as there are units",
    )  # fmt: skip
    yield expect(
        "units that the mask keeps stay", all(v != 0 for v in out),
        "With a mask of forty 1s, units are dropped all the same.",
        "use the mask that is given, and toss no coins",
        "turned" if turned and not any(out) else "coins" if any(out) else "none",
    )  # fmt: skip
    out = dropout([3.0, 1.5, 0.0, -6.0, 1.0], [1.0, 0.0, 1.0, 1.0, 0.0], 0.25)
    want = [4.0, 0.0, 0.0, -8.0, 0.0]
    yield expect(
        "each number is in its place", len(out) == 5, saw(dropout, out, want),
        "leave a 0 where a unit is dropped",
    )  # fmt: skip
    yield expect(
        "dropped units are 0", out[1] == 0 and out[4] == 0, saw(dropout, out, want),
        "look at the second and the fifth unit",
    )  # fmt: skip
    yield expect(
        "survivors are divided by 1 − p", close(out, want), saw(dropout, out, want),
        "3 divided by the keep probability is 4 here",
    )  # fmt: skip
    infinity = float("inf")
    out = dropout([infinity, 1.0], [0.0, 1.0], 0.5)
    yield expect(
        "a dropped infinity is 0", close(out, [0.0, 2.0]), saw(dropout, out, [0.0, 2.0]),
        "what is 0 times infinity? Choose by the mask and do not multiply by it",
    )  # fmt: skip
    out = dropout([infinity, 1.0], [1.0, 0.0], 0.5)
    yield expect(
        "an infinity that is kept stays one", out[0] == infinity and out[1] == 0,
        saw(dropout, out, [infinity, 0.0]), "leave survivors as they are, but for the factor",
    )  # fmt: skip


EXERCISES.append(
    Code(
        id="02.10",
        title="With a mask that is given",
        trains="the definition for one example, down to an overflow",
        question=r"""
Write `dropout(h, mask, p)`: what dropout with drop rate `p` passes on in training for one example
with the activations `h`, if the coins have fallen as `mask` says: a list or array of the numbers 1
(stay) and 0 (drop), as long as `h`. A dropped unit must be exactly 0, even if its activation has
overflowed to infinity. Four lines will do, on lists, in NumPy or in PyTorch.
""",
        given="""
def dropout(h, mask, p):
    ...
""",
        code="""
def dropout(h, mask, p):
    q = 1 - p
    return [v / q if m else 0.0 for v, m in zip(h, mask)]
""",
        alike=[
            """
import numpy as np

def dropout(h, mask, p):
    return np.where(mask, h / (1 - p), 0.0)
""",
            """
import torch

def dropout(h, mask, p):
    return (h / (1 - p)).masked_fill(mask == 0, 0.0)
""",
            """
import torch

def dropout(h, mask, p):
    sent = torch.zeros_like(h)
    kept = mask.bool()
    sent[kept] = h[kept] / (1 - p)
    return sent
""",
            """
def dropout(h, mask, p):
    sent = []
    for unit in range(len(h)):
        if mask[unit] == 1:
            sent.append(h[unit] / (1 - p))
        else:
            sent.append(0)
    return sent
""",
        ],
        check=check_given,
        in_page=True,
        hints=[
            "For each unit there are two cases: the mask says 1, or it says 0.",
            "`v / q if m else 0.0` for each activation `v` and its coin `m`; `zip` pairs them.",
            "In NumPy: `np.where(mask, h / q, 0.0)`.",
        ],
        solution="""
The mask *selects*. To multiply by it is the same for all finite numbers, but 0 times infinity is
NaN, which then spreads to every unit above.
""",
        wrong=[
            Slip("v / q if m else 0.0", "m * v / q", "You multiply by the mask, and 0 times "
                 "infinity is not 0 but NaN. One overflowed unit that was dropped would ruin the "
                 "whole step."),
            Slip("v / q if m", "v if m", "The coins are right, and the factor is missing: on "
                 "average a unit would send too little."),
            Slip("v / q if m", "v * q if m", "You multiply survivors by the keep probability. They "
                 "have to make up for those that are gone, so they must grow."),
            Slip("q = 1 - p", "q = p", "You divide by the probability to be dropped. At one half "
                 "you would not notice."),
            Slip("v / q if m else 0.0", "0.0 if m else v / q", "You read the mask the other way "
                 "round: here 1 means that the unit stays."),
            Slip("[v / q if m else 0.0 for v, m in zip(h, mask)]",
                 "[v / q for v, m in zip(h, mask) if m]", "You take the dropped units out of the "
                 "list, so those behind them move up and meet the weights of others."),
            Wrong("""
import random

def dropout(h, mask, p):
    q = 1 - p
    return [v / q if random.random() < q else 0.0 for v in h]
""", "You toss coins of your own. Here they have been tossed already, and the mask says how they "
     "fell."),
            Wrong("""
import numpy as np

def dropout(h, mask, p):
    return np.nan_to_num(h * mask / (1 - p))
""", "`nan_to_num` repairs the NaN, and hides every other one, too: a survivor that has "
     "overflowed becomes a finite number, and nobody sees the trouble."),
            Slip("v / q if m else 0.0 for v, m in zip(h, mask)",
                 "v * len(h) / sum(mask) if m else 0.0 for v, m in zip(h, mask)", "You scale by "
                 "how many units happen to survive. The factor of dropout is fixed, and does not "
                 "depend on the mask."),
        ],
    )
)  # fmt: skip


def check_training(dropout):
    x = [2.0, -1.0, 3.0, 1.0] * 10
    trained = dropout(x, 0.25, True)
    out = dropout(x, 0.25, False)
    both = flat(out).count(0.0) > 0 and flat(trained).count(0.0) > 0
    scaled = close(out, [0.75 * v for v in x])
    yield expect(
        "evaluation passes on its input", close(out, x), saw(dropout, out, x),
        "when `training` is false, return the numbers as they are",
        "both" if both else "drops" if flat(out).count(0.0) else "scaled" if scaled else "",
    )  # fmt: skip
    out = dropout([1.0] * 1500, 0.25, True)
    length = len(out) if isinstance(out, list) else "no list"
    yield expect(
        "as many numbers come out as go in", length == 1500,
        f"`dropout` of 1500 numbers in training gives {length} of them.",
        "leave a 0 for each number that is dropped",
    )  # fmt: skip
    eights = [dropout([1.0] * 8, 0.5, True) for _ in range(40)]
    counts = [eight.count(0.0) for eight in eights]
    yield expect(
        "each number has a coin of its own", any(0 < count < 8 for count in counts),
        "In training, forty calls for eight numbers at p = 0.5 dropped all eight or none, each "
        "time.", "toss inside the loop over the numbers", "together" if max(counts) else "never",
    )  # fmt: skip
    places = [sum(eight[j] == 0 for eight in eights) for j in range(8)]
    yield expect(
        "each call tosses anew", max(places) < 40,
        "Forty calls at p = 0.5 dropped a number in the same place, each time.",
        "draw new coins in each call",
    )  # fmt: skip
    yield expect(
        "how many survive varies", min(counts) < max(counts),
        f"Forty calls for eight numbers at p = 0.5 dropped exactly {counts[0]}, each time.",
        "let each coin fall without a look at the others",
    )  # fmt: skip
    kept = [v for v in out if v != 0]
    factor = mean(kept) if kept else 0.0
    yield expect(
        "survivors are divided by 1 − p", kept and close(kept, [4 / 3] * len(kept)),
        f"In training, with x = [1, 1, …] and p = 0.25, a survivor is {factor:.4g}; 1.333 is "
        "wanted.", "which factor makes the mean over the coins 1?",
        f"{factor:.2f}",
    )  # fmt: skip
    yield expect(
        "a share of 1 − p survives", plausible(len(kept), 1500, 0.75),
        f"In training, with p = 0.25, {len(kept)} of 1500 numbers survive; about 1125 are wanted.",
        "with which probability is a number kept?",
        "p" if len(kept) < 600 else "other",
    )  # fmt: skip
    out = dropout(x, 0.0, True)
    yield expect(
        "a rate of 0 drops nothing", close(out, x), saw(dropout, out, x),
        "with p = 0 a number is kept for certain",
    )  # fmt: skip


EXERCISES.append(
    Code(
        id="02.11",
        title="With two modes",
        trains="all of the definition, in one function",
        question=r"""
Write `dropout(x, p, training)`, as `torch.nn.functional.dropout` has it, for the numbers in `x`
with drop rate `p`. If `training` is true each number is dropped by a coin of its own or scaled up;
if it is false, `x` is passed on as it is.
""",
        given="""
import random

def dropout(x, p, training):
    ...
""",
        code="""
import random

def dropout(x, p, training):
    if not training:
        return x
    return [0.0 if random.random() < p else v / (1 - p) for v in x]
""",
        alike=[
            """
import torch

def dropout(x, p, training):
    return torch.nn.functional.dropout(x, p, training)
""",
            """
import torch

def dropout(x, p, training):
    keep = torch.rand(x.shape) >= p if training else torch.ones_like(x, dtype=torch.bool)
    return torch.where(keep, x / (1 - p * training), 0)
""",
            """
import numpy as np

def dropout(x, p, training):
    if training:
        x = x * np.random.binomial(1, 1 - p, size=np.shape(x)) / (1 - p)
    return x
""",
            """
import random

def dropout(x, p, training):
    out = list(x)
    if training:
        for k in range(len(out)):
            out[k] *= (random.random() >= p) / (1 - p)
    return out
""",
        ],
        check=check_training,
        power="1500 coins at 0.25: a rate off by 0.1 is found 99 times in 100",
        in_page=True,
        harmless={
            "random.random() < p -> random.random() <= p": "a coin equals p once in 2^53 tosses",
        },
        hints=[
            "Begin with the case that has nothing to do: `if not training: return x`.",
            "In training, for each number: dropped if `random.random() < p`.",
            "What is kept is divided by the keep probability, `1 - p`.",
        ],
        solution="""
Both modes have the same mean, so evaluation needs neither coins nor a factor. Each number has its
own coin, so how many survive differs from call to call, with mean `n q` and variance `n p q`.
""",
        wrong=[
            Slip("return x", "return [v * (1 - p) for v in x]", "You scale in evaluation as well. "
                 "Survivors are scaled up in training already, and once is enough."),
            Slip("if not training", "if training", "The two modes are swapped: you drop in "
                 "evaluation, and train without dropout."),
            Slip("""    if not training:
        return x
""", "",
                 "You toss coins whatever `training` says, so nobody could ever ask the "
                 "whole network."),
            Slip("v / (1 - p)", "v", "The mean over the coins falls short: what survives is not "
                 "scaled up in training, and nothing makes up for that in evaluation."),
            Slip("v / (1 - p)", "v / p", "You divide by the drop rate, so the smaller the loss, "
                 "the larger the factor."),
            Slip("random.random() < p", "random.random() > p", "A number between 0 and 1 lies "
                 "*above* `p` with probability `1 - p`: most are dropped that should stay."),
            Wrong("""
import random

def dropout(x, p, training):
    if not training:
        return x
    order = sorted(range(len(x)), key=lambda k: random.random())
    gone = order[:round(p * len(x))]
    return [0.0 if k in gone else v / (1 - p) for k, v in enumerate(x)]
""", "You drop the same number of units in each call. Independent coins do not know of each other: "
     "how many units survive has the variance `n p q`."),
            Wrong("""
import random

def dropout(x, p, training):
    if not training:
        return x
    keep = random.random() >= p
    return [v / (1 - p) if keep else 0.0 for v in x]
""", "You toss once for all numbers of a call, so they go together."),
            Wrong("""
import random

def dropout(x, p, training):
    if not training:
        return x
    random.seed(1)
    return [0.0 if random.random() < p else v / (1 - p) for v in x]
""", "Each call takes the same coins again: they were tossed only once, or the generator is seeded "
     "inside the function. So one thinned network is trained, and the others never."),
        ],
    )
)  # fmt: skip


def check_per_example(dropout):
    h = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
    out = dropout(h, 0.0)
    yield expect(
        "a rate of 0 drops nothing", close(out, h), saw(dropout, out, h),
        "with p = 0 every unit is kept, and nothing is scaled",
    )  # fmt: skip
    h = [[1.0] * 50 for _ in range(30)]
    out = dropout(h, 0.25)
    found = " × ".join(str(n) for n in shape(out))
    yield expect(
        "the shape stays", shape(out) == [30, 50] and all(shape(row) == [50] for row in out),
        f"For 30 examples of 50 units the result is {found or 'one number'}; 30 × 50 is wanted.",
        "return a row for each example",
    )  # fmt: skip
    kept = [v for v in flat(out) if v != 0]
    yield expect(
        "some are dropped, and some are not", 0 < len(kept) < 1500,
        f"With p = 0.25, {len(kept)} of 1500 units survive; about 1125 are wanted.",
        "compare a random number for each unit with the keep probability",
    )  # fmt: skip
    yield expect(
        "survivors are divided by 1 − p", close(kept, [4 / 3] * len(kept)),
        f"Survivors of 1 at p = 0.25 lie between {min(kept):.4g} and {max(kept):.4g}; 1.333 is "
        "wanted.", "divide by `1 - p`, whatever the mask",
        "same" if max(kept) - min(kept) < 0.001 else "differ",
    )  # fmt: skip
    whole = sum(row.count(0.0) in (0, 50) for row in out)
    yield expect(
        "each unit of an example has a coin", whole < 30,
        "In each of 30 examples all 50 units are dropped, or none.",
        "an example needs as many coins as it has units",
    )  # fmt: skip
    masks = len({tuple(v != 0 for v in row) for row in out})
    yield expect(
        "each example has a mask of its own", masks == 30,
        f"The 30 examples have {masks} different mask{'s' if masks > 1 else ''} among them.",
        "which shape has your array of random numbers, and which has `h`?",
    )  # fmt: skip
    counts = [row.count(0.0) for row in out]
    yield expect(
        "how many units an example loses varies", min(counts) < max(counts),
        f"Each of 30 examples loses exactly {counts[0]} of its 50 units.",
        "let each coin fall without a look at the others", "fixed",
    )  # fmt: skip
    yield expect(
        "a share of 1 − p survives", plausible(len(kept), 1500, 0.75),
        f"With p = 0.25, {len(kept)} of 1500 units survive; about 1125 are wanted.",
        "look at the comparison once more", "p" if len(kept) < 600 else "other",
    )  # fmt: skip
    again = dropout(h, 0.25)
    yield expect(
        "each step has new masks", again != out,
        "Two calls, which stand for two steps, give the same masks.",
        "let the generator go on where it was",
    )  # fmt: skip


EXERCISES.append(
    Code(
        id="02.12",
        title="One mask for the whole minibatch",
        trains="seeing in a shape who shares a coin with whom",
        question=r"""
A minibatch `h` has a row for each example and a column for each unit. This dropout in NumPy runs
without a complaint, and the mean of what it sends is right, but it is not the dropout of the
chapter's definition. Find the bug and mend it.
""",
        given="""
import numpy as np

rng = np.random.default_rng()

def dropout(h, p):
    q = 1 - p
    keep = rng.random(h.shape[1]) < q
    return np.where(keep, h / q, 0.0)
""",
        code="""
import numpy as np

rng = np.random.default_rng()

def dropout(h, p):
    q = 1 - p
    keep = rng.random(h.shape) < q
    return np.where(keep, h / q, 0.0)
""",
        alike=[
            """
import torch

def dropout(h, p):
    return torch.nn.functional.dropout(h, p)
""",
            """
import torch

def dropout(h, p):
    return h * torch.bernoulli(torch.full(h.shape, 1 - p)) / (1 - p)
""",
            """
import random

def dropout(h, p):
    return [[v / (1 - p) if random.random() >= p else 0.0 for v in row] for row in h]
""",
            """
import numpy as np

def dropout(h, p):
    rows = [row * (np.random.rand(len(row)) > p) for row in h]
    return np.stack(rows) / (1 - p)
""",
        ],
        check=check_per_example,
        power="1500 coins at 0.25: a rate off by 0.1 is found 99 times in 100; two of 30 masks of "
              "50 coins agree by chance with probability 3e-8",
        harmless={"rng.random(h.shape) < q -> rng.random(h.shape) <= q": "a coin equals q once in "
                  "2^53 tosses"},
        hints=[
            "Print `dropout(np.ones((3, 8)), 0.5)`. Compare the rows.",
            "`h.shape[1]` random numbers make one row, which broadcasts over all examples.",
            "Draw as many random numbers as `h` has entries: `rng.random(h.shape)`.",
        ],
        solution="""
`rng.random(h.shape[1])` makes one row of coins, and NumPy broadcasts it over the minibatch. With
`h.shape` each example has its own. The mean over many steps is right in both cases; what differs is
that with one mask the examples' noise does not average out.
""",
        wrong=[
            Slip("rng.random(h.shape)", "rng.random((1, h.shape[1]))", "A shape of one row still "
                 "broadcasts: it is the same mask for all examples, in other words."),
            Slip("rng.random(h.shape)", "rng.random((h.shape[0], 1))", "Now each example has *one* "
                 "coin, which decides over all its units. You broadcast along the other axis."),
            Slip("rng.random(h.shape)", "np.random.default_rng(0).random(h.shape)", "Each example "
                 "has its own mask now, but a generator that is made at seed 0 in each call "
                 "repeats them in every step."),
            Slip("h / q", "h", "The coins are right now; in mending them you lost the factor."),
            Slip("h / q", "h / np.maximum(keep.mean(axis=1, keepdims=True), 0.01)", "You divide by "
                 "the share that happens to survive in each example. It is the keep probability "
                 "that belongs there, the same for all."),
            Slip("< q", "< p", "You compare with the drop rate, so that those drop that should "
                 "stay."),
            Slip("rng.random(h.shape)",
                 "rng.random((h.shape[0] // 2, h.shape[1])).repeat(2, axis=0)",
                 "Two neighbours still share a mask. Each example needs coins that no other uses."),
            Slip("rng.random(h.shape)",
                 "rng.permuted(np.tile(rng.random(h.shape[1]), (h.shape[0], 1)), axis=1)",
                 "You deal the same coins out in another order, so all examples lose equally many "
                 "units. Coins that are tossed for each example do not keep count."),
        ],
    )
)  # fmt: skip


def check_module(Net):
    import torch

    yield expect(
        "it is a class of modules", isinstance(Net, type) and issubclass(Net, torch.nn.Module),
        "The class `Net` itself is wanted, a `torch.nn.Module`.", "write `q.check(Net)`",
    )  # fmt: skip
    net = Net(0.25)
    lower, upper = getattr(net, "lower", None), getattr(net, "upper", None)
    yield expect(
        "its two linear layers are where they were",
        isinstance(lower, torch.nn.Linear) and isinstance(upper, torch.nn.Linear)
        and (lower.in_features, lower.out_features, upper.in_features) == (8, 32, 32),
        "`Net(0.25)` has no `lower` of 8 to 32 and `upper` of 32 to 3 any more.",
        "keep `self.lower` and `self.upper`, and mend the rest",
    )  # fmt: skip
    with torch.no_grad():
        lower.bias.fill_(9.0)
        upper.bias.fill_(1.0)
    x = torch.linspace(-1, 1, 800).reshape(100, 8)
    used, sent = [], []

    def note(module, given):
        if isinstance(module, torch.nn.Dropout):
            used.append(module)
        if module is upper:
            sent.append(given[0])

    hook = torch.nn.modules.module.register_module_forward_pre_hook(note)
    try:
        with torch.no_grad():
            want_sent = torch.relu(lower(x))
            want = torch.nn.functional.linear(want_sent, upper.weight, upper.bias)
            net.eval()
            evaluated = [net(x), net(x)]
            layers = list(used)
            net.train()
            trained = [net(x), net(x)]
    finally:
        hook.remove()
    right = all(isinstance(out, torch.Tensor) and out.shape == (100, 3)
                for out in evaluated + trained)  # fmt: skip
    yield expect(
        "it answers with three numbers for each example", right,
        "For 100 examples of 8 numbers the result is no tensor of 100 × 3.",
        "return `self.upper(h)`",
    )  # fmt: skip
    drops = not torch.equal(*trained)
    way = "function" if not layers else "list" if layers[0] is layers[-1] else "fresh"
    yield expect(
        "in evaluation mode it answers the same twice", torch.equal(*evaluated),
        "After `net.eval()`, two calls with the same input give different answers.",
        "what tells the dropout in `forward` that the mode has changed?",
        way if drops else "swapped",
    )  # fmt: skip
    ratio = ((evaluated[0] - 1) / (want - 1)).median().item()
    yield expect(
        "evaluation is the network without dropout", torch.allclose(evaluated[0], want, atol=1e-4),
        f"After `net.eval()` the inputs of `upper` weigh {ratio:.2f} times what they do without "
        "dropout.", "in evaluation mode let `h` pass as it is",
    )  # fmt: skip
    yield expect(
        "in training mode it drops", drops,
        "After `net.train()`, two calls with the same input give the same answer.",
        "dropout must follow the mode, and not be off for good",
    )  # fmt: skip
    called = len(sent) > 0 and sent[-1].shape == want_sent.shape
    yield expect(
        "`upper` gets the hidden units", called,
        "`self.upper` is not called on the 32 hidden numbers of each example.",
        "return `self.upper(h)`",
    )  # fmt: skip
    factor = sent[-1] / want_sent
    kept = int((factor != 0).sum())
    yield expect(
        "dropout acts on the hidden units", 0 < kept < 3200,
        f"In training, {kept} of the 3200 numbers that `upper` receives are other than 0.",
        "drop between `relu` and `upper`",
        "after" if kept and torch.equal(sent[-1], want_sent) else "before" if kept else "all",
    )  # fmt: skip
    masks = factor != 0
    torn = bool((masks.any(1) & ~masks.all(1)).any())
    yield expect(
        "each hidden number has a coin of its own", torn and len(masks.unique(dim=0)) > 50,
        "In training, the hidden numbers of an example go together." if not torn else
        "In training, examples share their masks.", "draw a coin for each entry of `h`",
    )  # fmt: skip
    largest = factor.max().item()
    yield expect(
        "survivors are divided by 1 − p",
        torch.allclose(factor[factor != 0], torch.tensor(4 / 3), atol=1e-3),
        f"With p = 0.25 a survivor is {largest:.3g} times its activation; 1.333 is wanted.",
        "`F.dropout` takes the drop rate, and has the factor in it",
    )  # fmt: skip
    yield expect(
        "a share of 1 − p survives", plausible(kept, 3200, 0.75),
        f"With p = 0.25, {kept} of 3200 hidden numbers survive; about 2400 are wanted.",
        "hand `self.p` on as it is",
    )  # fmt: skip


EXERCISES.append(
    Code(
        id="02.13",
        title="The dropout that eval() cannot reach",
        trains="the second of the six traps, in a module",
        question=r"""
This network answers differently each time it is asked, even after `net.eval()`. Mend it so that
dropout follows the mode: on after `train()`, off after `eval()`. `Net(p)` must keep its layers
`lower` and `upper`, and dropout its place between them.
""",
        given="""
import torch
import torch.nn.functional as F

class Net(torch.nn.Module):
    def __init__(self, p=0.5):
        super().__init__()
        self.p = p
        self.lower = torch.nn.Linear(8, 32)
        self.upper = torch.nn.Linear(32, 3)

    def forward(self, x):
        h = torch.relu(self.lower(x))
        h = F.dropout(h, self.p)
        return self.upper(h)
""",
        code="""
import torch
import torch.nn.functional as F

class Net(torch.nn.Module):
    def __init__(self, p=0.5):
        super().__init__()
        self.p = p
        self.lower = torch.nn.Linear(8, 32)
        self.upper = torch.nn.Linear(32, 3)

    def forward(self, x):
        h = torch.relu(self.lower(x))
        h = F.dropout(h, self.p, training=self.training)
        return self.upper(h)
""",
        alike=[
            """
import torch

class Net(torch.nn.Module):
    def __init__(self, p=0.5):
        super().__init__()
        self.lower = torch.nn.Linear(8, 32)
        self.dropout = torch.nn.Dropout(p)
        self.upper = torch.nn.Linear(32, 3)

    def forward(self, x):
        return self.upper(self.dropout(torch.relu(self.lower(x))))
""",
            """
import torch

class Net(torch.nn.Module):
    def __init__(self, p=0.5):
        super().__init__()
        self.p = p
        self.lower, self.upper = torch.nn.Linear(8, 32), torch.nn.Linear(32, 3)

    def forward(self, x):
        h = self.lower(x).relu()
        if self.training:
            h = torch.nn.functional.dropout(h, self.p)
        return self.upper(h)
""",
            """
import torch

class Net(torch.nn.Module):
    def __init__(self, p=0.5):
        super().__init__()
        self.lower = torch.nn.Linear(8, 32)
        self.upper = torch.nn.Linear(32, 3)
        self.between = torch.nn.ModuleList([torch.nn.ReLU(), torch.nn.Dropout(p)])

    def forward(self, x):
        h = self.lower(x)
        for layer in self.between:
            h = layer(h)
        return self.upper(h)
""",
            """
import torch

class Net(torch.nn.Module):
    def __init__(self, p=0.5):
        super().__init__()
        self.p = p
        self.lower = torch.nn.Linear(8, 32)
        self.upper = torch.nn.Linear(32, 3)

    def forward(self, x):
        h = torch.relu(self.lower(x))
        if self.training:
            h = h * (torch.rand_like(h) >= self.p) / (1 - self.p)
        return self.upper(h)
""",
        ],
        takes="object",
        check=check_module,
        power="3200 coins at 0.25: a rate off by 0.07 is found 99 times in 100",
        harmless={"0.5 -> 1.5": "the check, as the question, gives p"},
        hints=[
            "`F.dropout` is a function. It has no mode that `eval()` could switch.",
            "Every module knows its own mode: `self.training`.",
            "`F.dropout` has a third parameter, `training`, which is True by default.",
        ],
        solution="""
`eval()` sets `training` to False on the module, and `F.dropout` has to be told. The other way is
an `nn.Dropout` as an attribute, made in `__init__`, which `eval()` reaches by itself.
""",
        wrong=[
            Slip("training=self.training", "training=False", "Now it is off in both modes: the "
                 "network is trained without dropout."),
            Slip("training=self.training", "training=True", "True is what it was by default. The "
                 "function has to be told which mode the module is in."),
            Slip("training=self.training", "training=not self.training", "You turned the flag "
                 "round: `self.training` is True in training mode."),
            Slip("F.dropout(h, self.p, training=self.training)", "torch.nn.Dropout(self.p)(h)",
                 "You make a new module in each call. It starts in training mode, and `eval()` "
                 "came too early to reach it."),
            Wrong("""
import torch

class Net(torch.nn.Module):
    def __init__(self, p=0.5):
        super().__init__()
        self.lower = torch.nn.Linear(8, 32)
        self.upper = torch.nn.Linear(32, 3)
        self.between = [torch.nn.ReLU(), torch.nn.Dropout(p)]

    def forward(self, x):
        h = self.lower(x)
        for layer in self.between:
            h = layer(h)
        return self.upper(h)
""", "A plain list hides its modules from the network. `torch.nn.ModuleList` makes them known."),
            Slip("training=self.training)", "training=self.training) * (1 if self.training else "
                 "1 - self.p)", "You scale in evaluation, which vanilla dropout needs. PyTorch's "
                 "function has scaled up in training."),
            Slip("F.dropout(h, self.p, ", "F.dropout(h, 1 - self.p, ", "You hand over the keep "
                 "probability. PyTorch's `p` is the probability to drop."),
            Wrong("""
import torch
import torch.nn.functional as F

class Net(torch.nn.Module):
    def __init__(self, p=0.5):
        super().__init__()
        self.p = p
        self.lower = torch.nn.Linear(8, 32)
        self.upper = torch.nn.Linear(32, 3)

    def forward(self, x):
        h = torch.relu(self.lower(x))
        return F.dropout(self.upper(h), self.p, self.training)
""", "You drop the network's answers, the scores of the classes, and not the hidden units."),
            Wrong("""
import torch
import torch.nn.functional as F

class Net(torch.nn.Module):
    def __init__(self, p=0.5):
        super().__init__()
        self.p = p
        self.lower = torch.nn.Linear(8, 32)
        self.upper = torch.nn.Linear(32, 3)

    def forward(self, x):
        h = F.dropout(x, self.p, self.training)
        return self.upper(torch.relu(self.lower(h)))
""", "You drop the network's inputs. That exists too, at smaller rates; but here the dropout was "
     "on the hidden units."),
            Slip("F.dropout(h, self.p, training", "F.dropout1d(h, self.p, training", "`dropout1d` "
                 "drops whole channels, and takes the rows of a matrix for those: one coin for "
                 "each example."),
        ],
    )
)  # fmt: skip


def check_channels(drop_channels):
    x = [[2.0, -1.0], [3.0, 1.0], [0.5, 4.0]]
    out = drop_channels(x, 0.0)
    yield expect(
        "a rate of 0 drops nothing", close(out, x), saw(drop_channels, out, x),
        "give back a list with a list for each channel",
    )  # fmt: skip
    out = drop_channels([[1.0] * 3 for _ in range(400)], 0.25)
    found = " × ".join(str(n) for n in shape(out))
    yield expect(
        "the shape stays", shape(out) == [400, 3] and all(shape(row) == [3] for row in out),
        f"Of 400 channels with 3 pixels each, {found} come out.",
        "leave zeros where a channel is dropped",
    )  # fmt: skip
    first, second = drop_channels([[1.0] * 30] * 2, 0.5)
    places = first == second and 0 < first.count(0.0) < 30
    fours = [flat(drop_channels([[1.0]] * 4, 0.5)).count(0.0) for _ in range(40)]
    yield expect(
        "each channel has a coin of its own", any(0 < n < 4 for n in fours),
        "Forty calls for four channels of one pixel at p = 0.5 dropped all four or none, each "
        "time.", "toss for each channel, inside the loop over channels",
        "places" if places else "one" if max(fours) else "never",
    )  # fmt: skip
    yield expect(
        "how many channels drop varies", min(fours) < max(fours),
        f"Forty calls for four channels at p = 0.5 dropped exactly {fours[0]}, each time.",
        "let each channel's coin fall by itself",
    )  # fmt: skip
    torn = sum(0 < row.count(0.0) < 3 for row in out)
    yield expect(
        "a channel stays or drops as a whole", torn == 0,
        f"Of 400 channels, {torn} have lost some of their pixels and kept others.",
        "toss before the loop over the pixels of a channel", "torn",
    )  # fmt: skip
    kept = [v for v in flat(out) if v != 0]
    factor = mean(kept) if kept else 0.0
    yield expect(
        "survivors are divided by 1 − p", close(kept, [4 / 3] * len(kept)),
        f"With pixels of 1 and p = 0.25 a surviving pixel is {factor:.4g}; 1.333 is wanted.",
        "the factor is that of ordinary dropout",
    )  # fmt: skip
    stay = len(kept) // 3
    yield expect(
        "a share of 1 − p survives", plausible(stay, 400, 0.75),
        f"With p = 0.25, {stay} of 400 channels survive; about 300 are wanted.",
        "with which probability must a channel be kept?", "p" if stay < 160 else "other",
    )  # fmt: skip
    out = drop_channels([[2.0, -3.0, 0.0]] * 40, 0.5)
    whole = [row for row in out if row != [0.0, 0.0, 0.0]]
    want = [4.0, -6.0, 0.0]
    yield expect(
        "each pixel keeps its own value", all(close(row, want) for row in whole),
        "A channel [2, -3, 0] that survives p = 0.5 must be [4, -6, 0]; not all are.",
        "scale each pixel by itself",
    )  # fmt: skip


EXERCISES.append(
    Code(
        id="02.14",
        title="A coin for each channel",
        trains="choosing who shares a coin",
        question=r"""
Neighbouring pixels of an image tell much the same, so a convolutional network hardly misses single
ones. *Channel dropout* (`nn.Dropout2d` in PyTorch) therefore drops whole channels: all pixels of a
channel share a coin. Write `drop_channels(x, p)` for one example in training. `x` is a list of
channels, each of them a list of its pixels, or an array or tensor with a row for each channel. Each
channel is dropped with probability $p$, and the pixels of the others are scaled as in ordinary
dropout.
""",
        given="""
import random

def drop_channels(x, p):
    ...
""",
        code="""
import random

def drop_channels(x, p):
    out = []
    for channel in x:
        factor = 0.0 if random.random() < p else 1 / (1 - p)
        out.append([factor * v for v in channel])
    return out
""",
        alike=[
            """
import torch

def drop_channels(x, p):
    return torch.nn.functional.dropout1d(x, p)
""",
            """
import torch

def drop_channels(x, p):
    return x * torch.nn.functional.dropout(torch.ones(len(x), 1), p)
""",
            """
import numpy as np

def drop_channels(x, p):
    keep = np.random.random((x.shape[0], 1)) >= p
    return np.where(keep, x / (1 - p), 0.0)
""",
            """
import random

def drop_channels(x, p):
    q = 1 - p
    keep = [random.random() < q for _ in x]
    return [[v / q if k else 0.0 for v in row] for row, k in zip(x, keep)]
""",
        ],
        check=check_channels,
        power="400 coins at 0.25: a share off by 0.18 is found 99 times in 100",
        in_page=True,
        harmless={
            "random.random() < p -> random.random() <= p": "a coin equals p once in 2^53 tosses",
        },
        hints=[
            "Toss once for each channel, before you look at its pixels.",
            "A channel's factor is `0.0` with probability `p`, and `1 / (1 - p)` otherwise.",
            "`[factor * v for v in channel]` is what is sent for this channel.",
        ],
        solution="""
The coin is tossed in the loop over channels and outside of the loop over pixels. Mean and factor
are those of ordinary dropout. What differs is who shares a coin, and with that how the noise adds
up: the pixels of a channel cannot stand in for each other.
""",
        wrong=[
            Wrong("""
import random

def drop_channels(x, p):
    return [[v / (1 - p) if random.random() >= p else 0.0 for v in channel] for channel in x]
""", "That is ordinary dropout: each pixel has its own coin, and the neighbours tell what it would "
     "have told."),
            Wrong("""
import random

def drop_channels(x, p):
    factors = [0.0 if random.random() < p else 1 / (1 - p) for _ in x[0]]
    return [[f * v for f, v in zip(factors, channel)] for channel in x]
""", "You toss for each *place* of the image and drop it in all channels. It is the channels that "
     "have coins."),
            Wrong("""
import random

def drop_channels(x, p):
    factor = 0.0 if random.random() < p else 1 / (1 - p)
    return [[factor * v for v in channel] for channel in x]
""", "You toss once for the whole image, so that all channels go together."),
            Slip("1 / (1 - p)", "1.0", "The channels that survive are not scaled, so that the next "
                 "layer gets too little on average."),
            Slip("1 / (1 - p)", "1 / p if p else 1.0", "You scale by the drop rate's inverse. A "
                 "channel is kept with probability `1 - p`."),
            Slip("random.random() < p", "random.random() < 1 - p and p > 0", "You drop a channel "
                 "with the probability with which it should be kept."),
            Slip("        out.append([factor * v for v in channel])",
                 "        if factor:\n            out.append([factor * v for v in channel])",
                 "You leave out the channels that are dropped. The next layer's filters expect all "
                 "of them, each at its number."),
            Slip("[factor * v for v in channel]", "[factor * sum(channel) / len(channel)] * "
                 "len(channel)", "You replace the pixels of a channel by their mean. They share a "
                 "coin, not a value."),
            Wrong("""
import random

def drop_channels(x, p):
    gone = sorted(range(len(x)), key=lambda k: random.random())[:round(p * len(x))]
    return [[0.0 if k in gone else v / (1 - p) for v in c] for k, c in enumerate(x)]
""", "You drop a fixed number of channels. With coins of their own that number varies, and now and "
     "then no channel drops at all."),
        ],
    )
)  # fmt: skip

# ---- an experiment ------------------------------------------------------------------------------

EXERCISES.append(
    Open(
        id="02.15",
        title="Dilution in place of dropout",
        trains="telling what fresh coins are good for, apart from missing units",
        question=r"""
What if the coins were tossed once, and the mask frozen? Train `network(0.5)` of this chapter (plain
PyTorch, `.double()`, full batch, SGD with learning rate 0.1 and momentum 0.9, 300 steps, the 300
digits) in two ways, from three seeds each:

- with dropout, and evaluate it after `model.eval()`;
- *diluted*: draw one mask `m = (torch.rand(256) < 0.5).double() / 0.5` before the first step,
  compute `model[3](model[:2](x) * m)` in every step, and evaluate with the same mask.

Compare the mean losses on the validation images, in evaluation. By how many percent is the loss of
the diluted networks higher?
""",
        answer=41,
        within=0.28,
        unit="percent",
        follows="Then a mean loss of 0.2 with dropout goes with one of "
                "{0.2 * (1 + answer / 100)} diluted.",
        hints=[
            "The loop is that of the section on one line of PyTorch; only the line that computes "
            "the scores differs.",
            "Evaluate with `torch.no_grad()`; the number asked for is "
            "`100 * (diluted.mean() / with_dropout.mean() - 1)`, of two arrays of three losses.",
        ],
        solution=r"""
The loss is 0.28 in place of 0.20, about two fifths higher, while the accuracy is the same, 95.3 %
for both. A diluted network is simply a smaller one: half of its units never take part. In the same
experiment the whole network without any mask has 0.23. So missing units as such raise the loss
here; it falls when others are missing each time. Whoever looks at the accuracy only sees nothing
of it.
""",
        reference="Validation images of the chapter's split (seed 0). Thirty seeds, in groups of "
        "three, the same for both ways: 37 to 49 percent, mean 41, standard deviation 3.6; five "
        "groups with other seeds for each way: 38 to 42. Mean losses 0.196 with dropout and 0.276 "
        "diluted, accuracies 95.3 % and 95.3 %. With p = 0, fifteen seeds: 0.235 and 95.2 %. About "
        "2 seconds for six networks.",
        rubric=[
            "The loss of each network and not the mean alone, so that one sees how far seeds lie "
            "apart.",
            "Loss and accuracy, both.",
            "A control without any mask, with 256 units.",
            "That both ways had the same learning rate and number of steps, and that neither was "
            "tuned.",
        ],
        wrong=[
            Wrong(0, "You may have compared accuracies, which hardly differ, or your diluted "
                     "network draws a new mask in each step."),
            Wrong(16, "That is about what you get if the diluted network is evaluated with *all* "
                      "its units. Those that never took part then add noise, and the others lose "
                      "their factor."),
            Wrong(0.41, "Is that a share? The number is asked for in percent."),
            Wrong(-29, "You divided the other way round: that is by how much dropout is lower."),
            Wrong(141, "That is the one loss in percent of the other. By how much is it *higher*?"),
        ],
    )
)  # fmt: skip
