"""Chapter 09, why dropout helps."""

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
from dropout.exercises.probes import close, expect, plausible, saw

EXERCISES: list[Exercise] = []

# ---- the committee ------------------------------------------------------------------------------

EXERCISES.append(
    Number(
        id="09.1",
        title="What a shared coin hides",
        trains="squaring sums and summing squares",
        question=r"""
Three units contribute $5$, $-4$ and $2$ to a score, and drop with $p = 0.2$ (survivors are scaled
by $1/q$). First each has a coin of its own; then the first two share one, and the third keeps its
own. By which factor does the variance of the score fall: how many times as large is it with a coin
each?
""",
        answer=9.0,
        hints=[
            "The variance is $\\frac pq$ times a sum of squares: of what each *coin* decides.",
            "With a coin each the squares are those of 5, −4 and 2. Which numbers are squared when "
            "the first two share?",
            "They are $(5 - 4)^2$ and $2^2$.",
        ],
        solution=r"""
With a coin each the variance is $\frac pq (25 + 16 + 4) = \frac14 \cdot 45 = 11.25$. With a shared
coin it is $\frac pq \big((5 - 4)^2 + 2^2\big) = \frac14 \cdot 5 = 1.25$, a ninth: the two who
overstate and take back come and go together. $\frac pq$ cancels, so the factor is the same at every
rate.
""",
        wrong=[
            Wrong(10, "That is the difference of the two variances. The question asks how many "
                      "times one is the other."),
            Wrong(1 / 9, "That is the ratio the other way round: with a shared coin over with a "
                         "coin each."),
            Wrong(3, "That is the ratio of the standard deviations. Variances do not take the "
                     "root."),
            Wrong(5, "That is with one coin for all three. Only the first two share; the third "
                     "adds a square of its own."),
            Wrong(41, "You have left out the third unit, whose coin adds the same to both "
                      "variances."),
            Wrong(1, "Each unit drops as often as before, so the variance of each *contribution* "
                     "is the same. That of their sum is not, for now two of them come and go "
                     "together."),
        ],
    )
)  # fmt: skip

EXERCISES.append(
    Number(
        id="09.2",
        title="One committee against their average",
        trains="the algebra of averaging: members' loss, the mean's loss, and the variance",
        question=r"""
Two units contribute $5$ and $-4$ to a score and drop with $p = \frac12$, each by a coin of its own
(survivors are scaled by $1/q$). The target is 3 and the loss is squared. What is the mean loss of
*one* thinned network, over all four masks?
""",
        answer=45.0,
        follows="The four squared errors would add up to {4 * answer}.",
        after="Averaging the four brings 45 down to 4, which is what the network without masks "
              "has: it pays back what drawing a mask has cost.",
        hints=[
            "Either list the four scores, or add two parts: the loss of the average, and the "
            "variance over masks.",
            "The average score is 1. The variance is $\\frac pq \\sum_j c_j^2$.",
            "The loss of the average is $(1 - 3)^2$; $\\frac pq = 1$, and the squares are 25 and "
            "16.",
        ],
        solution=r"""
The four scores are 2, 10, −8 and 0, the errors −1, 7, −11 and −3, and their squares 1, 49, 121 and
9: on average 45. By the algebra: the average score is 1 with the loss $(1 - 3)^2 = 4$, and the
variance over the masks is $1 \cdot (25 + 16) = 41$.
""",
        wrong=[
            Wrong(4, "That is the loss of the *average* of the four, or of the network without "
                     "masks. One member alone does worse, by the variance over masks."),
            Wrong(41, "That is the variance over masks. The members are also off on average: "
                      "their mean score is not the target."),
            Wrong(57, "You have left out the mask that drops both. It has the same chance as the "
                      "others."),
            Wrong(16.5, "The survivors have not been scaled by $1/q$."),
            Wrong(37, "You have taken the loss of the average off the variance. A member's loss is "
                      "the larger one: it has both parts."),
        ],
    )
)  # fmt: skip


EXERCISES.append(
    Formula(
        id="09.3",
        title="Those who agree",
        trains="which units a shared coin charges more, and not less",
        question=r"""
A shared coin hides those who contradict each other. What does it do to those who agree? Let $n$
units contribute $\frac1n$ each to a score, drop at rate $p$ with survivors scaled by $1/q$, and let
fixed groups of $b$ share a coin ($b$ divides $n$). Write the variance of the score.
""",
        answer="b p / (n (1 - p))",
        names={"p": RATES, "n": (8, 12, 16, 24, 48, 64, 32), "b": (1, 2, 4, 8)},
        also={"q": "1 - p"},
        equal=["p b/(q n)", "(p/q) (n/b) (b/n)^2", "b p/(n - n p)"],
        after="Sharing makes it $b$ times as large: a charge on groups prefers those who "
              "contradict each other to those who agree.",
        hints=[
            "How many groups are there, and what does one group contribute?",
            "There are $n/b$ groups, each contributing $b/n$. Sum their squares.",
            "$\\frac pq \\cdot \\frac nb \\cdot \\big(\\frac bn\\big)^2$",
        ],
        solution=r"""
There are $n/b$ groups that contribute $b/n$ each, so the variance is
$\frac pq \cdot \frac nb \cdot \frac{b^2}{n^2} = \frac{b\,p}{n\,q}$. With a coin each it is
$\frac{p}{n q}$: sharing makes it $b$ times as large. For units that agree a shared coin is *more*
noise, for units that contradict each other it is less.
""",
        wrong=[
            Wrong("p/(n (1-p))", "That is with a coin each. Units that share a coin come and go "
                                 "together: square what the *group* contributes."),
            Wrong("b^2 p/(n (1-p))", "You have squared the group's contribution and summed over "
                                     "units. Sum over groups, of which there are fewer."),
            Wrong("p/(b n (1-p))", "That would be right if sharing averaged the noise out. A "
                                   "shared coin does the opposite: nothing in a group can make up "
                                   "for anything else."),
            Wrong("b p (1-p)/n", "That is the variance with survivors that are not scaled: a coin "
                                 "has $pq$, a scaled one more."),
            Wrong("p/(1-p)", "That is one coin for all. It is the end that is reached at $b = n$."),
            Wrong("b p/(1-p)", "You have summed as if each group contributed 1. All units together "
                               "contribute 1."),
        ],
    )
)  # fmt: skip

# ---- explanations and what they fear ------------------------------------------------------------

EXERCISES.append(
    Choice(
        id="09.4",
        title="A thousand masks a step",
        trains="asking of an explanation what it forbids",
        question=r"""
Somebody trains with dropout, but each step takes the mean gradient over a thousand masks, all other
things being equal. After training, one network with scaled weights is asked. Suppose the gain over
no dropout stays as large as with one mask a step. Which explanation does that speak against?
""",
        options={
            "a": "Co-adaptation: no unit can rely on particular others.",
            "b": "Noise as a penalty: the mean loss over masks is another loss.",
            "c": "Noise as jitter: noisy steps find better places.",
            "d": "All of these: with so many masks, hardly any randomness is left.",
        },
        answer="c",
        hints=[
            "What does the mean over many masks take away, and what does it leave?",
            "The mean gradient is the gradient of the mean loss. Its noise from step to step is a "
            "thousandth in variance.",
        ],
        solution=r"""
The mean gradient over many masks is nearly the gradient of the mean loss, without the noise of
drawing one. So the penalty is there in full, and each unit still meets changing company, a thousand
kinds at once. Only the jitter of the steps has gone: if the gain stays, jitter was not needed for
it. (In language models Wei, Kakade and Ma found that more masks a step did lose some of it.)
""",
        wrong=[
            Wrong("a", "In every step a unit meets a thousand different sets of others. Company "
                       "changes more than before, so this explanation has nothing to fear."),
            Wrong("b", "The mean over masks is just what this explanation lives on, and a thousand "
                       "masks give it more exactly. It expects the gain to stay."),
            Wrong("d", "Randomness is gone from the steps, and not from the loss: its mean over "
                       "masks still charges what each mask would expose."),
        ],
    )
)  # fmt: skip

EXERCISES.append(
    Choice(
        id="09.5",
        title="Which row would it predict?",
        trains="turning an explanation into numbers before looking",
        question=r"""
Test loss as a share of that without dropout, all at $p = \frac12$: with a coin for each unit; with
one coin for sixteen units that are the same in every step (*fixed*); and with one coin for sixteen
units that are drawn anew in each step (*changing*). Each of three explanations predicts a row.

| row | a coin each | fixed, 16 | changing, 16 |
|---|---|---|---|
| a | 0.87 | 1.08 | 0.86 |
| b | 0.87 | 1.08 | 1.08 |
| c | 0.87 | 0.87 | 0.87 |

Which row does this explanation predict: "What counts is how many coins a step tosses; with few
coins a step sees too few kinds of networks"?
""",
        options={
            "a": "Row a.",
            "b": "Row b.",
            "c": "Row c.",
        },
        answer="b",
        after="Row a is what the study found, so this explanation is out.",
        hints=[
            "How many coins does a step toss for 64 units in each of the three columns?",
            "64, 4 and 4. Columns with as many coins should have the same gain.",
        ],
        solution=r"""
For 64 units a step tosses 64, 4 and 4 coins. If only their number counted, the last two columns
would be alike, and the gain gone in both: row b. Row c belongs to "what counts is how often each
unit drops", for that is one half in all three columns. Row a belongs to "each unit is charged for
what it says alone", and is what the study found.
""",
        wrong=[
            Wrong("a", "That is what was found, and it is not what *this* explanation predicts: "
                       "both kinds of partners have as few coins, so to it they are alike."),
            Wrong("c", "That row belongs to an explanation to which only the rate of each unit "
                       "matters. This one counts coins, and sixteen to a coin are fewer coins."),
        ],
    )
)  # fmt: skip

EXERCISES.append(
    Formula(
        id="09.6",
        title="The interaction of two units",
        trains="taking a definition to a loss where it can be worked out",
        question=r"""
Units contribute to a score $s$, their sum. The loss is squared, $(s - y)^2$. Two of the units
contribute $a$ and $b$. What a unit costs is what the loss rises without it. What is the
*interaction* of the two: what both cost together, less what each costs alone? (Without dividing by
anything.)
""",
        answer="2 a b",
        names={
            "a": (5.0, 1.0, -2.0, 0.5, 3.0),
            "b": (-4.0, 1.0, 2.0, -1.5),
            "s": (1.0, 2.0, 0.5),
            "y": (3.0, 0.0, -1.0, 2.0),
        },
        equal=["2*a*b", "(a + b)^2 - a^2 - b^2", "(s-a-b-y)^2 + (s-y)^2 - (s-a-y)^2 - (s-b-y)^2"],
        after="It does not depend on what the others say, and is below 0 for two that contradict "
              "each other: together they cost less than one by one.",
        hints=[
            "Write $e = s - y$. Without the first unit the loss is $(e - a)^2$: what does it cost?",
            "The first costs $a^2 - 2 e a$, and both together $(a + b)^2 - 2 e (a + b)$.",
            "Subtract: the parts with $e$ cancel.",
        ],
        solution=r"""
With $e = s - y$ a unit that contributes $a$ costs $(e - a)^2 - e^2 = a^2 - 2 e a$. Both together
cost $(a + b)^2 - 2 e (a + b)$. The parts with $e$ cancel in the difference, and
$(a + b)^2 - a^2 - b^2 = 2 a b$ is left.
""",
        wrong=[
            Wrong("0", "The *contributions* add up, but the loss bends: what the second costs "
                       "depends on whether the first is there."),
            Wrong("-2 a b", "That is what each costs alone less what both cost together. The "
                            "definition has it the other way round."),
            Wrong("(a+b)^2 - 2 (s-y)(a+b)", "That is what both cost together. Take off what each "
                                            "costs alone."),
            Wrong("(s-a-b-y)^2 - (s-a-y)^2 - (s-b-y)^2", "You have combined losses and not costs. "
                                                         "Each cost is a loss *less the loss with "
                                                         "all units*, which does not cancel: it "
                                                         "goes once and comes back twice."),
            Wrong("a b", "The mixed part of $(a+b)^2$ has a factor."),
            Wrong("(a+b)^2", "You have left in the parts that each unit has by itself, $a^2$ and "
                             "$b^2$."),
        ],
    )
)  # fmt: skip

EXERCISES.append(
    Choice(
        id="09.7",
        title="Who can lose half of their units?",
        trains="predicting from what training asked for, not from what it looked like",
        question=r"""
Networks that were trained without dropout, with normal noise, with the formula $R$, and with fixed
partners (eight units to a coin, $p = \frac12$) now lose half of their hidden units, each by a coin
of its own, without further training. Of the four only those with fixed partners ever had units
missing. Which order does their test accuracy have, best first?
""",
        options={
            "a": "fixed partners, normal noise, formula, no dropout",
            "b": "normal noise, fixed partners, formula, no dropout",
            "c": "normal noise, formula, fixed partners, no dropout",
            "d": "normal noise, formula, no dropout, fixed partners",
        },
        answer="c",
        reveals="fig-survival",
        hints=[
            "For each, ask whether training charged a unit for what it says *alone*.",
            "Fixed partners charge a group for what it says together; inside a group anything "
            "goes.",
        ],
        solution=r"""
In the networks of the chapter half of the units leave an accuracy of 0.84 after normal noise, 0.71
after the formula, 0.57 after fixed partners and 0.42 after training without dropout. Normal noise
and the formula charge each unit by itself, and never had one missing. Fixed partners had units
missing in every step, but only eight at a time, and a group that is torn apart is new to the
network.
""",
        wrong=[
            Wrong("a", "It looks as if whoever has practised losing units must do it best. But "
                       "fixed partners practised losing whole groups, and here groups are torn "
                       "apart."),
            Wrong("b", "The formula never lost a unit, and yet it charges each by itself, so that "
                       "no one can say much that others must take back. Fixed partners do not "
                       "charge for that."),
            Wrong("d", "Training with fixed partners does charge something: what a whole group "
                       "says. That spreads the work over groups, which is better than nothing at "
                       "all."),
        ],
    )
)  # fmt: skip

EXERCISES.append(
    Choice(
        id="09.8",
        title="An experiment that could decide",
        trains="intervening on a cause instead of watching it",
        question=r"""
With dropout pairs of units interact less, and the loss is lower. The formula showed that the gain
does not *need* that. Which experiment would show whether less interaction is *enough* for a gain?
""",
        options={
            "a": "Train a hundred networks with dropout, and see whether those whose units "
                 "interact less have a lower loss.",
            "b": "Train without dropout and penalise the interaction of pairs alone; compare the "
                 "loss with that of no penalty, both tuned.",
            "c": "Train with the formula for groups of eight, and measure interaction and loss.",
            "d": "Train without dropout, and measure how the interaction changes when units are "
                 "dropped after training.",
        },
        answer="b",
        hints=[
            "Which of them changes the interaction and leaves the rest alone?",
            "Watching two things go together does not tell which of them does the work.",
        ],
        solution=r"""
To see whether it is enough, bring about less interaction by itself and look at the loss, with both
arms at their best. Watching networks among which it differs by chance leaves open what else differs
with it. (One would also have to see that the penalty does lower the interaction, and does not
charge single units by the way.)
""",
        wrong=[
            Wrong("a", "That is a correlation among networks. What makes some of them interact "
                       "less (a lucky start, larger margins) may lower the loss by another way."),
            Wrong("c", "The formula for groups changes what is charged, and interaction only "
                       "along with it. If the loss is high, one cannot tell which of the two it "
                       "was."),
            Wrong("d", "That measures how a finished network bears losses. It cannot say what "
                       "another training would have done for the loss."),
        ],
    )
)  # fmt: skip

# ---- code ---------------------------------------------------------------------------------------


def check_interaction(interaction):
    out = interaction([2.0, 1.0, -0.5], 0, 1)
    yield expect(
        "one number comes out", not isinstance(out, list),
        saw(interaction, out, 0.7291), "return a number", "shape",
    )  # fmt: skip
    yield expect(
        "two units that agree are right", close(out, 0.72912610862),
        saw(interaction, out, 0.7291, ": together they cost 0.8952, alone 0.3952 and 0.1225"),
        "write down the three costs, each as a difference of two losses",
    )  # fmt: skip
    out = interaction([3.0, -2.0, 1.0], 0, 1)
    yield expect(
        "two units that contradict each other are right", close(out, 0.68814286510),
        saw(interaction, out, 0.6881, ": together they cost 0.1863, alone 1.186 and −0.1088"),
        "where do absolute values belong?",
    )  # fmt: skip
    out = interaction([0.5, 1.0, -1.0, 3.0], 3, 1)
    yield expect(
        "units in any place are right", close(out, 0.91366130971),
        saw(interaction, out, 0.9137), "check which units you leave out",
    )  # fmt: skip


EXERCISES.append(
    Code(
        id="09.9",
        title="A score for co-adaptation",
        trains="the interaction of two units, as the chapter measures it",
        question=r"""
Write `interaction(c, i, j)`. `c` is the list of what the units contribute to a score, their sum
$s$; the loss is $\log(1 + e^{-s})$. What units cost is what the loss rises without them (their
contribution taken off the score, and nothing rescaled). Return the interaction of the units `i` and
`j`: what both cost together less what each costs alone, in absolute value, divided by the sum of
what each costs alone, both in absolute value.
""",
        given="""
import math

def interaction(c, i, j):
    ...
""",
        code="""
import math

def interaction(c, i, j):
    def loss(score):
        return math.log(1 + math.exp(-score))

    score = sum(c)
    whole = loss(score)
    first = loss(score - c[i]) - whole
    second = loss(score - c[j]) - whole
    both = loss(score - c[i] - c[j]) - whole
    return abs(both - first - second) / (abs(first) + abs(second))
""",
        alike=[
            """
import math

def interaction(c, i, j):
    def cost(*without):
        left = sum(v for k, v in enumerate(c) if k not in without)
        return math.log1p(math.exp(-left)) - math.log1p(math.exp(-sum(c)))

    alone = cost(i), cost(j)
    return abs(cost(i, j) - sum(alone)) / sum(map(abs, alone))
""",
            """
import numpy as np

def interaction(c, i, j):
    keep = np.ones((4, len(c)))
    keep[[1, 3], i] = 0
    keep[[2, 3], j] = 0
    loss = np.logaddexp(0, -(keep @ c))
    a, b, both = loss[1:] - loss[0]
    return np.abs(both - a - b) / (np.abs(a) + np.abs(b))
""",
            """
import torch
from torch.nn.functional import softplus

def interaction(c, i, j):
    s = torch.sum(c)
    whole, a, b, both = softplus(-torch.stack([s, s - c[i], s - c[j], s - c[i] - c[j]]))
    return (both - a - b + whole).abs() / ((a - whole).abs() + (b - whole).abs())
""",
        ],
        check=check_interaction,
        power="all properties are exact",
        in_page=True,
        hints=[
            "Begin with a function for the loss of a score. A cost is the difference of two "
            "losses.",
            "The score without unit `i` is `sum(c) - c[i]`, and without both `sum(c) - c[i] - "
            "c[j]`.",
            "With the three costs `first`, `second` and `both`: `abs(both - first - second)`, "
            "divided by `abs(first) + abs(second)`.",
        ],
        solution="""
Three costs, each the loss without some units less the loss with all. A cost can be negative: a unit
that takes back what another overstates leaves a lower loss when it goes.
""",
        wrong=[
            Slip("abs(both - first - second)", "(both - first - second)", "You have kept the sign "
                 "of the interaction. The question asks for its size, for signs would cancel in a "
                 "mean over pairs."),
            Slip("(abs(first) + abs(second))", "(first + second)", "A cost can be negative: the "
                 "loss may fall when a unit goes. Summed with their signs the two costs take each "
                 "other off, and what you divide by is too small."),
            Slip(" / (abs(first) + abs(second))", "", "You have not divided: units that matter "
                 "more would seem to conspire more."),
            Slip("(abs(first) + abs(second))", "abs(both)", "You have divided by what both cost "
                 "*together*. For two that conspire that can be next to nothing."),
            Wrong("""
import math

def interaction(c, i, j):
    def loss(score):
        return math.log(1 + math.exp(-score))

    score = sum(c)
    first = loss(score - c[i])
    second = loss(score - c[j])
    both = loss(score - c[i] - c[j])
    return abs(both - first - second) / (abs(first) + abs(second))
""", "You have used losses in the place of costs. The loss with all units must be taken off each, "
     "and it does not cancel."),
            Slip("math.exp(-score)", "math.exp(score)", "Your loss grows with the score; the one "
                 "in the question falls."),
            Slip("both - first - second)", "both - first)", "You have taken off one of the two "
                 "single costs. Units that have nothing to do with each other would then seem to "
                 "interact."),
            Wrong("""
import math

def interaction(c, i, j):
    def loss(score):
        return math.log(1 + math.exp(-score))

    whole = loss(sum(c))
    first = loss(c[i]) - whole
    second = loss(c[j]) - whole
    both = loss(c[i] + c[j]) - whole
    return abs(both - first - second) / (abs(first) + abs(second))
""", "You have left *only* these units in the score, and the others out. It is they that must be "
     "left out."),
            Wrong("""
import math

def interaction(c, i, j):
    def loss(units):
        return math.log(1 + math.exp(-sum(units)))

    def without(units, k):
        return units[:k] + units[k + 1:]

    whole = loss(c)
    first = loss(without(c, i)) - whole
    second = loss(without(c, j)) - whole
    both = loss(without(without(c, i), j)) - whole
    return abs(both - first - second) / (abs(first) + abs(second))
""", "When the first unit leaves the list, all behind it move up, and `j` then names another "
     "unit."),
            Wrong("""
import math

def interaction(c, i, j):
    def loss(score):
        return math.log(1 + math.exp(-score))

    n, score = len(c), sum(c)
    whole = loss(score)
    first = loss((score - c[i]) * n / (n - 1)) - whole
    second = loss((score - c[j]) * n / (n - 1)) - whole
    both = loss((score - c[i] - c[j]) * n / (n - 2)) - whole
    return abs(both - first - second) / (abs(first) + abs(second))
""", "You scale up what is left. Dropout does so in training; here units are only taken away, to "
     "see what they were worth."),
        ],
    )
)  # fmt: skip


def check_partners(partners):
    import torch
    from torch import nn

    is_module = isinstance(partners, type) and issubclass(partners, nn.Module)
    yield expect(
        "`ChangingPartners` is a class of modules", is_module,
        "`ChangingPartners` is no class that inherits from `nn.Module`.",
        "write `q.check(ChangingPartners)` with the class itself", "class",
    )  # fmt: skip
    h = torch.arange(1.0, 17.0).view(2, 8)
    before = h.clone()
    layer = partners(8, 4, 0.25)
    out = layer.eval()(h)
    is_tensor = isinstance(out, torch.Tensor)
    yield expect(
        "a tensor comes out", is_tensor, f"In evaluation mode the layer gives a "
        f"`{type(out).__name__}`.", "return a tensor in both modes", "type",
    )  # fmt: skip
    yield expect(
        "evaluation passes h on", out.shape == h.shape and torch.equal(out, before),
        "In evaluation mode the layer does not give back its input: networks would be judged under "
        "masks, or at another scale.",
        "what does every dropout layer do in evaluation?",
        "scaled" if bool((out != 0).all()) else "masked",
    )  # fmt: skip
    x = torch.rand(500, 8) + 1
    kept_x = x.clone()
    out = layer.train()(x)
    right = isinstance(out, torch.Tensor) and out.shape == x.shape
    yield expect(
        "the shape stays", right,
        "In training an input of shape [500, 8] does not give an output of that shape.",
        "one coin for each image and group, repeated for each unit of the group", "shape",
    )  # fmt: skip
    yield expect(
        "the input stays as it was", torch.equal(h, before) and torch.equal(x, kept_x),
        "The layer writes into its input.", "make a new tensor for the result", "input",
    )  # fmt: skip
    alive = out != 0
    scale = (out / kept_x)[alive].mean().item() if alive.any() else 0.0
    exact = bool(alive.any()) and torch.allclose(out[alive], kept_x[alive] / 0.75)
    alike = torch.allclose(out[alive], scale * kept_x[alive], rtol=1e-3)
    yield expect(
        "survivors are h/q", exact,
        f"With p = 0.25 a survivor is h times {scale:.4g}; each must be h times 1.333." if alike
        else "With p = 0.25 survivors are not all h times the same number; each must be h times "
        "1.333.",
        "divide by the keep probability" if alike else "each unit must come out in its own place",
        f"scale {scale:.3g}" if alike else "moved",
    )  # fmt: skip
    kept = alive.sum(1)
    yield expect(
        "units come and go four at a time", bool((kept % 4 == 0).all()),
        "With 8 units and size 4 some image keeps a number of units that is neither 0, 4 nor 8.",
        "split the units into groups of `size`, and toss one coin for each",
        f"groups {len(kept.unique()) > 4}",
    )  # fmt: skip
    yield expect(
        "images have coins of their own", bool((alive != alive[0]).any()),
        "In one step all 500 images lose the same units.",
        "toss for each row of `h`", "images",
    )  # fmt: skip
    count = int(kept.sum()) // 4
    share = count / 1000
    yield expect(
        "a group survives with the chance q", plausible(count, 1000, 0.75),
        f"With p = 0.25, {share:.0%} of 1000 groups survive; 75% are wanted.",
        "look at the comparison", "p" if share < 0.4 else "other",
    )  # fmt: skip
    layer, one = partners(8, 4, 0.5).train(), torch.ones(1, 8)
    steps = torch.stack([layer(one)[0] != 0 for _ in range(400)])
    agree = (steps == steps[:, :1]).sum(0)[1:].tolist()
    always = [k for k in range(1, 8) if agree[k - 1] == 400]
    yield expect(
        "partners change from step to step", not always,
        f"In 400 steps with 8 units and size 4, unit 0 came and went with {len(always)} others "
        "each time.",
        "who shares a coin must be drawn in every training step",
        "repeats" if bool((steps == steps[0]).all()) else str(always),
    )  # fmt: skip
    chance = 3 / 7 + 4 / 7 / 2  # to be partners, or else to have coins that agree
    far = max(agree, key=lambda k: abs(k - 400 * chance))
    yield expect(
        "any two units are partners equally often",
        all(plausible(k, 400, chance) for k in agree),
        f"In 400 steps with 8 units and size 4, some unit came or went with unit 0 in "
        f"{far / 400:.0%} of them; {chance:.0%} are wanted for each.",
        "draw an order of the units in which all are equally likely", "uneven",
    )  # fmt: skip


EXERCISES.append(
    Code(
        id="09.10",
        title="A control that does not control",
        trains="checking that a control differs in just what it should",
        question=r"""
To show that the *fixed* company is what loses the gain, and not the small number of coins, the
study needs a control: one coin for `size` units, but partners that are drawn anew in each training
step. This layer was written for it. Used as the control, it lost the gain as fixed partners do, and
its test loss was not even the same twice. It has two faults; mend them.

`h` is `[images, units]`, and `size` divides `units`. Each image has coins of its own; survivors are
scaled by $1/q$.
""",
        given="""
import torch
from torch import nn

class ChangingPartners(nn.Module):
    def __init__(self, units, size, p):
        super().__init__()
        self.size, self.p = size, p
        self.order = torch.randperm(units)

    def forward(self, h):
        coins = torch.rand(len(h), h.shape[1] // self.size) >= self.p
        mask = coins.repeat_interleave(self.size, dim=1)[:, self.order]
        return h * mask / (1 - self.p)
""",
        code="""
import torch
from torch import nn

class ChangingPartners(nn.Module):
    def __init__(self, units, size, p):
        super().__init__()
        self.size, self.p = size, p

    def forward(self, h):
        if not self.training:
            return h
        order = torch.randperm(h.shape[1])
        coins = torch.rand(len(h), h.shape[1] // self.size) >= self.p
        mask = coins.repeat_interleave(self.size, dim=1)[:, order]
        return h * mask / (1 - self.p)
""",
        alike=[
            """
import torch
import torch.nn.functional as F
from torch import nn

class ChangingPartners(nn.Module):
    def __init__(self, units, size, p):
        super().__init__()
        self.units, self.size, self.p = units, size, p

    def forward(self, h):
        factors = F.dropout(torch.ones(len(h), self.units // self.size), self.p, self.training)
        return h * factors.repeat(1, self.size)[:, torch.randperm(self.units)]
""",
            """
import torch
from torch import nn

class ChangingPartners(nn.Module):
    def __init__(self, units, size, p):
        super().__init__()
        self.size, self.p = size, p

    def forward(self, h):
        if self.training:
            order = torch.rand_like(h).argsort(1)  # other partners for each image, even
            coins = torch.bernoulli(torch.full((len(h), h.shape[1] // self.size), 1 - self.p))
            h = h * coins.gather(1, order // self.size) / (1 - self.p)
        return h
""",
            """
import torch
from torch import nn

class ChangingPartners(nn.Module):
    def __init__(self, units, size, p):
        super().__init__()
        self.units, self.size, self.p = units, size, p

    def forward(self, h):
        if not self.training:
            return h
        out = torch.zeros_like(h)
        for group in torch.randperm(self.units).split(self.size):
            keep = torch.rand(len(h), 1) < 1 - self.p
            out[:, group] = keep * h[:, group] / (1 - self.p)
        return out
""",
        ],
        check=check_partners,
        takes="object",
        power="1000 groups at 0.25: a rate off by 0.11 is found 99 times in 100; 400 steps: how "
              "often two units agree, off by 0.19",
        harmless={
            "torch.rand(len(h), h.shape[1] // self.size) >= self.p -> "
            "torch.rand(len(h), h.shape[1] // self.size) > self.p":
                "a coin equals p once in 2^24 tosses",
        },
        hints=[
            "How often is `__init__` run, and how often `forward`?",
            "What must the layer do after `model.eval()`? `self.training` says which mode it is "
            "in.",
            "Draw `order` in `forward`, and begin it with `if not self.training: return h`.",
        ],
        solution="""
The order was drawn once, when the layer was made: its partners were random, but fixed, so that it
repeated the experiment it was to control. And it went on dropping in evaluation, so that networks
were judged under masks.
""",
        wrong=[
            Wrong("""
import torch
from torch import nn

class ChangingPartners(nn.Module):
    def __init__(self, units, size, p):
        super().__init__()
        self.size, self.p = size, p
        self.order = torch.randperm(units)

    def forward(self, h):
        if not self.training:
            return h
        coins = torch.rand(len(h), h.shape[1] // self.size) >= self.p
        mask = coins.repeat_interleave(self.size, dim=1)[:, self.order]
        return h * mask / (1 - self.p)
""", "The order is still drawn once, when the layer is made. Its partners are random and yet the "
     "same for ever: that is the arm to be controlled, not the control."),
            Slip("        if not self.training:\n            return h\n", "", "The layer drops in "
                 "evaluation too. The study asks one network without masks; with fresh ones at "
                 "each test it would measure their noise."),
            Slip("return h\n", "return h * (1 - self.p)\n", "That is vanilla dropout's evaluation. "
                 "Here survivors were scaled in training, so that nothing is left to make up for."),
            Slip("        order = torch.randperm(h.shape[1])\n", "        order = "
                 "torch.randperm(h.shape[1] // self.size)\n        order = (order[:, None] * "
                 "self.size + torch.arange(self.size)).flatten()\n", "The groups stay as "
                 "they are. An order that is drawn and not used changes nothing, nor does one that "
                 "shuffles the *coins*, which are random already: it is units that must change "
                 "groups."),
            Slip("dim=1)[:, order]\n        return h * mask",
                 "dim=1)\n        return h[:, order] * mask", "You shuffle the units themselves, "
                 "and they stay shuffled: the layer above finds another unit at each of its "
                 "inputs. It is the mask that must be shuffled."),
            Slip("torch.randperm(h.shape[1])", "torch.arange(h.shape[1]).roll("
                 "int(torch.randint(h.shape[1], ())))", "You shift all units by a random number of "
                 "places. Groups change, but neighbours stay neighbours most of the time, and "
                 "units far apart never meet."),
            Slip("torch.rand(len(h), h.shape[1] // self.size) >= self.p",
                 "torch.rand(1, h.shape[1] // self.size).expand(len(h), -1) >= self.p",
                 "One set of coins serves the whole batch. Besides the partners that changes how "
                 "much noise a step has: a control may differ in one thing only."),
            Slip("coins.repeat_interleave(self.size, dim=1)[:, order]",
                 "torch.rand(h.shape) >= self.p", "Every unit has a coin of its own: that is "
                 "dropout itself, which tosses many more coins than the arm to be controlled."),
            Slip("/ (1 - self.p)", "/ self.p", "You divide by the drop rate; a group survives with "
                 "the chance `1 - p`."),
            Slip(" / (1 - self.p)", "", "The scale has gone, so that evaluation would send more "
                 "than training on average."),
            Slip(">= self.p", "< self.p", "Your comparison keeps a group with the chance `p`, the "
                 "drop rate."),
            Slip("        order = torch.randperm", "        torch.manual_seed(0)\n        order = "
                 "torch.randperm", "A seed inside `forward` gives every step the same order and "
                 "the same coins: not only the partners are fixed then, but the whole mask."),
        ],
    )
)  # fmt: skip

# ---- an experiment ------------------------------------------------------------------------------

EXERCISES.append(
    Open(
        id="09.11",
        title="Fixed partners at a lower rate",
        trains="asking what a study has left open",
        question=r"""
With fixed partners of eight nothing was gained at $p = \frac12$; whether they gain at another rate,
the study does not show. Try $p = 0.2$, as in the chapter's small version: the training set
`digits(train=200, seed=seed(0))`, six networks an arm (`why.train(arm, [train] * 6, seeds(6),
lr=0.05, steps=240, every=20, validation=validation)`), and of each network the lowest validation
loss on the way. What is the mean of these with fixed partners of eight at $p = 0.2$, as a share of
that without dropout? It takes a few seconds.
""",
        answer=0.927,
        within=0.05,
        hints=[
            "An arm has its rate in `why.Arm(noise, p=0.2)`; without dropout it is `why.Arm()`.",
            "`why.Arm(why.fixed_partners(8), p=0.2)`; `why.train` gives the networks and a history "
            "with a row a time and a column a network.",
            "`history.min(0).values.mean()` for each of the two arms; divide.",
        ],
        solution=r"""
Twelve repetitions with fresh seeds gave 0.927 on average, with a standard deviation of 0.016. So at
$p = 0.2$ fixed partners of eight keep some 7 % of the loss away, in this small version and without
tuning. A coin for each unit at the same rate keeps a quarter away: four repetitions gave 0.74. Even
groups that share a coin are charged for something, namely for what they say together; at
$p = \frac12$ that cost as much as it gained (four repetitions: 0.99).
""",
        reference="twelve repetitions of six networks, fresh seeds: 0.927, standard deviation "
                  "0.016; the first, with the seeds of the question, 0.928",
        rubric=[
            "Says how far repetitions lie apart, from other seeds.",
            "Has dropout with a coin for each unit at the same rate beside it.",
            "Says that neither arm was tuned, and that the lowest validation loss on the way "
            "flatters both.",
        ],
        wrong=[
            Wrong(0.74, "That is what a coin for each unit gives at this rate. Did the arm get "
                        "`fixed_partners(8)`?"),
            Wrong(0.99, "That is about what $p = 0.5$ gives, the default of `Arm`. Set `p=0.2`."),
            Wrong(0.3, "That is a loss in nats. Divide it by that of the arm without dropout."),
            Wrong(0.0727, "That is what has been gained. The share asked for is what is left of "
                          "the loss."),
        ],
    )
)  # fmt: skip
