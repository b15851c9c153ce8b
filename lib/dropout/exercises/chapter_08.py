"""Chapter 08, batch norm and dropout."""

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
from dropout.exercises.probes import close, expect, flat, plausible, saw, shown

EXERCISES: list[Exercise] = []

# ---- the shift ----------------------------------------------------------------------------------

EXERCISES.append(
    Choice(
        id="08.1",
        title="Why the two do not agree",
        trains="telling what batch norm collects from what it meets later",
        question=r"""
Inverted dropout stands right before a batch norm. Why does the batch norm send too small a
variance in evaluation?
""",
        options={
            "a": "It collected the variance of noisy inputs in training, and in evaluation divides "
                 "by that while its inputs have no noise.",
            "b": "Dropout changes the mean of its inputs, so that in evaluation it takes off the "
                 "wrong mean.",
            "c": "In evaluation it uses the variance of the batch, which is smaller without "
                 "dropout.",
            "d": "It normalises the factor $1/q$ away, so that dropout in training is vanilla "
                 "dropout, and evaluation must still multiply by $q$.",
        },
        answer="a",
        hints=[
            "Which two variances take part: that of what comes in now, and which other?",
            "In evaluation it divides by a running average. When was that collected, and was "
            "dropout on?",
        ],
        solution=r"""
The running variance is an average over training, where dropout was on: it has the masks' noise in
it, $v + \frac pq (c^2 + v)$. In evaluation the inputs have the variance $v$ alone. What leaves has
the variance $v / (v + \frac pq (c^2 + v)) < 1$, where training promised 1. The mean is right, for
inverted scaling keeps it.
""",
        wrong=[
            Wrong("b", "Inverted scaling keeps the mean of what comes straight from dropout, and a "
                       "wrong mean would move the outputs without narrowing them. Look for another "
                       "moment."),
            Wrong("c", "If it used the batch's own variance, its outputs would have variance 1 in "
                       "evaluation too, and there would be no trouble. In evaluation it uses what "
                       "it has stored."),
            Wrong("d", "One factor for all inputs is normalised away, true, but it is stored with "
                       "the statistics as well, and so does no harm. Something else in the stored "
                       "variance is missing in evaluation."),
        ],
    )
)  # fmt: skip

EXERCISES.append(
    Number(
        id="08.2",
        title="A shift, by hand",
        trains="the variance over data and masks",
        question=r"""
On the three images of a small training set, a unit behind a ReLU takes the values 0, 0 and 3. It
drops with $p = \frac15$ (inverted dropout) and then enters a batch norm. What is its variance
shift, the variance in evaluation over that in training? Variances are over all the data (divide
by 3) and, in training, over all masks too.
""",
        answer=8 / 11,
        hints=[
            "The shift is $v / (v + \\frac pq (c^2 + v))$, with mean $c$ and variance $v$ over the "
            "data.",
            "Here $c = 1$, and $c^2 + v$ is the mean square of the values. What is $p/q$?",
            "The mean square is $9/3 = 3$, so $v = 3 - 1^2 = 2$, and $p/q = \\frac14$.",
        ],
        solution=r"""
Over the data the mean is $c = 1$ and the mean square 3, so $v = 3 - 1 = 2$. The masks add
$\frac pq \cdot 3 = \frac14 \cdot 3 = \frac34$, so the variance in training is $\frac{11}4$ and the
shift is $2 / \frac{11}4 = \frac8{11}$. To check by hand: in training the unit sends 0 except on the
third image, where it sends $3 / \frac45 = \frac{15}4$ with chance $\frac45$. Over all, the mean is
1, the mean square $\frac13 \cdot \frac45 \cdot \frac{225}{16} = \frac{15}4$, and the variance
$\frac{15}4 - 1 = \frac{11}4$.
""",
        wrong=[
            Wrong(0.8, "That is $q$, right for units of mean 0. This unit has a mean, and the "
                       "masks' noise grows with the *square* of each value, not with its distance "
                       "from the mean."),
            Wrong(1.375, "That is training over evaluation. The shift is evaluation over training, "
                         "and never above 1."),
            Wrong(3 / 11, "That is the share of the training variance that the masks add. The "
                          "shift is the share that stays without them."),
            Wrong(1 / 7, "The noise has been multiplied by $q/p$. A scaled coin $m/q$ has the "
                         "variance $p/q$: less noise at a low rate, not more."),
            Wrong(2 / 2.6, "The noise has been multiplied by $p$. A scaled coin $m/q$ has the "
                           "variance $pq / q^2$, which is not $p$."),
            Wrong(0.8528, "That is the root of the shift: the ratio of standard deviations. The "
                          "shift compares variances."),
            Wrong(3 / 4, "The variance of the values has been divided by 2, as for a sample. Here "
                         "the three images are all the data: divide by 3."),
        ],
    )
)  # fmt: skip


EXERCISES.append(
    Formula(
        id="08.3",
        title="All it takes is one ratio",
        trains="what the shift right after dropout depends on",
        question=r"""
A unit of mean $c$ and variance $v > 0$ over the data drops right before a batch norm. Scaling the
unit changes nothing, so its shift depends on $p$ and on the ratio $k = c^2 / v$ alone. Write the
shift in $p$ and $k$, as simply as you can.
""",
        answer="(1 - p) / (1 + p k)",
        names={"p": RATES, "k": (0.0, 0.5, 1.0, 2.0, 4.0, 0.25, 3.0)},
        also={"q": "1 - p"},
        equal=["q/(1 + p k)", "1/(1 + (p/q)(k + 1))", "q/(q + p(1 + k))", "(1-p)(1 + k p)^(-1)"],
        after="At $k = 0$ it is $q$; each unit of $k$ adds $p$ to what that is divided by.",
        hints=[
            "Begin with $v / (v + \\frac pq (c^2 + v))$ and divide above and below by $v$.",
            "That is $1 / (1 + \\frac pq (k + 1))$. Multiply above and below by $q$.",
            "Below stands $q + p(k + 1)$, and $q + p = 1$.",
        ],
        solution=r"""
$$\frac{v}{v + \frac pq (c^2 + v)} = \frac{1}{1 + \frac pq (k + 1)} = \frac{q}{q + p + p k}
= \frac{1 - p}{1 + p k} .$$

A centred unit has $k = 0$ and loses the factor $q$. A unit behind a ReLU whose inputs are normal
with mean 0 has $k = 1/(\pi - 1) \approx 0.47$.
""",
        wrong=[
            Wrong("1 - p", "That is the case $k = 0$, of a unit with mean 0. A mean adds noise, "
                           "for a coin takes away all of $x$, its mean included."),
            Wrong("q/(q + p k)", "You count the noise of the mean, $\\frac pq c^2$, and leave out "
                                 "that of the spread, $\\frac pq v$. The masks multiply the mean "
                                 "square of the unit, which has both."),
            Wrong("1/(1 + p(1 + k))", "A coin $m$ has the variance $pq$; the scaled coin $m/q$ has "
                                      "more. You have used $p$ for it."),
            Wrong("1/(1 + p k)", "At $k = 0$ that is 1: no shift at all. But the masks multiply "
                                 "the spread of a unit of mean 0 as well."),
            Wrong("(1 + p k)/(1 - p)", "That is upside down: the variance in training over that in "
                                       "evaluation. It would be above 1."),
            Wrong("p(1 + k)/(1 + p k)", "That is what the masks add, as a share of the variance in "
                                        "training. The shift is the rest, what is there without "
                                        "them."),
            Wrong("sqrt((1 - p)/(1 + p k))", "That is how much the *standard deviation* shrinks. "
                                             "The shift is a ratio of variances; it is the layer "
                                             "norm's proposition that has a root."),
        ],
    )
)  # fmt: skip

EXERCISES.append(
    Choice(
        id="08.4",
        title="Do wide layers escape?",
        trains="reading a formula for what happens at both ends",
        question=r"""
Dropout at $p = \frac12$, then a linear layer with $d$ inputs, then a batch norm. All inputs have
mean 1 and variance 1, and each two of them are correlated by $\rho = 0.1$. The weights go along
with one another a little: $\cos^2\theta = 0.1$, where 1 would be all weights equal and 0 weights
that sum to 0. Which row is the variance shift?

| row | $d = 2$ | $d = 32$ | $d = 1024$ |
|---|---|---|---|
| a | 0.32 | 0.32 | 0.32 |
| b | 0.32 | 0.38 | 0.85 |
| c | 0.32 | 0.20 | 0.03 |
| d | 0.32 | 0.67 | 0.98 |
""",
        options={
            "a": "Row a: width does nothing, for the weights hardly agree.",
            "b": "Row b: width helps, but only when $d \\cos^2\\theta$ is large.",
            "c": "Row c: each input brings noise of its own, so width hurts.",
            "d": "Row d: width helps from the start, as it does with equal weights.",
        },
        answer="b",
        reveals="fig-shift-formulas",
        hints=[
            "The clean part is $1 + \\rho(d \\cos^2\\theta - 1)$ and the noise 2, both times "
            "$|w|^2$.",
            "At $d = 32$, $d \\cos^2\\theta = 3.2$. When does $\\rho$ times it exceed the noise, "
            "2?",
        ],
        solution=r"""
With $v = c = 1$ the shift is $s / (s + 2)$ with $s = 1 + 0.1\,(0.1\, d - 1) = 0.9 + 0.01\, d$. At
$d = 2$, 32 and 1024 that is $s = 0.92$, 1.22 and 11.14, and so 0.32, 0.38 and 0.85. Noise
is independent and adds up like $|w|^2$. Inputs that vary together add up like $(\sum w)^2$, which
wins in the end, but late where weights hardly agree.
""",
        wrong=[
            Wrong("a", "That is nearly what weights that sum to 0 do. Here the part that goes "
                       "along is small, but it grows with $d$ and the noise beside it does not."),
            Wrong("c", "Each input brings noise, but signal too. Even without any correlation the "
                       "two grow alike, and the shift stays where it is; it never falls with "
                       "width."),
            Wrong("d", "That is nearly what equal weights do, $\\cos^2\\theta = 1$. Here only a "
                       "tenth of it counts, so the same shift needs ten times the width."),
        ],
    )
)  # fmt: skip

# ---- where to put it, and what went wrong ------------------------------------------------------

EXERCISES.append(
    Choice(
        id="08.5",
        title="A place in a residual network",
        trains="following the noise to every batch norm above it",
        question=r"""
A network has ten residual blocks, each $x + f(x)$ with $f$: batch norm, ReLU, linear, batch norm,
ReLU, linear. After the tenth block come a last batch norm, a ReLU and a linear layer to the
scores. In which place does dropout leave *every* batch norm without a variance shift?
""",
        options={
            "a": "In each block right after its second ReLU, since no batch norm of the block "
                 "follows.",
            "b": "In each block on what $f$ sends, right before it is added to $x$, since $x$ "
                 "carries the clean signal.",
            "c": "Only in the tenth block, right after its second ReLU.",
            "d": "After the very last ReLU, before the scores.",
        },
        answer="d",
        hints=[
            "For each place list the batch norms that come later on any path.",
            "What leaves a block enters the next one's first batch norm. What does the tenth "
            "block enter?",
        ],
        solution=r"""
Whatever drops in a block, noise and all, is added to $x$ and enters the first batch norm of the
next block; from the tenth it enters the last batch norm. Only after the last ReLU is there no
batch norm left to be misled. (Whether dropout gains anything there is for validation data to
say.)
""",
        wrong=[
            Wrong("a", "Look beyond the block: the sum $x + f(x)$, with the noise in it, enters "
                       "the next block's first batch norm."),
            Wrong("b", "Adding a clean $x$ dilutes the noise and does not remove it. The sum still "
                       "varies more in training than in evaluation."),
            Wrong("c", "That spares the batch norms of all blocks. There is one more batch norm "
                       "after the blocks."),
        ],
    )
)  # fmt: skip

EXERCISES.append(
    Choice(
        id="08.6",
        title="Good in training, bad in evaluation",
        trains="reading a log for what changes between the modes",
        question=r"""
A deep network has `nn.Dropout` before most of its batch norms. Its accuracy at the end, in three
states of the same weights:

| state | training images | validation images |
|---|---|---|
| training mode | 96 % | 91 % |
| evaluation mode | 61 % | 58 % |
| evaluation mode, but the batch norms in training mode | 99 % | 93 % |

What is wrong, and what would you do?
""",
        options={
            "a": "It overfits: more weight decay, or more data.",
            "b": "The running statistics do not fit evaluation: renew them with dropout off.",
            "c": "The drop rate is too high for the network to learn: lower it and train again.",
            "d": "`eval()` does not reach the dropout layers, so that units still drop: call it "
                 "on each of them.",
        },
        answer="b",
        hints=[
            "What is the only thing that differs between the second row and the third?",
            "In the third row each batch norm uses the batch's own mean and variance.",
        ],
        solution=r"""
The last two rows have the same weights and the same dropout (none); they differ in the statistics
that the batch norms use. With the batch's own, all is well. So the stored ones do not fit: the
variance shift, or averages that lag behind the weights, or both. One pass over training data with
dropout off puts both right, and no training is needed.
""",
        wrong=[
            Wrong("a", "Overfitting would show as a gap between the *columns*. Here the network "
                       "fails in evaluation mode on the very images it was trained on."),
            Wrong("c", "The first row has dropout on, at that rate, and reaches 96 %. The network "
                       "has learned; something is wrong in how it is asked."),
            Wrong("d", "Then evaluation mode would be no worse than training mode, where units "
                       "drop too and 91 % are right. Dropped units are not what costs here."),
        ],
    )
)  # fmt: skip

EXERCISES.append(
    Choice(
        id="08.7",
        title="Is it the shift?",
        trains="separating the shift from the other faults of running averages",
        question=r"""
Three networks with dropout before batch norms all have a test loss of 0.72 nats. For each, the
statistics are renewed over the same batches of training data, once with dropout on and once with
dropout off:

| network | as it is | renewed, dropout on | renewed, dropout off |
|---|---|---|---|
| A | 0.72 | 0.71 | 0.55 |
| B | 0.72 | 0.55 | 0.55 |
| C | 0.72 | 0.72 | 0.72 |

Which of them loses by the variance shift?
""",
        options={
            "a": "A alone.",
            "b": "B alone.",
            "c": "A and B: both gain by renewing.",
            "d": "All three: a network with dropout before batch norm always has the shift.",
        },
        answer="a",
        hints=[
            "Which two columns differ by nothing but the masks' noise in the statistics?",
            "What else is wrong with running averages that were collected while weights moved?",
        ],
        solution=r"""
The last two columns are taken over the same batches with the same weights: they differ by the
masks' noise, that is by the shift, and by nothing else. Only A differs there. B gains as much by
statistics that have the shift in them: its running averages lagged behind the weights. In C
neither matters; what it loses against other networks, if anything, it lost in training.
""",
        wrong=[
            Wrong("b", "B gains all by statistics that were taken *with* dropout on, and these "
                       "have the shift still in them. Its averages were merely out of date."),
            Wrong("c", "Both gain, but B gains by a renewal that keeps the shift. Compare the two "
                       "renewals with each other, not with the network as it is."),
            Wrong("d", "To have a shift is one thing, to lose by it another: it changes how sure "
                       "a network is, which need not cost. For C it makes no difference."),
        ],
    )
)  # fmt: skip

EXERCISES.append(
    Number(
        id="08.8",
        title="Layer norm, mask by mask",
        trains="seeing that a mean kept before a normalisation is not kept after it",
        question=r"""
An example has two units, $h = (3, 1)$. Inverted dropout with $p = \frac12$ acts on them, then a
layer norm without $\gamma$, $\beta$ or $\epsilon$; where both units are equal it sends $(0, 0)$.
In evaluation it sends $(1, -1)$. What does it send for the *first* unit in training, on average
over all four masks?
""",
        answer=0.25,
        follows="Over the four masks the first outputs would add up to {4 * answer}; each of them "
                "is 1, 0 or −1.",
        hints=[
            "List the four masks, each of chance $\\frac14$, and what dropout makes of $(3, 1)$.",
            "They are $(6, 2)$, $(6, 0)$, $(0, 2)$ and $(0, 0)$. With two units, layer norm sends "
            "1 for the larger and −1 for the smaller.",
            "The first outputs are 1, 1, −1 and 0.",
        ],
        solution=r"""
Dropout sends $(6, 2)$, $(6, 0)$, $(0, 2)$ or $(0, 0)$, and the layer norm makes of that $(1, -1)$,
$(1, -1)$, $(-1, 1)$ and $(0, 0)$. The mean of the first output is $\frac14 (1 + 1 - 1 + 0) =
\frac14$, where evaluation sends 1. Before the layer norm the mean was kept: $\frac14 (6 + 6 + 0 +
0) = 3$. The formula with a root, which is for many units, would say $\sqrt{1/6} \approx 0.41$.
""",
        wrong=[
            Wrong(1, "That is what evaluation sends. Inverted scaling keeps the mean *before* the "
                     "layer norm, which then divides each mask's outcome by a spread of its own."),
            Wrong(1 / 3, "You average over three masks. The fourth, that drops both, has a chance "
                         "as well and sends 0."),
            Wrong(0.707, "That is $\\sqrt q$, the limit for many units of mean 0. Here there are "
                         "two units, with a mean: go through the masks."),
            Wrong(0.4082, "That is the root in the proposition, which holds where the noisy spread "
                          "is nearly the same for all masks. With two units it is far from that."),
            Wrong(0.5345, "You divide by the root of the *mean* noisy variance, $v + \\frac pq (1 "
                          "- \\frac1d)(c^2 + v)$. A layer norm divides each outcome by its own."),
            Wrong(0.5, "Where only the second unit survives, the first is the *smaller* of the "
                       "two. What does layer norm send for a unit below the mean?"),
        ],
    )
)  # fmt: skip

# ---- code ---------------------------------------------------------------------------------------


def check_statistics(statistics):
    one = [[[1.0, 0.0], [3.0, 2.0]]]
    w = [2.0, 1.0]
    out = statistics(one, w, 0.0)
    yield expect(
        "two numbers come out",
        isinstance(out, list) and len(out) == 2 and flat(out) == out,
        saw(statistics, out, [5.0, 18.0]),
        "return the mean and the variance, in this order", "shape",
    )  # fmt: skip
    out = statistics(one, w, 0.0)
    yield expect(
        "the mean of a batch is right", close(out[0], 5.0),
        saw(statistics, out, [5.0, 18.0], ": the unit is 2 and 8"),
        "compute the unit for each example, and its mean over the batch",
    )  # fmt: skip
    yield expect(
        "the variance of a batch is right", close(out[1], 18.0),
        saw(statistics, out, [5.0, 18.0], ": the unit is 2 and 8"),
        "add the squared distances from the batch's mean, then divide",
    )  # fmt: skip
    two = [[[1.0, 0.0], [3.0, 2.0]], [[0.0, 1.0], [1.0, 1.0]]]
    out = statistics(two, w, 0.0)
    yield expect(
        "the statistics are means over the batches", close(out, [3.5, 10.0]),
        saw(statistics, out, [3.5, 10.0], ": the unit is 2 and 8 in one batch, 1 and 3 in the "
                                          "other"),
        "take mean and variance of each batch, then the plain mean over batches",
    )  # fmt: skip
    three = [[[1.0, 0.0], [3.0, 2.0], [2.0, 2.0]], [[0.0, 1.0], [1.0, 1.0], [1.0, 3.0]]]
    out = statistics(three, w, 0.0)
    yield expect(
        "batches of three are right too", close(out, [25 / 6, 20 / 3]),
        saw(statistics, out, [25 / 6, 20 / 3]),
        "divide by what the length of a batch demands",
    )  # fmt: skip
    wide = [[[1.0 + k, 2.0 - k] for k in range(20)]]
    first = statistics(wide, w, 0.5)
    second = statistics(wide, w, 0.5)
    yield expect(
        "two passes over the same batches agree", close(first, second),
        f"Two calls with the same 20 examples and p = 0.5 give `{shown(first)}` and "
        f"`{shown(second)}`.",
        "toss no coins in this pass", "random",
    )  # fmt: skip
    out = statistics(two, w, 0.5)
    yield expect(
        "dropout is off in this pass", close(out, [3.5, 10.0]),
        saw(statistics, out, [3.5, 10.0], ", as with p = 0"),
        "which noise is there in evaluation?",
    )  # fmt: skip


EXERCISES.append(
    Code(
        id="08.9",
        title="Renew the statistics of a unit",
        trains="what the one pass over the data collects",
        question=r"""
In a trained network inverted dropout acts on the inputs $x$ of a linear unit $z = \sum_j w_j x_j$,
which then enters a batch norm. Write `statistics(batches, w, p)`: the running mean and running
variance of that batch norm, renewed by the pass that *mends* the shift. Return the two numbers, the
mean first.

`batches` is a list of batches of equal size, a batch a list of examples, an example the list of
its inputs $x$ before dropout; `w` is the list of weights, `p` the drop rate. As in PyTorch with
`momentum=None`, each statistic is the plain mean over the batches of that of the batch, and the
variance of a batch of $n$ divides by $n - 1$.
""",
        given="""
def statistics(batches, w, p):
    ...
""",
        code="""
def statistics(batches, w, p):
    means, variances = [], []
    for batch in batches:
        z = [sum(a * b for a, b in zip(w, x)) for x in batch]
        mean = sum(z) / len(z)
        means.append(mean)
        variances.append(sum((v - mean) ** 2 for v in z) / (len(z) - 1))
    return [sum(means) / len(means), sum(variances) / len(variances)]
""",
        alike=[
            """
import torch

def statistics(batches, w, p):
    z = torch.einsum("bnj,j->bn", batches, w)
    return [z.mean(1).mean(), z.var(1).mean()]
""",
            """
import torch

def statistics(batches, w, p):
    norm = torch.nn.BatchNorm1d(1, momentum=None).double()
    for x in batches:
        norm((x @ w)[:, None])
    return norm.running_mean.item(), norm.running_var.item()
""",
            """
import numpy as np

def statistics(batches, w, p):
    z = np.einsum("bnj,j->bn", batches, w)
    return z.mean(), z.var(axis=1, ddof=1).mean()
""",
            """
import statistics as st

def statistics(batches, w, p):
    mean = var = 0.0
    for number, batch in enumerate(batches, start=1):
        z = [sum(w[j] * x[j] for j in range(len(w))) for x in batch]
        mean += (st.mean(z) - mean) / number
        var += (st.variance(z) - var) / number
    return [mean, var]
""",
        ],
        check=check_statistics,
        power="all properties are exact",
        in_page=True,
        after="The rate `p` plays no part: the pass is made with dropout off.",
        hints=[
            "In evaluation, what does dropout do with $x$? The pass that mends the shift meets the "
            "same.",
            "For each batch compute $z$ for every example, then its mean, then its variance about "
            "that mean.",
            "Collect the means and the variances of the batches in two lists; return the mean of "
            "each. You need `p` nowhere.",
        ],
        solution="""
Dropout is off in this pass, so that the statistics are those of what the batch norm meets in
evaluation, and `p` is not needed.
""",
        wrong=[
            Wrong("""
import random

def statistics(batches, w, p):
    q = 1 - p
    means, variances = [], []
    for batch in batches:
        z = [sum(a * b / q for a, b in zip(w, x) if random.random() < q) for x in batch]
        mean = sum(z) / len(z)
        means.append(mean)
        variances.append(sum((v - mean) ** 2 for v in z) / (len(z) - 1))
    return [sum(means) / len(means), sum(variances) / len(variances)]
""", "That leaves dropout on, as PyTorch's `update_bn` does: it renews the statistics and keeps "
     "the shift, for the masks' noise goes into the variance."),
            Wrong("""
def statistics(batches, w, p):
    means, variances = [], []
    for batch in batches:
        z = [sum(a * b for a, b in zip(w, x)) for x in batch]
        noise = sum((a * b) ** 2 for x in batch for a, b in zip(w, x)) / len(z)
        mean = sum(z) / len(z)
        means.append(mean)
        spread = sum((v - mean) ** 2 for v in z) / (len(z) - 1)
        variances.append(spread + p / (1 - p) * noise)
    return [sum(means) / len(means), sum(variances) / len(variances)]
""", "You add the masks' noise to the variance. That is what the batch norm met in training; in "
     "evaluation its input has none."),
            Slip("for a, b in zip(w, x)) for", "for a, b in zip(w, x)) * (1 - p) for",
                 "You shrink the inputs by `q`, as vanilla dropout does in evaluation. Inverted "
                 "dropout passes them on as they are."),
            Slip("for a, b in zip(w, x)) for", "for a, b in zip(w, x)) / (1 - p) for",
                 "You scale the inputs by `1/q`. That factor belongs to survivors in training; "
                 "with dropout off there is no factor."),
            Slip("(len(z) - 1)", "len(z)", "You divide by the size of the batch. That is how a "
                 "batch norm normalises in training, and what NumPy's `var` does unless told "
                 "`ddof=1`; what PyTorch *stores* is divided by one less."),
            Slip("(v - mean) ** 2", "v ** 2", "That is no variance: take off the batch's mean "
                 "before you square."),
            Wrong("""
def statistics(batches, w, p):
    means, spreads = [], []
    for batch in batches:
        z = [sum(a * b for a, b in zip(w, x)) for x in batch]
        mean = sum(z) / len(z)
        means.append(mean)
        spreads.append((sum((v - mean) ** 2 for v in z) / (len(z) - 1)) ** 0.5)
    return [sum(means) / len(means), sum(spreads) / len(spreads)]
""", "You return a standard deviation. A batch norm stores the variance, and takes the root itself "
     "when it divides."),
            Wrong("""
def statistics(batches, w, p):
    z = [sum(a * b for a, b in zip(w, x)) for batch in batches for x in batch]
    mean = sum(z) / len(z)
    return [mean, sum((v - mean) ** 2 for v in z) / (len(z) - 1)]
""", "You pool all examples, so that the distances *between* the batches' means go into the "
     "variance. A batch norm only ever sees one batch, and averages what it found in each."),
            Wrong("""
def statistics(batches, w, p):
    mean, variance = 0.0, 1.0
    for batch in batches:
        z = [sum(a * b for a, b in zip(w, x)) for x in batch]
        now = sum(z) / len(z)
        spread = sum((v - now) ** 2 for v in z) / (len(z) - 1)
        mean, variance = 0.9 * mean + 0.1 * now, 0.9 * variance + 0.1 * spread
    return [mean, variance]
""", "That is a running average with momentum 0.1 from the start values 0 and 1: after a few "
     "batches it is still mostly start values. A plain mean gives every batch the same weight."),
            Slip("means.append(mean)\n        variances.append(",
                 "means = [mean]\n        variances = [0.0]\n        variances[0] = (",
                 "Only the last batch is kept: each batch overwrites those before it."),
            Slip("[sum(means) / len(means), sum(variances) / len(variances)]",
                 "[sum(means), sum(variances)]", "You add up over the batches and do not divide by "
                 "their number."),
            Slip("[sum(means) / len(means), sum(variances) / len(variances)]",
                 "[sum(variances) / len(variances), sum(means) / len(means)]",
                 "You return the variance before the mean."),
        ],
    )
)  # fmt: skip


def check_network(network):
    import torch
    from torch import nn

    yield expect(
        "`network` is a function of p", not isinstance(network, nn.Module) and callable(network),
        f"A function that builds the network is asked for, and this is a "
        f"`{type(network).__name__}`.",
        "write `q.check(network)` with the function", "module",
    )  # fmt: skip
    model = network(0.5)
    is_module = isinstance(model, nn.Module)
    yield expect(
        "a module comes out", is_module, f"`network(0.5)` gives a `{type(model).__name__}`.",
        "return the Sequential", "type",
    )  # fmt: skip
    linears = [each for each in model.modules() if isinstance(each, nn.Linear)]
    norms = [each for each in model.modules() if isinstance(each, nn.BatchNorm1d)]
    relus = [each for each in model.modules() if isinstance(each, nn.ReLU)]
    sizes = [(each.in_features, each.out_features) for each in linears]
    yield expect(
        "the three linear layers, two batch norms and two ReLUs are there",
        sizes == [(8, 16), (16, 16), (16, 4)] and len(norms) == 2 and len(relus) in (1, 2),
        f"`network(0.5)` has {len(linears)} linear layers, {len(norms)} batch norms and "
        f"{len(relus)} ReLUs; 3, 2 and 2 are wanted, with their sizes as they were.",
        "keep all layers but dropout", f"layers {sizes} {len(norms)} {bool(relus)}",
    )  # fmt: skip
    x = torch.randn(64, 8) + 1
    calls: list = []

    def note(layer, inputs):
        calls.append((type(layer).__name__, inputs[0].detach().clone()))

    for each in [*linears, *norms, *relus]:
        each.register_forward_pre_hook(note)
    model.eval()
    yield expect(
        "evaluation is the same each time", torch.equal(model(x), model(x)),
        "In evaluation mode, two passes of the same input give different scores.",
        "leave it to `nn.Dropout` to see the mode", "eval",
    )  # fmt: skip
    calls.clear()
    model.train()
    scores = model(x), model(x)
    half = len(calls) // 2
    names = [name for name, _ in calls[:half]]
    noisy = [not torch.equal(calls[k][1], calls[k + half][1]) for k in range(half)]
    yield expect(
        "the layers keep their order", names == ["Linear", "BatchNorm1d", "ReLU"] * 2 + ["Linear"],
        "The order is " + ", ".join(names) + "; Linear, BatchNorm1d, ReLU is wanted, twice, and a "
        "Linear.",
        "move nothing but dropout",
    )  # fmt: skip
    yield expect(
        "something drops in training", not torch.equal(*scores),
        "In training mode with p = 0.5, two passes of the same input give the same scores.",
        "put a dropout layer where no batch norm follows", "none",
    )  # fmt: skip
    yield expect(
        "no batch norm meets the noise of masks", not (noisy[1] or noisy[4]),
        f"In training, two passes of the same batch give {'both' if noisy[1] else 'one'} of the "
        "batch norms different inputs.",
        "follow the network upwards from each dropout: is there a batch norm?",
        f"{noisy} {sum(isinstance(each, nn.Dropout) for each in model.modules())}",
    )  # fmt: skip
    yield expect(
        "hidden units drop, and not scores", noisy[6],
        "In training, the scores change from pass to pass, and what enters the last linear layer "
        "does not.",
        "drop before the last linear layer", "scores",
    )  # fmt: skip
    model = network(0.25).train()
    last = [each for each in model.modules() if isinstance(each, nn.Linear)][-1]
    passes = []
    last.register_forward_pre_hook(lambda layer, inputs: passes.append(inputs[0].detach()))
    for _ in range(30):
        model(x)
    sent = torch.stack(passes)
    alive = (sent != 0).any(0)  # not silenced by the ReLU
    silent = (sent == 0) & alive
    mixed = [((sent != 0).any(d) & silent.any(d)).any().item() for d in (2, 1)]
    yield expect(
        "each unit has a coin of its own", all(mixed) or not silent.any(),
        "In training a unit drops in all examples of the batch or in none." if mixed[0] else
        "In training an example loses all of its hidden units or none.",
        "`Dropout` tosses for each unit of each example", f"together {mixed}",
    )  # fmt: skip
    kept, total = int((sent[:, alive] != 0).sum()), int(alive.sum()) * 30
    share = kept / total
    yield expect(
        "the rate is p", plausible(kept, total, 0.75),
        f"With p = 0.25, {share:.0%} of the last hidden layer's activations survive; 75% are "
        "wanted.",
        "look at what each dropout layer is given",
        "half" if 0.47 < share < 0.53 else "swapped" if share < 0.3
        else "twice" if 0.53 < share < 0.6 else "other",
    )  # fmt: skip


EXERCISES.append(
    Code(
        id="08.10",
        title="Mend a network",
        trains="finding the places where dropout misleads no batch norm",
        question=r"""
This is how dropout often stands in code: in each block, in front of the batch norm. Mend
`network(p)`, so that no batch norm meets in evaluation a variance other than in training, and
hidden units still drop at rate `p` in training. Keep all other layers, their sizes and their
order.
""",
        given="""
from torch.nn import BatchNorm1d, Dropout, Linear, ReLU, Sequential

def network(p):
    return Sequential(
        Linear(8, 16), Dropout(p), BatchNorm1d(16), ReLU(),
        Linear(16, 16), Dropout(p), BatchNorm1d(16), ReLU(),
        Linear(16, 4),
    )
""",
        code="""
from torch.nn import BatchNorm1d, Dropout, Linear, ReLU, Sequential

def network(p):
    return Sequential(
        Linear(8, 16), BatchNorm1d(16), ReLU(),
        Linear(16, 16), BatchNorm1d(16), ReLU(),
        Dropout(p), Linear(16, 4),
    )
""",
        alike=[
            """
from torch.nn import BatchNorm1d, Dropout, Linear, ReLU, Sequential

def network(p):
    return Sequential(
        Linear(8, 16), BatchNorm1d(16), ReLU(),
        Linear(16, 16), BatchNorm1d(16), Dropout(p), ReLU(),
        Linear(16, 4),
    )
""",
            """
from torch import nn

def network(p):
    layers = []
    for inputs in (8, 16):
        layers += [nn.Linear(inputs, 16), nn.BatchNorm1d(16), nn.ReLU()]
    return nn.Sequential(*layers, nn.Dropout(p), nn.Linear(16, 4))
""",
            """
import torch.nn.functional as F
from torch import nn

def network(p):
    class Head(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(16, 4)

        def forward(self, h):
            return self.linear(F.dropout(h, p, self.training))

    blocks = [nn.Sequential(nn.Linear(n, 16), nn.BatchNorm1d(16), nn.ReLU()) for n in (8, 16)]
    return nn.Sequential(*blocks, Head())
""",
        ],
        check=check_network,
        takes="object",
        power="30 passes of some 500 activations at 0.25: a rate off by 0.03 is found 99 times in "
              "100",
        hints=[
            "A batch norm is misled by every dropout below it, not only by the one right in front "
            "of it.",
            "How many dropout layers can stay, if none may have a batch norm above it?",
            "One can stay, between the last batch norm and the last linear layer.",
        ],
        solution="""
One dropout layer stays, behind the last batch norm. Before or behind the last ReLU is the same,
for a ReLU of a dropped unit is 0 either way.
""",
        wrong=[
            Wrong("""
from torch.nn import BatchNorm1d, Dropout, Linear, ReLU, Sequential

def network(p):
    return Sequential(
        Linear(8, 16), BatchNorm1d(16), ReLU(), Dropout(p),
        Linear(16, 16), BatchNorm1d(16), ReLU(), Dropout(p),
        Linear(16, 4),
    )
""", "Behind its own ReLU, the first dropout is still below the *second* batch norm. Weights "
     "between make the shift smaller, and do not remove it."),
            Wrong("""
from torch.nn import BatchNorm1d, Dropout, Linear, ReLU, Sequential

def network(p):
    return Sequential(
        Linear(8, 16), BatchNorm1d(16), ReLU(), Dropout(p),
        Linear(16, 16), BatchNorm1d(16), ReLU(),
        Linear(16, 4),
    )
""", "The one dropout that is left is the wrong one of the two: a batch norm stands above it."),
            Wrong("""
from torch.nn import BatchNorm1d, Dropout, Linear, ReLU, Sequential

def network(p):
    return Sequential(
        Linear(8, 16), BatchNorm1d(16), ReLU(),
        Linear(16, 16), Dropout(p), BatchNorm1d(16), ReLU(),
        Linear(16, 4),
    )
""", "You have taken dropout from the first block and left the second as it was: its batch norm "
     "collects the noise right in front of it."),
            Slip("Dropout(p), ", "", "Without any dropout there is no shift, but the task was to "
                 "keep dropping hidden units."),
            Slip("Dropout(p), Linear(16, 4)", "Linear(16, 4), Dropout(p)", "Now the *scores* drop: "
                 "a class whose score becomes 0 has not been forgotten, it has been given an "
                 "arbitrary score."),
            Wrong("""
from torch.nn import Dropout, Linear, ReLU, Sequential

def network(p):
    return Sequential(
        Linear(8, 16), Dropout(p), ReLU(),
        Linear(16, 16), Dropout(p), ReLU(),
        Linear(16, 4),
    )
""", "Without batch norm there is nothing to mislead, but the batch norms were to stay."),
            Wrong("""
from torch.nn import BatchNorm1d, Dropout1d, Linear, ReLU, Sequential

def network(p):
    return Sequential(
        Linear(8, 16), BatchNorm1d(16), ReLU(),
        Linear(16, 16), BatchNorm1d(16), ReLU(),
        Dropout1d(p), Linear(16, 4),
    )
""", "`nn.Dropout1d` is for the channels of a series. It takes a batch of plain vectors for one "
     "series and its rows for the channels, so that whole examples drop."),
            Slip("Dropout(p)", "Dropout(1 - p)", "`nn.Dropout` takes the drop rate, not the keep "
                 "probability."),
            Slip("Dropout(p)", "Dropout()", "`nn.Dropout()` without a rate drops at 0.5, whatever "
                 "`p` is."),
            Slip("Dropout(p)", "Dropout(p), Dropout(p)", "Two dropout layers in a row: a unit must "
                 "survive both coins, with the chance $(1-p)^2$."),
            Wrong("""
import torch.nn.functional as F
from torch import nn

def network(p):
    class Head(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(16, 4)

        def forward(self, h):
            return self.linear(F.dropout(h, p))

    blocks = [nn.Sequential(nn.Linear(n, 16), nn.BatchNorm1d(16), nn.ReLU()) for n in (8, 16)]
    return nn.Sequential(*blocks, Head())
""", "`F.dropout(h, p)` drops in evaluation too: the function does not know the module's mode "
     "unless it is told, by `training=self.training`."),
        ],
    )
)  # fmt: skip

# ---- an experiment ------------------------------------------------------------------------------

EXERCISES.append(
    Open(
        id="08.11",
        title="Four times as wide",
        trains="putting an explanation to a test of your own",
        question=r"""
The paper explains by correlated inputs why wide networks suffer less, and the trained networks of
this chapter have layers of 32: with weights between, at $p = 0.5$, their third batch norm has a
shift of about 0.63. Train the same with layers of 128, and measure. What is the shift at the third
batch norm, the mean of four seeds?

Conditions: `network(0.5, "between", width=128)` from `dropout.experiments.batch_norm`, 300 digits
from `digits(train=300, seed=seed(0))`, four seeds, 60 epochs, learning rate 0.02, batches of 50,
and `variance_shift.measure` of the networks as they are on `train.x.repeat(30, 1)`. It takes a few
seconds.
""",
        answer=0.723,
        within=0.06,
        hints=[
            "The call of `sweep` under \"In trained networks\" trains them all; there `builds` "
            "is a list with one entry a seed.",
            "`builds = [partial(network, 0.5, \"between\", width=128) for _ in SEEDS]`, then "
            "`models, _ = sweep(builds, train, validation, seed=SEEDS, lr=0.02, epochs=60, "
            "every=60, batch_size=50)`.",
            "`[list(variance_shift.measure(m, train.x.repeat(30, 1)).values())[2].ratio for m in "
            "models]`, and its mean.",
        ],
        solution=r"""
Twelve networks of width 128 had the shift 0.723 at the third batch norm, with a standard deviation
of 0.021 from network to network, against 0.632 ± 0.033 for twelve of width 32. So width helps here,
as the paper says, and not much: four times the width takes a quarter off the distance to 1, and
twice as much again, 256, takes off no more (0.716). The second batch norm, below which only one
layer drops, hardly changes with the width (0.76, 0.77 and 0.75).
""",
        reference="twelve seeds of the chapter's, width 128: 0.723, standard deviation 0.021 over "
                  "networks, so 0.010 for the mean of four; width 32: "
                  "0.632",
        rubric=[
            "Says how many seeds, and how far they lie apart.",
            "Trains width 32 in the same way beside it, and compares.",
            "Does not say why without having measured it: correlations and weights are there to "
            "be looked at.",
        ],
        wrong=[
            Wrong(0.632, "That is what width 32 has. Did `width=128` reach the function?"),
            Wrong(1, "A shift of 1 is that of a batch norm with no dropout below it, such as the "
                     "first. Take the third."),
            Wrong(0.277, "That is about one less the reference: the noise's share. The shift is "
                         "the clean variance over the noisy one."),
            Wrong(1.383, "That is training over evaluation, the ratio upside down."),
        ],
    )
)  # fmt: skip
