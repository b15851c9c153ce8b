"""Chapter 05, noise and its variance."""

import math

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
from dropout.exercises.probes import Broken, close, expect, mean, plausible, saw, shape, shown

EXERCISES: list[Exercise] = []

# ---- by hand ------------------------------------------------------------------------------------

EXERCISES.append(
    Number(
        id="05.1",
        title="The noise of one unit",
        trains="the variance of one coin, scaled",
        question=r"""
A unit has the activation $h = 3$. In training it goes through inverted dropout with $p = 0.2$.
What is the variance of what it sends?
""",
        answer=2.25,
        follows="In units of $h^2 = 9$ that is {answer / 9}, which is not the variance of $m/q$.",
        hints=[
            "It sends 0 with probability 0.2 and $3 / 0.8 = 3.75$ with probability 0.8; its mean "
            "is 3.",
            "Average the two squared distances from 3, each with its probability.",
            "By the theorem: $\\frac pq h^2$, with $\\frac pq = \\frac14$.",
        ],
        solution=r"""
The squared distances from the mean 3 are 9, with probability 0.2, and $0.75^2 = 0.5625$, with
probability 0.8: together $1.8 + 0.45 = 2.25$. That is $\frac pq h^2 = \frac14 \cdot 9$. The
standard deviation, 1.5, is half of the activation, however large that is.
""",
        wrong=[
            Wrong(1.44, "That is the variance of vanilla dropout, $pq\\,h^2$. The factor $1/q$ on "
                        "survivors makes it $1/q^2$ times as large."),
            Wrong(1.5, "That is the standard deviation, the root of what is asked for."),
            Wrong(3.75, "That is what a survivor sends. How far is that from the mean, and how "
                        "often?"),
            Wrong(36, "You have $q/p$ for $p/q$. At a small drop rate the noise must be small."),
            Wrong(1.8, "Your sum has the squared distance of the dropped case alone. The survivor "
                       "is not at its mean either: it sends 3.75, and not 3."),
            Wrong(0.75, "The noise is proportional to $h$, so that its variance goes with the "
                        "*square* of $h$."),
            Wrong(11.25, "That is the mean square. The variance is that less the square of the "
                         "mean."),
        ],
    )
)  # fmt: skip

EXERCISES.append(
    Number(
        id="05.2",
        title="The noise of a sum",
        trains="adding variances of contributions, not contributions",
        question=r"""
A linear unit has the weights $w = (2, -1, 1)$ and no bias. The activations $h = (1, 3, 1)$ below
it go through inverted dropout with $p = \frac13$, each with a coin of its own. What is the
variance of the sum that the unit receives?
""",
        answer=7.0,
        follows="A single contribution of as much noise would have the square {2 * answer}.",
        after="The mean of this sum is 0: its contributions cancel, and their noise does not.",
        hints=[
            "The contributions are $a_j = w_j h_j$.",
            "Coins are independent, so that the variances of the contributions add up.",
            "$\\frac pq = \\frac12$, and the contributions are 2, −3 and 1.",
        ],
        solution=r"""
The contributions are 2, −3 and 1, each with the variance $\frac pq a_j^2$, where
$\frac pq = \frac{1/3}{2/3} = \frac12$. The coins are independent: the variances add up to
$\frac12 (4 + 9 + 1) = 7$. The mean of the sum is 0, and so is its effective fan-in: nothing but
noise arrives.
""",
        wrong=[
            Wrong(0, "You added up the contributions and squared then. They cancel, but each has "
                     "a coin of its own, and independent noise does not cancel."),
            Wrong(18, "You added up the sizes of the contributions and squared then, as if one "
                      "coin decided for all three."),
            Wrong(5.5, "You left out the weights above. A contribution is $w_j h_j$."),
            Wrong(3, "You left out the activations. A contribution is $w_j h_j$."),
            Wrong(-2, "One contribution is negative, and its square is not."),
            Wrong(3.1111, "That is the variance with vanilla coins, $pq \\sum_j a_j^2$."),
            Wrong(28, "You multiplied by $q/p$, which is 2 here."),
        ],
    )
)  # fmt: skip

EXERCISES.append(
    Choice(
        id="05.3",
        title="Where the points lie",
        trains="seeing a coin's two values beside its standard deviation",
        question=r"""
The next figure draws, on its left, what units of activation $h$ between 0 and 3 send in training
with inverted dropout at $p = 0.3$, 400 draws. A band marks one standard deviation either way of
$h$: from $0.35\,h$ to $1.65\,h$. Where will the points lie?
""",
        options={
            "a": "On two straight lines, which are the two edges of the band.",
            "b": "On two straight lines, one at 0, outside the band, and one inside it.",
            "c": "On two straight lines, at 0 and on the diagonal, $h$.",
            "d": "All over the band, more densely towards its middle.",
        },
        answer="b",
        reveals="fig-noise-fan",
        hints=[
            "A coin has two sides. What does a unit send for each?",
            "A survivor sends $h / 0.7$. Is that within the band?",
        ],
        solution=r"""
A dropped unit sends 0, a kept one $h/0.7 = 1.43\,h$: two lines. The upper one lies inside the
band, since it is met by 70 % of the points: the side that comes up more often must be the nearer
one to the mean. Only at $p = \frac12$ are both sides one standard deviation away.
""",
        wrong=[
            Wrong("a", "So it is at $p = \\frac12$, where both sides of the coin are as far from "
                       "the mean. At 0.3 the survivors are more, and nearer to it."),
            Wrong("c", "Survivors on the diagonal are those of vanilla dropout, whose mean is "
                       "$0.7\\,h$. Here survivors are divided by 0.7."),
            Wrong("d", "That is what normal noise of this variance does. A coin has two values, "
                       "and nothing between them."),
        ],
    )
)  # fmt: skip

# ---- formulas -----------------------------------------------------------------------------------


EXERCISES.append(
    Formula(
        id="05.4",
        title="The other convention",
        trains="the variance of a coin, from its definition",
        question=r"""
*Vanilla* dropout sends $m\,h$ in training, without the factor $1/q$. What is the variance of what
it sends, in `h` and `p`?
""",
        answer="p (1 - p) h^2",
        names={"p": RATES, "h": (1.0, 2.0, -1.0, 0.5, 3.0)},
        also={"q": "1 - p"},
        equal=["p q h^2", "h²(p - p²)", "q h^2 - (q h)^2", "h*h*p*(1-p)"],
        after="Over the mean, $qh$, the standard deviation is $\\sqrt{p/q}$, as with inverted "
              "dropout: the convention changes the unit of the noise, not how much is heard.",
        hints=[
            "A coin equals its square, $m^2 = m$, so that both have the mean $q$.",
            "The mean square is $q h^2$, the mean $q h$.",
        ],
        solution=r"""
The mean square is $\mathbb{E}[m^2] h^2 = q h^2$, the square of the mean $q^2 h^2$. Their
difference is $q(1 - q) h^2 = p(1-p)\,h^2$: $q^2$ times the variance of inverted dropout.
""",
        wrong=[
            Wrong("p h^2/(1-p)", "That is the variance of *inverted* dropout, whose survivors are "
                                 "$1/q$ times as large."),
            Wrong("(1-p) h^2", "That is the mean of the square. Take the square of the mean off."),
            Wrong("p (1-p) h", "A factor of $h$ comes out of a variance squared."),
            Wrong("sqrt(p (1-p)) h", "That is a standard deviation."),
            Wrong("p^2 h^2", "You squared the whole factor. The variance of a coin is the "
                             "probability of one side times that of the other."),
        ],
    )
)  # fmt: skip

EXERCISES.append(
    Formula(
        id="05.5",
        title="Many that say the same",
        trains="how agreement averages noise out",
        question=r"""
$n$ units send equal contributions, which add up to $s$ in evaluation. In training each has
inverted dropout with rate $p$ and a coin of its own. What is the variance of the sum, in `s`, `n`
and `p`?
""",
        answer="p s^2 / ((1 - p) n)",
        names={
            "s": (1.0, 2.0, -3.0, 0.5),
            "n": (1.0, 2.0, 3.0, 5.0, 10.0, 64.0, 100.0),
            "p": RATES,
        },
        also={"q": "1 - p"},
        equal=["p/q s^2/n", "n p/q (s/n)^2", "s² p / (n - n p)"],
        hints=[
            "One contribution is $s/n$. What is its variance?",
            "The variances of $n$ independent terms add up.",
            "$n$ times $\\frac pq (s/n)^2$.",
        ],
        solution=r"""
Each contribution is $s/n$, with the variance $\frac pq \frac{s^2}{n^2}$. There are $n$ of them,
and independent: $\frac pq \frac{s^2}{n}$. With one unit that is $\frac pq s^2$; a hundred that
agree have a tenth of its standard deviation.
""",
        wrong=[
            Wrong("p s^2/(1-p)", "That is what a single unit would have, or $n$ units with one "
                                 "coin between them."),
            Wrong("n p s^2/(1-p)", "Here each unit would send all of $s$. They share it: one sends "
                                   "$s/n$."),
            Wrong("p s^2/((1-p) n^2)", "That is the variance of one contribution; there are $n$ of "
                                       "them."),
            Wrong("p (1-p) s^2/n", "That counts vanilla coins, whose survivors are not divided by "
                                   "$q$."),
            Wrong("(1-p) s^2/(p n)", "The ratio $p/q$ stands upside down: without dropout the "
                                     "variance must be 0."),
        ],
    )
)  # fmt: skip

# ---- agreement ----------------------------------------------------------------------------------

EXERCISES.append(
    Choice(
        id="05.6",
        title="One among many: which of these three",
        trains="what width does to noise, and what it does not",
        question=r"""
A unit has $n$ dropped units below it, at $p = 0.5$. *One of them contributes as much as all the
others together*; the others contribute equally among themselves, and all have the same sign. Which
row is the ratio of mean to standard deviation of the sum that the unit receives?

| $n$ | 4 | 16 | 64 | 256 |
|---|---|---|---|---|
| **a** | 2.00 | 4.00 | 8.00 | 16.00 |
| **b** | 1.00 | 1.00 | 1.00 | 1.00 |
| **c** | 1.73 | 1.94 | 1.98 | 2.00 |
""",
        options={
            "a": "Row a: the noise of many units averages out, as one over the root of $n$.",
            "b": "Row b: the large one decides, and alone it has the ratio $\\sqrt{q/p} = 1$.",
            "c": "Row c: the noise of the others averages out, that of the large one stays.",
        },
        answer="c",
        hints=[
            "Let the large contribution be 1, so that each of the others is $\\frac1{n-1}$.",
            "The squared ratio is $\\frac qp n_\\text{eff}$. What is $n_\\text{eff}$ here, and "
            "what does it tend to?",
        ],
        solution=r"""
With a large contribution of 1 the sum is 2, and the squares add up to $1 + \frac1{n-1}$. So
$n_\text{eff} = 4 / (1 + \frac1{n-1})$, which tends to 4, and the ratio to 2. The others bring half
of the signal and soon no noise; all of the noise is the large one's. Row a is that of equal
contributions. Row b is that of contributions with random signs (root mean square of the ratio),
or of a single unit.
""",
        wrong=[
            Wrong("a", "That is so for *equal* contributions. Here one coin decides over half of "
                       "the sum, at every width."),
            Wrong("b", "That would be so if the others sent nothing. They bring half of the mean, "
                       "with ever less noise."),
        ],
    )
)  # fmt: skip

EXERCISES.append(
    Number(
        id="05.7",
        title="Noisy together",
        trains="the covariance of units that see the same coins",
        question=r"""
Two linear units stand on the same two dropped activations $h = (2, 1)$, under the same mask. Their
weights are $u = (1, 1)$ and $v = (\frac12, 2)$. What is the correlation of their noise (covariance
over the product of the standard deviations)?
""",
        answer=0.8,
        follows="A part of {1 - answer^2} of one unit's variance could then not be predicted from "
                "the other.",
        after="The drop rate does not matter.",
        hints=[
            "The contributions are $u_j h_j$ and $v_j h_j$: write down the two lists.",
            "The covariance is $\\frac pq$ times the sum of the products, each variance "
            "$\\frac pq$ times a sum of squares. So $\\frac pq$ goes out.",
            "The lists are $(2, 1)$ and $(1, 2)$.",
        ],
        solution=r"""
The contributions are $(2, 1)$ and $(1, 2)$. The covariance is $\frac pq (2 + 2)$, both variances
are $\frac pq (4 + 1)$. So the correlation is $4/5 = 0.8$, at every drop rate. Noise that units
share does not average out in a layer above them.
""",
        wrong=[
            Wrong(0.8575, "You left out the activations: the noise of a contribution grows with "
                          "$h_j$ too."),
            Wrong(0.8165, "Your $h_j$ is not squared. It stands in both units, so that each "
                          "product and each square has $h_j^2$."),
            Wrong(0, "The coins are independent of each other, but the two units see the *same* "
                     "coins."),
            Wrong(1, "The same mask makes noises the same only for units whose contributions are "
                     "proportional."),
            Wrong(4, "That is a covariance (at $p = 0.5$). Divide by the standard deviations."),
            Wrong(0.16, "You divided by the product of the variances. It is the product of their "
                        "roots."),
        ],
    )
)  # fmt: skip

EXERCISES.append(
    Number(
        id="05.8",
        title="Eight noisy layers",
        trains="how noise piles up with depth",
        question=r"""
A ReLU network of eight hidden layers has just been initialised, with independent weights of mean 0
and variance $2/n$; it has no normalisation. Inverted dropout with $p = 0.2$ follows each ReLU. How
many times as large as in evaluation is the mean square of the sums above the eighth dropout, in
training?
""",
        answer=5.9605,
        hints=[
            "What does one layer do to the mean square, in training and in evaluation?",
            "The mean square of the noise factor is $\\mathbb{E}[\\varepsilon^2] = 1 + \\frac pq = "
            "\\frac1q$.",
            "Eight layers multiply by $1/q$ eight times.",
        ],
        solution=r"""
Evaluation leaves the mean square as it is. In training each dropout multiplies it by
$\mathbb{E}[\varepsilon^2] = 1/q = 1.25$; eight of them by $1.25^8 = 5.96$. Sums are 2.4 times as
large (root mean square), so that layers learn at one scale and are evaluated at another.
""",
        wrong=[
            Wrong(1.25, "That is one layer. The next one multiplies what this one has made."),
            Wrong(2.4414, "That is the growth of the *root* of the mean square."),
            Wrong(3, "You added up the growth of the layers. Each multiplies."),
            Wrong(0.1678, "That is $q^8$, how evaluation shrinks if the weights are made smaller "
                          "to cure the growth in training."),
            Wrong(4.2998, "You have $1 + p$ for the mean square of the noise factor. Its variance "
                          "is $p/q$, and not $p$."),
            Wrong(390625, "You divided by $p$, the rate of dropping, in each layer."),
        ],
    )
)  # fmt: skip

EXERCISES.append(
    Choice(
        id="05.9",
        title="Which noise is it?",
        trains="telling laws of noise apart by what they send",
        question=r"""
You found a layer of noise without documentation. For three units, here is what it sends in
evaluation, and in four passes of training with the same input:

| evaluation | training |
|---|---|
| 0 | 0, 0, 0, 0 |
| 0.2 | 0.37, −0.05, 0.21, 0.02 |
| 20 | 41.3, 5.2, −8.6, 24.9 |

Which layer is it?
""",
        options={
            "a": "Inverted dropout at $p = 0.5$.",
            "b": "Normal noise of standard deviation 1, added to each activation.",
            "c": "Gaussian dropout at $p = 0.05$.",
            "d": "Gaussian dropout at $p = 0.5$.",
        },
        answer="d",
        hints=[
            "Which laws keep a 0 at 0, and which can change a sign?",
            "Divide each row by its activation. Which standard deviation does the quotient have?",
        ],
        solution=r"""
Nothing is added where the activation is 0, and the noise is about as large as the activation
itself, at 0.2 and at 20: it multiplies. It takes more than two values and changes signs, so that
it is no coin. Its factors (1.85, −0.25, 1.05, 0.1; 2.07, 0.26, −0.43, 1.25) vary by about 1 around
1, which is $\sqrt{p/q}$ at $p = 0.5$.
""",
        wrong=[
            Wrong("a", "A coin sends 0 or twice the activation here, never a negative value of a "
                       "positive one."),
            Wrong("b", "Added noise would shake the unit that sends 0 as well, and would not show "
                       "beside 20."),
            Wrong("c", "The law could be that, but not the rate: at $p = 0.05$ the standard "
                       "deviation is 0.23 of the activation. Look at the row of 20."),
        ],
    )
)  # fmt: skip

# ---- code ---------------------------------------------------------------------------------------


def check_gaussian(gaussian):
    threes = [3.0] * 3000
    out = gaussian(threes, 0.8)
    yield expect(
        "as many numbers come out as go in", shape(out) == [3000],
        "3000 numbers go in, and something else comes out.", "return a number for each of `x`",
    )  # fmt: skip
    values = len(set(out))
    yield expect(
        "each number has a normal number of its own", values > 2000,
        f"3000 activations of 3 at p = 0.8 send only {values} different values.",
        "draw anew for each number, from a normal law",
        "one" if values == 1 else "coin" if values == 2 else "few",
    )  # fmt: skip
    centre, below = mean(out) / 3, sum(v < 0.6 for v in out)
    likely = min((0.0, 0.2, 0.8, 1.0, 5.0), key=lambda c: abs(c - centre))
    yield expect(
        "the mean is that of vanilla dropout", plausible(below, 3000, 0.5),
        f"An activation of 3 at p = 0.8 sends {3 * centre:.2f} on average; 0.6 is wanted, with "
        f"half of the values below it, and you have {below / 30:.1f}% there.",
        "which share of passes does a coin let through?",
        str(likely) if abs(likely - centre) < 0.15 else "other",
    )  # fmt: skip
    yield expect(
        "nothing is cut off at 0", min(out) < 0,
        "3000 activations of 3 at p = 0.8 send no negative value; three in ten should be "
        "negative.", "let the normal numbers be as they fall",
    )  # fmt: skip
    spread = (sum((v / 3 - 0.2) ** 2 for v in out) / 3000) ** 0.5
    inside = sum(abs(v - 0.6) <= 1.2 for v in out)
    known = (0.05, 0.133, 0.16, 0.2, 0.267, 0.4, 0.5, 0.894, 2.0, 4.0)
    off, likely = min((max(c / spread, spread / c) if spread else math.inf, c) for c in known)
    yield expect(
        "the variance is that of vanilla dropout", plausible(inside, 3000, 0.682689),
        f"An activation of 3 at p = 0.8 has the standard deviation {3 * spread:.2f} in what you "
        "send; 1.2 is wanted.", "work out the variance of a coin, and take its root",
        str(likely) if off < 1.06 else "other",
    )  # fmt: skip
    near = sum(abs(v - 0.6) <= 0.6 for v in out)
    yield expect(
        "the noise is normal", plausible(near, 3000, 0.382925),
        f"{near / 30:.1f}% of your values lie within half a standard deviation of their mean; "
        "38.3% of normal ones do.", "take the numbers from a normal law", "shape",
    )  # fmt: skip
    x = [2.0, -1.0, 3.0, 0.5]
    out = gaussian(x, 0.0)
    yield expect(
        "a rate of 0 makes no noise", close(out, x), saw(gaussian, out, x),
        "at `p = 0` every coin is 1: which mean and which variance has it?",
    )  # fmt: skip
    out = gaussian([0.0, 0.0], 0.8)
    yield expect(
        "a unit that sends 0 has no noise", close(out, [0.0, 0.0]), saw(gaussian, out, [0.0, 0.0]),
        "noise multiplies: it is in proportion to the activation", "added",
    )  # fmt: skip
    yield expect(
        "each call draws anew", gaussian(threes[:5], 0.8) != gaussian(threes[:5], 0.8),
        "Two calls with the same input give the same noise.", "do not seed inside the function",
    )  # fmt: skip


EXERCISES.append(
    Code(
        id="05.10",
        title="A normal number for a vanilla coin",
        trains="matching two laws of noise in mean and variance",
        question=r"""
The chapter's Gaussian dropout is the partner of *inverted* dropout. Write the partner of
*vanilla* dropout: `gaussian(x, p)` multiplies each number of `x` by a normal number of its own,
which has the **mean and the variance of the unscaled coin** $m$, kept with probability $1 - p$.
Training only, $0 \le p < 1$; draw from `random.gauss`, NumPy or PyTorch.
""",
        given="""
import random

def gaussian(x, p):
    ...
""",
        code="""
import random

def gaussian(x, p):
    q = 1 - p
    std = (p * q) ** 0.5
    return [v * random.gauss(q, std) for v in x]
""",
        alike=[
            """
import torch

def gaussian(x, p):
    return x * (1 - p + (p * (1 - p)) ** 0.5 * torch.randn_like(x))
""",
            """
import torch

def gaussian(x, p):
    inverted = x * (1 + (p / (1 - p)) ** 0.5 * torch.randn_like(x))
    return (1 - p) * inverted
""",
            """
import numpy as np

rng = np.random.default_rng()

def gaussian(x, p):
    return rng.normal((1 - p) * x, np.sqrt(p * (1 - p)) * np.abs(x))
""",
            """
import numpy as np

def gaussian(x, p):
    return np.random.normal(loc=1 - p, scale=np.sqrt(p - p**2), size=x.shape) * x
""",
            """
import torch

def gaussian(x, p):
    q = torch.full_like(x, 1 - p)
    return x * torch.normal(q, (q * (1 - q)).clamp(min=0).sqrt())
""",
        ],
        check=check_gaussian,
        power="3000 draws: a standard deviation off by 16%, or a share of 38% within half a "
              "standard deviation off by 7.2 points, is found 99 times in 100",
        hints=[
            "What are the mean and the variance of $m$ itself? Exercise 05.4 has them, with "
            "$h = 1$.",
            "`random.gauss(mean, std)` takes the standard deviation, not the variance.",
            "The mean is `1 - p`, the standard deviation `(p * (1 - p)) ** 0.5`.",
        ],
        solution="""
A coin has the mean $q$ and the variance $pq$. Multiplied by the activation, the standard deviation
is $\\sqrt{pq}$ of it. The same comes of the chapter's Gaussian dropout, times $q$: a factor that
inverted dropout has before and vanilla dropout after.
""",
        wrong=[
            Wrong("""
import torch

def gaussian(x, p):
    return x * (1 + (p / (1 - p)) ** 0.5 * torch.randn_like(x))
""", "That is the partner of inverted dropout, of mean 1. A vanilla coin is 1 with probability "
     "`1 - p` and else 0, without a factor that makes up for it."),
            Slip("gauss(q, std)", "gauss(0, std)", "Your factor has the mean 0, so that it erases "
                 "the activation on average."),
            Slip("gauss(q, std)", "gauss(p, std)", "The mean of your factor is the drop rate. A "
                 "coin is 1 where the unit is *kept*."),
            Slip("std = (p * q) ** 0.5", "std = p * q", "You hand over the variance where the "
                 "generator takes a standard deviation."),
            Slip("std = (p * q) ** 0.5", "std = p ** 0.5", "Your variance is `p`. A coin's is one "
                 "probability times the other: it must vanish at both ends."),
            Slip("std = (p * q) ** 0.5", "std = (p / q) ** 0.5", "Your variance is that of "
                 "$m/q$, while the mean is that of $m$: two conventions in one line."),
            Slip("v * random.gauss(q, std)", "q * v + random.gauss(0, std)",
                 "Your noise is added, of one size for all. A coin takes away the activation, or "
                 "not: its noise grows with it."),
            Slip("v * random.gauss(q, std)", "v * max(0.0, random.gauss(q, std))",
                 "You cut negative factors off, as a coin has none. That moves the mean and "
                 "shrinks the variance; the normal partner has to let signs change."),
            Slip("v * random.gauss(q, std)",
                 "v * random.uniform(q - 3 ** 0.5 * std, q + 3 ** 0.5 * std)",
                 "Mean and variance are right, but the law is uniform."),
            Wrong("""
import random

def gaussian(x, p):
    factor = random.gauss(1 - p, (p * (1 - p)) ** 0.5)
    return [v * factor for v in x]
""", "All numbers share one factor, so that their noise is the same and never averages out."),
            Wrong("""
import random

def gaussian(x, p):
    return [v * (random.random() < 1 - p) for v in x]
""", "That is the coin itself. Its place is to be taken by a normal number."),
            Wrong("""
import random

def gaussian(x, p):
    rng = random.Random(1)
    return [v * rng.gauss(1 - p, (p * (1 - p)) ** 0.5) for v in x]
""", "Your generator starts at the same place in each call. A network could learn to make up for "
     "noise that is always the same."),
        ],
    )
)  # fmt: skip


def check_expected_loss(expected_loss):
    out = expected_loss([1.0, 2.0], [3.0, -1.0], 0.5, 2.0, 0.0)
    if isinstance(out, list):
        yield expect(
            "one number is returned", False, f"`{expected_loss.text}` gives a list.",
            "add the terms up, and return a number",
        )  # fmt: skip
    yield expect(
        "at a rate of 0 it is the squared loss", close(out, 0.25), saw(expected_loss, out, 0.25),
        "begin with the loss of evaluation, (y - sum - b)²",
    )  # fmt: skip
    out = expected_loss([3.0], [4.0], 0.0, 12.0, 0.2)
    yield expect(
        "one contribution pays p/q of its square", close(out, 36.0),
        saw(expected_loss, out, 36.0, ": the unit's sum is 0 or 15, and 12 is the target"),
        "work out the mean of the two losses by hand",
    )  # fmt: skip
    out = expected_loss([1.0, -1.0], [2.0, 2.0], 0.0, 0.0, 0.5)
    yield expect(
        "contributions that cancel pay nevertheless", close(out, 8.0), saw(expected_loss, out, 8.0),
        "try the four masks of two units that send 2 and −2",
    )  # fmt: skip
    out = expected_loss([1.0], [1.0], 3.0, 4.0, 0.5)
    yield expect(
        "the bias pays nothing", close(out, 1.0), saw(expected_loss, out, 1.0),
        "no coin stands before the bias",
    )  # fmt: skip
    w, x, b, y, p = [0.5, -2.0, 1.5], [2.0, 1.0, -1.0], 0.5, -1.0, 0.3
    want = 0.0
    for number in range(8):
        s, chance = b, 1.0
        for j in range(3):
            kept = number >> j & 1
            s += kept * w[j] * x[j] / (1 - p)
            chance *= 1 - p if kept else p
        want += chance * (y - s) ** 2
    out = expected_loss(w, x, b, y, p)
    yield expect(
        "it is the mean over all masks", close(out, want), saw(expected_loss, out, want),
        "compare with the mean over all eight masks",
    )  # fmt: skip


EXERCISES.append(
    Code(
        id="05.11",
        title="What dropout charges a linear unit",
        trains="the expected loss in closed form, as a penalty on contributions",
        question=r"""
A linear unit predicts $\sum_j w_j x_j + b$, and its loss is the square of the distance from the
target $y$. In training its inputs (not its bias) have inverted dropout with rate $p$. Write
`expected_loss(w, x, b, y, p)`: the mean of the squared loss over all masks, exactly. `w` and `x`
are lists of the same length. It should serve a thousand inputs, so do not go through the masks.
""",
        given="""
def expected_loss(w, x, b, y, p):
    ...
""",
        code="""
def expected_loss(w, x, b, y, p):
    a = [u * v for u, v in zip(w, x)]
    loss = (y - sum(a) - b) ** 2
    return loss + p / (1 - p) * sum(v * v for v in a)
""",
        alike=[
            """
def expected_loss(w, x, b, y, p):
    residual, penalty = y - b, 0.0
    for u, v in zip(w, x):
        residual -= u * v
        penalty += (u * v) ** 2 * p / (1 - p)
    return residual ** 2 + penalty
""",
            """
import numpy as np

def expected_loss(w, x, b, y, p):
    return (y - w @ x - b) ** 2 + p / (1 - p) * np.square(w * x).sum()
""",
            """
import torch

def expected_loss(w, x, b, y, p):
    a = w * x
    return (y - a.sum() - b).square() + (1 / (1 - p) - 1) * a.square().sum()
""",
            """
import numpy as np

def expected_loss(w, x, b, y, p):
    W, q = np.outer(w, w), 1 - p
    second = W + np.diag(np.diag(W)) * (1 / q - 1)  # E[eps eps^T], elementwise
    return (y - b) ** 2 - 2 * (y - b) * np.dot(w, x) + x @ second @ x
""",
        ],
        check=check_expected_loss,
        in_page=True,
        hints=[
            "The proposition is exact here: the loss is quadratic in the activations.",
            "The mean of a square is the square of the mean plus the variance. What is the "
            "variance of the sum?",
            "The loss of evaluation, plus `p / (1 - p)` times the sum of the squared "
            "contributions `u * v`.",
        ],
        solution=r"""
With $z$ the noisy sum, $\mathbb{E}[(y - z - b)^2] = (y - \mathbb{E}z - b)^2 + \operatorname{Var}z$.
The first term is the loss of evaluation, the second $\frac pq \sum_j w_j^2 x_j^2$. In the
proposition $L''_{jj} = 2 w_j^2$, and the 2 cancels the $\frac12$.
""",
        wrong=[
            Slip("p / (1 - p) * sum(v * v for v in a)", "p / (1 - p) * sum(u * u for u in w)",
                 "You penalise the weights alone: that is weight decay. The noise is in "
                 "proportion to the activation, so that dropout charges `w * x`."),
            Slip("p / (1 - p) * sum(v * v for v in a)", "p / (1 - p) * sum(v * v for v in x)",
                 "You penalise the activations alone. A large activation under a small weight "
                 "makes little noise."),
            Slip("p / (1 - p) * sum", "0.5 * p / (1 - p) * sum",
                 "You have half of the penalty. The ½ of the proposition stands before a second "
                 "derivative, which for a square is twice $w_j^2$."),
            Slip("p / (1 - p) * sum", "p * sum", "You take `p` for the variance of the noise "
                 "factor. For $m/q$ it is larger, all the more at high rates."),
            Slip("p / (1 - p) * sum", "p * (1 - p) * sum", "Your variance is that of a coin "
                 "without scale. Here survivors are divided by the keep probability."),
            Slip("p / (1 - p) * sum", "(1 - p) / p * sum if p else sum",
                 "Your factor is `q / p`, with which much dropout would charge little."),
            Slip("sum(v * v for v in a)", "sum(a) ** 2",
                 "You square the sum of the contributions. That holds if one coin decides for all; "
                 "with a coin for each their variances add up."),
            Slip("sum(v * v for v in a)", "(sum(v * v for v in a) + b * b)",
                 "You charge the bias too. No coin stands before it, so that it has no noise."),
            Slip("loss + p", "p", "That is the penalty alone. The loss of evaluation is part of "
                 "the mean."),
            Slip("return loss + p / (1 - p) * sum(v * v for v in a)",
                 "return (y - sum(a) / (1 - p) - b) ** 2",
                 "That is the loss of one mask, the one that keeps everything. The mean is over "
                 "those that drop something, too."),
            Slip("return loss + p / (1 - p) * sum(v * v for v in a)", "return loss",
                 "That is the loss of the mean prediction. A square is curved, so that noise adds "
                 "to it."),
        ],
    )
)  # fmt: skip


def check_block(block):
    import torch

    if not (isinstance(block, type) and issubclass(block, torch.nn.Module)):
        raise Broken("The class `Block` itself is asked for.", "write `q.check(Block)`")
    net = block(5, 0.25)
    linear = getattr(net, "linear", None)
    if not isinstance(linear, torch.nn.Linear):
        raise Broken("`Block(5, 0.25)` has no linear layer named `linear`.", "keep its name")
    x = torch.randn(160, 5)
    with torch.no_grad():
        y = torch.sigmoid(linear(x))
        net.eval()
        out, again = net(x.clone()), net(x.clone())
    if not (isinstance(out, torch.Tensor) and out.shape == x.shape):
        raise Broken(
            "`Block(5, 0.25)` makes something else than a tensor of shape (160, 5) of one of that "
            "shape.", "return a tensor of the input's shape",
        )  # fmt: skip
    yield expect(
        "evaluation is x + sigmoid(linear(x))", torch.allclose(out, x + y, atol=1e-5),
        "In evaluation `Block(5, 0.25)` of 160 rows is off by up to "
        f"{(out - x - y).abs().max().item():.3g} from x + sigmoid(linear(x)).",
        "in evaluation nothing is dropped and nothing is scaled",
        "steady" if torch.equal(out, again) else "noisy",
    )  # fmt: skip
    net.train()
    below = x.clone().requires_grad_()
    given = below * 1.0  # what a layer below would hand in
    out = net(given)
    yield expect(
        "the input is left alone", torch.equal(given, x),
        f"After a pass in training the input has changed at {int((given != x).sum())} of 800 "
        "places.", "write into no tensor that others hold", "input",
    )  # fmt: skip
    direction = torch.randn(160, 5)
    words = ""
    try:
        (out * direction).sum().backward()
    except RuntimeError as error:
        words = str(error).partition(":")[0][:100]
    yield expect(
        "`backward` runs in training", not words, f"In training `backward` raises `{words}`.",
        "let every operation be recorded" if "grad_fn" in words else
        "find the operation that needs its own output for the gradient, and what is written into "
        "it", "graph" if "grad_fn" in words else "inplace",
    )  # fmt: skip
    branch = (out - x).detach()
    kept = branch.abs() > 1e-3
    wanted = kept * y / 0.75
    half = ((branch - 0.5).abs() < 1e-6).sum() > 20
    signs = [
        (torch.allclose(branch, y, atol=1e-5), "nothing"),
        (torch.allclose(branch, kept * y, atol=1e-5), "unscaled"),
        (torch.allclose(branch, 4 * kept * y, atol=1e-4), "rates"),
        (bool(half), "before"),
        (int(((out == 0) & (x != 0)).sum()) > 20, "skip"),
        (True, "other"),
    ]
    yield expect(
        "in training the branch is 0 or y / (1 − p), and x goes past it",
        torch.allclose(branch, wanted, atol=1e-4),
        f"At p = 0.25, y = sigmoid(linear(x)) = {shown(y[0, :4].tolist())} becomes "
        f"{shown(branch[0, :4].tolist())} in the branch; each must be 0 or "
        f"{shown((y[0, :4] / 0.75).tolist())}.",
        "drop the output of the sigmoid, before `x` is added",
        next(sign for holds, sign in signs if holds),
    )  # fmt: skip
    mixed = [(kept.any(d) & ~kept.all(d)).any().item() for d in (1, 0)]
    yield expect(
        "each place has a coin of its own", all(mixed),
        f"In training each {'row' if not mixed[0] else 'column'} of the branch is dropped or kept "
        "as a whole.", "make the mask of the shape of `y`", "row" if not mixed[0] else "column",
    )  # fmt: skip
    count = int(kept.sum())
    yield expect(
        "a share of 1 − p survives", plausible(count, 800, 0.75),
        f"At p = 0.25, {count / 8:.0f}% of 800 places survive; 75% are wanted.",
        "hand `self.p` on as the drop rate", "share",
    )  # fmt: skip
    found = linear.weight.grad
    yield expect(
        "the gradient reaches the linear layer", found is not None,
        "After `backward` the weight of `linear` has no gradient.",
        "let nothing cut the branch off from the graph",
    )  # fmt: skip
    assert found is not None
    slope = direction * kept / 0.75 * y * (1 - y)
    want = slope.T @ x
    yield expect(
        "the gradient of the weights is that of the function",
        torch.allclose(found, want, atol=1e-3),
        f"The gradient of a weight is {found[0, 0].item():.3g}; the chain rule, with the mask "
        f"that was drawn, gives {want[0, 0].item():.3g}.",
        "who writes into `y`, and what does the gradient of sigmoid read?", "gradient",
    )  # fmt: skip
    want = direction + slope @ linear.weight.detach()
    yield expect(
        "the gradient of x comes both ways",
        below.grad is not None and torch.allclose(below.grad, want, atol=1e-3),
        "The gradient of x is not that of the sum of x itself and the branch.",
        "detach neither `x` nor the branch", "input",
    )  # fmt: skip
    yield expect(
        "each pass tosses anew", not torch.equal(net(x.clone()), out),
        "Two passes in training drop the same places.", "draw a mask in `forward`",
    )  # fmt: skip


EXERCISES.append(
    Code(
        id="05.12",
        title="Find the bug: written over in place",
        trains="what `inplace=True` costs where backward needs the tensor",
        question=r"""
A residual block, written to save memory. In evaluation it works. In training `backward` raises
*"one of the variables needed for gradient computation has been modified by an inplace
operation"*. Mend it: training must send $x + \tilde y$, with $\tilde y$ the inverted dropout of
$y = \sigma(\text{linear}(x))$, evaluation $x + y$, and gradients must be right. Keep the name
`linear` and the arguments `Block(n, p)`.
""",
        given="""
import torch
import torch.nn.functional as F
from torch import nn

class Block(nn.Module):
    def __init__(self, n, p=0.5):
        super().__init__()
        self.linear = nn.Linear(n, n)
        self.p = p

    def forward(self, x):
        y = torch.sigmoid(self.linear(x))
        F.dropout(y, self.p, self.training, inplace=True)
        return x + y
""",
        code="""
import torch
import torch.nn.functional as F
from torch import nn

class Block(nn.Module):
    def __init__(self, n, p=0.5):
        super().__init__()
        self.linear = nn.Linear(n, n)
        self.p = p

    def forward(self, x):
        y = torch.sigmoid(self.linear(x))
        return x + F.dropout(y, self.p, self.training)
""",
        alike=[
            """
import torch
from torch import nn

class Block(nn.Module):
    def __init__(self, n, p=0.5):
        super().__init__()
        self.linear = nn.Linear(n, n)
        self.dropout = nn.Dropout(p)

    def forward(self, x):
        return x + self.dropout(self.linear(x).sigmoid())
""",
            """
import torch
import torch.nn.functional as F
from torch import nn

class Block(nn.Module):
    def __init__(self, n, p=0.5):
        super().__init__()
        self.linear = nn.Linear(n, n)
        self.p = p

    def forward(self, x):
        y = torch.sigmoid(self.linear(x)).clone()
        F.dropout(y, self.p, self.training, inplace=True)
        return x + y
""",
            """
import torch
from torch import nn

class Block(nn.Module):
    def __init__(self, n, p=0.5):
        super().__init__()
        self.linear = nn.Linear(n, n)
        self.p = p

    def forward(self, x):
        y = torch.sigmoid(self.linear(x))
        if self.training:
            y = y * (torch.rand_like(y) >= self.p) / (1 - self.p)
        return x + y
""",
            """
import torch
from torch import nn

class Block(nn.Module):
    def __init__(self, n, p=0.5):
        super().__init__()
        self.branch = nn.Sequential(nn.Linear(n, n), nn.Sigmoid(), nn.Dropout(p))

    @property
    def linear(self):
        return self.branch[0]

    def forward(self, x):
        return self.branch(x).add_(x)
""",
        ],
        check=check_block,
        takes="object",
        harmless={"0.5 -> 1.5": "the default rate, which the check overrides"},
        power="800 coins at 0.25: a rate off by 0.14 is found 99 times in 100",
        hints=[
            "The derivative of the sigmoid is $y(1 - y)$: autograd keeps its *output* `y` for "
            "that.",
            "What does `F.dropout(y, …, inplace=True)` write into? And why does evaluation not "
            "mind?",
            "Leave `inplace=True` out, and use what `F.dropout` returns.",
        ],
        solution="""
The sigmoid keeps its output `y` for the gradient, $y(1-y)$, and dropout in place writes over it.
Autograd counts the writes, and refuses. The same happens above tanh, ReLU and exp. Above a linear
layer or a sum it goes well, as those do not need their outputs. In evaluation nothing is written.
""",
        wrong=[
            Slip("return x + F.dropout(y, self.p, self.training)",
                 "F.dropout(y.data, self.p, self.training, inplace=True)\n        return x + y",
                 "With `.data` the write still happens, and autograd does not count it: no error, "
                 "and a wrong gradient, from a `y` that is no longer the sigmoid's."),
            Slip("F.dropout(y, self", "F.dropout(y.detach(), self",
                 "`detach` takes the branch out of the graph. The error goes away, and so does all "
                 "learning of the layer below."),
            Slip("return x + F.dropout(y, self.p, self.training)",
                 "with torch.no_grad():\n            return x + F.dropout(y, self.p, "
                 "self.training)",
                 "Under `no_grad` nothing is recorded, so that there is nothing to go back "
                 "through."),
            Slip("F.dropout(y, self.p, self.training)",
                 "y.mul_(F.dropout(torch.ones_like(y), self.p, self.training))",
                 "Something still writes into `y`. `mul_` and `*=` do so just as `inplace=True` "
                 "does, and as an `nn.Dropout` made with it."),
            Slip("F.dropout(y, self.p, self.training)", "F.dropout(y, self.p)",
                 "`F.dropout` does not know the module's mode: its `training` is `True` unless "
                 "you say otherwise."),
            Slip("F.dropout(y, self.p, self.training)", "F.dropout(y, 1 - self.p, self.training)",
                 "`F.dropout` takes the rate of dropping, which is `p` as it stands."),
            Slip("F.dropout(y, self.p, self.training)",
                 "y * F.dropout(torch.ones(len(x), 1), self.p, self.training)",
                 "Your mask has one coin for each row, which all units of the row share. Whole "
                 "examples lose the branch."),
            Slip("F.dropout(y, self.p, self.training)", "y",
                 "You took the dropout out together with its error."),
            Wrong("""
import torch
import torch.nn.functional as F
from torch import nn

class Block(nn.Module):
    def __init__(self, n, p=0.5):
        super().__init__()
        self.linear = nn.Linear(n, n)
        self.p = p

    def forward(self, x):
        z = self.linear(x)
        F.dropout(z, self.p, self.training, inplace=True)
        return x + torch.sigmoid(z)
""", "You drop the sums below the sigmoid. There, in place is harmless, but a dropped sum of 0 "
     "sends ½, and not 0."),
            Slip("x + F.dropout(y, self.p, self.training)",
                 "F.dropout(x + y, self.p, self.training, inplace=True)",
                 "A sum does not need its output, so that in place is harmless there. But you now "
                 "drop `x` as well, which should go past the branch."),
            Slip("y = torch.sigmoid(self.linear(x))",
                 "F.dropout(x, self.p, self.training, inplace=True)\n"
                 "        y = torch.sigmoid(self.linear(x))",
                 "You write into the tensor that the caller handed in. Whoever else holds it, such "
                 "as the layer below, finds other numbers in it."),
            Slip("F.dropout(y, self.p, self.training)",
                 "y * (torch.rand_like(y) >= (self.p if self.training else 0))",
                 "Your mask is without the factor for survivors, so that training sends less than "
                 "evaluation on average."),
        ],
    )
)  # fmt: skip

# ---- an experiment ------------------------------------------------------------------------------

EXERCISES.append(
    Open(
        id="05.13",
        title="Four times the width",
        trains="asking of a trained network what a formula cannot say",
        question=r"""
With 64 units a layer, the chapter's networks trained at $p = 0.5$ have an effective fan-in of 17
or so. Give both hidden layers 256 units, and leave the rest as it is: the chapter's `train` and
`test`, `SETTINGS`, five seeds. What is now the effective fan-in of the right class's score (median
over the test images, as `profile` measures it; mean over the five seeds)? Write down what you
expect before you run it.
""",
        answer=45.7,
        within=0.06,
        follows="That is {answer / 17.2} times what 64 units have on average, 17.2.",
        after="Four times the units, 2.7 times the fan-in. Without dropout it grows as much, "
              "from 5 to 15 or so.",
        reference="The chapter's 300 digits and `SETTINGS` (learning rate 0.1, 200 epochs), no "
                  "weight decay, `mlp(64, 256, 256, 10, p=0.5)`, `seeds(5)`: a mean of 45.7. Three "
                  "more sets of five seeds gave 45.3, 46.1 and 44.8; single networks lie between "
                  "43.1 and 47.6. With 64 units four sets gave 16.6 to 17.7; with 256 units and "
                  "without dropout, 15.2 to 15.9. The settings were not tuned anew for the width. "
                  "Some five seconds on one core.",
        rubric=[
            "says beforehand what is expected, and why",
            "gives each of the five numbers, or their spread, and not the mean alone",
            "runs a control of the same width without dropout",
            "says that learning rate and epochs were not chosen for this width",
            "concludes no more than that: of these networks, and not of width as such",
        ],
        hints=[
            "`sweep` takes a list of functions that build networks, as in the chapter's cell that "
            "trains its three arms.",
            "`sweep([lambda: mlp(64, 256, 256, 10, p=0.5)] * 5, train, validation, "
            "seed=seeds(5), **SETTINGS)[0]` are the five.",
            "`np.mean([profile(net)[\"n_eff\"] for net in wide])`.",
        ],
        solution=r"""
```python
build = lambda: mlp(64, 256, 256, 10, p=0.5)
wide = sweep([build] * 5, train, validation, seed=seeds(5), **SETTINGS)[0]
np.mean([profile(net)["n_eff"] for net in wide])
```

gives 45.7. Fan-in grows with width, by less than the width: 0.27 of the units at 64, 0.18 at 256.
That is not dropout's doing alone: without it the fan-in of the wide network is three times as large
too. Why it grows as it does this does not show.
""",
        wrong=[
            Wrong(17.2, "That is what 64 units have: it would mean that width does nothing. Equal "
                        "contributions would use all of it, random signs none. Trained networks "
                        "are neither; run them."),
            Wrong(68.8, "That assumes that agreement grows in proportion to width. Nothing makes "
                        "the new units contribute as the old ones do."),
            Wrong(34.4, "That is a growth with the root of the width, as of a ratio of mean to "
                        "standard deviation. The effective fan-in is the square of such a ratio."),
            Wrong(15.5, "That is about what the wide networks have without dropout. Check that "
                        "`p=0.5` reaches `mlp`."),
            Wrong(256, "That is $n_\\text{eff}$ of equal contributions, the greatest it can be."),
        ],
    )
)  # fmt: skip
