"""Chapter 13, the training recipe."""

from dropout.exercises.forms import Choice, Code, Exercise, Formula, Number, Open, Slip, Wrong
from dropout.exercises.probes import close, expect, saw

EXERCISES: list[Exercise] = []

# ---- by hand ------------------------------------------------------------------------------------

EXERCISES.append(
    Number(
        id="13.1",
        title="Cut back to 3.5",
        trains="max-norm, by hand",
        question=r"""
The weights into a unit are $(2, -3, 6)$, its bias is 5. Max-norm with $c = 3.5$ is applied. What is
the second weight after that?
""",
        answer=-1.5,
        within=0.02,
        follows="All weights are multiplied by one factor: the third would be {-2 * answer}.",
        hints=[
            "How long is the arrow? Max-norm leaves the bias alone.",
            "$\\sqrt{4 + 9 + 36} = 7$. By what has an arrow of the length 7 to be multiplied?",
            "By $3.5 / 7$. Multiply $-3$ by it.",
        ],
        solution=r"""
The length is $\sqrt{2^2 + 3^2 + 6^2} = 7 > 3.5$. All three weights are multiplied by
$3.5 / 7 = \frac12$, and the second becomes $-1.5$. The bias stays 5.
""",
        wrong=[
            Wrong(-3, "You have compared each weight with $c$, or left the arrow as it was. It is "
                      "the *length* of all the weights together that is bounded."),
            Wrong(-1.2207, "You have counted the bias in. Max-norm bounds the weights that inputs "
                           "come in by; biases are free."),
            Wrong(-0.2143, "You have multiplied by $c / \\lVert w \\rVert^2$. What makes an arrow "
                           "of the length $c$ is $c$ over the length."),
            Wrong(1.5, "The direction of the arrow stays, and with it each sign."),
            Wrong(-0.9545, "You have divided by the sum of the absolute values, 11. The length is "
                           "the root of the sum of squares."),
        ],
    )
)  # fmt: skip

EXERCISES.append(
    Number(
        id="13.2",
        title="The loudest the noise can be",
        trains="what max-norm bounds about dropout's noise",
        question=r"""
A unit reads inputs between $-2$ and $2$ through inverted dropout at $p = 0.2$. Its incoming weights
have max-norm with $c = 3$. How great can the *standard deviation* be that the masks give to its
input?
""",
        answer=3.0,
        within=0.02,
        follows="The noise would then have the variance {answer ** 2}, which is {answer ** 2 / 36} "
                "times the square of 6, the most that one input sends in evaluation.",
        hints=[
            "$\\operatorname{Var} a = \\frac pq \\sum_j w_j^2 x_j^2$.",
            "It is greatest where the whole length lies on an input of the size 2.",
            "$\\frac{0.2}{0.8} \\cdot 3^2 \\cdot 2^2 = 9$ is the variance.",
        ],
        solution=r"""
The variance is at most $\frac pq c^2 \max_j x_j^2 = 0.25 \cdot 9 \cdot 4 = 9$, where all of the
length lies on one input of the size 2. The standard deviation is 3.
""",
        wrong=[
            Wrong(9, "That is the variance. Its root was asked for."),
            Wrong(2.6833, "You have taken $p$ for $p/q$. Inverted dropout divides by $q$, and "
                          "makes the noise louder by it."),
            Wrong(12, "You have taken $q/p$, which is the odds that a unit stays."),
            Wrong(1.5, "You have left out the size of the inputs."),
            Wrong(2.4, "That is with vanilla dropout, whose variance is $pq \\sum_j w_j^2 x_j^2$: "
                       "nothing is divided by $q$ in training there."),
            Wrong(1.7321, "You have put $c$ in place of $c^2$."),
        ],
    )
)  # fmt: skip

EXERCISES.append(
    Number(
        id="13.3",
        title="More momentum, the same step",
        trains="changing momentum without changing the step",
        question=r"""
A network trains well by SGD with momentum 0.9 and `lr=0.1`. You raise the momentum to 0.98. Which
`lr` leaves the step in the long run as it was?
""",
        answer=0.02,
        within=0.02,
        follows="With it a steady gradient moves the weights by {answer / 0.02} times itself each "
                "step in the long run.",
        hints=[
            "A steady gradient moves the weights by $\\mathrm{lr} / (1 - \\mu)$ times itself.",
            "Before it was $0.1 / 0.1 = 1$.",
        ],
        solution=r"""
$\mathrm{lr} / (1 - 0.98) = 0.1 / (1 - 0.9) = 1$, so that $\mathrm{lr} = 0.02$. With `lr` left at
0.1 the step would be five times as long.
""",
        wrong=[
            Wrong(0.1, "Then the step in the long run is five times as long: momentum adds up what "
                       "steps leave behind."),
            Wrong(0.5, "You have turned the ratio round: more momentum calls for a smaller `lr`."),
            Wrong(0.0918, "You have divided by the momenta. What counts is what they lack to 1."),
            Wrong(0.002, "You have multiplied by $1 - 0.98$ and forgotten the $1 - 0.9$ that was "
                         "there before."),
        ],
    )
)  # fmt: skip

# ---- choices ------------------------------------------------------------------------------------

EXERCISES.append(
    Choice(
        id="13.4",
        title="Predict: from nothing to four fifths",
        trains="saying beforehand what the curve of the rate looks like",
        question=r"""
Networks of two hidden layers with 64 units, 1,000 images of MNIST, every rate with its own learning
rate and its own stop. How does the test loss go as the drop rate of both hidden layers rises from 0
to 0.8? Commit yourself before you look at the figure.
""",
        options={
            "a": "It falls all the way: the more dropout, the better.",
            "b": "It falls to a sharp minimum at 0.5, and rises as fast.",
            "c": "It changes little over a wide range, and rises at the end.",
            "d": "It rises all the way: with a stop in time dropout has nothing to give.",
        },
        answer="c",
        reveals="fig-which-rate",
        hints=[
            "The noise is p/q: 0.25 at 0.2, 1 at 0.5, 4 at 0.8. Is there a bend at one half?",
            "What did the first chapter find for 0.1 and for 0.8?",
        ],
        solution=r"""
It stays nearly level up to one half, a little lower at 0.2, and is far higher at 0.8. Nothing
singles out one half, and small differences between rates in the trough take many runs to be told
apart.
""",
        wrong=[
            Wrong("a", "At 0.8 a layer of 64 has 13 units on average, and the noise is 16 times "
                       "that at 0.2. There must be an end to it."),
            Wrong("b", "What would have to happen at one half? The noise, p/q, goes through it "
                       "smoothly, and near a smooth minimum a curve is flat."),
            Wrong("d", "The networks without dropout have their own best stop too, and 1,000 "
                       "images are few for them. In the first chapter dropout had something left "
                       "to give."),
        ],
    )
)  # fmt: skip

EXERCISES.append(
    Choice(
        id="13.5",
        title="Which rate do you take?",
        trains="choosing the rate by what counts",
        question=r"""
A regression with dropout, each rate at its own best stop; three losses each:

| rate | training, as printed | training, evaluation mode | validation |
|---|---|---|---|
| 0 | 0.31 | 0.31 | 0.52 |
| 0.1 | 0.40 | 0.33 | 0.47 |
| 0.2 | 0.44 | 0.36 | 0.46 |
| 0.3 | 0.50 | 0.41 | 0.50 |
| 0.5 | 0.66 | 0.55 | 0.61 |

Repeated runs of one rate differ by 0.02 or so. Which do you take?
""",
        options={
            "a": "0.3, where the printed training loss and the validation loss meet.",
            "b": "0.5, where the validation loss lies below the printed training loss.",
            "c": "0.1 or 0.2: they are lowest on validation data, and not to be told apart.",
            "d": "0, whose training loss is the lowest.",
            "e": "0.5, where the gap in evaluation mode is the smallest.",
        },
        answer="c",
        hints=[
            "Which of the three columns stands for data the network has not seen?",
            "How far apart are the two lowest numbers in it, against what runs differ by?",
        ],
        solution=r"""
The validation loss is what is to be low: 0.46 and 0.47, with runs that differ by 0.02, are one and
the same. The gap closes at higher rates because the *training* loss rises.
""",
        wrong=[
            Wrong("a", "That two curves meet says that one of them has dropout in it. What is the "
                       "validation loss there, and what is it elsewhere?"),
            Wrong("b", "A printed loss above the validation loss is what dropout does to the "
                       "printed loss. It is no merit of the rate."),
            Wrong("d", "By that rule one would never regularise: every regulariser raises the "
                       "training loss."),
            Wrong("e", "A network that has learned nothing has no gap at all. The gap is not what "
                       "you will be paid for."),
        ],
    )
)  # fmt: skip

EXERCISES.append(
    Choice(
        id="13.6",
        title="A search says: no dropout",
        trains="reading the winner of a large search",
        question=r"""
A search over 3,500 combinations of learning rate, width (8 to 32 units), budget (5 or 10 epochs)
and drop rates, one run each, has a winner with rate 0 in every layer. The runner-up has 0.2 and a
loss 2% higher; two runs of one combination differ by 4%. What does it show?
""",
        options={
            "a": "That dropout hurts on these data.",
            "b": "That the search has a bug: dropout never hurts.",
            "c": "Little: the two cannot be told apart by one run each, and narrow networks with "
                 "short budgets are where dropout has least to give.",
            "d": "That the rates searched were too small.",
        },
        answer="c",
        hints=[
            "How large is the difference, against what two runs of one combination differ by?",
            "Who of 3,500 is the winner, if all of them are equally good?",
        ],
        solution=r"""
With 4% between runs, the winner of thousands is above all the luckiest. And the grid leans to rate
0: networks of 8 to 32 units can spare few of them, and 5 or 10 epochs may be too few for the slower
start of dropout. Take the best few of each rate, give them wider layers and time, and run each a
dozen times.
""",
        wrong=[
            Wrong("a", "It may. But a difference of half of what chance makes shows neither that "
                       "nor the contrary."),
            Wrong("b", "Dropout can hurt: in narrow networks, at short budgets, where nothing "
                       "overfits."),
            Wrong("d", "Nothing in the result points that way. Look at what else the grid holds, "
                       "and at how many runs there were."),
        ],
    )
)  # fmt: skip

# ---- formulas -----------------------------------------------------------------------------------

EXERCISES.append(
    Formula(
        id="13.7",
        title="What pairing saves",
        trains="why arms are compared on the same training sets",
        question=r"""
Two rates are tried on the same $n$ training sets. The losses of each rate have the standard
deviation $s$ over sets, and the two losses on one set have the correlation $r$ (a hard set is hard
for both). What is the variance of the mean difference over the $n$ sets, in `s`, `r` and `n`?
""",
        answer="2 s^2 (1 - r) / n",
        names={
            "s": (0.01, 0.02, 0.5, 1.0, 2.0),
            "r": (0.0, 0.3, 0.5, 0.9, 0.95),
            "n": (2, 5, 8, 20, 100),
        },
        equal=["2 s**2/n - 2 r s**2/n", "(s^2 + s^2 - 2 r s^2)/n", "2(1-r) s^2/n"],
        hints=[
            "The variance of a difference is the sum of the variances less twice the covariance.",
            "The covariance is $r s \\cdot s$. One pair has $2 s^2 - 2 r s^2$.",
            "The sets are independent, so that the mean of $n$ differences has an $n$-th of it.",
        ],
        solution=r"""
One difference has the variance $s^2 + s^2 - 2 r s^2 = 2 s^2 (1 - r)$, and the mean of $n$
independent ones an $n$-th of it. At $r = 0.9$ that is a tenth of what two separate groups of sets
would have: a tenth of the training.
""",
        wrong=[
            Wrong("2 s^2 / n", "That is so for two groups of sets that have nothing in common. "
                               "What does a hard set do to both losses?"),
            Wrong("2 s^2 (1 + r) / n", "A set that is hard for both moves both losses the same "
                                       "way. Does their difference feel that more, or less?"),
            Wrong("s^2 (1 - r) / n", "Both losses vary: the variances of the two add."),
            Wrong("2 s^2 (1 - r) / n^2", "You have divided by $n$ once too often: the variance of "
                                         "a sum of $n$ is $n$ times that of one, and the mean "
                                         "divides it by $n^2$."),
            Wrong("2 s (1 - r) / n", "Variances are squares of standard deviations."),
        ],
    )
)  # fmt: skip

# ---- code ---------------------------------------------------------------------------------------


def check_bound(bound):
    W = [[3.0, 4.0, 0.0], [0.3, 0.4, 0.0]]
    out = bound(W, 2.0)
    want = [[1.2, 1.6, 0.0], [0.3, 0.4, 0.0]]
    rows = isinstance(out, list) and len(out) == 2 and all(isinstance(r, list) for r in out)
    yield expect(
        "the matrix keeps its shape", rows and all(len(r) == 3 for r in out),
        saw(bound, out, want), "make a row for each row of `W`",
    )  # fmt: skip
    yield expect(
        "a row that is short enough stays as it is", close(out[1], want[1]),
        saw(bound, out, want), "compare the length of each row with c, before you scale it",
    )  # fmt: skip
    yield expect(
        "a row that is too long gets the length c", close(out[0], want[0]),
        saw(bound, out, want), "which factor takes a row of the length 5 to the length 2?",
    )  # fmt: skip
    W = [[0.0, 3.0], [4.0, 0.0]]
    out = bound(W, 3.5)
    want = [[0.0, 3.0], [3.5, 0.0]]
    yield expect(
        "each unit has a length of its own", close(out, want), saw(bound, out, want),
        "what leads into one unit is one row",
    )  # fmt: skip
    W = [[1.0, 1.0, 1.0, 1.0], [-1.0, -2.0, 2.0, 0.0]]
    out = bound(W, 1.5)
    want = [[0.75, 0.75, 0.75, 0.75], [-0.5, -1.0, 1.0, 0.0]]
    yield expect(
        "direction and signs stay", close(out, want), saw(bound, out, want),
        "multiply the whole row by one positive factor",
    )  # fmt: skip
    W = [[0.0, 0.0]]
    out = bound(W, 1.0)
    yield expect(
        "a row of zeros stays a row of zeros", close(out, W), saw(bound, out, W),
        "what is c over the length of such a row?",
    )  # fmt: skip


EXERCISES.append(
    Code(
        id="13.8",
        title="Find the bug: the wrong leash",
        trains="the axis of max-norm",
        question=r"""
`bound(W, c)` is to apply max-norm to the weights of an `nn.Linear` and return them: `W` has a row
for each unit, with its incoming weights. This version was carried over from a library that keeps
the transpose. Rows grow longer than `c` all the same. Mend it.
""",
        given="""
import math

def bound(W, c):
    lengths = [math.sqrt(sum(row[j] ** 2 for row in W)) for j in range(len(W[0]))]
    factors = [c / length if length > c else 1.0 for length in lengths]
    return [[w * f for w, f in zip(row, factors)] for row in W]
""",
        code="""
import math

def bound(W, c):
    lengths = [math.sqrt(sum(w ** 2 for w in row)) for row in W]
    factors = [c / length if length > c else 1.0 for length in lengths]
    return [[w * f for w in row] for row, f in zip(W, factors)]
""",
        alike=[
            """
import torch

def bound(W, c):
    length = W.norm(dim=1, keepdim=True)
    return W * (c / length.clamp(min=1e-12)).clamp(max=1)
""",
            """
import torch

def bound(W, c):
    return torch.where(W.norm(dim=1, keepdim=True) > c, W / W.norm(dim=1, keepdim=True) * c, W)
""",
            """
import numpy as np

def bound(W, c):
    length = np.sqrt((W ** 2).sum(axis=1))
    return W * np.minimum(1, c / np.maximum(length, 1e-300))[:, None]
""",
            """
def bound(W, c):
    out = []
    for row in W:
        square = sum(w * w for w in row)
        out.append([w * c / square ** 0.5 for w in row] if square > c * c else list(row))
    return out
""",
        ],
        check=check_bound,
        power="nothing is random",
        harmless={"length > c -> length >= c": "a row of the length c is multiplied by 1"},
        in_page=True,
        hints=[
            "`lengths` has a number for each *input* here. For what should it have one?",
            "The sum of squares runs along a row: `sum(w ** 2 for w in row)`.",
            "Then the factors go with the rows: `for row, f in zip(W, factors)`.",
        ],
        solution="""
The sum of squares must run over what leads *into* a unit, a row here and a column in Keras. Along
the wrong axis each input's outgoing weights are bounded, and a unit with many inputs can still be
longer than `c`.
""",
        wrong=[
            Slip("c / length if length > c else 1.0", "c / length if length else 1.0", "You give "
                 "every row the length c. The bound is from above only: short rows stay short."),
            Slip("c / length if length > c else 1.0", "c if length > c else 1.0", "You multiply by "
                 "c. A row of the length 5 then has the length 5c."),
            Slip("math.sqrt(sum(w ** 2 for w in row))", "sum(w ** 2 for w in row)", "You compare "
                 "the *square* of the length with c. (The recipe of 2012 bounds the square, by "
                 "15.)"),
            Slip("math.sqrt(sum(w ** 2 for w in row))", "sum(abs(w) for w in row)", "You have "
                 "summed absolute values. The length is the root of the sum of squares."),
            Slip("math.sqrt(sum(w ** 2 for w in row)) for row in W",
                 "math.sqrt(sum(w ** 2 for r in W for w in r)) for row in W", "You bound the "
                 "length of the whole matrix. Then one long row shortens all the others."),
            Slip("math.sqrt(sum(w ** 2 for w in row))", "max(abs(w) for w in row)", "You look at "
                 "the greatest weight of a row. Many small weights make a long row too."),
        ],
    )
)  # fmt: skip


def check_rate(rate):
    out = [rate(0.4, step, 100, 20) for step in (0, 5, 10, 15)]
    want = [0.4, 0.3, 0.2, 0.1]
    yield expect(
        "it begins at p", close(out[0], 0.4),
        f"`rate(0.4, 0, 100, 20)` gives {out[0]}; 0.4 is wanted.",
        "at step 0 nothing has been taken off yet",
    )  # fmt: skip
    yield expect(
        "it falls in a straight line over the early steps", close(out, want),
        f"With p = 0.4 and 20 early steps, steps 0, 5, 10 and 15 give {out}; {want} is wanted.",
        "what share of the early steps is left at step 5?",
        f"{out[1]}",
    )  # fmt: skip
    out = [rate(0.4, step, 100, 20) for step in (20, 21, 60, 99)]
    yield expect(
        "afterwards it is 0", close(out, [0.0, 0.0, 0.0, 0.0]),
        f"Steps 20, 21, 60 and 99 give {out}; 0 is wanted for all.",
        "what becomes of a straight line that goes on falling?",
        f"{out[0]} {out[2]}",
    )  # fmt: skip
    out = [rate(0.1, step, 10, 10) for step in (0, 5, 9)]
    want = [0.1, 0.05, 0.01]
    yield expect(
        "it may last to the end", close(out, want),
        f"With p = 0.1 and all 10 steps early, steps 0, 5 and 9 give {out}; {want} is wanted.",
        "which of the two numbers of steps is the length of the fall?",
        f"{out[1]}",
    )  # fmt: skip


EXERCISES.append(
    Code(
        id="13.9",
        title="Early dropout",
        trains="a rate that changes while a network trains",
        question=r"""
Early dropout, as its authors ran it: the rate is `p` at step 0, falls in a straight line, and is 0
from step `early` on. Write `rate(p, step, steps, early)`, for `step` from 0 to `steps - 1` and
`early` from 1 to `steps`.
""",
        given="""
def rate(p, step, steps, early):
    ...
""",
        code="""
def rate(p, step, steps, early):
    if step >= early:
        return 0.0
    return p * (1 - step / early)
""",
        alike=[
            """
def rate(p, step, steps, early):
    return p * max(0.0, 1 - step / early)
""",
            """
import numpy as np

def rate(p, step, steps, early):
    return float(np.interp(step, [0, early], [p, 0.0]))
""",
            """
def rate(p, step, steps, early):
    left = max(early - step, 0)
    return left * p / early
""",
        ],
        check=check_rate,
        power="nothing is random",
        harmless={"step >= early -> step > early": "the straight line itself is 0 at early"},
        in_page=True,
        hints=[
            "At step `step` a share `step / early` of the fall is over.",
            "So the rate is `p * (1 - step / early)`, until that becomes negative.",
        ],
        solution="""
A straight line from `p` to 0 over the early steps. Without the 0 behind them the rate would become
negative, which `nn.Dropout` refuses when it is built; when its attribute `p` is set later, only the
next forward does.
""",
        wrong=[
            Slip("p * (1 - step / early)", "p", "That is a rate that stays and is then switched "
                 "off. It is early too, but does not fall in a straight line."),
            Slip("p * (1 - step / early)", "p * step / early", "That rises from 0 to p: a "
                 "curriculum, the opposite of what was asked for."),
            Slip("p * (1 - step / early)", "p * (1 - step / steps)", "The fall is to last for the "
                 "early steps, not for the whole training."),
            Slip("        return 0.0", "        return p", "Late steps are to have no dropout; you "
                 "give them all of it."),
            Slip("    if step >= early:\n        return 0.0\n", "", "The line goes on falling "
                 "below 0. A negative rate is none."),
            Slip("p * (1 - step / early)", "1 - (1 - p) * (1 - step / early)", "You let the *keep* "
                 "probability fall. The drop rate is to go down, not up."),
        ],
    )
)  # fmt: skip

# ---- an experiment ------------------------------------------------------------------------------

EXERCISES.append(
    Open(
        id="13.10",
        title="The lead of a winner",
        trains="telling a choice of rate from luck",
        question=r"""
Five rates are tried, a network each. The one whose validation loss is lowest, each at its best
stop, wins, and its *lead* is by how many percent its loss lies below the mean of the five. How
large a lead has luck alone? Measure it where nothing is to be chosen: five networks that all have
the rate 0.3.

Scikit-learn's digits, twelve training sets of 200 images, for `k` from 0 to 11:

```python
from dropout.training.data import digits
from dropout.training.sweep import sweep

train, validation, test = digits(train=200, seed=seed(k))
settings = dict(seed=seeds(5, first=5 * k), lr=0.05, epochs=60, every=2, batch_size=50)
```

The networks are `mlp(64, 64, 64, 10, p=0.3)`, trained by `sweep(builds, train, validation,
**settings)`. What is the mean of the twelve leads, in percent?

Then give the five networks the rates 0.1, 0.2, 0.3, 0.4 and 0.5 and change nothing else. Which rate
do you choose, and can the choice be told from chance?
""",
        answer=10.6,
        within=0.25,
        unit="percent",
        hints=[
            "`sweep` returns networks and a history; `history.validation_loss` has a row for each "
            "network and a column for each measurement. A best stop is the least of a row.",
            "Of the five best stops `best` of a training set the lead is "
            "`100 * (1 - best.min() / best.mean())`.",
            "For the five rates `builds` is `[lambda p=p: mlp(64, 64, 64, 10, p=p) for p in "
            "RATES]`. Compare the leads first, then the rates in pairs, over the twelve sets.",
        ],
        solution=r"""
Five networks that differ in nothing but their seeds have a winner that leads by 11 %. Five rates
have one that leads by 12 %: whoever trains one network a rate chooses a seed.

In pairs over sets more can be seen. On the twelve sets of the question the mean best losses at 0.1
to 0.5 are 0.322, 0.310, 0.310, 0.281 and 0.308. So 0.4 is chosen, 0.029 ahead of 0.3, with a
standard error of 0.008. But it was chosen because it did well on these sets: on 84 others it is
0.001 behind, with 0.004. On all 96 together 0.1 is 10 % behind 0.4 and 0.5 is 8 %, both by five
standard errors and more, no dropout by a third, 0.2 by 3 %, less than two standard errors, and 0.3
by 1 %, less than one. Take 0.3 or 0.4.
""",
        reference="Eight repetitions of the twelve sets, each with fresh training sets and seeds. "
        "Rate 0.3 five times: 9.2 to 11.4 percent, mean 10.6, standard deviation 0.9; with the "
        "seeds of the question 11.0. Five rates: 10.1 to 13.4, mean 11.7. Mean best validation "
        "losses over all 96 sets at 0.1 to 0.5: 0.288, 0.268, 0.264, 0.261, 0.281, and 0.345 "
        "without dropout; standard error of a difference in pairs 0.004. By twelve sets 0.3 was "
        "chosen four times and 0.4 four times. One learning rate for all, not tuned. Some ten "
        "seconds on one core.",
        rubric=[
            "The lead of five equal networks and that of five rates, on the same sets, each with "
            "its standard error over the sets.",
            "The rates compared in pairs over the sets, and how far they are from 0 in standard "
            "errors, not which rate won how often.",
            "That the best of five on these sets flatters itself, and a check on other sets, or on "
            "the test images for the chosen rate alone.",
            "Which rates can be told apart, beside those which cannot; no dropout as a sixth arm.",
            "That learning rate, width and epochs were one for all, so that the choice holds for "
            "these.",
        ],
        wrong=[
            Wrong(0, "Luck does have a lead: the least of five numbers lies below their mean "
                     "unless all are equal. Are your five seeds different? And is yours a share? "
                     "The lead is asked for in percent."),
            Wrong(5.8, "That is about how far the winner is ahead of the *second*. The lead in "
                       "question is over the mean of the five."),
            Wrong(19.3, "That is about how far the winner is ahead of the *last* of the five, "
                        "which is the unluckiest, as it is the luckiest."),
            Wrong(32.9, "That is about how far the winner lies below a network without dropout. "
                        "All five that are compared here have dropout."),
        ],
    )
)  # fmt: skip
