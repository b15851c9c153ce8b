"""Chapter 03, inverted scaling."""

from dropout.exercises.forms import Choice, Code, Exercise, Formula, Number, Slip, Wrong
from dropout.exercises.probes import close, expect, mean, plausible, saw

EXERCISES: list[Exercise] = []

# ---- by hand ------------------------------------------------------------------------------------

EXERCISES.append(
    Number(
        id="03.1",
        title="One mask, by hand",
        trains="the definition: which factor a survivor gets",
        question=r"""
Two units send $h = (3, 1)$ to a unit above with weights $w = (2, 4)$. Inverted dropout acts on
$h$ with drop rate $p = \frac14$, and the coin of the second unit says *drop*. What does the unit
above receive, without a bias?
""",
        answer=8.0,
        follows="Before its weight 2, the first unit would have sent {answer / 2}.",
        hints=[
            "Only the first unit survives. What does dropout make of its 3?",
            "The survivor is divided by the keep probability, which is $q = 1 - p = \\frac34$.",
            "The first unit sends $3 / \\frac34 = 4$.",
        ],
        solution=r"""
The keep probability is $q = \frac34$. The first unit survives and sends $3 / \frac34 = 4$, the
second sends 0. The unit above receives $2 \cdot 4 + 4 \cdot 0 = 8$, where evaluation would send
it $2 \cdot 3 + 4 \cdot 1 = 10$. It is the mean over all four masks that is 10.
""",
        wrong=[
            Wrong(6, "That is vanilla dropout: the survivor has not been divided by $q$."),
            Wrong(24, "The survivor has been divided by $p$, the drop rate. It is divided by the "
                      "keep probability $q = 1 - p$."),
            Wrong(4.5, "The survivor has been multiplied by $q$. Inverted dropout divides by it, "
                       "to make up for those that are dropped."),
            Wrong(10, "That is what evaluation sends, where nothing is dropped."),
            Wrong(5.333, "It is the second unit that drops; this is what is left when the first "
                         "one does."),
        ],
    )
)  # fmt: skip

EXERCISES.append(
    Number(
        id="03.2",
        title="The glossary's 2.0",
        trains="reading which of two numbers has been scaled",
        question=r"""
A layer uses inverted dropout with $p = 0.5$. In training you read off 2.0 as the output of a unit
*after* dropout, in a step in which it was kept. What does dropout pass on for this unit in
evaluation, for the same input?
""",
        answer=1.0,
        follows="With that activation a kept unit would send {answer / 0.5} in training, and you read 2.",
        hints=[
            "What you read off has been scaled already.",
            "If the activation is $h$, a kept unit sends $h / q$ in training and $h$ in evaluation.",
            "$h / 0.5 = 2$.",
        ],
        solution=r"""
A kept unit sends $h / q$, here $h / 0.5 = 2$, so $h = 1$. Evaluation passes $h$ on as it is: 1.
That is the mean in training too, $\frac12 \cdot 2 + \frac12 \cdot 0$.
""",
        wrong=[
            Wrong(2, "That is what a *kept* unit sends in training, with the factor $1/q$ in it. "
                     "Evaluation has no factor."),
            Wrong(4, "That scales the 2.0 once more; it has been scaled already."),
            Wrong(0.5, "That multiplies by $q$ twice: once to undo the scale, which is right, and "
                       "once more as vanilla dropout does in evaluation."),
        ],
    )
)  # fmt: skip

# ---- choices ------------------------------------------------------------------------------------

EXERCISES.append(
    Choice(
        id="03.3",
        title="Weights from an old paper",
        trains="taking a trained network from one convention to the other",
        question=r"""
Somebody gives you the weights of a network that was trained with *vanilla* dropout, the mask and
nothing else. You want to run it in PyTorch with `model.eval()`, where `nn.Dropout` does nothing.
What must be done with the weights?
""",
        options={
            "a": "Nothing: after training the two are the same.",
            "b": "Those above each dropout layer are multiplied by $q$.",
            "c": "Those above each dropout layer are divided by $q$.",
            "d": "All weights and biases of the network are multiplied by $q$.",
        },
        answer="b",
        hints=[
            "What did the weights above dropout receive on average while they were trained?",
            "They learned for inputs $m h$ with mean $q h$; in evaluation they get $h$.",
        ],
        solution=r"""
In training the weights $V$ above dropout received $m \circ h$, on average $q h$. With
`model.eval()` they receive $h$, which is too much by $1/q$. $W = qV$ sends what $V$ sent on
average. Biases and the weights that no dropout feeds have seen nothing of it, and stay.
""",
        wrong=[
            Wrong("a", "Then each sum above a dropout layer would receive $Vh$, where in training "
                       "it received $qVh$ on average: at $p = 0.5$ twice as much. Equal as sets of "
                       "functions does not mean equal with the same weights."),
            Wrong("c", "That goes the wrong way: the sums would be $1/q^2$ of those in training. "
                       "Dividing takes inverted weights to vanilla ones."),
            Wrong("d", "Weights that no dropout feeds, and biases, saw the same inputs in training "
                       "as in evaluation. Scaling them too gives another function."),
        ],
    )
)  # fmt: skip

# ---- formulas -----------------------------------------------------------------------------------

RATES = (0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.9, 0.95)

EXERCISES.append(
    Formula(
        id="03.4",
        title="The mean of the square",
        trains="expectations of a coin, and that scaling keeps the mean only",
        question=r"""
Inverted dropout makes of an activation $x$ the random number $\frac{m}{q}\,x$. Its mean is $x$.
What is the mean of its *square*, in $x$ and $p$?
""",
        answer="x^2 / (1 - p)",
        names={"p": RATES, "x": (1.0, 2.0, -1.0, 0.5, 3.0)},
        also={"q": "1 - p"},
        equal=["x^2/q", "x*x/(1-p)", "x² + x² p/(1-p)", "q (x/q)^2"],
        hints=[
            "A coin is 0 or 1, so it equals its own square: $m^2 = m$.",
            "The square is $\\frac{m}{q^2} x^2$. What is the mean of $m$?",
        ],
        solution=r"""
The square is $\frac{m^2}{q^2} x^2 = \frac{m}{q^2} x^2$, since $m$ is 0 or 1, and $m$ has the mean
$q$. So its mean is $x^2 / q = x^2 / (1-p)$: larger than $x^2$, by the variance $x^2 p / q$.
""",
        wrong=[
            Wrong("x^2", "That is the square of the mean. The mean of the square is larger, by the "
                         "variance."),
            Wrong("x^2/(1-p)^2", "That is the square of a survivor; only a share $q$ survives."),
            Wrong("x^2 p/(1-p)", "That is the variance, the mean of the square less the square of "
                                 "the mean."),
            Wrong("x^2 (1-p)", "That is vanilla dropout, whose survivors are $x$ and not $x/q$."),
            Wrong("x^2/p", "Here $p$ is the drop rate: a unit is kept with probability $1-p$."),
        ],
    )
)  # fmt: skip

EXERCISES.append(
    Formula(
        id="03.5",
        title="The learning rate that goes with it",
        trains="the theorem on equivalent learning rates",
        question=r"""
An inverted network is trained by plain gradient descent with learning rate $\eta$ (write `eta`).
A vanilla network starts as the same function and draws the same masks. Which learning rate must
the weights *above* its dropout layer have, so that the two stay the same function?
""",
        answer="eta / (1 - p)^2",
        names={"eta": (0.1, 1.0, 0.01, 0.3, 2.0), "p": RATES},
        also={"q": "1 - p"},
        equal=["eta/q^2", "eta/(1 - 2p + p^2)"],
        hints=[
            "The vanilla weights are $V = W/q$: they are larger than the inverted ones.",
            "By the chain rule the gradient on $V$ is $q$ times that on $W$.",
            "A step on $V$ must be $1/q$ times the step on $W$, from a gradient that is $q$ times "
            "as large.",
        ],
        solution=r"""
With $V = W/q$ the gradient on $V$ is $q$ times that on $W$. The step on $V$ must be $1/q$ times
the step on $W$, or $V = W/q$ would no longer hold after it. So the rate must make up for both:
$\eta / q^2$.
""",
        wrong=[
            Wrong("eta", "Then $V$ moves $q$ times as far as $W$, and should move $1/q$ times as "
                         "far."),
            Wrong("eta/(1-p)", "That makes up for one of two factors: the gradient is $q$ times as "
                               "large, *and* the weights are $1/q$ times as large. For Adam, whose "
                               "steps do not grow with the gradient, it would be right."),
            Wrong("eta (1-p)^2", "That is the way back, from vanilla to inverted."),
            Wrong("eta (1-p)", "That goes the wrong way, and by one factor where there are two."),
        ],
    )
)  # fmt: skip

# ---- code ---------------------------------------------------------------------------------------


def check_inverted(dropout):
    x = [2.0, -1.0, 3.0, 1.0]
    out = dropout(x, 0.0)
    yield expect(
        "a rate of 0 drops nothing", close(out, x), saw(dropout, out, x),
        "a unit is kept with probability `1 - p`",
    )  # fmt: skip
    ones = [1.0] * 2000
    out = dropout(ones, 0.25)
    length = len(out) if isinstance(out, list) else "no list"
    yield expect(
        "as many numbers come out as go in", length == 2000,
        f"`dropout` of 2000 numbers gives {length} of them.",
        "keep a place, with a 0, for what is dropped",
    )  # fmt: skip
    kept = [v for v in out if v != 0]
    scale = mean(kept) if kept else 0.0
    yield expect(
        "survivors are divided by 1 − p", kept and close(kept, [4 / 3] * len(kept)),
        f"With x = [1, 1, …] and p = 0.25 a survivor is {scale:.4g}; 1.333 is wanted.",
        "what is the keep probability here?",
    )  # fmt: skip
    fours = [dropout([1.0] * 4, 0.5) for _ in range(60)]
    zeros = [four.count(0.0) for four in fours]
    yield expect(
        "each unit has a coin of its own", any(0 < count < 4 for count in zeros),
        "Sixty calls for four units at p = 0.5 dropped all four or none, each time.",
        "toss once for each unit, inside the loop",
        "together" if any(zeros) else "never",
    )  # fmt: skip
    share = len(kept) / 2000
    yield expect(
        "a share of 1 − p survives", plausible(len(kept), 2000, 0.75),
        f"With p = 0.25, {share:.1%} of 2000 units survive; 75% are wanted.",
        "look at the comparison that decides who survives",
        "p" if share < 0.4 else "other",
    )  # fmt: skip
    again = dropout(ones, 0.25)
    yield expect(
        "each call tosses anew", again != out,
        "Two calls with the same input drop the same units.",
        "do not seed inside the function: the next call would repeat the same coins",
    )  # fmt: skip


EXERCISES.append(
    Code(
        id="03.6",
        title="Write inverted dropout",
        trains="the procedure, in the fewest lines",
        question=r"""
Write `dropout(x, p)`: inverted dropout of the numbers in `x` with drop rate `p`, in training. Each
number is dropped, which makes it 0, with probability $p$ by a coin of its own; the others are
scaled so that the mean stays. Take your coins from `random`, NumPy or PyTorch, and let `x` be a
list, an array or a tensor, as you like.
""",
        given="""
import random

def dropout(x, p):
    ...
""",
        code="""
import random

def dropout(x, p):
    q = 1 - p
    return [v / q if random.random() < q else 0.0 for v in x]
""",
        alike=[
            """
import torch

def dropout(x, p):
    return x * (torch.rand_like(x) >= p) / (1 - p)
""",
            """
import torch

def dropout(x, p):
    return torch.nn.functional.dropout(x, p)
""",
            """
import torch

def dropout(x, p):
    return x / (1 - p) * torch.bernoulli(torch.full_like(x, 1 - p))
""",
            """
import numpy as np

rng = np.random.default_rng()

def dropout(x, p):
    mask = rng.random(x.shape) < 1 - p
    return mask * x / (1 - p)
""",
            """
import numpy as np

def dropout(x, p):
    x = np.asarray(x)
    return np.where(np.random.rand(*x.shape) < p, 0, x / (1 - p))
""",
        ],
        check=check_inverted,
        power="2000 coins at 0.25: a rate off by 0.08 is found 99 times in 100",
        in_page=True,
        harmless={
            "random.random() < q -> random.random() <= q": "a coin equals q once in 2^53 tosses",
        },
        hints=[
            "For each number toss a coin: `random.random()` lies below `q` with probability `q`.",
            "What survives is divided by `q = 1 - p`; what does not is `0.0`.",
            "One list comprehension will do: `[… if random.random() < q else 0.0 for v in x]`.",
        ],
        solution="""
Each number has a coin of its own, and whoever survives is divided by the keep probability.
""",
        wrong=[
            Slip("v / q if", "v if", "The survivors are not scaled: this is vanilla dropout, and "
                 "sums would shrink to `q` times their value."),
            Slip("v / q if", "v / p if p else v if", "You divide by the drop rate. A unit is kept "
                 "with probability `1 - p`, and it is that which has to be made up for."),
            Slip("v / q if", "v * q if", "You multiply by the keep probability, which shrinks what "
                 "is too small already. To make up for losses, divide."),
            Slip("v / q if", "v / q / q if", "You scale twice."),
            Slip("< q else", "< p else", "Your comparison keeps with probability `p`: the two "
                 "rates are swapped."),
            Slip("random.random() < q", "True", "Nothing is dropped: there is a scale, but no "
                 "coin."),
            Wrong("""
import random

def dropout(x, p):
    q = 1 - p
    keep = random.random() < q
    return [v / q if keep else 0.0 for v in x]
""", "One coin decides for all units: either everything survives or nothing does."),
            Wrong("""
import random

def dropout(x, p):
    coins = random.Random(0)
    return [v / (1 - p) if coins.random() < 1 - p else 0.0 for v in x]
""", "The generator begins at the same place in every call, and so the same units are dropped for "
     "ever: that trains one thinned network and not many."),
            Wrong("""
import random

def dropout(x, p):
    return [v / (1 - p) for v in x if random.random() < 1 - p]
""", "What is dropped must leave a 0 in its place, or the numbers behind it move up and meet the "
     "wrong weights."),
        ],
    )
)  # fmt: skip
