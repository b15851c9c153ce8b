"""Chapter 06, MC dropout."""

from dropout.exercises.forms import RATES, Choice, Code, Exercise, Formula, Number, Slip, Wrong
from dropout.exercises.probes import close, expect, plausible, saw, shape, shown

EXERCISES: list[Exercise] = []


# ---- by hand ------------------------------------------------------------------------------------

EXERCISES.append(
    Number(
        id="06.1",
        title="The error bar of a measurement",
        trains="what comes on top of the spread",
        question=r"""
A regression network with dropout is asked four times about one input, with a new mask each time.
It answers 1, 3, 3 and 5. The precision of the noise is $\tau = 4$. What is the *standard
deviation* of a measurement $y$ at this input, by the predictive distribution of these four
networks? (The mixture has just these four, so divide by 4 and not by 3.)
""",
        answer=1.5,
        follows="Squared, and less the variance of the noise, that leaves "
                "{answer * abs(answer) - 0.25} for the mean squared distance of the four answers "
                "from their mean. Count it.",
        hints=[
            "Two variances add up: that among the networks, and that of the noise.",
            "The noise has the variance $1/\\tau = \\frac14$. The four answers have the mean 3.",
            "The variance among the networks is $(4 + 0 + 0 + 4)/4$. Add, then take the root.",
        ],
        solution=r"""
The four answers have the mean 3 and the variance $(4 + 0 + 0 + 4)/4 = 2$. That is the epistemic
part. A measurement has the noise besides, the aleatoric part, with variance $1/\tau = \frac14$.
The predictive variance is $2 + \frac14 = \frac94$, and its root is $1.5$.
""",
        wrong=[
            Wrong(2.25, "That is the predictive variance. The standard deviation is its root."),
            Wrong(1.4142, "That is the spread alone: how far the networks disagree. A measurement "
                          "scatters about each of them too, and that is not in it."),
            Wrong(2.4495, "You added $\\tau$ itself. It is a precision, one over a variance."),
            Wrong(1.9142, "You added the two standard deviations. It is variances of independent "
                          "things that add."),
            Wrong(0.866, "You divided the variance of the answers by 4 once more. That is how well "
                         "their *mean* is known, which more passes improve; the disagreement of "
                         "the networks stays."),
            Wrong(0.5, "That is the noise alone, as if all sub-networks agreed."),
        ],
    )
)  # fmt: skip

EXERCISES.append(
    Number(
        id="06.2",
        title="Two passes, two kinds of doubt",
        trains="the split of entropy into aleatoric and epistemic",
        question=r"""
A classifier with two classes is asked twice, with dropout on. The first pass gives the
probabilities $(0.5,\ 0.5)$, the second $(1,\ 0)$. How many *nats* of the predictive entropy are
epistemic, that is, what is the mutual information of class and network? (The entropy is
$-\sum_c p_c \ln p_c$, with $0 \ln 0 = 0$.)
""",
        answer=0.2158,
        follows="With your number, the two parts would add up to {answer + 0.34657} nats, and they "
                "must add up to the entropy of the averaged prediction.",
        unit="in nats",
        hints=[
            "All the doubt is the entropy of the average; the aleatoric part is the average of "
            "the entropies.",
            "The average is $(0.75,\\ 0.25)$. The entropies of the passes are $\\ln 2$ and 0.",
            "Subtract $\\frac12 \\ln 2$ from $-0.75 \\ln 0.75 - 0.25 \\ln 0.25$.",
        ],
        solution=r"""
The average of the two is $(0.75,\ 0.25)$, with the entropy
$-0.75 \ln 0.75 - 0.25 \ln 0.25 \approx 0.562$: all the doubt there is. The passes have the
entropies $\ln 2 \approx 0.693$ and 0, on average $0.347$: the aleatoric part. What is left,
$0.562 - 0.347 = 0.216$ nats, is the mutual information.
""",
        wrong=[
            Wrong(0.5623, "That is the entropy of the average, all the doubt there is. A part of "
                          "it each network has by itself."),
            Wrong(0.34657, "That is the mean entropy of the passes: what they are in doubt about "
                           "each by itself, the aleatoric part."),
            Wrong(0.3113, "That is the right quantity in bits. With natural logarithms it comes "
                          "out in nats."),
            Wrong(-0.1308, "You subtracted the *sum* of the two entropies. It is their mean, and "
                           "so the difference is never negative."),
            Wrong(0.0625, "That is the variance of the probability over the passes: also a measure "
                          "of disagreement, but no part of the entropy."),
            Wrong(0.6931, "That is the entropy of the first pass, or the most that two classes can "
                          "have."),
        ],
    )
)  # fmt: skip

# ---- choices ------------------------------------------------------------------------------------

EXERCISES.append(
    Choice(
        id="06.3",
        title="Predict: a 1 on its side",
        trains="what the samples can be in doubt about",
        question=r"""
A classifier of digits was trained on upright images, with dropout at 0.5. One test image, a 1, is
turned step by step from 0° to 180°, and at each angle 200 networks are sampled. Their mutual
information says how much they disagree. Before you see the figure: how does it go with the angle?
""",
        options={
            "a": "It rises up to 90°, where the image is least like what was trained on, and is "
                 "greatest there.",
            "b": "It is large at angles in between, and near 0 again at 90°.",
            "c": "It stays near 0 throughout.",
            "d": "It rises within the first 30°, and stays large from there on.",
        },
        answer="b",
        reveals="fig-mc-turned",
        hints=[
            "The samples do not compare the image with the training data. They classify it.",
            "Is there a digit that a 1 on its side may be taken for, by all of them?",
        ],
        solution=r"""
On the way from one class to another, small things decide, such as which units are missing: there
the networks disagree. At 90° all of them take the image for one and the same other digit, a 4, with
a confidence near 1, and there is nothing to disagree about. They say "sure" of an image of a kind
that they have never seen. Upside down a 1 is nearly a 1, and they are sure again.
""",
        after="The samples say where a mask can tip the decision, not what is strange.",
        wrong=[
            Wrong("a", "The samples do not know how far an image is from the training data. They "
                       "disagree where a mask can tip the decision; on its side this 1 lies well "
                       "inside another class for all of them."),
            Wrong("c", "That is what they do where all take the image for the same class. Near a "
                       "border between classes the missing units decide, and the samples differ."),
            Wrong("d", "Being unlike the training data does not keep the samples apart. Wherever "
                       "the image lands well inside some class, right or wrong, they agree again."),
        ],
    )
)  # fmt: skip

EXERCISES.append(
    Choice(
        id="06.4",
        title="The sum of twelve months",
        trains="one mask for each pass against one for each input",
        question=r"""
A network forecasts twelve months. Its sub-networks agree about the seasons and disagree about the
level alone: whichever of them puts January 1 unit higher puts every month 1 unit higher. At each
month the spread is 1 unit. You want the spread of the *yearly sum*, from many passes over the
twelve inputs. (Root of 12: 3.5.)

What do you get with one mask for each pass, shared by the twelve inputs, and what with a mask for
each input?
""",
        options={
            "a": "12 both times: the spread at each month is the same in both ways.",
            "b": "3.5 with one mask for each pass; 12 with a mask for each input.",
            "c": "12 with one mask for each pass; 3.5 with a mask for each input.",
            "d": "3.5 both times: the passes are independent of each other.",
        },
        answer="c",
        hints=[
            "With a shared mask the twelve answers of a pass come from one network.",
            "What moves together adds up by standard deviations, what is independent by variances.",
        ],
        solution=r"""
With one mask for each pass, a pass is one network, all of whose months are too high or too low
together: the sum varies by $12 \cdot 1$. With a mask for each input the twelve answers of a pass
come from twelve networks, chosen independently. Their covariances are 0, the variances add up to
12, and the sum varies by $\sqrt{12} \approx 3.5$. Month by month nobody would notice.
""",
        wrong=[
            Wrong("a", "At each month the two are the same, but a sum has the covariances of its "
                       "terms in it, and independent masks make these 0."),
            Wrong("b", "You have the two the wrong way round. A shared mask is what lets a whole "
                       "year be too high at once."),
            Wrong("d", "Passes are independent of each other in both ways. What counts for the sum "
                       "is whether the twelve months *within* a pass are."),
        ],
    )
)  # fmt: skip

EXERCISES.append(
    Choice(
        id="06.5",
        title="Which of these three bands?",
        trains="why the band depends on the rate, and not as the noise alone does",
        question=r"""
The model is $\hat y = w x$, with dropout on its one input, which has mean 0 and variance 1. The
data are $y = x + e$, with noise $e$ of mean 0, independent of $x$, and there are very many of
them. At each rate the model is *trained anew*, to the minimum of the loss over all masks, and is
then asked about $x = 1$ by MC dropout at the rate it was trained with. Which row is its spread?

| | $p = 0.1$ | $0.3$ | $0.5$ | $0.7$ | $0.9$ |
|---|---|---|---|---|---|
| A | 0.30 | 0.46 | 0.50 | 0.46 | 0.30 |
| B | 0.33 | 0.65 | 1.00 | 1.53 | 3.00 |
| C | 0.00 | 0.00 | 0.00 | 0.00 | 0.00 |
""",
        options={"a": "Row A", "b": "Row B", "c": "Row C"},
        answer="a",
        hints=[
            "For a given $w$ the unit sends $\\frac mq w$ at $x = 1$. What is its spread?",
            "Training with dropout makes $w$ smaller. For one feature: how much?",
            "$w = q$, and the spread is $w \\sqrt{p/q}$.",
        ],
        solution=r"""
At $x = 1$ the unit sends $\frac mq w$, with the variance $\frac pq w^2$. Training minimises, for
very many data, the mean of $(x - wx)^2 + \frac pq w^2 x^2$ plus the noise, $(1-w)^2 + \frac pq w^2$
plus a constant, and so ends at $w = q$. The spread is $q \sqrt{p/q} = \sqrt{pq}$, which is row A: a
larger rate also makes a smaller function, and beyond $\frac12$ this wins. Row B is $\sqrt{p/q}$,
which holds for weights that stay at 1.
""",
        wrong=[
            Wrong("b", "That is $\\sqrt{p/q}$, the spread of one and the same $w = 1$ asked at "
                       "different rates. Trained at a larger rate, the weight is smaller."),
            Wrong("c", "A posterior would narrow down to this, with so many data. The spread of "
                       "dropout has a limit in which there is no $N$: the masks go on dropping."),
        ],
    )
)  # fmt: skip

# ---- formulas -----------------------------------------------------------------------------------

EXERCISES.append(
    Formula(
        id="06.6",
        title="What this weight decay says of the noise",
        trains="reading a precision off a training loop, whatever its loss is",
        question=r"""
A network is trained with inverted dropout at rate $p$ on each layer's input, so that every weight
has dropped inputs. Its loss is *half* the squared distance $\lVert y - f(x) \rVert^2$, summed over
the outputs and averaged over the $N$ examples; the optimiser is `SGD(…, weight_decay=w)`, which
adds $w W$ to the gradient. The prior has the length scale $l$. Which precision $\tau$ of the noise
does that stand for? (It is not `mse_loss`: go back to the theorem.) Write `l`, `p`, `N` and `w`.
""",
        answer="l^2 / ((1 - p) N w)",
        names={
            "l": (0.1, 1.0, 0.5, 2.0, 0.05),
            "p": RATES,
            "N": (40, 100, 500, 1000, 60, 200, 7),
            "w": (0.01, 0.001, 0.1, 0.02, 0.3),
        },
        also={"q": "1 - p"},
        equal=["l^2/(q N w)", "l*l/(N*w*(1-p))", "l²/(q w N)", "(l^2/N)/(w - p w)"],
        hints=[
            "The theorem's loss is this one plus $\\lambda \\lVert W \\rVert^2$. Which $\\lambda$ "
            "has the gradient $w W$?",
            "The gradient of $\\lambda \\lVert W \\rVert^2$ is $2 \\lambda W$.",
            "Put $\\lambda = w/2$ into $\\tau = \\frac{l^2}{2 q N \\lambda}$.",
        ],
        solution=r"""
The loss is that of the theorem. Weight decay adds $wW$ to the gradient, which is the gradient of
$\frac w2 \lVert W \rVert^2$, so $\lambda = \frac w2$, and

$$\tau = \frac{l^2}{2 q N \lambda} = \frac{l^2}{q N w}.$$

With `mse_loss` it is $2/D$ times that: its loss is $2/D$ times as large, for $D$ outputs, and
$w$ has to be read against it.
""",
        wrong=[
            Wrong("l^2/(2(1-p) N w)", "You put $w$ for $\\lambda$. The gradient of "
                  "$\\lambda \\lVert W \\rVert^2$ has a factor 2 that `weight_decay` has not."),
            Wrong("2 l^2/((1-p) N w)", "That is for `mse_loss` with one output, which has no ½."),
            Wrong("(1-p) l^2/(N w)", "There $q$ is in the numerator: that holds for the weights "
                  "$M = W/q$, as the paper has them. PyTorch's optimiser decays $W$."),
            Wrong("l^2/(N w)", "That is for weights whose inputs do not drop. Here a row is there "
                  "with probability $q$, which the divergence from the prior counts."),
            Wrong("l^2/(p N w)", "You divide by the drop rate. It is how often a row is *there* "
                  "that counts."),
            Wrong("(1-p) N w/l^2", "That is $1/\\tau$, the variance of the noise."),
        ],
    )
)  # fmt: skip

# ---- code ---------------------------------------------------------------------------------------


def check_passes(mc):
    class Passes:
        """A network that is asked: it gives x times numbers that are known."""

        def __init__(self, factors):
            self.factors, self.inputs = factors, []

        def __call__(self, x):
            self.inputs.append(x)
            return x * self.factors[(len(self.inputs) - 1) % len(self.factors)]

        def __repr__(self):
            return "f"

    f = Passes([2.0, 4.0, 9.0])
    out = mc(f, 1.0, 3)
    two = isinstance(out, list) and len(out) == 2 and not any(isinstance(v, list) for v in out)
    yield expect(
        "two numbers come out", two,
        f"`mc(f, 1, 3)` gives `{shown(out)}`; two numbers are wanted, a mean and a variance.",
        "return the mean and the variance, in this order",
        f"not two numbers {isinstance(out, list)}",
    )  # fmt: skip
    asked = len(f.inputs)
    yield expect(
        "f is called T times", asked == 3,
        f"`mc(f, 1, 3)` calls f {asked} times; 3 are wanted.",
        "collect `f(x)` in a list, T times, and go on with that list",
    )  # fmt: skip
    f = Passes([2.0, 4.0, 9.0])
    out = mc(f, 2.0, 3)
    seen = f.inputs
    yield expect(
        "f is given x", close(seen, [2.0] * 3),
        f"`mc(f, 2, 3)` hands `{shown(seen)}` to f; `[2, 2, 2]` is wanted.",
        "call `f(x)`",
    )  # fmt: skip
    yield expect(
        "the first number is the mean", close(out[0], 10.0),
        f"Passes of 4, 8 and 18 give the mean `{shown(out[0])}`; 10 is wanted.",
        "add up the passes and divide by how many there are",
    )  # fmt: skip
    yield expect(
        "the second is the variance, divided by T − 1", close(out[1], 52.0),
        f"Passes of 4, 8 and 18 give the variance `{shown(out[1])}`; 52 is wanted.",
        "add up the squared distances from the mean; what is it divided by?",
    )  # fmt: skip
    f = Passes([3.0, -1.0])
    out = mc(f, 1.0, 2)
    yield expect(
        "it holds for any number of passes", close(out, [1.0, 8.0]), saw(mc, out, [1.0, 8.0]),
        "let T decide, in the loop and in both divisors",
    )  # fmt: skip


EXERCISES.append(
    Code(
        id="06.7",
        title="Ask T times",
        trains="MC dropout without a library",
        question=r"""
`f(x)` is a network with dropout switched on: each call draws its own mask and gives a number. Write
`mc(f, x, T)`, which asks it `T` times about `x` and returns two numbers: the mean of the passes and
their variance. Take the *sample* variance, with the divisor $T - 1$, as `torch.var` and
`passes.std(0)` in this chapter do; `T` is at least 2.
""",
        given="""
def mc(f, x, T):
    ...
""",
        code="""
def mc(f, x, T):
    passes = [f(x) for _ in range(T)]
    mean = sum(passes) / T
    variance = sum((v - mean) ** 2 for v in passes) / (T - 1)
    return mean, variance
""",
        alike=[
            """
import numpy as np

def mc(f, x, T):
    passes = np.array([f(x) for _ in range(T)])
    return passes.mean(), passes.var(ddof=1)
""",
            """
import torch

def mc(f, x, T):
    passes = torch.tensor([float(f(x)) for _ in range(T)], dtype=torch.float64)
    return passes.mean(), passes.var()
""",
            """
def mc(f, x, T):
    total = squares = 0.0
    for _ in range(T):
        out = f(x)
        total += out
        squares += out * out
    mean = total / T
    return [mean, (squares - T * mean * mean) / (T - 1)]
""",
            """
import statistics

def mc(f, x, T):
    passes = [f(x) for _ in range(T)]
    return statistics.fmean(passes), statistics.variance(passes)
""",
        ],
        check=check_passes,
        in_page=True,
        hints=[
            "Keep the passes: `passes = [f(x) for _ in range(T)]`.",
            "The mean is their sum divided by `T`.",
            "The variance is the sum of `(v - mean) ** 2` divided by `T - 1`.",
        ],
        solution="""
The passes are drawn once and kept, since the variance is about the mean of these same passes. The
divisor T − 1 makes up for the mean that was taken from them.
""",
        wrong=[
            Slip("/ (T - 1)", "/ T", "You divide by T. About a mean that was taken from the passes "
                 "themselves, the distances come out too small, and T − 1 makes up for it."),
            Slip("return mean, variance", "return mean, variance ** 0.5",
                 "That is the standard deviation, the spread; the variance was asked for, to which "
                 "the variance of the noise can be added."),
            Slip("return mean, variance", "return variance, mean",
                 "You return the two numbers in the other order."),
            Slip("return mean, variance", "return mean, variance / T",
                 "That is the squared standard error of the mean, which goes to 0 with more "
                 "passes. How far the networks disagree does not."),
            Slip("(v - mean) ** 2", "v ** 2", "You average the squares themselves. The mean has to "
                 "be taken off first, or a large prediction counts as a large doubt."),
            Slip("(v - mean) ** 2", "abs(v - mean)", "That is a mean distance. A variance has "
                 "squares in it."),
            Slip("[f(x) for _ in range(T)]", "[f(x)] * T", "That is one pass, copied: one network "
                 "agrees with itself, and the variance is 0 whatever the network is."),
            Slip("[f(x) for _ in range(T)]", "[f(x) for _ in range(T - 1)]",
                 "You leave one pass out. T − 1 is the divisor of the variance, not the number of "
                 "passes."),
            Slip("return mean, variance", "return mean", "You return the mean only. How far the "
                 "networks disagree is what MC dropout is asked for."),
            Slip("return mean, variance", "return passes",
                 "These are the passes. They are to be summed up by two numbers."),
            Wrong("""
def mc(f, x, T):
    mean = sum(f(x) for _ in range(T)) / T
    variance = sum((f(x) - mean) ** 2 for _ in range(T)) / (T - 1)
    return mean, variance
""", "You ask anew for the variance, of other networks than those that the mean is of: twice the "
     "cost, and T − 1 is no longer the divisor."),
        ],
    )
)  # fmt: skip


def check_average(predict):
    out = predict([[0.0, 0.0, 0.0]])
    yield expect(
        "one probability for each class", isinstance(out, list) and close(len(out), 3),
        f"`predict([[0, 0, 0]])`, one pass over three classes, gives `{shown(out)}`; a list of "
        "three numbers is wanted.",
        "return a list with a number for each class",
        f"shape {shape(out)}",
    )  # fmt: skip
    log3 = 1.0986122886681098
    out = predict([[log3, 0.0]])
    yield expect(
        "the average of one pass is its softmax", close(out, [0.75, 0.25]),
        saw(predict, out, [0.75, 0.25]),
        "a class gets `exp(z)` divided by the sum of these over the classes of the pass",
    )  # fmt: skip
    out = predict([[log3, 0.0], [log3, 0.0]])
    yield expect(
        "passes that agree give what each of them gives", close(out, [0.75, 0.25]),
        saw(predict, out, [0.75, 0.25]),
        "a mean over T passes is divided by T",
    )  # fmt: skip
    out = predict([[0.0, 0.0], [2 * log3, 0.0]])
    yield expect(
        "probabilities are averaged, and not logits", close(out, [0.7, 0.3]),
        saw(predict, out, [0.7, 0.3]),
        "take the softmax of each pass first",
    )  # fmt: skip
    try:
        out = predict([[1000.0, 0.0], [0.0, 0.0]])
    except (OverflowError, ValueError):  # the latter in MicroPython
        out = []
    good = len(out) == 2 and all(0 <= v <= 1 for v in out)
    gap = saw(predict, out, [0.75, 0.25])
    if not out:
        gap = "`predict([[1000, 0], [0, 0]])` fails: `exp(1000)` is more than a float can hold."
    yield expect(
        "large logits do no harm", good and close(out, [0.75, 0.25]), gap,
        "subtract the largest logit of each pass before `exp`",
        gap if good else "overflow",
    )  # fmt: skip


EXERCISES.append(
    Code(
        id="06.8",
        title="Find the bug: too sure",
        trains="where the average belongs",
        question=r"""
`predict(passes)` is given the logits of T passes with dropout on, a list of T lists with a number
for each class, and is to return the predictive probabilities of MC dropout, a list with a number
for each class. What it returns adds up to one and looks sensible, and is surer than the networks
are. Mend it.
""",
        given="""
import math

def predict(passes):
    mean = [sum(column) / len(passes) for column in zip(*passes)]
    top = max(mean)
    powers = [math.exp(z - top) for z in mean]
    return [power / sum(powers) for power in powers]
""",
        code="""
import math

def softmax(logits):
    top = max(logits)
    powers = [math.exp(z - top) for z in logits]
    return [power / sum(powers) for power in powers]

def predict(passes):
    each = [softmax(logits) for logits in passes]
    return [sum(column) / len(passes) for column in zip(*each)]
""",
        alike=[
            """
import torch

def predict(passes):
    return torch.as_tensor(passes).softmax(-1).mean(0)
""",
            """
import numpy as np

def predict(passes):
    passes = np.asarray(passes)
    powers = np.exp(passes - passes.max(axis=1, keepdims=True))
    return (powers / powers.sum(axis=1, keepdims=True)).mean(axis=0)
""",
            """
import math

def predict(passes):
    total = [0.0] * len(passes[0])
    for logits in passes:
        for c, z in enumerate(logits):
            total[c] += 1 / sum(math.exp(min(other - z, 700)) for other in logits)
    return [part / len(passes) for part in total]
""",
            """
import torch

def predict(passes):
    log_p = torch.log_softmax(torch.as_tensor(passes), dim=1)
    return torch.logsumexp(log_p, 0).exp() / len(passes)
""",
        ],
        check=check_average,
        in_page=True,
        hints=[
            "What is averaged here: probabilities or logits?",
            "Write a function `softmax(logits)` for one pass, and call it for each.",
            "`zip(*each)` walks over the classes; divide each sum by the number of passes.",
        ],
        solution="""
The predictive distribution is a mixture: the mean of the networks' *probabilities*. The mean of the
logits is, after the softmax, their normalised geometric mean, which lets one sure network outvote a
hesitant one. With logits (0, 0) and (2.2, 0) the mixture gives the first class 0.7, and the mean
logit 0.75; with (0, 0) and (20, 0) the mixture gives 0.75, the mean logit 0.99995.
""",
        wrong=[
            Wrong("""
import math

def predict(passes):
    total = [sum(column) for column in zip(*passes)]
    powers = [math.exp(z - max(total)) for z in total]
    return [power / sum(powers) for power in powers]
""", "You add up the logits before the softmax. That multiplies the networks' probabilities, as if "
     "each pass were new evidence, and T passes of one opinion become a certainty."),
            Wrong("""
import math

def predict(passes):
    p = []
    for logits in passes:
        powers = [math.exp(z - max(logits)) for z in logits]
        p.append([power / sum(powers) for power in powers])
    products = [math.exp(sum(math.log(v + 1e-30) for v in c) / len(p)) for c in zip(*p)]
    return [v / sum(products) for v in products]
""", "You take the geometric mean of the probabilities, which is what the mean logit gives. In a "
     "mixture the arithmetic mean stands."),
            Slip("    return [sum(column) / len(passes) for column in zip(*each)]",
                 "    return [sum(column) for column in zip(*each)]",
                 "The probabilities of the passes are added up, and add up to T now."),
            Slip("for column in zip(*each)", "for column in each",
                 "You add up over the classes of each pass, where every sum is 1. It is the passes "
                 "that are averaged, class by class."),
            Slip("math.exp(z - top)", "math.exp(z)", "The powers overflow where a logit is large. "
                 "The softmax stays the same when a constant is taken off all logits of a pass."),
            Slip("    each = [softmax(logits) for logits in passes]",
                 "    each = [softmax(softmax(logits)) for logits in passes]",
                 "The softmax is taken twice: probabilities are treated as logits, and nearly "
                 "everything becomes a tie."),
            Wrong("""
def predict(passes):
    votes = [0] * len(passes[0])
    for logits in passes:
        votes[logits.index(max(logits))] += 1
    return [vote / len(passes) for vote in votes]
""", "You count votes. A network that is in doubt has a whole vote then, and its doubt, the "
     "aleatoric part, is lost."),
            Wrong("""
import math

def predict(passes):
    top = max(max(logits) for logits in passes)
    powers = [[math.exp(z - top) for z in logits] for logits in passes]
    total = [sum(column) for column in zip(*powers)]
    return [part / sum(total) for part in total]
""", "You add up the powers before they are divided, so that a pass with larger logits weighs "
     "more. Each network has the same weight in the mixture."),
        ],
    )
)  # fmt: skip


def check_only_dropout(mc_dropout):
    import torch
    from torch import nn

    x = torch.tensor([[1.0], [3.0]])
    norm = nn.BatchNorm1d(1, eps=0.25)  # it adds 1 to its input, and divides by 1
    norm.get_buffer("running_mean").fill_(-1.0)
    norm.get_buffer("running_var").fill_(0.75)
    net = nn.Sequential(norm, nn.Dropout(0.5))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    out = mc_dropout(net, x, 40)
    size = tuple(out.shape) if isinstance(out, torch.Tensor) else type(out).__name__
    yield expect(
        "the samples are stacked first", size == (40, 2, 1),
        f"40 samples of a model with outputs of shape (2, 1) give `{size}`; (40, 2, 1) is wanted.",
        "return `torch.stack` of the passes",
        f"shape {size}",
    )  # fmt: skip
    apart = not torch.equal(out.amax(0), out.amin(0))
    off = torch.equal(out[0], torch.tensor([[2.0], [4.0]]))
    yield expect(
        "dropout is on", apart,
        "Forty passes through `Sequential(BatchNorm1d(1), Dropout(0.5))` are all the same.",
        "switch the dropout layers to training, and call the model for each sample",
        "off" if off else "once",
    )  # fmt: skip
    alive = [[v for v in out[:, k, 0].unique().tolist() if v] for k in (0, 1)]
    now = net.state_dict()
    kept = all(torch.equal(before[name], now[name]) for name in before)
    yield expect(
        "batch normalisation uses its running statistics", alive == [[4.0], [8.0]],
        "A `BatchNorm1d` makes 2 and 4 of the inputs 1 and 3 by its running statistics. Behind it "
        f"dropout at 0.5 keeps {shown(alive[0])} and {shown(alive[1])}; [4] and [8] are wanted.",
        "leave every layer that does not drop in evaluation mode",
        f"{alive} {kept}",
    )  # fmt: skip
    yield expect(
        "and does not change them", kept,
        "The running mean was −1 before, and is "
        f"{now['0.running_mean'].item() if '0.running_mean' in now else float('nan'):.3g} after.",
        "do not run the model with batch normalisation in training mode",
    )  # fmt: skip
    nested = nn.Sequential(nn.Sequential(nn.Dropout(0.5)))
    out = mc_dropout(nested.train(), torch.ones(1, 50), 2)
    yield expect(
        "dropout layers at any depth are on", not torch.equal(out[0], out[1]),
        "Two passes through `Sequential(Sequential(Dropout(0.5)))` drop the same of 50 numbers, or "
        "none.",
        "walk over `model.modules()`",
    )  # fmt: skip
    kinds = {nn.Dropout1d: 3, nn.Dropout2d: 4, nn.Dropout3d: 5, nn.AlphaDropout: 3,
             nn.FeatureAlphaDropout: 3}  # fmt: skip
    silent = []
    for kind, axes in kinds.items():
        many = torch.ones(1, 50, *[1] * (axes - 2))
        passes = mc_dropout(nn.Sequential(kind(0.5)), many, 2)
        if torch.equal(passes[0], passes[1]):
            silent.append(kind.__name__)
    yield expect(
        "dropout layers of every kind are on", not silent,
        f"Two passes through a model with one of {', '.join(silent)} are the same.",
        "the names of all these classes have `Dropout` in them",
    )  # fmt: skip
    last = nn.Linear(2, 1, bias=False)
    last.weight.data.fill_(1.0)
    out = mc_dropout(nn.Sequential(nn.Dropout(0.75), last), torch.tensor([[1.0, 2.0]]), 400)
    values = sorted(set(out.flatten().tolist()))
    yield expect(
        "they drop where they stand, at their own rate", values == [0.0, 4.0, 8.0, 12.0],
        f"Inputs 1 and 2, dropout at 0.75, then their sum: passes give {shown(values)}; "
        "0, 4, 8 and 12 are wanted.",
        "call the model itself, with nothing dropped before or after it",
        "place",
    )  # fmt: skip
    awake = [type(layer).__name__ for layer in [*net.modules(), *nested.modules()]
             if layer.training]  # fmt: skip
    yield expect(
        "the model is in evaluation mode afterwards", not awake,
        f"After the call these layers are in training mode: {', '.join(awake)}.",
        "end with `model.eval()`",
        "left on",
    )  # fmt: skip


EXERCISES.append(
    Code(
        id="06.9",
        title="Find the bug: more than dropout",
        trains="what `model.train()` switches besides",
        question=r"""
This is MC dropout as many tutorials have it. A network with batch normalisation gives other
answers with it than it should, which depend on what else is in the batch, and afterwards the
network is another one. Mend `mc_dropout(model, x, samples)`. It is to return the passes, stacked
along a new first axis, with dropout layers of every kind on, at whatever depth, and every other
layer in evaluation mode; and to leave the whole model in evaluation mode, whatever mode it was in
before.
""",
        given="""
import torch

def mc_dropout(model, x, samples):
    model.train()
    with torch.no_grad():
        return torch.stack([model(x) for _ in range(samples)])
""",
        code="""
import torch

def mc_dropout(model, x, samples):
    for layer in model.eval().modules():
        if "Dropout" in type(layer).__name__:
            layer.train()
    with torch.no_grad():
        passes = torch.stack([model(x) for _ in range(samples)])
    model.eval()
    return passes
""",
        alike=[
            """
import torch

@torch.no_grad()
def mc_dropout(model, x, samples):
    model.eval()
    for layer in model.modules():
        layer.training = "Dropout" in layer.__class__.__name__
    out = []
    for _ in range(samples):
        out.append(model(x))
    model.train(False)
    return torch.stack(out)
""",
            """
import torch
from torch.nn.modules.dropout import _DropoutNd

def mc_dropout(model, x, samples):
    model.eval()
    dropping = [layer for layer in model.modules() if isinstance(layer, _DropoutNd)]
    for layer in dropping:
        layer.training = True
    try:
        with torch.inference_mode():
            return torch.stack([model(x) for _ in range(samples)])
    finally:
        for layer in dropping:
            layer.training = False
""",
            """
import torch
from torch import nn

KINDS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout,
         nn.FeatureAlphaDropout)

def mc_dropout(model, x, samples):
    model.eval()
    for name, layer in model.named_modules():
        if isinstance(layer, KINDS):
            layer.train()
    passes = torch.stack([model(x).detach() for _ in range(samples)])
    model.eval()
    return passes
""",
        ],
        check=check_only_dropout,
        takes="object",
        power="that a right answer is refused by chance has a probability below 1e-7",
        hints=[
            "`model.train()` sets the mode of every layer. Which layers should be in it?",
            "`model.eval()` first; then walk over `model.modules()` and call `layer.train()` where "
            "the layer drops.",
            "`\"Dropout\" in type(layer).__name__` finds dropout layers of every kind. At the end "
            "`model.eval()` once more.",
        ],
        solution="""
The mode belongs to each layer by itself. Everything goes to evaluation, then those layers alone
that drop go to training, and back at the end. Batch normalisation keeps to its running statistics,
and has no occasion to change them.
""",
        wrong=[
            Wrong("""
import torch

def mc_dropout(model, x, samples):
    model.train()
    with torch.no_grad():
        passes = torch.stack([model(x) for _ in range(samples)])
    model.eval()
    return passes
""", "All layers are in training mode during the passes. Batch normalisation then scales by the "
     "mean and variance of this batch, and takes them into its running statistics. That `eval()` "
     "comes afterwards does not undo it."),
            Wrong("""
import copy
import torch

def mc_dropout(model, x, samples):
    before = copy.deepcopy(model.state_dict())
    model.train()
    with torch.no_grad():
        passes = torch.stack([model(x) for _ in range(samples)])
    model.load_state_dict(before)
    model.eval()
    return passes
""", "The running statistics come back unharmed, but during the passes the batch's own mean and "
     "variance were used, so each answer depends on the other inputs."),
            Slip("layer.train()", "layer.eval()", "Everything is in evaluation mode, dropout too: "
                 "the passes are one and the same network."),
            Slip("[model(x) for _ in range(samples)]", "[model(x)] * samples",
                 "One pass is made, and copied: one mask, and no spread."),
            Slip("\"Dropout\" in type(layer).__name__", "type(layer) is torch.nn.Dropout",
                 "`nn.Dropout` is one kind of several. The others are classes of their own, and "
                 "stay silent here."),
            Slip("model.eval().modules()", "model.eval().children()",
                 "`children()` has the outermost layers only; a block's inner layers are not among "
                 "them."),
            Slip("    model.eval()\n    return passes", "    return passes",
                 "The dropout layers stay on. Whoever uses the model next gets one random pass, "
                 "and no error."),
            Wrong("""
import torch

def mc_dropout(model, x, samples):
    model.eval()
    with torch.no_grad():
        return torch.stack([torch.nn.functional.dropout(model(x)) for _ in range(samples)])
""", "You drop the outputs. The sub-networks of the model lack hidden units, at the rates of its "
     "own layers; all their outputs are there."),
            Wrong("""
import torch

def mc_dropout(model, x, samples):
    model.eval()
    with torch.no_grad():
        return torch.stack([model(torch.nn.functional.dropout(x)) for _ in range(samples)])
""", "You drop the inputs, which this model was never trained for. Its own layers know where to "
     "drop and how often."),
            Slip("    return passes", "    return passes.mean(0)",
                 "That is the prediction alone. Without the passes there is no spread to be had."),
        ],
    )
)  # fmt: skip


def check_lstm(Forecaster):
    import warnings

    import torch
    from torch import nn

    def parts(model):
        return [[layer for layer in model.modules() if isinstance(layer, kind)]
                for kind in (nn.LSTM, nn.Linear)]  # fmt: skip

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        model = Forecaster(2, 1, 0.75)
    lstms, heads = parts(model) if isinstance(model, nn.Module) else ([], [])
    found = f"{len(lstms)} of `nn.LSTM` and {len(heads)} of `nn.Linear`"
    yield expect(
        "one LSTM and one linear layer", len(lstms) == len(heads) == 1,
        f"`Forecaster(2, 1, 0.75)` has {found}; one of each is wanted.",
        "keep the class and its two layers as they are, and add to them",
    )  # fmt: skip
    lstm, head = lstms[0], heads[0]
    yield expect(
        "the LSTM has one layer", lstm.num_layers == 1,
        f"The LSTM has {lstm.num_layers} layers; 1 is wanted.",
        "drop the states that the one layer gives, outside of it",
    )  # fmt: skip
    head.weight.data.fill_(1.0)
    head.bias.data.fill_(3.0)
    for parameter in lstm.parameters():
        parameter.data.fill_(0.5)
    x = torch.full((2000, 4, 2), 0.5)
    with torch.no_grad():
        model.eval()
        series = x[:1] if lstm.batch_first else x[:1].transpose(0, 1)
        state = lstm(series)[0].flatten()[-1].item()
        calm = model(x)
    size = tuple(calm.shape)
    yield expect(
        "a number for each series", size == (2000, 1),
        f"2000 series give outputs of shape {size}; (2000, 1) is wanted.",
        "pass the last state on to the linear layer",
    )  # fmt: skip
    yield expect(
        "evaluation drops nothing", close(calm.flatten().tolist(), [state + 3] * 2000),
        f"In evaluation mode a state of {state:.3g}, weight 1 and bias 3 give "
        f"{shown(sorted(set(calm.flatten().tolist())))}; {state + 3:.4g} is wanted.",
        "let the dropout know the mode" if len(calm.unique()) > 1
        else "pass the last state on to the linear layer, as it is",
        f"evaluation {len(calm.unique()) > 1}",
    )  # fmt: skip
    with torch.no_grad():
        loud = model.train()(x).flatten()
    values = loud.unique()
    yield expect(
        "training drops something", len(values) > 1,
        "In training mode, with p = 0.75, 2000 copies of one series all give "
        f"{values[0].item():.4g}.",
        "add an `nn.Dropout(p)` and use it in `forward`",
        f"layer {any('Dropout' in type(layer).__name__ for layer in model.modules())}",
    )  # fmt: skip
    wanted = [3.0, 4 * state + 3]
    fits = (loud[:, None] - torch.tensor(wanted)).abs().amin(1).max().item() < 1e-4
    yield expect(
        "it is the last state that drops", fits,
        f"A state of {state:.3g}, weight 1, bias 3 and p = 0.75: training gives "
        f"{shown(values[:4].tolist())}; only {shown(sorted(wanted))} can be.",
        "compare what comes with the bias alone, and with 1/(1 − p) times the state",
        f"place {min(len(values), 3)} {(values - 3).abs().min().item() < 1e-4} {0 in values}",
    )  # fmt: skip
    share = int((loud - 3).abs().gt(1e-4).sum())
    yield expect(
        "a share of 1 − p survives", plausible(share, 2000, 0.25),
        f"With p = 0.75, {share / 2000:.1%} of 2000 states survive; 25% are wanted.",
        "hand `p` to the dropout as it is: PyTorch takes the drop rate",
        "rate",
    )  # fmt: skip
    wide = Forecaster(2, 8, 0.5).train()
    with torch.no_grad():
        different = len(wide(x[:200]).unique())
    yield expect(
        "each number of the state has a coin of its own", different > 2,
        "With 8 numbers in the state and p = 0.5, 200 copies of one series give no more than "
        f"{different} different outputs; 256 are possible.",
        "`nn.Dropout` tosses for each number",
        "together",
    )  # fmt: skip
    model.eval()
    for layer in model.modules():
        if "Dropout" in type(layer).__name__:
            layer.train()
    with torch.no_grad():
        sampled = model(x).flatten()
    yield expect(
        "MC dropout finds a layer to switch on", len(sampled.unique()) > 1,
        "With the `Dropout` layers alone in training mode, as MC dropout has them, 2000 copies of "
        "one series all give the same.",
        "make the dropout a layer of the model, in `__init__`",
    )  # fmt: skip
    words = str(said[0].message).partition(",")[0] if said else ""
    yield expect(
        "PyTorch has nothing to warn of", not words,
        f"PyTorch warns: `{words}`.",
        "take the rate out of `nn.LSTM`, where it does nothing",
        "warning",
    )  # fmt: skip


EXERCISES.append(
    Code(
        id="06.10",
        title="Find the bug: a spread of exactly 0",
        trains="knowing where a rate is that a layer holds itself",
        question=r"""
Someone asks this network with dropout on a hundred times, and each answer is the same. In training
nothing was dropped either; PyTorch had printed a warning. The `dropout` of `nn.LSTM` acts on the
outputs of each of its layers *except the last*.

Mend `Forecaster`: one LSTM of one layer and one linear layer, as before; in training the last
state is dropped, each number by a coin of its own, at rate `p`, before the linear layer; in
evaluation nothing is. The `mc_dropout` of this chapter, which switches on the `Dropout` *layers*
of a model, is to find it; and PyTorch is to have nothing to warn of.
""",
        given="""
from torch import nn

class Forecaster(nn.Module):
    def __init__(self, inputs, hidden, p):
        super().__init__()
        self.lstm = nn.LSTM(inputs, hidden, num_layers=1, dropout=p, batch_first=True)
        self.head = nn.Linear(hidden, 1)

    def forward(self, x):
        states, _ = self.lstm(x)
        return self.head(states[:, -1])
""",
        code="""
from torch import nn

class Forecaster(nn.Module):
    def __init__(self, inputs, hidden, p):
        super().__init__()
        self.lstm = nn.LSTM(inputs, hidden, batch_first=True)
        self.drop = nn.Dropout(p)
        self.head = nn.Linear(hidden, 1)

    def forward(self, x):
        states, _ = self.lstm(x)
        return self.head(self.drop(states[:, -1]))
""",
        alike=[
            """
from torch import nn

class Forecaster(nn.Module):
    def __init__(self, inputs, hidden, p):
        super().__init__()
        self.lstm = nn.LSTM(inputs, hidden, num_layers=1, batch_first=True)
        self.head = nn.Sequential(nn.Dropout(p), nn.Linear(hidden, 1))

    def forward(self, x):
        _, (state, _) = self.lstm(x)
        return self.head(state[-1])
""",
            """
from torch import nn

class Forecaster(nn.Module):
    def __init__(self, inputs, hidden, p):
        super().__init__()
        self.lstm = nn.LSTM(inputs, hidden, num_layers=1, dropout=0.0, batch_first=True)
        self.dropout = nn.Dropout(p=p)
        self.head = nn.Linear(hidden, 1)

    def forward(self, x):
        states = self.dropout(self.lstm(x)[0])
        return self.head(states[:, -1, :])
""",
            """
import torch
from torch import nn

class OwnDropout(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.p = p

    def forward(self, x):
        if not self.training:
            return x
        return x * torch.bernoulli(torch.full_like(x, 1 - self.p)) / (1 - self.p)

class Forecaster(nn.Module):
    def __init__(self, inputs, hidden, p):
        super().__init__()
        self.recurrent = nn.LSTM(inputs, hidden, batch_first=True)
        self.drop = OwnDropout(p)
        self.out = nn.Linear(hidden, 1)

    def forward(self, x):
        return self.out(self.drop(self.recurrent(x)[0][:, -1]))
""",
        ],
        check=check_lstm,
        takes="object",
        power="2000 coins at 0.25: a rate off by 0.09 is found 99 times in 100",
        hints=[
            "One layer is its own last layer. What is left for `dropout=p` to act on?",
            "Make an `nn.Dropout(p)` in `__init__`, and take the rate out of `nn.LSTM`.",
            "In `forward`: `self.head(self.drop(states[:, -1]))`.",
        ],
        solution="""
`nn.LSTM` drops between its layers, and with one layer there is no between. A layer of its own, on
the last state, drops in training and not in evaluation, and MC dropout finds it by its name. (With
more layers `nn.LSTM` does drop, but from within: the eight lines do not see that.)
""",
        wrong=[
            Slip("nn.LSTM(inputs, hidden, batch_first=True)",
                 "nn.LSTM(inputs, hidden, num_layers=2, dropout=p, batch_first=True)",
                 "With two layers there is something between them to drop, and the warning goes "
                 "away. But it is another network, its last state still does not drop, and MC "
                 "dropout does not find a rate that the LSTM holds itself."),
            Slip("self.drop(states[:, -1])",
                 "nn.functional.dropout(states[:, -1], self.drop.p)",
                 "`F.dropout` drops in evaluation too unless it is told the mode: its `training` "
                 "is `True` if you do not say."),
            Slip("self.drop(states[:, -1])",
                 "nn.functional.dropout(states[:, -1], self.drop.p, self.training)",
                 "`F.dropout` with `self.training` is right in training and in evaluation. But it "
                 "is a call and no layer: MC dropout finds nothing to switch on."),
            Slip("self.lstm(x)", "self.lstm(self.drop(x))", "The states are dropped, and the "
                 "inputs too: what reaches the linear layer is not the state any more that "
                 "evaluation has."),
            Slip("self.head(self.drop(states[:, -1]))", "self.drop(self.head(states[:, -1]))",
                 "You drop the forecast itself, its bias with it: three in four forecasts would "
                 "be 0."),
            Slip("self.head(self.drop(states[:, -1]))", "self.head(states[:, -1])",
                 "The dropout layer is there, and nobody calls it."),
            Wrong("""
from torch import nn

class Forecaster(nn.Module):
    def __init__(self, inputs, hidden, p):
        super().__init__()
        self.lstm = nn.LSTM(inputs, hidden, batch_first=True)
        self.head = nn.Linear(hidden, 1)

    def forward(self, x):
        states, _ = self.lstm(x)
        return self.head(states[:, -1])
""", "Nothing in this model can drop. A rate in an `nn.LSTM` of one layer does nothing, and to "
     "take it out ends the warning and changes nothing else."),
            Slip("self.lstm(x)\n        return self.head(self.drop(states[:, -1]))",
                 "self.lstm(self.drop(x))\n        return self.head(states[:, -1])",
                 "You drop the inputs, a coin for each time step and feature. The state that they "
                 "make goes on to the linear layer whole."),
            Slip("nn.Dropout(p)", "nn.Dropout1d(p)", "`nn.Dropout1d` drops whole channels, and "
                 "takes the series of a batch for them: one coin for all numbers of a state."),
            Slip("nn.Dropout(p)", "nn.Dropout(1 - p)", "`nn.Dropout` takes the rate at which units "
                 "are dropped, and you hand it the keep probability."),
            Slip("hidden, batch_first=True)", "hidden, dropout=p, batch_first=True)",
                 "The states drop as they should. The rate in `nn.LSTM` still has nothing to act "
                 "on, and PyTorch still says so."),
        ],
    )
)  # fmt: skip
