"""Chapter 03, inverted scaling."""

from dropout.exercises.forms import RATES, Choice, Code, Exercise, Formula, Number, Slip, Wrong
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
A layer uses inverted dropout with $p = 0.2$. In training you read off 2.0 as the output of a unit
*after* dropout, in a step in which it was kept. What does dropout pass on for this unit in
evaluation, for the same input?
""",
        answer=1.6,
        follows="With that activation a kept unit would send {answer / 0.8} in training, where you "
                "read 2.",
        hints=[
            "What you read off has been scaled already.",
            "If the activation is $h$, a kept unit sends $h / q$ in training, $h$ in evaluation.",
            "$h / 0.8 = 2$.",
        ],
        solution=r"""
A kept unit sends $h / q$, here $h / 0.8 = 2$, so $h = 1.6$. Evaluation passes $h$ on as it is: 1.6.
That is the mean in training too, $0.8 \cdot 2 + 0.2 \cdot 0$.
""",
        wrong=[
            Wrong(2, "That is what a *kept* unit sends in training, with the factor $1/q$ in it. "
                     "Evaluation has no factor."),
            Wrong(2.5, "That scales the 2.0 once more; it has been scaled already."),
            Wrong(0.4, "That multiplies by $p$. What a kept unit was divided by is the keep "
                       "probability $q = 1 - p$."),
            Wrong(1.28, "That multiplies by $q$ twice: once to undo the scale, which is right, and "
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
        "length",
    )  # fmt: skip
    fours = [dropout([1.0] * 4, 0.5) for _ in range(60)]
    zeros = [four.count(0.0) for four in fours]
    yield expect(
        "each unit has a coin of its own", any(0 < count < 4 for count in zeros),
        "Sixty calls for four units at p = 0.5 dropped all four or none, each time.",
        "toss once for each unit, inside the loop",
        "together" if any(zeros) else "never",
    )  # fmt: skip
    kept = [v for v in out if v != 0]
    scale = mean(kept) if kept else 0.0
    yield expect(
        "survivors are divided by 1 − p", kept and close(kept, [4 / 3] * len(kept)),
        f"With x = [1, 1, …] and p = 0.25 a survivor is {scale:.4g}; 1.333 is wanted." if kept else
        "With p = 0.25 none of 2000 units survives.",
        "what is the keep probability here?",
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
    yield expect(
        "how many survive varies", min(zeros) < max(zeros),
        f"Sixty calls for four units at p = 0.5 dropped exactly {zeros[0]}, each time.",
        "let each coin fall by itself, and do not count how many are left",
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
        power="2000 coins at 0.25: a rate off by 0.09 is found 99 times in 100",
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
            Slip("v / q if", "(v / p if p else v) if", "You divide by the drop rate. A unit is "
                 "kept with probability `1 - p`, and it is that which has to be made up for."),
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
            Wrong("""
import random

def dropout(x, p):
    order = sorted(range(len(x)), key=lambda k: random.random())
    gone = set(order[:round(p * len(x))])
    return [0.0 if k in gone else v / (1 - p) for k, v in enumerate(x)]
""", "You draw a fixed number of units to drop. Then the fate of one depends on that of the "
     "others; coins know nothing of each other."),
        ],
    )
)  # fmt: skip


def check_vanilla(dropout):
    x = [2.0, -1.0, 3.0, 1.0] * 10
    out = dropout(x, 0.25, False)
    want = [0.75 * v for v in x]
    yield expect(
        "evaluation multiplies by 1 − p", close(out, want), saw(dropout, out, want),
        "which share of the units did the layer above hear in training?",
        "coins" if 0.0 in out else "",
    )  # fmt: skip
    out = dropout(x, 0.0, True)
    yield expect(
        "a rate of 0 drops nothing", close(out, x), saw(dropout, out, x),
        "with p = 0 every unit is kept, as it is",
    )  # fmt: skip
    out = dropout([1.0] * 2000, 0.25, True)
    kept = [v for v in out if v != 0]
    yield expect(
        "some units survive", kept, "In training, with p = 0.25, none of 2000 units survives.",
        "toss a coin for each number",
    )  # fmt: skip
    yield expect(
        "training passes survivors on as they are", close(kept, [1.0] * len(kept)),
        f"In training, with x = [1, 1, …] and p = 0.25, a survivor is {kept[0]:.4g}; 1 is wanted.",
        "vanilla dropout has its factor in evaluation only",
    )  # fmt: skip
    share = len(kept) / 2000
    yield expect(
        "a share of 1 − p survives", plausible(len(kept), 2000, 0.75),
        f"In training, with p = 0.25, {share:.1%} of 2000 units survive; 75% are wanted.",
        "look at the comparison in the branch for training",
        "p" if share < 0.4 else "all" if share == 1 else "other",
    )  # fmt: skip


EXERCISES.append(
    Code(
        id="03.7",
        title="The bug that 0.5 hides",
        trains="telling p from q, by trying a rate other than one half",
        question=r"""
This is vanilla dropout as a blog has it, and at $p = 0.5$ all its tests pass. `p` is the drop
rate. Find the bug and mend it.
""",
        given="""
import random

def dropout(x, p, training):
    if training:
        return [0.0 if random.random() < p else v for v in x]
    return [p * v for v in x]
""",
        code="""
import random

def dropout(x, p, training):
    if training:
        return [0.0 if random.random() < p else v for v in x]
    return [(1 - p) * v for v in x]
""",
        alike=[
            """
import torch

def dropout(x, p, training):
    if not training:
        return x * (1 - p)
    return x * torch.bernoulli(torch.full_like(x, 1 - p))
""",
            """
import numpy as np

def dropout(x, p, training):
    x = np.asarray(x)
    return x * (np.random.random(x.shape) >= p) if training else x - p * x
""",
            """
import random

def dropout(x, p, training):
    sent = []
    for v in x:
        if training:
            sent.append(v if random.random() >= p else 0)
        else:
            sent.append(v * (1 - p))
    return sent
""",
        ],
        check=check_vanilla,
        in_page=True,
        power="2000 coins at 0.25: a rate off by 0.09 is found 99 times in 100",
        harmless={
            "random.random() < p -> random.random() <= p": "a coin equals p once in 2^53 tosses",
        },
        hints=[
            "At $p = 0.5$ the drop rate and the keep probability are the same number. Try 0.25.",
            "In training a unit passes on $x$ with probability $q$. What is the mean?",
            "Evaluation must send that mean, $q x = (1 - p) x$.",
        ],
        solution="""
Training drops with probability `p`, so it sends `(1 - p) * v` on average, and this is what
evaluation must send. `p * v` is the same at one half and nowhere else. A test at one rate, and
that one half, shows nothing.
""",
        wrong=[
            Slip("(1 - p) * v", "v", "Nothing is scaled in evaluation, as in inverted dropout; but "
                 "here survivors are not scaled up in training either."),
            Slip("(1 - p) * v", "v / (1 - p)", "You divide where evaluation must multiply: it "
                 "sends too much already, since nothing is dropped."),
            Slip("else v for", "else v / (1 - p) for", "Now both modes are scaled: by `1/q` in "
                 "training and by `q` in evaluation. One of the two is needed, never both."),
            Slip("random.random() < p", "random.random() < 1 - p", "Now training drops with the "
                 "keep probability: there are two swaps where there was one."),
            Slip("0.0 if random.random() < p else v", "v", "Training must still drop; the bug is "
                 "in the other branch."),
            Slip("(1 - p) * v", "(1 - p) * v if random.random() < 1 - p else 0.0", "Evaluation "
                 "has no coins. It sends the mean of what training sends, the same each time."),
        ],
    )
)  # fmt: skip


def check_backward(Dropout):
    def listed(numbers):
        try:
            return [float(number) for number in numbers]
        except (TypeError, ValueError):
            return []

    layer = Dropout(0.25)
    out = listed(layer.forward([1.0] * 400))
    yield expect(
        "forward drops some units and passes others on",
        len(out) == 400 and 0 < out.count(0.0) < 400,
        f"`forward` of 400 numbers gives {len(out)}, of which {out.count(0.0)} are 0; about 100 of "
        "400 are wanted.", "leave `forward` as it was",
    )  # fmt: skip
    grad = listed(layer.backward([1.0] * 400))
    yield expect(
        "backward gives a number for each unit", len(grad) == 400,
        "`backward` of 400 gradients does not give a list of 400.",
        "return a list with a gradient for each unit",
    )  # fmt: skip
    dead = [g for g, v in zip(grad, out) if v == 0]  # noqa: B905
    leaks = sum(g != 0 for g in dead)
    deaf = sum(g == 0 for g, v in zip(grad, out) if v != 0)  # noqa: B905
    yield expect(
        "no gradient reaches a dropped unit", leaks == 0,
        f"Of {len(dead)} units that were dropped in forward, {leaks} get a gradient.",
        "which units had a part in the output?",
        "some" if leaks < len(dead) else "opposite" if deaf else "all",
    )  # fmt: skip
    yield expect(
        "every survivor gets one", deaf == 0,
        f"Of {400 - len(dead)} survivors {deaf} get no gradient.",
        "use what forward remembered, and no other coin",
        "all" if deaf == 400 - len(dead) else "some",
    )  # fmt: skip
    live = [g for g, v in zip(grad, out) if v != 0]  # noqa: B905
    yield expect(
        "a survivor's gradient has the factor of forward", close(live, [4 / 3] * len(live)),
        f"With p = 0.25 a survivor's gradient of 1 becomes {live[0]:.4g}; 1.333 is wanted.",
        "forward multiplies by `1 / q`; what is the derivative of that?",
    )  # fmt: skip
    grad = listed(layer.backward([2.0, -1.0] * 200))
    wanted = [v * g for v, g in zip(out, [2.0, -1.0] * 200)]  # noqa: B905
    yield expect(
        "what comes from above is multiplied in", close(grad, wanted),
        "Gradients 2 and −1 from above do not come out as 2 and −1 times the factor.",
        "multiply each gradient from above by the mask and the factor",
    )  # fmt: skip
    first, second = [listed(layer.forward([1.0] * 400)) for _ in range(2)]
    yield expect(
        "each forward tosses anew", first != second,
        "Two calls of `forward` drop the same units.",
        "draw a new mask in each `forward`",
    )  # fmt: skip
    grad = listed(layer.backward([1.0] * 400))
    yield expect(
        "backward belongs to the last forward", close(grad, second),
        "After two calls of `forward`, `backward` uses a mask that is not that of the second.",
        "remember the mask anew in each `forward`",
    )  # fmt: skip


EXERCISES.append(
    Code(
        id="03.8",
        title="The wrong way back",
        trains="backward as the same operation as forward",
        question=r"""
A layer of inverted dropout with its own backward pass, as students write it. Training with it goes
nowhere. Mend `backward(grad)`, which gets the gradients of the loss with respect to the layer's
outputs (a list), and returns those with respect to its inputs.
""",
        given="""
import random

class Dropout:
    def __init__(self, p):
        self.q = 1 - p

    def forward(self, x):
        self.mask = [random.random() < self.q for _ in x]
        return [v / self.q if kept else 0.0 for v, kept in zip(x, self.mask)]

    def backward(self, grad):
        self.mask = [random.random() < self.q for _ in grad]
        return [g / self.q if kept else 0.0 for g, kept in zip(grad, self.mask)]
""",
        code="""
import random

class Dropout:
    def __init__(self, p):
        self.q = 1 - p

    def forward(self, x):
        self.mask = [random.random() < self.q for _ in x]
        return [v / self.q if kept else 0.0 for v, kept in zip(x, self.mask)]

    def backward(self, grad):
        return [g / self.q if kept else 0.0 for g, kept in zip(grad, self.mask)]
""",
        alike=[
            """
import random

class Dropout:
    def __init__(self, p):
        self.p = p

    def forward(self, x):
        self.factor = [0.0 if random.random() < self.p else 1 / (1 - self.p) for _ in x]
        return [v * f for v, f in zip(x, self.factor)]

    def backward(self, grad):
        return [g * f for g, f in zip(grad, self.factor)]
""",
            """
import numpy as np

class Dropout:
    def __init__(self, p):
        self.q, self.rng = 1 - p, np.random.default_rng()

    def forward(self, x):
        self.scale = (self.rng.random(len(x)) < self.q) / self.q
        return (np.array(x) * self.scale).tolist()

    def backward(self, grad):
        return (np.array(grad) * self.scale).tolist()
""",
            """
import torch

class Dropout:
    def __init__(self, p):
        self.p = p

    def forward(self, x):
        self.x = torch.tensor(x, requires_grad=True)
        self.y = torch.nn.functional.dropout(self.x, self.p)
        return self.y.tolist()

    def backward(self, grad):
        grad = torch.tensor(grad)
        return torch.autograd.grad(self.y, self.x, grad, retain_graph=True)[0].tolist()
""",
        ],
        takes="object",
        check=check_backward,
        in_page=True,
        power="400 coins at 0.25: a fresh mask leaves some dropped unit with a gradient, but for a "
              "chance below 0.25^50",
        harmless={
            "random.random() < self.q -> random.random() <= self.q":
                "a coin equals q once in 2^53 tosses",
            "random.random() < self.q -> random.random() >= self.q":
                "how many survive is the forward pass's business, and not asked here",
        },
        hints=[
            "Count: how often does a unit that was dropped in `forward` get a gradient?",
            "In this step the output is $\\frac{m}{q} x$, with the $m$ that was drawn. What is its "
            "derivative?",
            "The same $\\frac{m}{q}$. So `backward` needs the mask of `forward`, and draws none.",
        ],
        solution=r"""
In one step the mask is a constant: the output is $\frac{m}{q} x$ and its derivative is
$\frac{m}{q}$, with the same $m$. So backward multiplies by the same mask and the same factor. With
a fresh mask the gradient is not the gradient of any function.
""",
        wrong=[
            Slip("g / self.q if kept", "g if kept", "The mask is right, but the factor $1/q$ of "
                 "forward belongs to the derivative too."),
            Slip("g / self.q if kept", "g * self.q if kept", "Backward is not the inverse of "
                 "forward: it multiplies by the derivative, which is $1/q$ again."),
            Slip("[g / self.q if kept else 0.0 for g, kept in zip(grad, self.mask)]",
                 "[g / self.q for g in grad]", "Now every unit gets a gradient, the dropped ones "
                 "too, which had no part in the output."),
            Slip("[g / self.q if kept else 0.0 for g, kept in zip(grad, self.mask)]",
                 "[0.0 if kept else g / self.q for g, kept in zip(grad, self.mask)]",
                 "That is the opposite of the mask: survivors get nothing."),
            Wrong("""
import random

class Dropout:
    def __init__(self, p):
        self.q = 1 - p

    def forward(self, x):
        self.mask = [random.random() < self.q for _ in x]
        return [v / self.q if kept else 0.0 for v, kept in zip(x, self.mask)]

    def backward(self, grad):
        mask = [random.random() < self.q for _ in grad]
        return [g / self.q if kept else 0.0 for g, kept in zip(grad, mask)]
""", "Backward still tosses coins of its own, under whatever name, and they know nothing of those "
     "that forward has tossed."),
            Wrong("""
import random

class Dropout:
    def __init__(self, p):
        self.q = 1 - p
        self.mask = [random.random() < self.q for _ in range(10000)]

    def forward(self, x):
        return [v / self.q if kept else 0.0 for v, kept in zip(x, self.mask)]

    def backward(self, grad):
        return [g / self.q if kept else 0.0 for g, kept in zip(grad, self.mask)]
""", "A mask drawn once for ever makes forward and backward agree, but no longer drops anew at "
     "every step."),
            Slip("g / self.q if kept", "1 / self.q if kept", "You return the layer's own "
                 "derivative. By the chain rule it is multiplied by what comes from above."),
        ],
    )
)  # fmt: skip


def check_module(Dropout):
    import torch

    yield expect(
        "it is a class of modules",
        isinstance(Dropout, type) and issubclass(Dropout, torch.nn.Module),
        "`Dropout` is no class derived from `torch.nn.Module`.",
        "begin with `class Dropout(torch.nn.Module):`, and give the class itself to `q.check`",
    )  # fmt: skip
    yield expect(
        "it is your own", not issubclass(Dropout, torch.nn.Dropout),
        "This is `torch.nn.Dropout`, whose coin and scale PyTorch has written.",
        "derive your class from `torch.nn.Module`, and write `forward` yourself",
    )  # fmt: skip
    layer = Dropout(0.25)
    x = torch.tensor([2.0, -1.0, 3.0, 1.0])
    outs = [layer.eval()(x) for _ in range(30)]
    yield expect(
        "evaluation gives a tensor of the same shape",
        all(isinstance(out, torch.Tensor) and out.shape == x.shape for out in outs),
        "After `layer.eval()`, what comes out for a tensor of four numbers is no such tensor.",
        "end both branches of `forward` with `return`, and return a tensor",
    )  # fmt: skip
    bad = next((out for out in outs if not torch.equal(out, x)), x)
    factor = (bad / x).max().item()
    yield expect(
        "in evaluation it is the identity", bad is x,
        f"After `layer.eval()`, [2, −1, 3, 1] becomes {[round(v, 3) for v in bad.tolist()]}.",
        "ask `self.training`, which `eval()` sets to False",
        "scaled" if abs(factor - 0.75) < 1e-6 and (bad != 0).all() else "dropped",
    )  # fmt: skip
    layer = torch.nn.Sequential(torch.nn.Sequential(Dropout(0.25))).train()
    ones = torch.ones(40, 50)
    out = layer(ones)
    found = tuple(out.shape) if isinstance(out, torch.Tensor) else "no tensor"
    yield expect(
        "training gives one, too", found == (40, 50),
        f"In training, {found} comes out of a tensor of 40 × 50 numbers.",
        "keep the shape, with zeros in it",
    )  # fmt: skip
    yield expect(
        "its input stays as it was", bool((ones == 1).all()),
        "In training, the numbers of the input itself are changed.",
        "make a new tensor for the result",
    )  # fmt: skip
    kept = out[out != 0]
    scale = kept.mean().item() if len(kept) else 0.0
    yield expect(
        "survivors are divided by 1 − p",
        len(kept) and torch.allclose(kept, torch.full_like(kept, 4 / 3)),
        f"In training at p = 0.25 a survivor of 1 becomes {scale:.4g}; 1.333 is wanted.",
        "scale in training, by one over the keep probability",
    )  # fmt: skip
    rows = [(row != 0).sum().item() for row in out]
    yield expect(
        "each number has a coin of its own", any(0 < row < 50 for row in rows)
        and any(0 < (column != 0).sum() < 40 for column in out.T),
        "In a batch of 40 examples with 50 units, whole rows or columns share their fate.",
        "draw a mask of the shape of `x`",
        "none" if len(kept) == 2000 else "rows" if all(r in (0, 50) for r in rows) else "columns",
    )  # fmt: skip
    yield expect(
        "a share of 1 − p survives", plausible(len(kept), 2000, 0.75),
        f"At p = 0.25, {len(kept) / 2000:.1%} of 2000 numbers survive; 75% are wanted.",
        "compare your coins with the right one of the two rates",
        "all" if len(kept) == 2000 else "some",
    )  # fmt: skip
    yield expect(
        "each call tosses anew", not torch.equal(layer(ones), out),
        "Two calls in training drop the same numbers.",
        "draw the mask in `forward`",
    )  # fmt: skip
    x = torch.ones(2000, requires_grad=True)
    out = layer(x)
    grad = torch.autograd.grad(out.sum(), x, allow_unused=True)[0] if out.requires_grad else None
    yield expect(
        "gradients flow through the same mask",
        grad is not None and torch.allclose(grad.double(), out.double()),
        "The gradient of the sum of the outputs is not mask / q.",
        "multiply `x` by the mask, and take nothing out of the graph",
    )  # fmt: skip


EXERCISES.append(
    Code(
        id="03.9",
        title="As a module",
        trains="the two modes of a PyTorch module",
        question=r"""
Write inverted dropout as a PyTorch module of your own: `Dropout(p)` drops and scales after
`model.train()`, and passes its input on unchanged after `model.eval()`. It takes tensors of any
shape. (`torch.nn.Dropout` does not count.)
""",
        given="""
import torch

class Dropout(torch.nn.Module):
    def __init__(self, p):
        super().__init__()
        self.p = p

    def forward(self, x):
        ...
""",
        code="""
import torch

class Dropout(torch.nn.Module):
    def __init__(self, p):
        super().__init__()
        self.p = p

    def forward(self, x):
        if not self.training:
            return x
        mask = torch.rand_like(x) >= self.p
        return x * mask / (1 - self.p)
""",
        alike=[
            """
import torch

class Dropout(torch.nn.Module):
    def __init__(self, p):
        super().__init__()
        self.p = p

    def forward(self, x):
        return torch.nn.functional.dropout(x, self.p, self.training)
""",
            """
import torch

class Dropout(torch.nn.Module):
    def __init__(self, rate):
        super().__init__()
        self.keep = 1 - rate

    def forward(self, x):
        if self.training:
            x = x / self.keep * torch.bernoulli(torch.full(x.shape, self.keep))
        return x
""",
            """
import numpy as np
import torch

class Dropout(torch.nn.Module):
    def __init__(self, p):
        super().__init__()
        self.p = p
        self.rng = np.random.default_rng()

    def forward(self, x):
        if self.training:
            mask = torch.as_tensor(self.rng.random(x.shape) < 1 - self.p)
            return torch.where(mask, x / (1 - self.p), 0.0)
        return x
""",
        ],
        takes="object",
        check=check_module,
        power="2000 coins at 0.25: a rate off by 0.09 is found 99 times in 100",
        harmless={
            "torch.rand_like(x) >= self.p -> torch.rand_like(x) > self.p":
                "a coin of 24 bits equals p once in 2^24 tosses",
        },
        hints=[
            "`eval()` and `train()` set `self.training` in every module inside the model.",
            "`torch.rand_like(x)` draws a number in [0, 1) for each element.",
            "`x * (torch.rand_like(x) >= self.p) / (1 - self.p)` in training, `x` otherwise.",
        ],
        solution="""
`train()` and `eval()` reach every module inside a model and set its `training`; `forward` asks it.
""",
        wrong=[
            Slip("if not self.training:\n            return x\n        ", "",
                 "It drops in evaluation too: `eval()` only sets a flag, and `forward` must ask."),
            Slip("return x\n", "return x * (1 - self.p)\n", "That is a factor in both modes: "
                 "divided in training, multiplied in evaluation."),
            Slip("x * mask / (1 - self.p)", "x * mask", "Without the scale this is vanilla "
                 "dropout, whose evaluation would need a factor."),
            Slip(">= self.p", "< self.p", "The mask keeps with the drop rate."),
            Slip("torch.rand_like(x) >= self.p",
                 "torch.rand(x.shape[-1]) >= self.p", "One mask for all examples of the "
                 "minibatch: it must have the shape of `x`, not of one row."),
            Slip("torch.rand_like(x) >= self.p",
                 "torch.rand(*x.shape[:-1], 1) >= self.p", "One coin for a whole example: either "
                 "all its units drop or none."),
            Slip("x * mask / (1 - self.p)", "(x * mask / (1 - self.p)).detach()", "`detach` cuts "
                 "the graph: what lies below would learn nothing."),
            Slip("mask = torch", "torch.manual_seed(0)\n        mask = torch", "Seeding in "
                 "`forward` repeats one mask in every step, and resets everybody else's random "
                 "numbers."),
            Slip("mask = torch.rand_like(x) >= self.p", "mask = torch.ones_like(x)",
                 "Everything is scaled and nothing dropped."),
        ],
    )
)  # fmt: skip

# ---- beyond the mean ----------------------------------------------------------------------------

EXERCISES.append(
    Number(
        id="03.10",
        title="After a ReLU",
        trains="where the mean stops being right",
        question=r"""
A ReLU unit with bias $-\frac12$ receives $z = 1$ from a single unit below, through inverted dropout
with $p = \frac12$. By how much is its mean output in training larger than its output in evaluation?
""",
        answer=0.25,
        follows="Its mean output in training would then be {0.5 + answer}.",
        hints=[
            "In training it receives 2 or 0, each half of the time.",
            "What does the ReLU send in these two cases, with the bias?",
            "It sends $\\frac32$ or 0 in training, and $\\frac12$ in evaluation.",
        ],
        solution=r"""
In training the unit receives $z/q = 2$ or 0 and sends $2 - \frac12 = \frac32$ or
$\max(0, -\frac12) = 0$: on average $\frac34$. Evaluation sends $1 - \frac12 = \frac12$. The
difference is $\frac14$: what the unit *receives* has the right mean, what it sends has not.
""",
        wrong=[
            Wrong(0, "That would hold for a linear unit. The ReLU cuts off what falls below 0, in "
                     "the case in which the unit below is dropped."),
            Wrong(0.75, "That is the mean in training itself, not its distance from evaluation."),
            Wrong(1.0, "That is the case in which the unit is kept, less evaluation. Half of the "
                       "time it is dropped."),
            Wrong(-0.25, "Without dropout's scale a kept unit would send ½ and a dropped one 0; "
                         "inverted dropout sends $z/q$."),
        ],
    )
)  # fmt: skip

EXERCISES.append(
    Choice(
        id="03.11",
        title="Which activation loses the mean most?",
        trains="guessing before looking",
        question=r"""
The next figure shows, for a unit above ten dropped ones, how far its mean output in training lies
from its output in evaluation, at drop rates up to 0.9. Whose curve is highest at the right end?
""",
        options={
            "a": "ReLU's, which is not smooth but linear on either side of 0.",
            "b": "tanh's, which saturates on both sides.",
            "c": "The sigmoid's, which never sends less than 0.",
        },
        answer="a",
        reveals="fig-after-nonlinearity",
        after="What grows without bound can err without bound: at $p = 0.9$ a kept unit sends ten "
              "times its value.",
        hints=["How large can the output of each become when a survivor is multiplied by ten?"],
        solution=r"""
At $p = 0.9$ what survives is multiplied by ten. The ReLU passes that on, and cuts off the negative
half; tanh and sigmoid cannot send more than 1, so they cannot be far off.
""",
        wrong=[
            Wrong("b", "tanh is bent more, but what it sends lies between −1 and 1, in training as "
                       "in evaluation; so the two means cannot lie far apart."),
            Wrong("c", "The sigmoid sends between 0 and 1 and is nearly straight in between: it "
                       "has the smallest error of the three."),
        ],
    )
)  # fmt: skip
