"""Chapter 11, who shares a coin."""

from dropout.exercises.forms import Choice, Code, Exercise, Formula, Number, Open, Slip, Wrong
from dropout.exercises.probes import close, expect, flat, plausible, saw

EXERCISES: list[Exercise] = []

# ---- by hand ------------------------------------------------------------------------------------

EXERCISES.append(
    Number(
        id="11.1",
        title="Five numbers, three coins",
        trains="a square for each coin, not for each number",
        question=r"""
A unit receives the contributions $1, 3, 2, -2, 4$, in evaluation 8 together. In training, inverted
dropout with $p = 0.2$ acts on them with three coins: one for the first two, one for the next two,
one for the last. What is the variance of what the unit receives?
""",
        answer=8.0,
        follows="The sum of squares over the coins, before the factor p/q, would then be "
                "{answer / 0.25}.",
        hints=[
            "Each coin decides on the sum of its group: 4, 0 and 4.",
            "The variance is $\\frac pq$ times the sum of the squares of these three.",
            "$\\frac pq = \\frac{0.2}{0.8} = \\frac14$.",
        ],
        solution=r"""
The coins decide on $1 + 3 = 4$, on $2 - 2 = 0$ and on 4. So the variance is
$\frac14 (16 + 0 + 16) = 8$. With a coin for each it would be $\frac14 (1 + 9 + 4 + 4 + 16) = 8.5$:
sharing has made the first group louder and the second silent.
""",
        wrong=[
            Wrong(8.5, "That is with a coin for each number. Numbers with the same coin are added "
                       "first, and squared then."),
            Wrong(16, "That squares the whole sum, as if one coin decided on all five."),
            Wrong(12, "The second group has contributions of opposite signs. They share a coin, "
                      "and their noise cancels as they do."),
            Wrong(5.12, "That has the factor $pq$ of a coin that is not scaled; survivors are "
                        "divided by $q$, their variance by its square."),
            Wrong(6.4, "The factor is not the drop rate $p$ itself."),
            Wrong(2.828, "That is the standard deviation."),
        ],
    )
)  # fmt: skip

EXERCISES.append(
    Number(
        id="11.2",
        title="DropBlock on nine pixels",
        trains="how overlap makes the true rate smaller than the one asked for",
        question=r"""
DropBlock with blocks of 2 × 2 on a map of 3 × 3, by the paper's formula: each of the four places
where a block fits drops its block with $\gamma = \frac{p}{b^2} \cdot \frac{9}{4}$. Someone asks for
$p = 0.4$. What share of the map drops on average?
""",
        answer=0.348528,
        follows="Of the nine pixels, {9 * answer} would drop on average.",
        hints=[
            "$\\gamma = 0.1 \\cdot 2.25 = 0.225$. How many blocks lie over each pixel?",
            "One over each of the four corners, two over each of the four edges, four over the "
            "middle.",
            "A pixel under $n$ blocks drops with probability $1 - 0.775^n$.",
        ],
        solution=r"""
With $\gamma = 0.225$ a corner drops with probability 0.225, an edge with $1 - 0.775^2 = 0.399$, the
middle with $1 - 0.775^4 = 0.639$. The mean over the map is
$(4 \cdot 0.225 + 4 \cdot 0.399 + 0.639) / 9 = 0.349$. The formula counts pixels under several
blocks several times.
""",
        wrong=[
            Wrong(0.4, "That is the rate asked for. Two dropped blocks that overlap drop their "
                       "common pixels only once."),
            Wrong(0.639, "That is the rate in the middle, where four blocks lie. Corners have "
                         "one."),
            Wrong(0.225, "That is the chance of one block, and so of a corner of the map."),
            Wrong(0.1671, "The formula has a second factor, map over places: $\\gamma$ is 0.225, "
                          "not 0.1."),
        ],
    )
)  # fmt: skip

# ---- choices ------------------------------------------------------------------------------------

EXERCISES.append(
    Choice(
        id="11.3",
        title="Fair signs: which of these rows",
        trains="when sharing makes no noise",
        question=r"""
A unit receives 64 contributions of size 1, whose signs are fair coins, drawn once and then fixed.
They are dropped in groups of $s$ that share a coin. The variance of the sum, averaged over the
signs, as a multiple of that with a coin for each. Which row is it?

| | s = 1 | s = 4 | s = 16 | s = 64 |
|---|---|---|---|---|
| a | 1 | 4 | 16 | 64 |
| b | 1 | 1 | 1 | 1 |
| c | 1 | 1/4 | 1/16 | 1/64 |
""",
        options={
            "a": "Row a: a coin for s numbers is s times as loud.",
            "b": "Row b: within a group the products of different signs cancel on average.",
            "c": "Row c: in larger groups more of the contributions cancel.",
        },
        answer="b",
        hints=[
            "What does sharing add to the sum of squares of a group?",
            "It adds the products $a_i a_j$ of different members. What is their mean?",
        ],
        solution=r"""
A coin decides on $A_g = \sum_{i \in g} a_i$, and
$\mathbb E[A_g^2] = \sum_i a_i^2 + \sum_{i \ne j} \mathbb E[a_i a_j] = s + 0$. There are $64/s$
groups: 64 in all, whatever $s$ is. For other signs it is more or less.
""",
        wrong=[
            Wrong("a", "That is for contributions that agree. With fair signs a group of four sums "
                       "to 4 only once in eight times, in size, and often to 0."),
            Wrong("c", "Contributions do cancel within a group. But its square still is $s$ on "
                       "average: sums of fair signs spread as the root of their number."),
        ],
    )
)  # fmt: skip

EXERCISES.append(
    Choice(
        id="11.4",
        title="Half of the batch is gone",
        trains="telling the wrong digit in Dropout1d from other faults",
        question=r"""
A network for tables, in training, a batch of 64 examples. Somebody looks behind the layer
`nn.Dropout1d(0.5)`, whose input has the shape (64, 256):

| | |
|---|---|
| zeros | 50 % of all numbers |
| examples all of whose 256 numbers are 0 | 31 of 64 |
| features that are 0 in all 64 examples | 0 of 256 |
| the same again in the next step | other examples |

What is going on?
""",
        options={
            "a": "The layer below has died for half of the examples.",
            "b": "The layer takes (64, 256) for one example with 64 channels of length 256.",
            "c": "The rate is too high: at a lower one no example would be lost.",
            "d": "Dropout1d drops features, and by chance these examples had none left.",
        },
        answer="b",
        hints=[
            "Which numbers fall together: those of a row, of a column, or none?",
            "What does `nn.Dropout1d` make of an input of two axes?",
        ],
        solution=r"""
With two axes `nn.Dropout1d` reads (C, L), one example: the 64 rows are its channels, and each has a
coin. So whole examples drop, and their gradients are lost to all layers below. For (N, F) it is
`nn.Dropout`.
""",
        wrong=[
            Wrong("a", "Dead units would stay dead. Here other examples are gone in the next step, "
                       "about one half each time: coins."),
            Wrong("c", "A lower rate would lose fewer examples, and still lose them whole. What is "
                       "wrong is who shares a coin."),
            Wrong("d", "With a coin for each of 256 numbers an example loses all of them with "
                       "probability $2^{-256}$."),
        ],
    )
)  # fmt: skip

# ---- a formula ----------------------------------------------------------------------------------

RATES = (0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.9, 0.95)

EXERCISES.append(
    Formula(
        id="11.5",
        title="Another schedule",
        trains="expected depth from a schedule of rates",
        question=r"""
Much code makes the drop rates of its residual branches by `torch.linspace(0, P, L)`: the first of
$L$ branches never drops, the last drops at rate $P$, and they grow evenly in between ($L \ge 2$).
How many branches are run on average for an example, in `L` and `P`?
""",
        answer="L*(1 - P/2)",
        names={"L": (2, 3, 4, 6, 12, 24, 50), "P": RATES},
        equal=["L - L P/2", "L(2 - P)/2", "L*(1-P)/1 + L*P/2"],
        hints=[
            "The expected number is the sum of the keep probabilities.",
            "What is the mean of $L$ numbers that grow evenly from 0 to $P$?",
        ],
        solution=r"""
Rates that grow evenly from 0 to $P$ have the mean $P/2$, so a share $1 - P/2$ of the $L$ branches
is run on average. The paper's schedule $\frac lL P$ begins at $P/L$ and runs $P/2$ fewer.
""",
        wrong=[
            Wrong("L - P (L+1)/2", "That is the schedule $\\frac lL P$, whose first branch drops "
                                   "too."),
            Wrong("L*(1-P)", "That has all branches drop at the last one's rate."),
            Wrong("L*P/2", "That is how many are dropped on average."),
            Wrong("L - P/2", "That takes off the mean rate of one branch; there are $L$ of them."),
        ],
    )
)  # fmt: skip

# ---- code ---------------------------------------------------------------------------------------


def check_noise(noise):
    out = noise([3.0, 1.0], [0, 1], 0.5)
    yield expect(
        "with a coin for each the squares are added", close(out, 10.0), saw(noise, out, 10.0),
        "the factor is p / (1 - p), and each coin's part is squared",
    )  # fmt: skip
    out = noise([1.0, 3.0, 2.0, -2.0, 4.0], [0, 0, 1, 1, 2], 0.2)
    yield expect(
        "numbers with one coin are added before they are squared", close(out, 8.0),
        saw(noise, out, 8.0), "what does a coin decide on?",
    )  # fmt: skip
    out = noise([2.0, 5.0, -1.0], [7, 3, 7], 0.25)
    want = 26 / 3
    yield expect(
        "groups may lie apart and have any names", close(out, want), saw(noise, out, want),
        "collect the sums by the name of the group",
    )  # fmt: skip
    out = noise([1.0, 2.0], [0, 0], 0.0)
    yield expect(
        "without dropout there is no noise", close(out, 0.0), saw(noise, out, 0.0),
        "try p = 0 in your factor",
    )  # fmt: skip


EXERCISES.append(
    Code(
        id="11.6",
        title="The noise of any sharing",
        trains="the theorem on shared coins, as a function",
        question=r"""
Write `noise(a, groups, p)`: the variance, over the coins of inverted dropout with drop rate `p`, of
the sum of the contributions in the list `a`. Number `i` has the coin named `groups[i]`; numbers
with the same name share it. The names are integers, in any order. Exactly, without sampling.
""",
        given="""
def noise(a, groups, p):
    ...
""",
        code="""
def noise(a, groups, p):
    parts = {}
    for value, name in zip(a, groups):
        parts[name] = parts.get(name, 0.0) + value
    return p / (1 - p) * sum(part**2 for part in parts.values())
""",
        alike=[
            """
import numpy as np

def noise(a, groups, p):
    names, who = np.unique(np.asarray(groups), return_inverse=True)
    parts = np.bincount(who, np.asarray(a, dtype=float))
    return float(p / (1 - p) * (parts**2).sum())
""",
            """
def noise(a, groups, p):
    q = 1 - p
    pairs = [(x, y) for x, g in zip(a, groups) for y, h in zip(a, groups) if g == h]
    return sum(x * y for x, y in pairs) * (1 / q - 1)
""",
            """
from collections import defaultdict

def noise(a, groups, p):
    parts = defaultdict(float)
    for i, name in enumerate(groups):
        parts[name] += a[i]
    return sum(part * part for part in parts.values()) * p / (1 - p)
""",
        ],
        check=check_noise,
        in_page=True,
        harmless={
            "parts.get(name, 0.0) + value -> parts.get(name, 0.0) - value":
                "the parts are squared, so that their sign does not matter",
        },
        hints=[
            "First find what each coin decides on: the sum of the numbers that have it.",
            "A dictionary from names to sums will do.",
            "The variance is `p / (1 - p)` times the sum of the squares of these sums.",
        ],
        solution="""
Each coin decides on the sum of its group, and the coins are independent. So the variance is p/q
times a square for each coin.
""",
        wrong=[
            Wrong("""
def noise(a, groups, p):
    return p / (1 - p) * sum(v**2 for v in a)
""", "You square each contribution by itself, and `groups` is not used: that is plain dropout."),
            Slip("p / (1 - p) *", "p * (1 - p) *", "That is the variance of a coin that is not "
                 "scaled. Survivors are divided by `q`."),
            Slip("p / (1 - p) *", "(1 - p) / p *", "The factor is upside down: it should grow with "
                 "the drop rate."),
            Slip("p / (1 - p) *", "p *", "One factor is missing: what survives has been scaled up, "
                 "which makes it noisier."),
            Slip("+ value", "+ abs(value)", "Contributions of opposite signs cancel, and so does "
                 "their noise, where they share a coin."),
            Slip("part**2", "part", "You add up what the coins decide on without squaring it."),
            Wrong("""
def noise(a, groups, p):
    parts, last = [], None
    for value, name in zip(a, groups):
        if name == last:
            parts[-1] += value
        else:
            parts.append(value)
        last = name
    return p / (1 - p) * sum(part**2 for part in parts)
""", "You join only neighbours in the list; a coin can belong to numbers that lie apart."),
        ],
    )
)  # fmt: skip


def check_channels(drop_channels):
    x = [[[1.0, 2.0], [3.0, -1.0]], [[0.5, 4.0], [2.0, 2.0]]]
    out = drop_channels(x, 0.0)
    yield expect(
        "a rate of 0 drops nothing", close(out, x), saw(drop_channels, out, x),
        "a channel is kept with probability `1 - p`",
    )  # fmt: skip
    ones = [[[1.0] * 3 for _ in range(8)] for _ in range(150)]
    out = drop_channels(ones, 0.25)
    right = isinstance(out, list) and len(out) == 150 and len(flat(out)) == 3600
    yield expect(
        "the shape stays", right, "150 examples of 8 channels of 3 numbers come out in another "
        "shape.", "keep a place, with a 0, for what is dropped",
    )  # fmt: skip
    channels = [channel for example in out for channel in example]
    mixed = sum(0 < sum(v != 0 for v in channel) < 3 for channel in channels)
    yield expect(
        "a channel falls whole", mixed == 0,
        f"Of 1200 channels {mixed} have lost some of their numbers and kept others.",
        "toss one coin for all numbers of a channel", "mixed",
    )  # fmt: skip
    kept = [channel[0] != 0 for channel in channels]
    rows = [kept[8 * k : 8 * k + 8] for k in range(150)]
    yield expect(
        "channels of an example have coins of their own", any(0 < sum(row) < 8 for row in rows),
        "Each of 150 examples has lost all of its 8 channels or none.",
        "toss anew for each channel", "all" if all(kept) else "none" if not any(kept) else "",
    )  # fmt: skip
    yield expect(
        "examples have coins of their own", any(row != rows[0] for row in rows),
        "All 150 examples have lost the same channels.", "toss anew for each example too",
    )  # fmt: skip
    scale = [v for channel in channels for v in channel if v]
    yield expect(
        "survivors are divided by 1 − p", close(scale, [4 / 3] * len(scale)),
        f"With ones and p = 0.25 a survivor is {scale[0]:.4g}; 1.333 is wanted.",
        "what makes up for the channels that are lost?",
    )  # fmt: skip
    share = sum(kept) / 1200
    yield expect(
        "a share of 1 − p survives", plausible(sum(kept), 1200, 0.75),
        f"With p = 0.25, {share:.1%} of 1200 channels survive; 75% are wanted.",
        "look at the comparison that decides who survives",
        "p" if share < 0.4 else "other",
    )  # fmt: skip
    yield expect(
        "how many survive varies", min(map(sum, rows)) < max(map(sum, rows)),
        f"Each example keeps exactly {sum(rows[0])} of its 8 channels.",
        "let each coin fall by itself",
    )  # fmt: skip
    yield expect(
        "each call tosses anew", drop_channels(ones[:20], 0.25) != drop_channels(ones[:20], 0.25),
        "Two calls with the same 160 channels have lost the same of them.",
        "set no seed inside the function",
    )  # fmt: skip


EXERCISES.append(
    Code(
        id="11.7",
        title="Write channel dropout",
        trains="a coin whose shape is not that of the numbers",
        question=r"""
Write `drop_channels(x, p)`: inverted dropout of whole channels, in training. `x` has the shape
(N, C, L), as nested lists, an array or a tensor, as you like: N examples of C channels of L
numbers. Each channel of each example has one coin, and is dropped whole with probability `p`. Take
coins from `random`, NumPy or PyTorch.
""",
        given="""
import random

def drop_channels(x, p):
    ...
""",
        code="""
import random

def drop_channels(x, p):
    q = 1 - p
    out = []
    for example in x:
        factors = [1 / q if random.random() < q else 0.0 for _ in example]
        out.append([[f * v for v in channel] for f, channel in zip(factors, example)])
    return out
""",
        alike=[
            """
import torch

def drop_channels(x, p):
    return torch.nn.functional.dropout1d(x, p, training=True)
""",
            """
import torch

def drop_channels(x, p):
    keep = torch.rand(x.shape[0], x.shape[1], 1) >= p
    return x * keep / (1 - p)
""",
            """
import numpy as np

def drop_channels(x, p):
    x = np.asarray(x)
    keep = np.random.random(x.shape[:2]) < 1 - p
    return np.where(keep[:, :, None], x / (1 - p), 0.0)
""",
        ],
        check=check_channels,
        in_page=True,
        power="1200 coins at 0.25: a rate off by 0.11 is found 99 times in 100",
        harmless={
            "random.random() < q -> random.random() <= q": "a coin equals q once in 2^53 tosses",
        },
        hints=[
            "The coins have the shape (N, C), or (N, C, 1) to be multiplied with the numbers.",
            "For each example toss C coins; a kept channel has the factor `1 / q`, a dropped "
            "one 0.",
            "Multiply all numbers of a channel by the factor of that channel.",
        ],
        solution="""
One factor for each channel of each example, `1 / q` or 0, and all numbers of the channel are
multiplied by it. In an array language the coins have the shape (N, C, 1) and broadcasting does it.
""",
        wrong=[
            Wrong("""
import random

def drop_channels(x, p):
    q = 1 - p
    return [[[v / q if random.random() < q else 0.0 for v in c] for c in e] for e in x]
""", "Each number has a coin of its own here: that is plain dropout, whose coins have the shape of "
     "`x`."),
            Wrong("""
import random

def drop_channels(x, p):
    out = []
    for example in x:
        f = 1 / (1 - p) if random.random() < 1 - p else 0.0
        out.append([[f * v for v in channel] for channel in example])
    return out
""", "Your coin falls for a whole example. That is DropPath."),
            Slip("    q = 1 - p\n", "    q = 1 - p\n    random.seed(0)\n", "A seed inside the "
                 "function takes the same channels away in every step, as if the network had "
                 "never had them."),
            Wrong("""
import random

def drop_channels(x, p):
    q = 1 - p
    factors = [1 / q if random.random() < q else 0.0 for _ in x[0]]
    return [[[f * v for v in c] for f, c in zip(factors, e)] for e in x]
""", "You toss for the channels once, before the loop over the examples: one mask for the batch."),
            Slip("[1 / q if", "[1.0 if", "The channels that survive are passed on as they are. "
                 "Then sums shrink in training."),
            Slip("[1 / q if", "[q if", "You multiply survivors by `q`; they are too few already, "
                 "and need to be larger."),
            Slip("random.random() < q", "random.random() < p", "You keep a channel with the "
                 "probability to drop it."),
            Wrong("""
import random

def drop_channels(x, p):
    out = []
    for e in x:
        lost = set(random.sample(range(len(e)), round(p * len(e))))
        out.append([[0.0 if k in lost else v / (1 - p) for v in c] for k, c in enumerate(e)])
    return out
""", "You choose a fixed number of channels to lose. Coins are independent of one another."),
            Wrong("""
import random

def drop_channels(x, p):
    q = 1 - p
    return [[[v / q for v in c] for c in e if random.random() < q] for e in x]
""", "Lost channels must stay as zeros. Taken out, those behind them change places."),
        ],
    )
)  # fmt: skip


def check_path(drop_path):
    square = [[1.0] * 60 for _ in range(60)]
    out = drop_path(square, 0.25, True)
    whole = all(len({bool(v) for v in row}) == 1 for row in out)
    columns = all(len({bool(v) for v in column}) == 1 for column in zip(*out))  # noqa: B905
    yield expect(
        "an example falls whole or not at all", whole,
        "Of a batch of 60 examples with 60 numbers, some examples have lost a part of their "
        "numbers and kept the rest.",
        "along which axis do your coins lie, when they meet the numbers?",
        "columns" if columns else "mixed",
    )  # fmt: skip
    out = drop_path([[1.0] * 2 for _ in range(1500)], 0.25, True)
    kept = [row[0] for row in out if row[0]]
    yield expect(
        "examples have coins of their own", 0 < len(kept) < 1500,
        f"Of 1500 examples {len(kept)} are kept, at p = 0.25.", "toss a coin for each example",
        "all" if kept else "none",
    )  # fmt: skip
    yield expect(
        "survivors are divided by 1 − p", close(kept, [4 / 3] * len(kept)),
        f"With ones and p = 0.25 a survivor is {kept[0]:.4g}; 1.333 is wanted.",
        "training must send the mean that evaluation sends",
    )  # fmt: skip
    share = len(kept) / 1500
    yield expect(
        "a share of 1 − p survives", plausible(len(kept), 1500, 0.75),
        f"With p = 0.25, {share:.1%} of 1500 examples survive; 75% are wanted.",
        "look at the comparison", "p" if share < 0.4 else "other",
    )  # fmt: skip
    out = drop_path([[2.0, -1.0] for _ in range(40)], 0.5, True)
    yield expect(
        "what survives is the example's own numbers",
        all(close(row, [4.0, -2.0]) for row in out if row[0]),
        "At p = 0.5 examples 2, −1 come out as other than 4, −2 or 0, 0.",
        "multiply the example by its coin and the factor",
    )  # fmt: skip
    maps = [[[[1.0, 2.0], [3.0, 4.0]]] * 2 for _ in range(12)]
    out = drop_path(maps, 0.5, True)
    yield expect(
        "maps of four axes fall whole too",
        all(len({bool(v) for v in flat(each)}) == 1 for each in out),
        "Of examples with maps of 2 × 1 × 2 × 2 numbers some have lost only a part.",
        "one coin for an example, however many axes it has",
    )  # fmt: skip
    out = drop_path(square[:3], 0.25, False)
    yield expect(
        "evaluation changes nothing", close(out, square[:3]),
        "With `training=False` the input does not come back as it was.",
        "inverted dropout has its factor in training only",
    )  # fmt: skip
    yield expect(
        "each call tosses anew", drop_path(square, 0.5, True) != drop_path(square, 0.5, True),
        "Two calls with the same 60 examples have lost the same of them.",
        "set no seed inside the function",
    )  # fmt: skip


EXERCISES.append(
    Code(
        id="11.8",
        title="Find the bug: it worked with 64 features",
        trains="the shape of the coins, and what broadcasting makes of it",
        question=r"""
A DropPath that was tried out on a batch of 64 examples with 64 features, and seemed to work. With
other sizes it stops with an error about shapes, and with 64 and 64 it was no DropPath either. Mend
`drop_path(x, p, training)`: in training each example, along the first axis of the tensor `x`,
is dropped whole with probability `p`, whatever axes follow.
""",
        given="""
import torch

def drop_path(x, p, training):
    if not training:
        return x
    keep = torch.rand(x.shape[0]) >= p
    return x * keep / (1 - p)
""",
        code="""
import torch

def drop_path(x, p, training):
    if not training:
        return x
    shape = (x.shape[0],) + (1,) * (x.dim() - 1)
    keep = torch.rand(shape) >= p
    return x * keep / (1 - p)
""",
        alike=[
            """
import torch

def drop_path(x, p, training):
    if not training:
        return x
    keep = torch.rand(x.shape[0]) >= p
    return x * keep.reshape(-1, *[1] * (x.dim() - 1)) / (1 - p)
""",
            """
import numpy as np

def drop_path(x, p, training):
    x = np.asarray(x)
    if not training:
        return x
    keep = np.random.random(len(x)) < 1 - p
    return (x.T * keep / (1 - p)).T
""",
            """
import torch

def drop_path(x, p, training):
    coins = torch.nn.functional.dropout(torch.ones(x.shape[0]), p, training)
    return torch.einsum("n...,n->n...", x, coins)
""",
        ],
        check=check_path,
        power="1500 coins at 0.25: a rate off by 0.10 is found 99 times in 100",
        harmless={
            "torch.rand(shape) >= p -> torch.rand(shape) > p":
                "a coin equals p once in 2^24 tosses",
        },
        hints=[
            "Broadcasting lines shapes up from the right: (64,) meets the *last* axis of (64, 64).",
            "So a coin fell for each feature, the same in all examples. Which shape meets the "
            "first axis?",
            "(N, 1) for two axes, (N, 1, 1, 1) for four.",
        ],
        solution="""
Broadcasting lines shapes up from the right, so 64 coins of shape (64,) lay along the features: one
mask for the batch. With the shape (N, 1, …, 1) there is a coin for each example.
""",
        wrong=[
            Wrong("""
import torch

def drop_path(x, p, training):
    if not training:
        return x
    keep = torch.rand(x.shape[-1]) >= p
    return x * keep / (1 - p)
""", "Now the shapes fit, always: a coin for each feature, the same for all examples. But it is "
     "examples that should fall."),
            Slip("torch.rand(shape)", "torch.rand_like(x)", "That is plain dropout: a coin for "
                 "each number, and no branch is ever dropped."),
            Slip("torch.rand(shape)", "torch.rand(())", "Your one coin decides for the whole "
                 "batch. That is stochastic depth as in its paper, and not what is asked for."),
            Slip("* keep / (1 - p)", "* keep", "The branch is not scaled up where it is kept, and "
                 "evaluation does not scale it down."),
            Slip("* keep / (1 - p)", "* keep / p", "The factor makes up for those that are lost: "
                 "divide by the probability to be kept."),
            Slip(">= p", "< p", "The comparison keeps a share `p`."),
            Slip("(1,) * (x.dim() - 1)", "(1,)", "That fits tensors of two axes, and no others: "
                 "with four, the coins lie along another axis."),
        ],
    )
)  # fmt: skip

# ---- a prediction -------------------------------------------------------------------------------

EXERCISES.append(
    Choice(
        id="11.9",
        title="Does it start?",
        trains="telling what keeps a deep network from learning",
        question=r"""
A residual network of 24 branches, each with a layer norm, learns 500 digits for ten epochs, at a
learning rate at which it learns without DropPath. Now with DropPath whose rate grows with depth to
1/2, once from the first step on, once with a rate that rises from 0 over the first five epochs. The
training loss is measured without DropPath. Where are the two after ten epochs? (A network that has
learned nothing is at log 10, which is 2.3 nats.)
""",
        options={
            "a": "The one with the warm-up is below 1 nat, the other at 2.3.",
            "b": "Both are below 1 nat.",
            "c": "Both are at 2.3: the last branches run half of the time.",
            "d": "The one without the warm-up is below 1 nat, the other at 2.3.",
        },
        answer="b",
        hints=[
            "What does an example see of a branch that it drops, and what of the skip beside it?",
            "The skips carry the digits to the last layer in every step, whatever drops.",
        ],
        solution=r"""
Both learn, and so does the network without DropPath. A branch that drops leaves its skip, so that
images and gradients pass in every step. The section goes on to a network that does not start: there
a learning rate that is too high for the depth was to blame, and no warm-up of the rate helped.
""",
        wrong=[
            Wrong("a", "That would make DropPath the obstacle at the start. But the first branches "
                       "hardly drop, and the skips never do."),
            Wrong("c", "That the last branches run half of the time is noise; in the other half "
                       "they learn, and the branches below them more often."),
            Wrong("d", "The warm-up begins with weaker noise, not with stronger. It cannot be the "
                       "one that is kept from learning."),
        ],
        reveals="fig-warm-up",
    )
)  # fmt: skip

# ---- an experiment ------------------------------------------------------------------------------

EXERCISES.append(
    Open(
        id="11.10",
        title="As loud, and as good?",
        trains="taking one explanation away, and looking at what is left",
        question=r"""
At one rate channel dropout is several times as loud as plain dropout. Is that all that tells them
apart? Make both equally loud, and train.

The data are the chapter's `few, choosing, unseen`, 300 digits to learn from; the network is `cnn()`
without dropout, or with one layer before its `Flatten()`: `nn.Dropout(0.5)`, or `nn.Dropout2d(p)`.
Take the $p$ at which the score of the right class gets the same variance from both in the networks
*without* dropout; measure these as the chapter does, the median over `unseen` and then the mean
over networks. Eight networks an arm, for `s` in `seeds(8)`:

```python
fit(build, few, choosing, seed=s, epochs=40, every=2, lr=0.02, batch_size=50)
```

Of each network take the lowest validation loss on the way, of each arm the mean. How many times as
high is it with channels as with elements? Write down what you expect before you run it.
""",
        answer=1.37,
        within=0.17,
        hints=[
            "At one rate the variance under channels is $m$ times that under elements, and both "
            "go with $\\frac pq$. The chapter's cell with `channel / element` measures $m$.",
            "The elements have $\\frac pq = 1$. Which $\\frac pq$ makes up for a factor $m$?",
            "`parts = cnn()`, then `Sequential(*parts[:5], nn.Dropout2d(p), *parts[5:])` is what "
            "`build` returns. The history has `validation_loss`, and its `min()` is wanted.",
        ],
        solution=r"""
With $m = 3.6$, $\frac pq = \frac1m$ gives $p = \frac1{1 + m} = 0.22$. With the seeds of the
question the mean losses are 0.270 without dropout, 0.213 with elements and 0.274 with channels,
which is 1.29 times as high; over eight splits it was 1.37 times. Equally loud, channels did nothing
for these networks that shows. At the rate of the elements, 0.5, where they are four times as loud,
they did a little more, not less. So loudness is not what channel dropout suffers from here. What it
is, this does not show.
""",
        reference="Eight repetitions, each with a split and seeds of its own: 1.23 to 1.48, mean "
        "1.37, standard deviation 0.08; in pairs by seed channels are behind by four to eleven "
        "standard errors. With the split of the question and four sets of eight seeds: 1.25 to "
        "1.36. The matched rate was 0.19 to 0.22; trained with elements the networks have $m = "
        "6.2$, with channels 3.9. As shares of the loss without dropout: elements 0.73, channels "
        "at the matched rate 0.99, channels at 0.5 0.95 (standard deviations 0.05, 0.03 and "
        "0.04). Validation accuracy at the stop: 93.3 % without, 94.7 %, 93.3 % and 93.6 %. "
        "With learning rates 0.01 and 0.05 ($p = 0.2$, twelve seeds, the split of the question) "
        "channels have 1.11 and 1.64 times the loss of elements, and that of no dropout to a "
        "hundredth; with each arm at the best of the three rates it is 1.29 times. Some 30 "
        "seconds on one core.",
        rubric=[
            "What was expected, written down before.",
            "The eight losses of each arm or their spread, compared in pairs by seed.",
            "The arm without dropout beside both, and channels at 0.5: equal rate, unequal noise.",
            "How the rate was matched, and the variances again in the networks that were trained "
            "with dropout: the match is made before, and need not last.",
            "That one learning rate served all arms, and what another one does; that the lowest "
            "validation loss on the way flatters each.",
            "No more than this: of eight maps, one layer and 300 digits, and that loudness is not "
            "the reason. Another reason takes another experiment.",
        ],
        wrong=[
            Wrong(1, "That would say that equal noise has an equal effect. Have you divided by the "
                     "networks *without* dropout? Channels are indeed as good as these."),
            Wrong(0.73, "That is elements over channels, the ratio upside down. Elements over no "
                        "dropout is about as much."),
            Wrong(0.25, "That is the size of a loss in nats, or of the rate that matches. Divide "
                        "the loss of one arm by that of the other."),
            Wrong(3.9, "That is how many times as loud channels are at the same rate. It settles "
                       "the rate; then the networks have to be trained."),
        ],
    )
)  # fmt: skip
