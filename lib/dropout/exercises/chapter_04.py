"""Chapter 04, ensembles."""

from dropout.exercises.forms import RATES, Choice, Code, Exercise, Formula, Number, Slip, Wrong
from dropout.exercises.probes import close, expect, saw, shape, shown

EXERCISES: list[Exercise] = []

# ---- by hand ------------------------------------------------------------------------------------

EXERCISES.append(
    Number(
        id="04.1",
        title="Two sub-networks, two means",
        trains="the geometric mean, renormalised, by hand",
        question=r"""
One unit is dropped with $p = \frac12$, so there are two sub-networks, each with probability
$\frac12$. For one image they give *yes* the probabilities $\frac12$ and $\frac9{10}$. Which
probability of *yes* has their geometric mean, renormalised as in the chapter's definition?
""",
        answer=0.75,
        follows="Yes at {answer} leaves {1 - answer} for no; the ratio of the two is not that of "
                "the two roots.",
        hints=[
            "Take the root of the product for *yes*, and another for *no*.",
            "Only the ratio of the two roots matters, since in the end they add up to 1. "
            "What are the odds of each sub-network?",
            "The odds are 1 to 1 and 9 to 1. Take the root of their product, and make a "
            "probability of it.",
        ],
        solution=r"""
The odds for *yes* are 1 and 9. The geometric mean of the odds is $\sqrt{1 \cdot 9} = 3$, so *yes*
gets $3/(1+3) = 0.75$. In full: $\sqrt{0.5 \cdot 0.9} = 0.671$ for *yes* and
$\sqrt{0.5 \cdot 0.1} = 0.224$ for *no*; they add up to 0.894, and $0.671 / 0.894 = 0.75$.
""",
        wrong=[
            Wrong(0.7, "That is the arithmetic mean: it adds the two probabilities and halves."),
            Wrong(0.6708, "That is the bare root of the product. With the root for *no* it adds "
                          "up to less than 1, so it has to be renormalised."),
            Wrong(0.8333, "That averages the odds arithmetically. The geometric mean multiplies "
                          "the odds and takes a root."),
            Wrong(0.9, "That multiplies the odds and takes no root, as if the two sub-networks "
                       "were independent witnesses. A mean weighs each by its probability."),
        ],
    )
)  # fmt: skip

EXERCISES.append(
    Number(
        id="04.2",
        title="Four masks under a ReLU",
        trains="the mean over all masks where the keep probability is not one half",
        question=r"""
A hidden unit computes $\max(0, s)$ with $s = \sum_j w_j \frac{m_j}{q} x_j + b$. Two inputs
$x = (3, 3)$ are dropped with rate $p = \frac14$, by inverted dropout; $w = (2, -1)$ and $b = -1$.
What is the mean of the unit's output over all four masks, each with its probability?
""",
        answer=3.0,
        follows="In sixteen draws that hold each mask as often as its probability says, the unit "
                "would send {16 * answer} in all.",
        after="One pass, which sends 2, is not the mean: the ReLU stands above dropped units.",
        hints=[
            "A kept input becomes $3 / \\frac34 = 4$. Write down $s$ for each of the four masks.",
            "After the ReLU: both kept 3, only the first 7, only the second 0, none 0.",
            "The probabilities are $q^2 = \\frac9{16}$, $qp = \\frac3{16}$, again $\\frac3{16}$, "
            "and $p^2 = \\frac1{16}$.",
        ],
        solution=r"""
A kept input becomes 4. Both kept: $s = 8 - 4 - 1 = 3$. Only the first: $8 - 1 = 7$. Only the
second: $-4 - 1 = -5$, which the ReLU makes 0. None: $-1$, also 0. The mean is
$\frac9{16} \cdot 3 + \frac3{16} \cdot 7 = \frac{48}{16} = 3$. Evaluation sends
$\max(0, 6 - 3 - 1) = 2$. The mean of $s$ itself is 2 too; it is the ReLU that makes the
difference.
""",
        wrong=[
            Wrong(2, "That is what evaluation sends, or the mean of the sums $s$ before the ReLU. "
                     "The ReLU acts in each sub-network, before the mean is taken."),
            Wrong(2.5, "You gave each of the four masks the weight ¼. At $p = \\frac14$ they are "
                       "not equally probable."),
            Wrong(2.0625, "Your kept inputs are 3; inverted dropout divides them by $q$."),
            Wrong(1.5, "You kept with probability $p$: the two rates are swapped."),
            Wrong(10, "You added up the four outputs. A mean weighs each with the probability of "
                      "its mask."),
        ],
    )
)  # fmt: skip

EXERCISES.append(
    Choice(
        id="04.3",
        title="A million answers",
        trains="telling a mean from what it is the mean of",
        question=r"""
The mean of the million sub-networks gives the right class 0.64, and evaluation gives it 0.94. The
next figure is the histogram of what the single sub-networks give it. What will it look like?
""",
        options={
            "a": "One hump around 0.64, falling off to both sides.",
            "b": "One hump around 0.94, falling off to the left.",
            "c": "High at both ends, near 0 and near 1, and lower, though not empty, in between.",
            "d": "Two thin bars, at 0 and at 1, and next to nothing in between.",
        },
        answer="c",
        reveals="fig-a-million",
        hints=[
            "The members share their weights, but each adds up other terms, at twice their size.",
            "What does softmax make of scores that vary by several units from mask to mask?",
        ],
        solution=r"""
The scores vary widely from mask to mask, and softmax pushes most of them towards 0 or 1: 36 % of
the sub-networks give the right class more than 0.9, and 11 % less than 0.1. Each tenth in
between holds from 5 to 11 %. The mean, 0.64, is typical of few of them.
""",
        wrong=[
            Wrong("a", "A mean need not lie where the values are. The scores vary by much from "
                       "mask to mask, and softmax makes most of them sure, for the class or "
                       "against it."),
            Wrong("b", "Evaluation is no typical member: it has the mean *score* of the million, "
                       "while the probabilities of members spread over the whole range."),
            Wrong("d", "Many are sure, but scores vary without a gap, so that every probability "
                       "between occurs as well: each tenth holds at least 5 % of the million."),
        ],
    )
)  # fmt: skip

# ---- why it is exact ----------------------------------------------------------------------------

EXERCISES.append(
    Choice(
        id="04.4",
        title="Why it is exact",
        trains="the one step on which the theorem rests",
        question=r"""
Scores $S_c(m)$ are linear in the coins, and $P_c(m) = e^{S_c(m)} / Z(m)$ with
$Z(m) = \sum_i e^{S_i(m)}$, which is not linear in anything. Why is weight scaling nevertheless
*exactly* the renormalised geometric mean of the $P_c(m)$?
""",
        options={
            "a": "Because $Z(m)$ is the same for all masks, so that it may be taken out of the "
                 "mean over them.",
            "b": "Because under each mask $Z(m)$ is the same for all classes, so that the log "
                 "ratio of two classes is linear in the coins.",
            "c": "Because $\\mathbb{E}[\\log Z(m)] = \\log Z$ of evaluation, as the coins are "
                 "independent.",
            "d": "Because softmax of the mean score is the mean of the softmaxes.",
        },
        answer="b",
        hints=[
            "Write $\\log P_a(m) - \\log P_c(m)$.",
            "What is the same for the two classes under one mask, and what remains?",
        ],
        solution=r"""
$\log P_a(m) - \log P_c(m) = S_a(m) - S_c(m)$: the $\log Z(m)$ of that mask goes out, whatever it
is. What remains is linear in the coins, so that its mean is the difference of the scores of
evaluation. Ratios are all that a renormalised distribution has. Coins need not be independent for
that.
""",
        wrong=[
            Wrong("a", "A mask that keeps large scores has a large $Z$, and one that drops "
                       "everything has another. What is needed of $Z(m)$ is less: look at one mask "
                       "and two classes."),
            Wrong("c", "$\\log Z$ is convex in the scores, so that its mean is above its value at "
                       "the mean scores. Independence does not help against a curve."),
            Wrong("d", "That would make it the *arithmetic* mean, which differs from one pass: "
                       "softmax is not linear."),
        ],
    )
)  # fmt: skip


EXERCISES.append(
    Formula(
        id="04.5",
        title="The proof without the scale",
        trains="a step of the proof, and which scale it asks for",
        question=r"""
Let a softmax layer without biases stand on one unit of activation $h$, with weights $u$ for class
$a$ and $v$ for class $c$. Training was *vanilla*: under mask $m$ the scores are $S_a = u\,m\,h$
and $S_c = v\,m\,h$, without the factor $1/q$. What is $\log G_a - \log G_c$, the log ratio of the
geometric means over the masks, in `u`, `v`, `h` and `p`?
""",
        answer="(1 - p) * (u - v) * h",
        names={
            "u": (1.0, 2.0, -1.0, 0.5, 3.0),
            "v": (0.3, -2.0, 1.5, -0.7),
            "h": (1.0, 0.5, 2.0),
            "p": RATES,
        },
        also={"q": "1 - p"},
        equal=["q(u-v)h", "q u h - q v h", "(u - v) h - p h (u - v)", "(1-p)^1 h (u-v)"],
        hints=[
            "Follow the proof: the log ratio under one mask is $S_a(m) - S_c(m)$.",
            "Its mean over the masks needs $\\mathbb{E}[m]$ and nothing else.",
            "A unit is kept with probability $1 - p$.",
        ],
        solution=r"""
Under one mask $\log P_a(m) - \log P_c(m) = (u - v)\, m\, h$. The denominator of $G$ is the same
for both classes, so that $\log G_a - \log G_c = (u - v)\,\mathbb{E}[m]\, h = (1-p)(u - v)\,h$. One
pass gives that if the weights are multiplied by $q$, which is what vanilla dropout does.
""",
        wrong=[
            Wrong("(u-v)*h", "That is the ratio for *inverted* dropout, where $1/q$ makes up for "
                             "the mean of the coin."),
            Wrong("(u-v)*h/(1-p)", "Here no score has the factor $1/q$, and a mean over coins "
                                   "multiplies."),
            Wrong("p*(u-v)*h", "The coin is 1 for a unit that is *kept*, and $p$ is the rate of "
                               "dropping."),
            Wrong("log((1-p)*exp((u-v)*h)+p)", "That averages the ratios first and takes the "
                                               "logarithm then. The geometric mean averages "
                                               "logarithms."),
            Wrong("(1-p)*(v-u)*h", "The sign is that of class $c$ over class $a$."),
        ],
    )
)  # fmt: skip

EXERCISES.append(
    Choice(
        id="04.6",
        title="Where it breaks",
        trains="finding the nonlinearity that stands above a dropped unit",
        question=r"""
Four classifiers end in a softmax, and each has one dropout layer, with $p = 0.5$. For which one is
evaluation, for all weights and inputs, the geometric mean of the sub-networks? Look closely: the
chapter's condition is sufficient, and one of these meets it once two of its layers change places,
which leaves what it computes under each mask as it was.
""",
        options={
            "a": "Linear, ReLU, **dropout**, LayerNorm, Linear",
            "b": "Linear, **dropout**, tanh, Linear",
            "c": "Linear, **dropout**, ReLU, Linear",
            "d": "Linear, ReLU, **dropout**, Linear, ReLU, Linear",
        },
        answer="c",
        hints=[
            "Which layers above dropout are not linear, and which of them act on each unit alone?",
            "Compare $f(m h / q)$ with $\\frac{m}{q} f(h)$ for each function $f$ that acts on one "
            "unit.",
        ],
        solution=r"""
$\max(0, \frac{m}{q} h) = \frac{m}{q} \max(0, h)$, since $m/q$ is not negative: dropout and ReLU may
change places, and then nothing nonlinear stands above the coins. For tanh they may not, as
$\tanh(h/q) \neq \tanh(h)/q$. LayerNorm divides by a spread that depends on the mask, and a ReLU
above a linear layer acts on a sum over several coins.
""",
        wrong=[
            Wrong("a", "LayerNorm divides by a standard deviation over the units, and that depends "
                       "on which of them were dropped."),
            Wrong("b", "A kept unit sends $\\tanh(h/q)$, whose mean over the coin is "
                       "$q\\tanh(h/q)$ and not $\\tanh(h)$: tanh does not let a factor through."),
            Wrong("d", "The second ReLU acts on sums over several coins, some of which change sign "
                       "with the mask. Two hidden layers, the lower one dropped, are the standard "
                       "case where it breaks."),
        ],
    )
)  # fmt: skip

# ---- how good -----------------------------------------------------------------------------------

EXERCISES.append(
    Number(
        id="04.7",
        title="How many masks",
        trains="the bound of a Monte Carlo average, and what it does not depend on",
        question=r"""
A network of 4,096 units is to be evaluated by averaging the probabilities of $k$ sub-networks. How
many masks make the standard deviation of each averaged probability at most 0.02, by the bound of
the chapter, which holds for every network?
""",
        answer=625.0,
        unit="masks",
        follows="A variance of ¼, divided among that many masks, is "
                "{0.25 / (abs(answer) + 0.000000001)}; the square of 0.02 is 0.0004.",
        after="The number of units does not matter.",
        hints=[
            "A probability has a variance of at most $\\frac14$, whatever the network.",
            "The mean of $k$ independent draws has the variance $\\frac1{4k}$ at most.",
            "Solve $\\frac{1}{2\\sqrt k} = 0.02$.",
        ],
        solution=r"""
$\frac{1}{2\sqrt k} \le 0.02$ says $\sqrt k \ge 25$, so $k \ge 625$. Neither the number of units nor
that of the $2^{4096}$ sub-networks comes into it.
""",
        wrong=[
            Wrong(25, "That is $\\sqrt k$: the error falls with the *root* of the number of "
                      "masks."),
            Wrong(2500, "You took 1 for the greatest standard deviation of one probability. "
                        "Between 0 and 1 it is at most one half."),
            Wrong(12.5, "You divided the variance by $k$ and compared it with 0.02. It is the "
                        "standard deviation that has to be 0.02."),
            Wrong(156.25, "You took ¼ for the standard deviation; ¼ is the greatest variance."),
            Wrong(4096, "Wider networks have more sub-networks, but need no more draws: the bound "
                        "has no number of units in it."),
        ],
    )
)  # fmt: skip

EXERCISES.append(
    Choice(
        id="04.8",
        title="Which of these three",
        trains="what an average over k masks tends to, and how fast",
        question=r"""
For one softmax layer the *arithmetic* mean over all masks has been counted. Each table shows two
errors of one class's probability, measured from that mean: the root mean square error of averaging
$k$ drawn masks, and the error of weight scaling. One table is that of a real layer. Which?

| | $k$ | 1 | 4 | 16 | 64 | 256 |
|---|---|---|---|---|---|---|
| **a** | $k$ masks | 0.313 | 0.156 | 0.078 | 0.039 | 0.020 |
| | weight scaling | 0.144 | 0.144 | 0.144 | 0.144 | 0.144 |
| **b** | $k$ masks | 0.313 | 0.212 | 0.164 | 0.149 | 0.145 |
| | weight scaling | 0.144 | 0.144 | 0.144 | 0.144 | 0.144 |
| **c** | $k$ masks | 0.313 | 0.078 | 0.020 | 0.005 | 0.001 |
| | weight scaling | 0.144 | 0.144 | 0.144 | 0.144 | 0.144 |
""",
        options={
            "a": "Table a: averaging has no floor, and four times the masks halve its error.",
            "b": "Table b: with many masks averaging ends where weight scaling is.",
            "c": "Table c: averaging has no floor, and four times the masks quarter its error.",
        },
        answer="a",
        after="Here one pass is as good as four or five masks; more masks come nearer.",
        hints=[
            "What does the average of very many masks tend to, the arithmetic or the geometric "
            "mean?",
            "The variance of a mean of $k$ draws is that of one, divided by $k$. And the root of "
            "the mean square error?",
        ],
        solution=r"""
The average of $k$ masks tends to the arithmetic mean, so that its error goes to 0, as
$1/\sqrt k$: four times the masks halve it. Weight scaling is the geometric mean, and stays 0.144
away for ever. (The layer is the chapter's, with twelve units and five classes, at $p = 0.5$; the
class is the second one.)
""",
        wrong=[
            Wrong("b", "The average of probabilities tends to their arithmetic mean, from which "
                       "this error is measured. Weight scaling is another mean, the geometric one, "
                       "and no limit of averaging."),
            Wrong("c", "It is the *variance* that four times the masks quarter; an error in the "
                       "unit of the probability falls with the root of $k$."),
        ],
    )
)  # fmt: skip

# ---- code ---------------------------------------------------------------------------------------


def check_mean_output(mean_output):
    import math

    def sigmoid(s):
        return 1 / (1 + math.exp(-s))

    def wanted(w, x, s, p):
        if not w:
            return sigmoid(s)
        kept = wanted(w[1:], x[1:], s + w[0] * x[0] / (1 - p), p)
        return (1 - p) * kept + p * wanted(w[1:], x[1:], s, p)

    out = mean_output([1.0, -2.0], [2.0, 0.5], 0.5, 0.0)
    if isinstance(out, list):
        yield expect(
            "one number is returned", False, f"`{mean_output.text}` gives a list.",
            "return the mean alone, a number",
        )  # fmt: skip
    yield expect(
        "at a rate of 0 it is the unit itself", close(out, sigmoid(1.5)),
        saw(mean_output, out, sigmoid(1.5)), "at `p = 0` all masks but one have probability 0",
    )  # fmt: skip
    given = [1.0, -2.0, 0.5], [2.0, 0.5, 3.0], 0.0, 0.5
    first, second = mean_output(*given), mean_output(*given)
    yield expect(
        "each call gives the same", first == second,
        "Two calls with the same numbers give two results: masks are drawn, not counted.",
        "go through all masks; `2 ** len(x)` of them are few", "drawn",
    )  # fmt: skip
    out, want = mean_output([2.0], [1.0], 0.0, 0.5), (sigmoid(4) + sigmoid(0)) / 2
    yield expect(
        "one input has two masks, and the unit is averaged over them", close(out, want),
        saw(mean_output, out, want, ", the mean of σ(4) and σ(0)"),
        "work out the two masks of one input by hand",
    )  # fmt: skip
    out, want = mean_output([2.0], [1.5], 0.0, 0.25), 0.75 * sigmoid(4) + 0.25 * sigmoid(0)
    yield expect(
        "each mask counts with its probability", close(out, want),
        saw(mean_output, out, want, ", 0.75 σ(4) + 0.25 σ(0)"),
        "multiply a `1 - p` for each unit kept, and a `p` for each one dropped",
    )  # fmt: skip
    out, want = mean_output([2.0], [1.0], 1.0, 0.5), (sigmoid(5) + sigmoid(1)) / 2
    yield expect(
        "the bias is there under each mask, unscaled", close(out, want),
        saw(mean_output, out, want, ", the mean of σ(5) and σ(1)"),
        "add `b` once to each sum, after the coins",
    )  # fmt: skip
    w, x = [1.0, -2.0, 0.5], [2.0, 0.5, 3.0]
    out, want = mean_output(w, x, -0.3, 0.2), wanted(w, x, -0.3, 0.2)
    yield expect(
        "three inputs have eight masks", close(out, want), saw(mean_output, out, want),
        "print your masks and their probabilities: eight, that add up to 1",
    )  # fmt: skip


EXERCISES.append(
    Code(
        id="04.9",
        title="Ask all of them",
        trains="what a mean over masks is, without any drawing",
        question=r"""
A logistic unit has the weights `w`, the inputs `x` (two lists of the same length) and the bias
`b`. Its inputs, not its bias, have inverted dropout with drop rate `p`. Write
`mean_output(w, x, b, p)`, the mean $\mathbb{E}[\sigma(S(m))]$ of the unit's output over *all*
$2^n$ masks, exactly, for any $p < 1$: count, do not sample.
""",
        given="""
import math

def sigmoid(s):
    return 1 / (1 + math.exp(-s))

def mean_output(w, x, b, p):
    ...
""",
        code="""
import math

def sigmoid(s):
    return 1 / (1 + math.exp(-s))

def mean_output(w, x, b, p):
    q, n = 1 - p, len(x)
    total = 0.0
    for number in range(2 ** n):
        mask = [number >> j & 1 for j in range(n)]
        chance = q ** sum(mask) * p ** (n - sum(mask))
        s = sum(m * u * v / q for m, u, v in zip(mask, w, x)) + b
        total += chance * sigmoid(s)
    return total
""",
        alike=[
            """
import math

def sigmoid(s):
    return 1 / (1 + math.exp(-s))

def mean_output(w, x, b, p):
    if len(w) == 0:
        return sigmoid(b)
    kept = mean_output(w[1:], x[1:], b + w[0] * x[0] / (1 - p), p)
    return (1 - p) * kept + p * mean_output(w[1:], x[1:], b, p)
""",
            """
import math

def mean_output(w, x, b, p):
    sums, chances = [b], [1.0]
    for u, v in zip(w, x):
        sums = sums + [s + u * v / (1 - p) for s in sums]
        chances = [c * p for c in chances] + [c * (1 - p) for c in chances]
    return sum(c / (1 + math.exp(-s)) for c, s in zip(chances, sums))
""",
            """
import itertools
import numpy as np

def mean_output(w, x, b, p):
    masks = np.array(list(itertools.product([0, 1], repeat=len(x))))
    chance = np.where(masks, 1 - p, p).prod(1)
    return chance @ (1 / (1 + np.exp(-(masks @ (w * x) / (1 - p) + b))))
""",
            """
import itertools
import torch

def mean_output(w, x, b, p):
    total = 0
    for mask in itertools.product([0.0, 1.0], repeat=len(x)):
        m = torch.tensor(mask, dtype=x.dtype)
        chance = torch.where(m == 1, 1 - p, p).prod()
        total += chance * torch.sigmoid((w * m * x).sum() / (1 - p) + b)
    return total
""",
        ],
        check=check_mean_output,
        in_page=True,
        hints=[
            "Number the masks from 0 to $2^n - 1$: bit $j$ of the number, "
            "`number >> j & 1`, is the coin of input $j$.",
            "A mask with `k` ones has the probability `q ** k * p ** (n - k)`.",
            "For each mask: the sum of `m * u * v / q` over the inputs, plus `b`; then its "
            "`sigmoid`, times the probability of the mask; add these up.",
        ],
        solution="""
Bits of a number make a mask. Or let the sums double with each input, as the chapter does, which
needs no masks at all; or let the function call itself, with the first input kept and dropped.
""",
        wrong=[
            Slip("chance * sigmoid(s)", "sigmoid(s) / 2 ** n",
                 "All masks have the same weight in your mean. That is right at `p = 0.5` alone: "
                 "a mask's probability is a product over its coins."),
            Slip("u * v / q", "u * v", "Your kept inputs are not divided by the keep probability: "
                 "these are the sub-networks of vanilla dropout."),
            Slip("q ** sum(mask) * p **", "p ** sum(mask) * q **",
                 "You give the kept units the probability of dropping, and the dropped ones that "
                 "of keeping."),
            Slip("range(2 ** n)", "range(1, 2 ** n)",
                 "You leave out the mask that keeps nothing. It is a sub-network too, which says "
                 "what the bias says."),
            Slip("zip(mask, w, x)) + b", "zip(mask, w, x)) + b / q",
                 "You scale the bias. Nothing of it is dropped, so that nothing has to be made up "
                 "for."),
            Slip("zip(mask, w, x)) + b", "zip(mask, w, x))",
                 "The bias is missing: it is added to the sum under every mask."),
            Slip("chance * sigmoid(s)\n    return total", "chance * s\n    return sigmoid(total)",
                 "You average the sums, and then apply the sigmoid. That is weight scaling, the "
                 "geometric mean. Here each sub-network answers first."),
            Slip("q ** sum(mask) * p ** (n - sum(mask))", "q ** sum(mask)",
                 "Your probability has no factor for the units that are dropped, and so those of "
                 "all masks add up to more than 1."),
            Wrong("""
import math
import random

def sigmoid(s):
    return 1 / (1 + math.exp(-s))

def mean_output(w, x, b, p):
    total = 0.0
    for _ in range(200):
        s = b
        for u, v in zip(w, x):
            s += u * v / (1 - p) if random.random() < 1 - p else 0.0
        total += sigmoid(s)
    return total / 200
""", "That is a Monte Carlo average. It comes near the mean, with an error that falls as one over "
     "the root of the draws; with few units, counting is exact and as quick."),
        ],
    )
)  # fmt: skip


def check_committee(committee):
    import math

    def softmax(row):
        powers = [math.exp(s - max(row)) for s in row]
        return [v / sum(powers) for v in powers]

    three = [[0.0, 0.0], [2.0, 0.0], [4.0, 0.0]]
    out = committee(three)
    yield expect(
        "one number for each class", shape(out) == [2],
        f"`{committee.text}`, three masks and two classes, gives `{shown(out)}`: two numbers "
        "are wanted.",
        "average over the masks, which are the rows",
    )  # fmt: skip
    out, want = committee([[1.0, 2.0, 3.0]]), softmax([1.0, 2.0, 3.0])
    yield expect(
        "a committee of one answers as its member does", close(out, want),
        saw(committee, out, want), "what is the probability that one sub-network gives?",
    )  # fmt: skip
    out = committee(three)
    yield expect(
        "probabilities add up to 1", close(sum(out), 1.0),
        f"`{committee.text}` gives `{shown(out)}`, which adds up to {sum(out):.4g}.",
        "a mean of distributions needs no renormalising",
    )  # fmt: skip
    out, want = committee([[0.0, 0.0], [4.0, 0.0]]), [0.7410069, 0.2589931]
    yield expect(
        "the probabilities are averaged", close(out, want),
        saw(committee, out, want, ": the members say [0.5, 0.5] and [0.982, 0.01799]"),
        "let each sub-network answer before anything is averaged",
    )  # fmt: skip
    out = committee([[0.0, 0.0], [1000.0, 996.0], [1000.0, 0.0]])
    want = [(0.5 + 0.9820138 + 1) / 3, (0.5 + 0.0179862) / 3]
    yield expect(
        "large scores do no harm", close(out, want), saw(committee, out, want),
        "subtract a row's greatest score before `exp`",
    )  # fmt: skip
    rows = [[1.0, -1.0, 0.5], [0.0, 2.0, 0.0], [3.0, 0.0, -2.0], [0.0, 0.0, 0.0]]
    out = committee(rows)
    answers = [softmax(row) for row in rows]
    want = [sum(answer[c] for answer in answers) / 4 for c in range(3)]
    yield expect(
        "four masks and three classes", close(out, want), saw(committee, out, want),
        "divide by the number of masks",
    )  # fmt: skip


EXERCISES.append(
    Code(
        id="04.10",
        title="Find the bug: a committee that never voted",
        trains="telling the mean of scores from the mean of probabilities",
        question=r"""
`scores[i][c]` is the score of class `c` under mask `i`. `committee(scores)` is to give, for each
class, the *arithmetic mean of the sub-networks' probabilities*, every mask counting alike. Somebody
drew a thousand masks, compared the result with a single pass of `model.eval()`, found next to no
difference, and concluded that averaging is of no use. Mend the function.
""",
        given="""
import math

def softmax(row):
    top = max(row)
    powers = [math.exp(s - top) for s in row]
    return [v / sum(powers) for v in powers]

def committee(scores):
    k = len(scores)
    mean = [sum(column) / k for column in zip(*scores)]
    return softmax(mean)
""",
        code="""
import math

def softmax(row):
    top = max(row)
    powers = [math.exp(s - top) for s in row]
    return [v / sum(powers) for v in powers]

def committee(scores):
    k = len(scores)
    answers = [softmax(row) for row in scores]
    return [sum(column) / k for column in zip(*answers)]
""",
        alike=[
            """
import math

def committee(scores):
    totals = [0.0] * len(scores[0])
    for row in scores:
        Z = sum(math.exp(s - max(row)) for s in row)
        for c, s in enumerate(row):
            totals[c] += math.exp(s - max(row)) / Z
    return [t / len(scores) for t in totals]
""",
            """
import torch

def committee(scores):
    return scores.softmax(-1).mean(0)
""",
            """
import math
import torch

def committee(scores):
    return (torch.logsumexp(scores.log_softmax(1), 0) - math.log(len(scores))).exp()
""",
            """
import numpy as np

def committee(scores):
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return (powers / powers.sum(axis=1, keepdims=True)).mean(axis=0)
""",
        ],
        check=check_committee,
        in_page=True,
        hints=[
            "In which order do the mean and the softmax come?",
            "The mean of the scores tends to the scores of evaluation, where nothing nonlinear "
            "stands above a dropped unit. So what does its softmax tend to?",
            "First `softmax(row)` for each row, then the mean of each column.",
        ],
        solution="""
The softmax of the mean scores is the *geometric* mean of the sub-networks, renormalised. For one
softmax layer it tends to weight scaling, so that the comparison with one pass compared a thing
with itself. Let each sub-network answer, and average the answers.
""",
        wrong=[
            Wrong("""
import math

def logs(row):
    Z = sum(math.exp(s - max(row)) for s in row)
    return [s - max(row) - math.log(Z) for s in row]

def committee(scores):
    k = len(scores)
    mean = [sum(column) / k for column in zip(*[logs(row) for row in scores])]
    powers = [math.exp(v) for v in mean]
    return [v / sum(powers) for v in powers]
""", "You average on the scale of scores, or of log-probabilities, and take the softmax after. "
     "Renormalised, either is the geometric mean: what weight scaling gives already."),
            Wrong("""
import math

def logs(row):
    Z = sum(math.exp(s - max(row)) for s in row)
    return [s - max(row) - math.log(Z) for s in row]

def committee(scores):
    k = len(scores)
    mean = [sum(column) / k for column in zip(*[logs(row) for row in scores])]
    return [math.exp(v) for v in mean]
""", "You average log-probabilities and go back by `exp`. That is the bare geometric mean, another "
     "mean than the one wanted, and it does not add up to 1 as long as members differ."),
            Wrong("""
def committee(scores):
    votes = [0.0] * len(scores[0])
    for row in scores:
        votes[row.index(max(row))] += 1 / len(scores)
    return votes
""", "You count votes. A vote throws away how sure each sub-network is; the mean of "
     "probabilities keeps it."),
            Slip("sum(column) / k", "sum(column)", "You add the answers up and do not divide by "
                 "their number."),
            Slip("sum(column) / k", "max(column)", "For each class you take the surest "
                 "sub-network. One that is sure of another class counts as much, so that this is "
                 "no distribution."),
            Slip("zip(*answers)", "answers", "You average each row, over the classes. Since "
                 "a row adds up to 1, that gives one over the number of classes for every mask."),
            Slip("for row in scores]\n    return [sum(column) / k for column in zip(*answers)]",
                 "for row in scores]\n    return softmax([sum(column) / k for column in "
                 "zip(*answers)])",
                 "You take a softmax twice, the second time of probabilities, which it flattens."),
            Slip("    answers = [softmax(row) for row in scores]\n",
                 "    answers = zip(*[softmax(column) for column in zip(*scores)])\n",
                 "Your softmax runs over the masks instead of the classes."),
            Wrong("""
import math

def committee(scores):
    powers = [sum(math.exp(s) for s in column) for column in zip(*scores)]
    return [v / sum(powers) for v in powers]
""", "You add up $e^S$ over the masks and normalise once, at the end. So a sub-network counts "
     "more, the larger its own $Z(m)$; each must be normalised by itself."),
        ],
    )
)  # fmt: skip
