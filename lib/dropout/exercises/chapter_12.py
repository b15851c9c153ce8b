"""Chapter 12, transformers and sequences."""

from dropout.exercises.forms import RATES, Choice, Code, Exercise, Formula, Number, Slip, Wrong
from dropout.exercises.probes import close, expect, flat, plausible, saw

EXERCISES: list[Exercise] = []

# ---- by hand ------------------------------------------------------------------------------------

EXERCISES.append(
    Number(
        id="12.1",
        title="The sum of a row",
        trains="the variance of a row of attention, by hand",
        question=r"""
A word attends to three others with weights $\frac12, \frac14, \frac14$. Attention dropout with
$p = 0.2$ acts on them in training. What is the variance of the sum of the row?
""",
        answer=3 / 32,
        follows="A row that looks at a single word has the variance 0.25; yours would be "
                "{answer / 0.25} times as noisy.",
        hints=[
            "Each weight has a coin of its own. What is the variance of $\\frac mq a$?",
            "It is $\\frac pq a^2$. Variances of independent numbers are added.",
            "$\\frac pq = \\frac14$, and the squares sum to $\\frac38$.",
        ],
        solution=r"""
$\frac pq \sum_j a_j^2 = \frac14 \big(\frac14 + \frac1{16} + \frac1{16}\big) = \frac3{32}$. The row
attends to $n_{\text{eff}} = \frac83$ words: fewer than three, since it prefers one.
""",
        wrong=[
            Wrong(0.25, "That is $p/q$, the variance of one coin, as for a row with a single word. "
                        "Several coins average out in part."),
            Wrong(0.375, "That is the sum of the squared weights. What does one coin add to it, "
                         "by its own variance?"),
            Wrong(0.075, "You took $p$ for the variance of a scaled coin. Survivors are divided by "
                         "$q$, which makes it $p/q$."),
            Wrong(0.06, "You took $pq$, the variance of a coin that is not scaled."),
            Wrong(1 / 12, "You divided by three words. They would count as three if they had equal "
                          "weights."),
        ],
    )
)  # fmt: skip

# ---- choices ------------------------------------------------------------------------------------

EXERCISES.append(
    Choice(
        id="12.2",
        title="Early or late?",
        trains="telling noise that averages out from noise that piles up",
        question=r"""
The LSTM above says after each of 32 steps what the level of its sequence is. One of these three
dropouts, at the same rate, makes *more* noise in what it says at steps 5 to 8 than at the last
eight steps. Which?
""",
        options={
            "a": "On the inputs, a new mask at each step.",
            "b": "On the state that feeds the recurrent weights, one mask for all steps.",
            "c": "On the recurrent weights, one mask for all steps.",
        },
        answer="a",
        reveals="fig-noise-in-time",
        hints=[
            "In which case does a later step bring news that has nothing to do with the earlier "
            "noise?",
            "What is the state at the first step, and what has a mask on it to drop?",
        ],
        solution=r"""
With fresh masks on the inputs the first steps are noisy like all others, but later the network
has averaged over many of them. A mask on the state or on the recurrent weights has nothing to act
on at first, since the state begins at 0, and then goes on acting in the same direction.
""",
        wrong=[
            Wrong("b", "At the first step the state is 0, and dropping zeros makes no noise. Later "
                       "the same coins act on it again and again."),
            Wrong("c", "At first these weights meet a state of 0, so it does not matter which of "
                       "them are gone. Their noise grows with what they carry."),
        ],
    )
)  # fmt: skip

EXERCISES.append(
    Choice(
        id="12.3",
        title="Attention maps that do not add up",
        trains="reading the mode off attention weights",
        question=r"""
Somebody plots the weights that `nn.MultiheadAttention(64, 8, dropout=0.1)` returns beside its
output. The rows sum to 0.94, 1.03, 0.99, 1.05, and other numbers at the next call with the same
input. What is going on?
""",
        options={
            "a": "The softmax runs along the wrong axis.",
            "b": "The module is in training mode, and the weights are those after dropout.",
            "c": "Eight heads are averaged, and an average of rows need not sum to 1.",
            "d": "Half precision: sums of rounded weights differ from 1.",
        },
        answer="b",
        hints=[
            "What differs between two calls with the same input?",
            "The mean of many such sums is 1. What has the mean 1 and varies?",
        ],
        solution=r"""
Weights after dropout sum to 1 on average only, and new coins fall at each call. After
`attention.eval()` the rows sum to 1, and they are the weights that the model predicts with.
""",
        wrong=[
            Wrong("a", "Then the columns would sum to 1, and two calls with the same input would "
                       "agree."),
            Wrong("c", "An average of rows that each sum to 1 sums to 1 as well. And why would the "
                       "next call differ?"),
            Wrong("d", "Rounding does not make five per cent, and it would be the same at each "
                       "call."),
        ],
    )
)  # fmt: skip

# ---- formulas -----------------------------------------------------------------------------------

EXERCISES.append(
    Formula(
        id="12.4",
        title="One word, and the rest",
        trains="the row sum as a function of where a row looks",
        question=r"""
A word gives the weight $a$ to one other word and spreads the rest evenly over $n$ more. Attention
dropout has the rate $p$. What is the variance of the row sum, in `a`, `n` and `p`?
""",
        answer="p/(1-p) (a^2 + (1-a)^2/n)",
        names={
            "p": RATES,
            "a": (0.0, 0.2, 0.5, 0.75, 0.9, 1.0),
            "n": (1, 2, 3, 5, 8, 20),
        },
        also={"q": "1 - p"},
        equal=["p/q (a^2 + (1-a)^2/n)", "(1/q - 1)(a² + (1 - 2a + a²)/n)",
               "p (n a^2 + (1-a)^2) / (n q)"],
        hints=[
            "Each of the $n$ words has the weight $(1 - a)/n$.",
            "There are $n$ squares of $(1-a)/n$, and one of $a$.",
        ],
        solution=r"""
$\sum_j a_j^2 = a^2 + n \cdot \frac{(1-a)^2}{n^2} = a^2 + \frac{(1-a)^2}n$, times $\frac pq$. For
large $n$ what is left is $\frac pq a^2$: the noise of a row is that of the words it looks at hard.
""",
        wrong=[
            Wrong("p/(1-p) (a^2 + (1-a)^2)", "That lets the rest share one coin. It is spread over "
                                             "$n$ words with coins of their own."),
            Wrong("p/(1-p) (a^2 + (1-a)^2/n^2)", "That counts one of the $n$ words only."),
            Wrong("p/(1-p) / (n+1)", "That is for $n + 1$ words of equal weight."),
            Wrong("p (1-p) (a^2 + (1-a)^2/n)", "The coins in it are not scaled: $m$ has the "
                                               "variance $pq$, $m/q$ another one."),
            Wrong("p/(1-p)", "That is the variance for a row that looks at one word alone."),
        ],
    )
)  # fmt: skip

# ---- code ---------------------------------------------------------------------------------------


def check_renormalised(renormalised):
    out = renormalised([0.75, 0.25], 0.5)
    want = [7 / 12, 5 / 12]
    yield expect(
        "two sources, p = 0.5", close(out, want), saw(renormalised, out, want),
        "list the three masks that keep something, with their chances", str(flat(out))[:9],
    )  # fmt: skip
    out = renormalised([0.9, 0.1], 0.25)
    want = [0.74, 0.26]
    yield expect(
        "two sources, p = 0.25", close(out, want), saw(renormalised, out, want),
        "a mask's chance is a product, one factor for each source", str(flat(out))[:9],
    )  # fmt: skip
    out = renormalised([0.5, 0.3, 0.2], 0.5)
    total = sum(flat(out))
    yield expect(
        "the mean row sums to 1", close(total, 1.0),
        f"With weights 0.5, 0.3, 0.2 the result sums to {total:.4g}.",
        "every renormalised row sums to 1",
    )  # fmt: skip
    out = renormalised([0.25, 0.25, 0.25, 0.25], 0.75)
    want = [0.25] * 4
    yield expect(
        "equal weights stay equal", close(out, want), saw(renormalised, out, want),
        "no source is treated otherwise than another",
    )  # fmt: skip
    out = renormalised([0.6, 0.4], 0.0)
    yield expect(
        "without dropout nothing moves", close(out, [0.6, 0.4]),
        saw(renormalised, out, [0.6, 0.4]), "at p = 0 one mask has all the chance",
    )  # fmt: skip


EXERCISES.append(
    Code(
        id="12.5",
        title="What renormalising does to the mean",
        trains="a mean over masks, by going through them",
        question=r"""
Write `renormalised(a, p)`: the exact mean of a row of attention weights `a` that is dropped at rate
`p` and then divided by its sum, over all masks that keep at least one weight. A list comes back,
one mean for each weight. Go through the masks: there are few weights.
""",
        given="""
def renormalised(a, p):
    ...
""",
        code="""
def renormalised(a, p):
    n = len(a)
    total, mean = 0.0, [0.0] * n
    for code in range(1, 2**n):
        mask = [code >> j & 1 for j in range(n)]
        kept = sum(w * m for w, m in zip(a, mask))
        chance = (1 - p) ** sum(mask) * p ** (n - sum(mask))
        total += chance
        for j in range(n):
            mean[j] += chance * mask[j] * a[j] / kept
    return [value / total for value in mean]
""",
        alike=[
            """
import itertools
import numpy as np

def renormalised(a, p):
    a = np.asarray(a)
    masks = np.array(list(itertools.product((0, 1), repeat=len(a))))[1:]
    chance = np.where(masks, 1 - p, p).prod(1)
    rows = masks * a / (masks @ a)[:, None]
    return chance @ rows / chance.sum()
""",
            """
def renormalised(a, p):
    def below(j, chance, kept):
        if j == len(a):
            if not kept:
                return [0.0] * len(a)
            s = sum(a[k] for k in kept)
            return [chance * a[k] / s if k in kept else 0.0 for k in range(len(a))]
        drop = below(j + 1, chance * p, kept)
        keep = below(j + 1, chance * (1 - p), kept + [j])
        return [x + y for x, y in zip(drop, keep)]
    some = 1 - p ** len(a)
    return [x / some for x in below(0, 1.0, [])]
""",
            """
import torch

def renormalised(a, p):
    n = len(a)
    mean = torch.zeros(n, dtype=torch.float64)
    for code in range(1, 2**n):
        mask = torch.tensor([code >> j & 1 for j in range(n)], dtype=torch.float64)
        chance = (1 - p) ** mask.sum() * p ** (n - mask.sum())
        mean += chance * mask * a / (mask * a).sum()
    return mean / (1 - p**n)
""",
        ],
        check=check_renormalised,
        in_page=True,
        harmless={},
        hints=[
            "The digits of a number from 1 to $2^n - 1$, in base two, are a mask that keeps "
            "something.",
            "A mask that keeps $k$ of $n$ has the chance $q^k p^{n-k}$.",
            "Add up chance times row, and divide by the sum of the chances.",
        ],
        solution="""
Each mask but the empty one makes a row that sums to 1. Their mean, weighted by the chances of the
masks and divided by the chance 1 − pⁿ of keeping anything, is nearer to the uniform row than `a`.
""",
        wrong=[
            Slip("[value / total for value in mean]", "mean", "You leave the empty mask out, and "
                 "count its chance all the same: what is left are not yet means over the masks "
                 "that keep something."),
            Slip("chance = (1 - p) ** sum(mask) * p ** (n - sum(mask))", "chance = 1.0",
                 "All masks count the same in it. That is so at one rate only."),
            Slip("/ kept", "/ (1 - p)", "You scale as dropout does, by the keep probability. The "
                 "question divides each row by its own sum."),
            Wrong("""
def renormalised(a, p):
    return list(a)
""", "The mean of a ratio is not the ratio of the means: both the weight and the sum it is divided "
     "by depend on the mask."),
            Slip("kept = sum(w * m for w, m in zip(a, mask))", "kept = sum(a)",
                 "You divide by the sum of the whole row, which is 1 and changes nothing."),
            Slip("(1 - p) ** sum(mask) * p ** (n - sum(mask))",
                 "p ** sum(mask) * (1 - p) ** (n - sum(mask))",
                 "Keep and drop are exchanged: a weight is lost with the probability `p`."),
            Slip("chance * mask[j] * a[j] / kept", "chance * mask[j] / sum(mask)",
                 "You give all kept sources the same weight, so that `a` is lost."),
        ],
    )
)  # fmt: skip


def check_attend(Attend):
    import torch

    yield expect(
        "it is a class of modules",
        isinstance(Attend, type) and issubclass(Attend, torch.nn.Module),
        "`Attend` is no class derived from `torch.nn.Module`.",
        "give the class itself to `q.check`",
    )  # fmt: skip
    layer, x = Attend(8, 0.25), torch.randn(40, 12, 8)
    layer.eval()
    first, second = layer(x), layer(x)
    layer.train()
    calm = torch.equal(layer(x), layer(x))
    yield expect(
        "the output has the input's shape", first.shape == x.shape,
        f"For an input of shape (40, 12, 8) comes {tuple(first.shape)}.",
        "leave `project` as it is",
    )  # fmt: skip
    yield expect(
        "two evaluations are equal", torch.equal(first, second),
        "After `eval()`, two calls with the same input differ.",
        "the function knows no mode: tell it", "inverted" if calm else "always",
    )  # fmt: skip
    q, k, v = layer.project(x).chunk(3, dim=-1)
    plain = torch.nn.functional.scaled_dot_product_attention(q, k, v)
    ratio = (first.norm() / plain.norm()).item()
    same = first.shape == plain.shape and torch.allclose(first, plain, atol=1e-5)
    yield expect(
        "evaluation is attention without dropout", same,
        "In evaluation the output is not what `scaled_dot_product_attention` gives without "
        "dropout.",
        "compare with `dropout_p=0.0`", "scaled" if abs(ratio - 0.75) < 0.01 else "other",
    )  # fmt: skip
    layer.train()
    yield expect(
        "it drops in training", not torch.equal(layer(x), first.detach()),
        "After `train()` comes what comes in evaluation.", "which rate is left in training?",
    )  # fmt: skip
    with torch.no_grad():
        for weight in layer.project.parameters():
            weight.zero_()
        layer.project.bias[16:] = 1.0  # the same weights for all, values of 1: row sums come out
        out = layer(x)
    shared = torch.allclose(out, out[..., :1].expand_as(out), atol=1e-5)
    yield expect(
        "a coin decides on all features of a value", shared,
        "With all values 1 the features of an output differ: single numbers of it have dropped.",
        "the coins belong to the weights",
    )  # fmt: skip
    sums = out[..., 0]
    yield expect(
        "row sums vary", bool(sums.std() > 1e-3),
        "With all values 1 every output is 1 in training, so that the rows still sum to 1.",
        "nothing is divided by the sum",
    )  # fmt: skip
    counts = sums * 12 * 0.75
    exact = (counts - counts.round()).abs().max() < 1e-3
    threes = bool((counts.round() % 3 == 0).all())  # as for a factor of 4
    yield expect(
        "weights that are kept are divided by 1 − p", bool(exact) and not threes,
        f"With 12 equal weights, values of 1 and p = 0.25 a row sums to {sums[0, 0].item():.5g}, "
        "as no number of kept weights would give.",
        "leave the scaling to the function, and give it the right rate",
        "swapped" if threes else "other",
    )  # fmt: skip
    total = int(counts.round().sum())
    yield expect(
        "a share of 1 − p is kept", plausible(total, 40 * 144, 0.75),
        f"At p = 0.25, {total / 57.6:.1f}% of the weights are kept; 75% are wanted.",
        "is `dropout_p` the rate to drop or to keep?",
    )  # fmt: skip


EXERCISES.append(
    Code(
        id="12.6",
        title="Find the bug: attention that never rests",
        trains="attention dropout and the mode of its module",
        question=r"""
A model with this layer gives another answer at each call, after `model.eval()` too. Mend it: the
attention weights are dropped at rate `p` in training, and not in evaluation. Leave `project` as it
is.
""",
        given="""
import torch.nn.functional as F
from torch import nn

class Attend(nn.Module):
    def __init__(self, width, p):
        super().__init__()
        self.p = p
        self.project = nn.Linear(width, 3 * width)

    def forward(self, x):
        q, k, v = self.project(x).chunk(3, dim=-1)
        return F.scaled_dot_product_attention(q, k, v, dropout_p=self.p)
""",
        code="""
import torch.nn.functional as F
from torch import nn

class Attend(nn.Module):
    def __init__(self, width, p):
        super().__init__()
        self.p = p
        self.project = nn.Linear(width, 3 * width)

    def forward(self, x):
        q, k, v = self.project(x).chunk(3, dim=-1)
        p = self.p if self.training else 0.0
        return F.scaled_dot_product_attention(q, k, v, dropout_p=p)
""",
        alike=[
            """
from torch import nn

class Attend(nn.Module):
    def __init__(self, width, p):
        super().__init__()
        self.drop = nn.Dropout(p)
        self.project = nn.Linear(width, 3 * width)

    def forward(self, x):
        q, k, v = self.project(x).chunk(3, dim=-1)
        weights = (q @ k.transpose(-2, -1) / k.shape[-1] ** 0.5).softmax(-1)
        return self.drop(weights) @ v
""",
            """
import torch.nn.functional as F
from torch import nn

class Attend(nn.Module):
    def __init__(self, width, p):
        super().__init__()
        self.p = p
        self.project = nn.Linear(width, 3 * width)

    def forward(self, x):
        q, k, v = self.project(x).chunk(3, dim=-1)
        return F.scaled_dot_product_attention(q, k, v, dropout_p=self.p * self.training)
""",
            """
import torch
from torch import nn

class Attend(nn.Module):
    def __init__(self, width, p):
        super().__init__()
        self.p = p
        self.project = nn.Linear(width, 3 * width)

    def forward(self, x):
        q, k, v = self.project(x).chunk(3, dim=-1)
        weights = torch.softmax(torch.einsum("...ti,...si->...ts", q, k) / len(q[0, 0]) ** 0.5, -1)
        if self.training:
            weights = weights * (torch.rand_like(weights) >= self.p) / (1 - self.p)
        return torch.einsum("...ts,...si->...ti", weights, v)
""",
        ],
        check=check_attend,
        takes="object",
        power="5760 coins at 0.25: a rate off by 0.05 is found 99 times in 100",
        harmless={},
        hints=[
            "`eval()` sets `self.training` of each module. Who reads it here?",
            "Give the function a rate that depends on `self.training`.",
        ],
        solution="""
`scaled_dot_product_attention` is a function: it drops whenever `dropout_p` is above 0. The module
must give it 0 in evaluation.
""",
        wrong=[
            Slip("self.p if self.training else 0.0", "0.0 if self.training else self.p",
                 "The two modes are exchanged: `self.training` is True after `train()`."),
            Slip("p = self.p if self.training else 0.0", "p = 0.0",
                 "That takes dropout out altogether."),
            Slip("p = self.p if self.training else 0.0",
                 "p = self.p if self.training or len(x) else 0.0",
                 "The rate is still there in evaluation, whatever else your condition asks."),
            Slip("return F.scaled_dot_product_attention(q, k, v, dropout_p=p)",
                 "return F.dropout(F.scaled_dot_product_attention(q, k, v), p)",
                 "That drops single numbers, of the output or of the values. It hides features, "
                 "where attention dropout hides words from a row."),
            Slip("return F.scaled_dot_product_attention(q, k, v, dropout_p=p)", """\
w = F.dropout((q @ k.mT / k.shape[-1] ** 0.5).softmax(-1), p)
        return w / w.sum(-1, keepdim=True).clamp(min=1e-9) @ v""",
                 "You divide by what is left of the row, which moves the mean of the weights."),
            Slip("return F.scaled_dot_product_attention(q, k, v, dropout_p=p)", """\
out = F.scaled_dot_product_attention(q, k, v, dropout_p=p)
        return out if self.training else out * (1 - self.p)""",
                 "In evaluation you scale down, as vanilla dropout does. The function has scaled "
                 "up in training already."),
            Slip("self.p if", "1 - self.p if", "You give the probability to keep a weight where "
                 "the one to drop it is asked for."),
            Slip("return F.scaled_dot_product_attention(q, k, v, dropout_p=p)", """\
out = F.scaled_dot_product_attention(q, k, v, dropout_p=p)
        return out / (1 - p)""",
                 "Kept weights are scaled twice: the function has done it."),
        ],
    )
)  # fmt: skip


def check_locked(locked):
    x = [[[1.0, 2.0], [3.0, -1.0]], [[0.5, 4.0], [2.0, 2.0]], [[1.0, 1.0], [0.5, 0.25]]]
    out = locked(x, 0.0)
    yield expect(
        "a rate of 0 drops nothing", close(out, x), saw(locked, out, x),
        "a feature is kept with probability `1 - p`",
    )  # fmt: skip
    out = locked(x[:1], 0.0)
    yield expect(
        "sequences of one step will do", close(out, x[:1]), saw(locked, out, x[:1]),
        "which step do the shapes come from?",
    )  # fmt: skip
    ones = [[[1.0] * 8 for _ in range(100)] for _ in range(4)]
    out = locked(ones, 0.25)
    right = isinstance(out, list) and len(out) == 4 and len(flat(out)) == 3200
    yield expect(
        "the shape stays", right, "4 steps of 100 sequences of 8 features come out in another "
        "shape.", "keep a place, with a 0, for what is dropped",
    )  # fmt: skip
    kept = [[[v != 0 for v in row] for row in step] for step in out]
    mixed = sum(kept[0][n][f] != kept[3][n][f] for n in range(100) for f in range(8))
    yield expect(
        "the mask is the same at all steps", mixed == 0,
        f"Of 800 features of sequences {mixed} are there at one step and gone at another.",
        "toss before the loop over the steps", "mixed",
    )  # fmt: skip
    rows = kept[0]
    yield expect(
        "features have coins of their own", any(0 < sum(row) < 8 for row in rows),
        "Each of 100 sequences has lost all of its 8 features or none.",
        "toss for each feature",
    )  # fmt: skip
    yield expect(
        "sequences have coins of their own", any(row != rows[0] for row in rows),
        "All 100 sequences have lost the same features.", "toss for each sequence of the batch",
    )  # fmt: skip
    scale = [v for v in flat(out) if v]
    yield expect(
        "survivors are divided by 1 − p", close(scale, [4 / 3] * len(scale)),
        f"With ones and p = 0.25 a survivor is {scale[0]:.4g}; 1.333 is wanted.",
        "the mean is to stay", f"{scale[0]:.2f}",
    )  # fmt: skip
    total = sum(map(sum, rows))
    yield expect(
        "a share of 1 − p survives", plausible(total, 800, 0.75),
        f"With p = 0.25, {total / 8:.1f}% of 800 features survive; 75% are wanted.",
        "look at the comparison", "p" if total < 320 else "other",
    )  # fmt: skip
    out = locked([[[float(t + 1)] * 3 for _ in range(30)] for t in range(2)], 0.5)
    late = [v for v in flat(out[1]) if v]
    yield expect(
        "what survives is the number of its own step", close(late, [4.0] * len(late)),
        "At p = 0.5 a feature that is 1 at the first step and 2 at the second is not 4 or 0 at "
        "the second.",
        "the mask is held, not what it falls on",
    )  # fmt: skip
    yield expect(
        "each call tosses anew", locked(ones[:1], 0.25) != locked(ones[:1], 0.25),
        "Two calls with the same 100 sequences have lost the same features.",
        "hold the mask within a call, and not from call to call",
    )  # fmt: skip


EXERCISES.append(
    Code(
        id="12.7",
        title="Write locked dropout",
        trains="a mask that is held in time",
        question=r"""
Write `locked(x, p)`: inverted dropout that holds its mask over time, in training. `x` has the shape
(T, N, F), as nested lists, an array or a tensor, as you like: T steps of N sequences of F features.
Each feature of each sequence has one coin, for all steps. Take coins from `random`, NumPy or
PyTorch.
""",
        given="""
import random

def locked(x, p):
    ...
""",
        code="""
import random

def locked(x, p):
    q = 1 - p
    factors = [[1 / q if random.random() < q else 0.0 for _ in row] for row in x[0]]
    out = []
    for step in x:
        out.append([[f * v for f, v in zip(fs, row)] for fs, row in zip(factors, step)])
    return out
""",
        alike=[
            """
import torch

def locked(x, p):
    return x * torch.nn.functional.dropout(torch.ones(1, *x.shape[1:]), p, training=True)
""",
            """
import numpy as np

def locked(x, p):
    x = np.asarray(x)
    keep = np.random.random(x.shape[1:]) >= p
    return x * keep / (1 - p)
""",
            """
import torch

def locked(x, p):
    moved = x.permute(1, 2, 0)
    return torch.nn.functional.dropout1d(moved, p, training=True).permute(2, 0, 1)
""",
        ],
        check=check_locked,
        in_page=True,
        power="800 coins at 0.25: a rate off by 0.14 is found 99 times in 100",
        harmless={
            "random.random() < q -> random.random() <= q": "a coin equals q once in 2^53 tosses",
        },
        hints=[
            "The coins have the shape (1, N, F).",
            "Make the N × F factors first, each `1 / q` or 0.",
            "Then multiply every step by the same factors.",
        ],
        solution="""
N × F factors are made once and multiply every step. In an array language the coins have the shape
(1, N, F), and broadcasting holds them.
""",
        wrong=[
            Wrong("""
import random

def locked(x, p):
    q = 1 - p
    return [[[v / q if random.random() < q else 0.0 for v in r] for r in s] for s in x]
""", "A new coin falls at each step. That is plain dropout, whose noise averages out over time."),
            Wrong("""
import random

def locked(x, p):
    q = 1 - p
    factors = [1 / q if random.random() < q else 0.0 for _ in x[0][0]]
    return [[[f * v for f, v in zip(factors, row)] for row in step] for step in x]
""", "One mask serves all sequences of the batch. It is held over one axis too many."),
            Wrong("""
import random

def locked(x, p):
    q = 1 - p
    factors = [1 / q if random.random() < q else 0.0 for _ in x[0]]
    return [[[f * v for v in row] for f, row in zip(factors, step)] for step in x]
""", "Your coin takes a sequence whole, with all of its features."),
            Slip("[1 / q if", "[1.0 if", "Features that survive are passed on as they are, and the "
                 "mean shrinks."),
            Slip("[1 / q if", "[q if", "Survivors are made smaller. They stand in for those that "
                 "are lost, and must be made larger."),
            Slip("random.random() < q", "random.random() < p", "A feature is kept with the "
                 "probability to lose it."),
            Slip("    q = 1 - p\n", "    q = 1 - p\n    random.seed(0)\n", "The seed holds the "
                 "mask for good. It is to be held over the steps of a sequence; the next batch has "
                 "another."),
            Slip("for step in x:", "for step in [x[0]] * len(x):", "You send the first step at all "
                 "times. Only the mask is to stay the same."),
            Wrong("""
import random

def locked(x, p):
    q = 1 - p
    factors = [[1 / q if random.random() < q else 0.0 for _ in row] for row in x[0]]
    return [[[f * v for f, v in zip(fs, row) if f] for fs, row in zip(factors, s)] for s in x]
""", "You take lost features out. They must stay as zeros, for the weights above know features by "
     "their places."),
        ],
    )
)  # fmt: skip
