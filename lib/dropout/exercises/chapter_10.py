"""Chapter 10, Gaussian and learned noise."""

from dropout.exercises.forms import Choice, Code, Exercise, Formula, Number, Slip, Wrong
from dropout.exercises.probes import close, expect, saw

EXERCISES: list[Exercise] = []

# ---- by hand ------------------------------------------------------------------------------------

EXERCISES.append(
    Number(
        id="10.1",
        title="The rate of one input",
        trains="what a learned rate is a balance of",
        question=r"""
A linear model has one input, whose least-squares coefficient is $b = 0.5$. The noise is known, of
variance 4, and the input's squares sum to $S = 64$ over the data. The input has dropout at a rate
that is learned, under the chapter's price with a very wide prior ($\ell \to 0$). Which rate is
learned?
""",
        answer=0.119203,
        within=0.015,
        follows="Of a hundred masks {100 * answer} would drop the input. One that says nothing is "
                "dropped by 50.",
        hints=[
            "The precision is $\\tau = 1/4$. What is $t = b \\sqrt{\\tau S}$?",
            "$t = 0.5 \\cdot \\sqrt{16} = 2$, and $D = t^2/2$.",
            "$p = 1 / (1 + e^2)$.",
        ],
        solution=r"""
The precision is one over the variance, $\tau = \frac14$, so $t = b\sqrt{\tau S} = 0.5 \cdot 4 = 2$
and $D = t^2/2 = 2$. The rate is $1/(1 + e^2) = 0.119$.
""",
        wrong=[
            Wrong(0.880797, "That is the share that is kept. The rate asked for is the share that "
                            "is dropped."),
            Wrong(0.018, "The exponent is half of $t^2$: the Gaussian log-likelihood has a factor "
                         "one half."),
            Wrong(0.268941, "You have taken $t/2$ for the exponent. It is the square of $t$ that "
                            "the likelihood counts."),
            Wrong(0.3775, "That is the rate for $t = 1$. Is the noise's *variance* 4, or its "
                          "standard deviation?"),
            Wrong(0.135335, "That is $e^{-2}$, the odds $p/q$. The rate is odds over one plus "
                            "odds."),
        ],
    )
)  # fmt: skip

EXERCISES.append(
    Number(
        id="10.2",
        title="How many signs turn",
        trains="what a normal number does that a coin cannot",
        question=r"""
Gaussian dropout stands for dropout at $p = 0.2$. What share of activations has its sign turned in
a training step? (The distribution function of the standard normal has
$\Phi(-0.25) = 0.401$, $\Phi(-0.5) = 0.309$, $\Phi(-1) = 0.159$, $\Phi(-2) = 0.0228$,
$\Phi(-4) = 0.00003$.)
""",
        answer=0.0228,
        within=0.02,
        follows="Of a thousand activations, {1000 * answer} would change their sign in a step.",
        hints=[
            "The factor is $1 + \\sigma z$ with $z$ standard normal. When is it negative?",
            "If $z < -1/\\sigma$. And $\\sigma^2 = p/q$.",
            "$\\sigma = \\sqrt{0.2/0.8} = 0.5$.",
        ],
        solution=r"""
$\sigma = \sqrt{p/q} = \sqrt{0.25} = 0.5$, and $1 + 0.5 z < 0$ where $z < -2$. That is a share of
$\Phi(-2) = 0.0228$.
""",
        wrong=[
            Wrong(0.00003, "You have divided by the variance, $p/q = 0.25$. A normal number is "
                           "measured in standard deviations."),
            Wrong(0.309, "You have taken $\\sigma$ for $1/\\sigma$: the factor is centred on 1, "
                         "which is $1/\\sigma$ standard deviations from 0."),
            Wrong(0.2, "That is the share that a coin drops. A normal number has no such share: it "
                       "is 0 with probability 0."),
            Wrong(0.159, "That would be right at $p = \\frac12$, where $\\sigma = 1$."),
            Wrong(0.401, "You have put the variance, 0.25, into $\\Phi$ for the distance. How many "
                         "standard deviations is it from 1 to 0?"),
        ],
    )
)  # fmt: skip

# ---- choices ------------------------------------------------------------------------------------

EXERCISES.append(
    Choice(
        id="10.3",
        title="Three layers choose",
        trains="which layers ask for more noise when the rate is theirs to set",
        question=r"""
A network for 64 pixels and 10 classes has two hidden layers of 64 units. Its pixels, its first and
its second hidden layer have concrete dropout, each with a rate of its own. All rates begin at 0.1
and are learned with the chapter's price on 800 digits. How do the three rates compare in the end?
""",
        options={
            "a": "The pixels have the highest rate, the last hidden layer the lowest.",
            "b": "All three are the same, to a percent or so.",
            "c": "The pixels have the lowest rate, the last hidden layer the highest.",
            "d": "All three have passed one half.",
        },
        answer="c",
        reveals="fig-rates-by-data",
        hints=[
            "The entropy pays each layer for its inputs. What does noise cost in each place?",
            "Noise on a pixel runs through three layers of weights, noise on the last hidden layer "
            "through one. And what did the recipes of old use for inputs?",
        ],
        solution=r"""
The entropy is worth the same for each unit, up to $\log 2$. What noise costs is another thing in
each place: least before the last layer, most on the pixels. It is the order of the usual recipe,
with a rate of 0.2 or less on inputs and of 0.5 on hidden units.
""",
        wrong=[
            Wrong("a", "Then noise would be cheapest on the pixels. But it runs through all layers "
                       "above, and what is lost of the input is lost for all of them."),
            Wrong("b", "The entropy does treat all units alike. But the rate is where its slope "
                       "meets the slope of the cost, and the cost is another in each layer."),
            Wrong("d", "The entropy is greatest at one half. Beyond it, data, weights and entropy "
                       "all push back."),
        ],
    )
)  # fmt: skip

EXERCISES.append(
    Choice(
        id="10.4",
        title="All rates at a thousandth",
        trains="finding out why a learned rate has collapsed",
        question=r"""
Somebody trains a classifier on 60,000 images in batches of 100. Three layers have concrete
dropout. After a few epochs all three rates are below 0.001 and fall on. The loss in each step is

`cross_entropy(model(x), y) + sum(layer.kl() for layer in layers) / 60_000 ** 2`

where `kl` is the chapter's and `cross_entropy` takes the mean over the batch. Why?
""",
        options={
            "a": "60,000 images are so many that no noise is wanted: the rates are right.",
            "b": "The price is divided by the number of images twice, so that almost nothing pays "
                 "for noise.",
            "c": "The price must be divided by the size of the batch, 100, as the cross-entropy "
                 "is.",
            "d": "The entropy has the wrong sign.",
        },
        answer="b",
        hints=[
            "The bound has the price once, beside the loss of all the images.",
            "Divide the whole bound by the number of images. What becomes of each part?",
        ],
        solution=r"""
The bound is the sum of the losses of all images, plus the price once. Divided by $N = 60{,}000$ it
is the mean loss plus $\mathrm{KL}/N$. With $\mathrm{KL}/N^2$ the entropy pays 60,000 times less
than it should. The same objective would belong to $N^2$, which is 3.6 billion, images.
""",
        wrong=[
            Wrong("a", "More data do mean lower rates. But first look at the line of code: whose "
                       "price is it, that of one image or of all?"),
            Wrong("c", "The mean over a batch estimates the mean over *all* images, and it is to "
                       "that mean that the price has to be in proportion. With 100 it would be 600 "
                       "times too large."),
            Wrong("d", "The call is of the chapter's `kl`, whose sign is right. With the wrong "
                       "sign, rates would fly to 0 or to 1."),
        ],
    )
)  # fmt: skip

# ---- formulas -----------------------------------------------------------------------------------

EXERCISES.append(
    Formula(
        id="10.5",
        title="A larger batch",
        trains="what is shared in a batch does not average out",
        question=r"""
In a batch of $M$ examples, what each adds to a gradient has variance $v$ over the noise, and what
any two add has covariance $c$. Twice the batch is drawn, $2M$ examples. By how much does the
variance of the mean over the batch *fall*, in `v`, `c` and `M`?
""",
        answer="(v - c) / (2 M)",
        names={"v": (1.0, 2.0, 0.5, 3.0), "c": (0.3, 0.0, 0.4, 1.0), "M": (1, 2, 3, 10, 50)},
        equal=["v/(2M) - c/(2M)", "v/M + (1 - 1/M) c - v/(2M) - (1 - 1/(2M)) c", "0.5 (v-c)/M"],
        hints=[
            "The variance of the mean is $v/M + (1 - 1/M)\\,c$.",
            "Write it as $c + (v - c)/M$, and put $2M$ for $M$.",
        ],
        solution=r"""
The variance of the mean of $M$ is $c + (v - c)/M$, of $2M$ it is $c + (v - c)/(2M)$. The
difference is $(v - c)/(2M)$. What is shared, $c$, has no part in it: no batch averages it out.
""",
        wrong=[
            Wrong("v / (2 M)", "That is so with noise of its own for each example, $c = 0$. What "
                               "two examples share stays."),
            Wrong("(v - c) / M", "That is what an endless batch would take off. Twice the batch "
                                 "takes off half of it."),
            Wrong("v / (2 M) + (1 - 1/(2 M)) c", "That is the variance of the larger batch. How "
                                                 "much *less* is it than that of the smaller one?"),
            Wrong("(v + c) / (2 M)", "Look at the sign: the more two examples share, the less a "
                                     "larger batch helps."),
        ],
    )
)  # fmt: skip

# ---- code ---------------------------------------------------------------------------------------


def check_relaxed(relaxed):
    h = [1.0, 2.0, -4.0]
    out = relaxed(h, 0.5, 1.0, [0.5, 0.5, 0.5])
    length = len(out) if isinstance(out, list) else "no list"
    yield expect(
        "as many numbers come out as go in", length == 3,
        f"`relaxed` of 3 numbers gives {length} of them.",
        "make a number for each number of `h`",
        "length",
    )  # fmt: skip
    yield expect(
        "at p = 1/2 and u = 1/2 a number is sent as it is", close(out, h), saw(relaxed, out, h),
        "there z is 1/2 and q is 1/2; what is (1 − z)/q?",
    )  # fmt: skip
    out = relaxed([1.0, 1.0], 0.2, 0.01, [0.5, 0.5])
    yield expect(
        "a cold coin that is kept is divided by q", close(out, [1.25, 1.25]),
        saw(relaxed, out, [1.25, 1.25]),
        "at a low temperature it is inverted dropout: which factor has a survivor?",
    )  # fmt: skip
    out = relaxed([3.0, 3.0], 0.2, 0.01, [0.9, 0.7])
    yield expect(
        "a cold coin drops where u is above q", close(out, [0.0, 3.75]),
        saw(relaxed, out, [0.0, 3.75]),
        "look at the sign of log(u/(1 − u)), and at which of z and 1 − z is sent",
    )  # fmt: skip
    out = relaxed([1.0], 0.2, 2.0, [0.8])
    yield expect(
        "at u = q the coin is half, at every temperature", close(out, [0.625]),
        saw(relaxed, out, [0.625]),
        "the temperature divides the whole sum of the two logarithms",
    )  # fmt: skip
    out = relaxed([1.0, 1.0], 0.3, 0.5, [0.2, 0.9])
    q, odds = 0.7, 3.0 / 7.0
    want = [1 / (1 + (odds * u / (1 - u)) ** 2) / q for u in (0.2, 0.9)]
    yield expect(
        "a warm coin is a shade", close(out, want), saw(relaxed, out, want),
        "divide by the temperature; do not multiply by it",
    )  # fmt: skip


EXERCISES.append(
    Code(
        id="10.6",
        title="A coin that has a slope",
        trains="the relaxed coin, from its definition",
        question=r"""
Write `relaxed(h, p, t, u)`: what concrete dropout sends in training for the numbers in `h`, at drop
rate `p` and temperature `t`, if the uniform numbers drawn for them are those in `u`. (No random
numbers are to be drawn: `u` has them, strictly between 0 and 1.)
""",
        given="""
import math

def relaxed(h, p, t, u):
    ...
""",
        code="""
import math

def relaxed(h, p, t, u):
    sent = []
    for x, v in zip(h, u):
        lost = (math.log(p / (1 - p)) + math.log(v / (1 - v))) / t
        z = 1 / (1 + math.exp(-lost))
        sent.append(x * (1 - z) / (1 - p))
    return sent
""",
        alike=[
            """
import torch

def relaxed(h, p, t, u):
    logit = torch.log(torch.tensor(p / (1 - p), dtype=u.dtype))
    z = torch.sigmoid((logit + torch.logit(u)) / t)
    return h * (1 - z) / (1 - p)
""",
            """
import numpy as np

def relaxed(h, p, t, u):
    odds = p / (1 - p) * u / (1 - u)
    return h / (1 - p) / (1 + odds ** (1 / t))
""",
            """
import torch

def relaxed(h, p, t, u):
    q = 1 - p
    keep = torch.sigmoid(-(u.log() - (1 - u).log() + torch.logit(torch.tensor(p).double())) / t)
    return keep * h / q
""",
        ],
        check=check_relaxed,
        power="nothing is random: the uniform numbers are given",
        in_page=True,
        hints=[
            "For each number: the logit of `p`, plus the logit of its uniform number, over `t`.",
            "`z` is the sigmoid of that, and `x * (1 - z) / (1 - p)` is sent.",
            "The logit of `v` is `math.log(v / (1 - v))`.",
        ],
        solution="""
The logit of the uniform number is a random shift of the logit of the rate; the temperature says how
steeply the sigmoid turns it into nearly 0 or nearly 1. Very low temperatures overflow `math.exp`;
`torch.sigmoid` does not mind.
""",
        wrong=[
            Slip("x * (1 - z)", "x * z", "You send z, which is the share that is *lost*: it is "
                 "near 1 with probability p."),
            Slip(" / (1 - p))", ")", "The scale of inverted dropout is missing: survivors are "
                 "divided by q."),
            Slip("x * (1 - z) / (1 - p)", "x * (1 - z) / p", "You divide by the drop rate. What "
                 "has to be made up for is the share that is kept."),
            Slip("math.log(v / (1 - v))) / t", "math.log(v / (1 - v)) / t)", "The temperature "
                 "divides only the noise. Then it shifts the rate: at u = q the coin is no longer "
                 "half."),
            Slip("math.log(v / (1 - v))) / t", "math.log(v / (1 - v))) * t", "A low temperature is "
                 "to make a hard coin; multiplying by it makes all of them a half."),
            Slip("(math.log(p / (1 - p)) + ", "(math.log((1 - p) / p) + ", "The odds are upside "
                 "down: this coin is lost with probability q."),
            Slip("(math.log(p / (1 - p)) + math.log(v / (1 - v))) / t",
                 "(math.log(p / (1 - p)) - math.log(v / (1 - v))) / t", "With the noise's sign "
                 "turned the coins have the right law, but are not those of these uniform numbers: "
                 "the definition drops where u is large."),
        ],
    )
)  # fmt: skip


def check_price(price):
    W = [[1.0, 2.0], [0.0, -1.0], [1.0, 1.0]]
    out = price(W, 0.5, 0.0)
    want = -3 * 0.6931471805599453
    yield expect(
        "each input is paid the entropy of a coin", close(out, want), saw(price, out, want),
        "with length 0 there is only the entropy: K times H(p), with its sign",
    )  # fmt: skip
    out = price(W, 0.2, 0.0)
    want = 3 * (0.2 * -1.6094379124341003 + 0.8 * -0.2231435513142097)
    yield expect(
        "the entropy is that of the rate", close(out, want), saw(price, out, want),
        "H(p) has a term for p and one for q",
    )  # fmt: skip
    out = price(W, 0.5, 3.0) - price(W, 0.5, 0.0)
    yield expect(
        "the weights of inverted dropout are divided by q, at p = 1/2", close(out, 72.0),
        f"With the 3 × 2 weights of square 8, p = 0.5 and length 3, the weight term is {out:.4g}; "
        "72 is wanted.",
        "these weights stand above a mask that divides by q: W = q M",
        f"{out:.4g}",
    )  # fmt: skip
    out = price(W, 0.2, 1.0) - price(W, 0.2, 0.0)
    yield expect(
        "the weights of inverted dropout are divided by q", close(out, 5.0),
        f"With the 3 × 2 weights of square 8, p = 0.2 and length 1, the weight term is {out:.4g}; "
        "5 is wanted.",
        "put M = W/q into the term for M",
        f"{out:.4g}",
    )  # fmt: skip


EXERCISES.append(
    Code(
        id="10.7",
        title="Find the bug: the other convention",
        trains="taking a price from one convention of dropout to the other",
        question=r"""
The price of a layer with a learned rate, with one row of weights for each of its $K$ inputs. For
the weights $M$ of *vanilla* dropout it is $\frac{\ell^2}{2}\, q \lVert M \rVert^2 - K H(p)$, and
so it was written down. But the network has *inverted* dropout, whose weights $W$ are what `price`
is given. Mend it.
""",
        given="""
import math

def price(W, p, length):
    q = 1 - p
    squares = sum(w * w for row in W for w in row)
    entropy = -p * math.log(p) - q * math.log(q)
    return length ** 2 / 2 * q * squares - len(W) * entropy
""",
        code="""
import math

def price(W, p, length):
    q = 1 - p
    squares = sum(w * w for row in W for w in row)
    entropy = -p * math.log(p) - q * math.log(q)
    return length ** 2 / 2 * squares / q - len(W) * entropy
""",
        alike=[
            """
import math

def price(W, p, length):
    M = [[w / (1 - p) for w in row] for row in W]
    term = length ** 2 / 2 * (1 - p) * sum(m ** 2 for row in M for m in row)
    return term + len(M) * (p * math.log(p) + (1 - p) * math.log(1 - p))
""",
            """
import numpy as np

def price(W, p, length):
    H = -p * np.log(p) - (1 - p) * np.log1p(-p)
    return float(length ** 2 * (W ** 2).sum() / (2 - 2 * p) - W.shape[0] * H)
""",
            """
import torch

def price(W, p, length):
    H = torch.distributions.Bernoulli(torch.tensor(p, dtype=W.dtype)).entropy()
    return length ** 2 / 2 * W.square().sum() / (1 - p) - len(W) * H
""",
        ],
        check=check_price,
        power="nothing is random",
        in_page=True,
        hints=[
            "Which $M$ does the same as $W$? Vanilla dropout sends $M (m \\circ h)$, inverted "
            "$W (m \\circ h) / q$.",
            "So $M = W / q$. Put it into $q \\lVert M \\rVert^2$.",
            "$q \\lVert W / q \\rVert^2 = \\lVert W \\rVert^2 / q$.",
        ],
        solution="""
Inverted dropout divides by `q`, so that `M = W / q`, and `q ‖M‖²` is `‖W‖² / q`. With the factor
`q` in place of `1/q` a high rate makes weights cheap, where it should make them dear: learned
rates come out too high.
""",
        wrong=[
            Slip("squares / q", "squares", "You have dropped the factor altogether. Then the rate "
                 "has nothing to do with what weights cost."),
            Slip("squares / q", "squares / q ** 2", "That is the square of M = W/q, without the "
                 "factor q that stands before it."),
            Slip("squares / q", "squares * q ** 3", "You have put M = q W. It is the vanilla "
                 "weights that are the larger ones."),
            Slip("- len(W) * entropy", "+ len(W) * entropy", "Entropy is what noise is *paid*, and "
                 "lowers the price. With this sign a rate flees to 0 or to 1."),
            Slip("- len(W) * entropy", "- entropy", "You pay one coin for the layer. Each of its "
                 "inputs has a coin of its own."),
            Slip("- q * math.log(q)", "", "The entropy has two terms: a coin can fall either way."),
            Slip("len(W) * entropy", "len(W) * len(W[0]) * entropy", "That is a coin for each "
                 "weight, as DropConnect has. Dropout has one for each input."),
        ],
    )
)  # fmt: skip
