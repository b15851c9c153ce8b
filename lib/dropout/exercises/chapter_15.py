"""Chapter 15, pitfalls and the audit."""

from dropout.exercises.forms import Choice, Code, Exercise, Formula, Number, Slip, Wrong
from dropout.exercises.probes import close, expect, flat, plausible

EXERCISES: list[Exercise] = []

# ---- a prediction, and findings in logs ----------------------------------------------------------

EXERCISES.append(
    Choice(
        id="15.1",
        title="Which trap costs most?",
        trains="telling a trap that is seen from one that costs",
        question=r"""
Networks with dropout at $p = 0.5$ behind each of two hidden layers learn 300 digits. Four of them
fall into a trap. After training all are evaluated as they should be, with `model.eval()`. Which one
has the highest test loss?
""",
        options={
            "a": "The loop calls `model.train()` once, before the first epoch, and `model.eval()` "
                 "after each, to validate.",
            "b": "The loop sets one and the same seed at each step.",
            "c": "Each dropout layer stands there twice, `Dropout(0.5)` and `Dropout(0.5)`.",
            "d": "There is a third dropout, at $p = 0.5$, on the ten outputs.",
        },
        answer="c",
        hints=[
            "Which of them leave the hidden layers as much as they were meant to have?",
            "For each: in how many of the steps does anything drop, and with which probability "
            "does a hidden unit stay?",
        ],
        solution=r"""
Two layers at 0.5 drop at 0.75. That is what costs most of the four at this step, about four times
the loss of the sound network. A seed in the loop comes next, then the dropout on the outputs. To
train with dropout in the first epoch only is to train nearly without dropout.
""",
        wrong=[
            Wrong("a", "It has dropout in one epoch of forty. Such a network is one without "
                       "dropout, and on these digits that costs little."),
            Wrong("b", "It costs, since each image then meets one mask only. But half of each "
                       "hidden layer is still there in every step."),
            Wrong("d", "Its loss *in training* is more than twice that of the sound network, for "
                       "half of the answers are deleted. The test loss is measured without that, "
                       "and the hidden layers have learned."),
        ],
        reveals="fig-what-traps-cost",
    )
)  # fmt: skip

EXERCISES.append(
    Choice(
        id="15.2",
        title="Find the bug: four comparisons",
        trains="reading a trap off two runs in each mode",
        question=r"""
Somebody's model has dropout, and is run on one batch. The batch holds one image 32 times, so that
rows can be compared as well. This is the log:

| compared | outputs are |
|---|---|
| two calls after `model.eval()` | equal |
| two calls after `model.train()` | equal |
| a call after `train()`, and one after `eval()` | different |
| the rows of a call after `train()` | different |

Which of these is the bug?
""",
        options={
            "a": "`nn.LSTM(..., num_layers=1, dropout=0.5)` is the only dropout.",
            "b": "`F.dropout(h, 0.5)` stands there without `training=`.",
            "c": "`forward` begins with `torch.manual_seed(0)`.",
            "d": "The mask has the shape of one image and serves the whole batch.",
        },
        answer="c",
        hints=[
            "The third line says whether anything drops in training. Does it?",
            "Something drops, and the next call drops the same. What settles the coins?",
        ],
        solution=r"""
Training differs from evaluation, so something drops; the rows differ, so each has coins of its own;
two calls are equal, so the coins fall as they fell before. That is a seed in `forward`, which the
auditor calls `same-mask` and `reseeds`.
""",
        wrong=[
            Wrong("a", "Then nothing would drop at all, and training would give what evaluation "
                       "gives. The third line says that it does not."),
            Wrong("b", "Then evaluation would drop too, and two calls after `eval()` would "
                       "differ."),
            Wrong("d", "Then equal images would get equal outputs within a call, and two calls in "
                       "training would differ. The log has both the other way round."),
        ],
    )
)  # fmt: skip

# ---- rates --------------------------------------------------------------------------------------

EXERCISES.append(
    Number(
        id="15.3",
        title="Two dropouts, two conventions",
        trains="rates in a row, and keep against drop",
        question=r"""
A block from a TensorFlow 1 program ends with `tf.nn.dropout(h, keep_prob=0.75)`. It is put in front
of a PyTorch block that begins with `nn.Dropout(0.4)`, with nothing between. One `nn.Dropout(p)`
could take the place of both. Which $p$?
""",
        answer=0.55,
        follows="Then a unit would pass both with probability {1 - answer}.",
        hints=[
            "A unit passes if both let it pass.",
            "The first one keeps with 0.75, the second one with $1 - 0.4$.",
            "$p = 1 - 0.75 \\cdot 0.6$.",
        ],
        solution=r"""
The first keeps a unit with probability 0.75, the second with 0.6. Both keep it with probability
$0.75 \cdot 0.6 = 0.45$, so $p = 0.55$. The factors fit too: $\frac{1}{0.75} \cdot \frac{1}{0.6} =
\frac{1}{0.45}$.
""",
        wrong=[
            Wrong(0.45, "That is the probability to be kept by both."),
            Wrong(0.65, "The two rates have been added. A unit that both would drop is then "
                        "counted twice."),
            Wrong(0.85, "Here `keep_prob` has been read as a rate of dropping."),
            Wrong(0.1, "That is the product of the two rates: the share that *both* drop. One of "
                       "them is enough."),
            Wrong(0.3, "Here 0.75 is multiplied by 0.4: kept by the first, and dropped by the "
                       "second. What the first one drops is missing."),
        ],
    )
)  # fmt: skip

RATES = (0.1, 0.2, 0.25, 0.3, 0.4, 0.45, 0.5, 0.6, 0.7, 0.75, 0.8, 0.9)

EXERCISES.append(
    Formula(
        id="15.4",
        title="The price of a swapped rate",
        trains="the noise of dropout as a function of its rate",
        question=r"""
Inverted dropout at rate $p$ gives an activation $h$ the variance $\frac{p}{1-p} h^2$. A recipe
means the drop rate $p$, and somebody enters $1 - p$ for it. By which factor does the variance
change, in $p$?
""",
        answer="((1 - p) / p)^2",
        names={"p": RATES},
        also={"q": "1 - p"},
        equal=["(1-p)^2/p^2", "(q/p)^2", "(1/p - 1)^2", "q^2/p^2"],
        hints=[
            "Write the variance for the rate $1 - p$: what is then the probability to be kept?",
            "It is $\\frac{1-p}{p} h^2$. Divide it by what was meant.",
        ],
        solution=r"""
With the rate $1 - p$ units are kept with probability $p$, and the variance is $\frac{1-p}{p} h^2$.
Divided by $\frac{p}{1-p} h^2$ that is $\big(\frac{1-p}{p}\big)^2$: 81 for a rate of 0.1, and
1 at one half, where nobody notices.
""",
        wrong=[
            Wrong("(1-p)/p", "That is the variance with the swapped rate, over $h^2$. It has not "
                             "been divided by the one that was meant."),
            Wrong("(p/(1-p))^2", "That is what was meant over what came: the factor upside down. "
                                 "For $p = 0.1$ the noise must have grown."),
            Wrong("p/(1-p)", "That is the variance that was meant, over $h^2$."),
            Wrong("((1-p)/p)^4", "The factor is squared once too often; variances are compared, "
                                 "and they have the square of $h$ in them already."),
            Wrong("1", "The two variances are equal at one half only."),
        ],
    )
)  # fmt: skip

# ---- code ---------------------------------------------------------------------------------------


def check_masks(masks):
    out = masks(3, 400, 0.25, 7)
    sizes = (
        [len(row) for row in out]
        if isinstance(out, list) and out and isinstance(out[0], list)
        else "no rows"
    )
    yield expect(
        "there is a mask of n numbers for each step", sizes == [400, 400, 400],
        f"`masks(3, 400, 0.25, 7)` has rows of {sizes} numbers.",
        "return a list of `steps` lists of `n` numbers",
    )  # fmt: skip
    kept = [v for v in flat(out) if v != 0]
    scale = sum(kept) / len(kept) if kept else 0.0
    yield expect(
        "what is kept is 1 / (1 − p)", kept and close(kept, [4 / 3] * len(kept)),
        f"At p = 0.25 what is kept has a mean of {scale:.4g}; 1.333 is wanted.",
        "divide 1 by the keep probability",
    )  # fmt: skip
    long = flat(masks(1, 1000, 0.25, 3))
    count = len([v for v in long if v != 0])
    yield expect(
        "a share of 1 − p is kept", plausible(count, 1000, 0.75),
        f"At p = 0.25, {count / 10:.1f}% of 1000 numbers are kept; 75% are wanted.",
        "look at the comparison", "few" if count < 500 else "many",
    )  # fmt: skip
    yield expect(
        "steps have masks of their own",
        out[0] != out[1] and out[1] != out[2] and out[0] != out[2],
        "In `masks(3, 400, 0.25, 7)` two steps have the same mask.",
        "how often is the generator put back to its beginning?",
        "all" if out[0] == out[1] == out[2] else "some",
    )  # fmt: skip
    yield expect(
        "the same seed gives the same masks", masks(3, 400, 0.25, 7) == out,
        "Two calls `masks(3, 400, 0.25, 7)` give other masks.",
        "the seed must settle all coins: use it",
    )  # fmt: skip
    other = masks(3, 400, 0.25, 8)
    alike = [(a, b) for a in range(3) for b in range(3) if out[a] == other[b]]
    where = f"step {alike[0][0]} of seed 7 is step {alike[0][1]} of seed 8" if alike else ""
    yield expect(
        "another seed gives other masks, in every step", not alike,
        f"The masks are shared between two seeds: {where}.",
        "let the seed say where the whole run begins, and nothing else",
        "moved" if alike and alike[0][0] != alike[0][1] else "same",
    )  # fmt: skip


EXERCISES.append(
    Code(
        id="15.5",
        title="Find the bug: reproducible, and always the same",
        trains="where a seed belongs",
        question=r"""
`masks(steps, n, p, seed)` returns the masks of inverted dropout for the steps of a training, `n`
numbers each: 0 or $\frac{1}{1-p}$. A run must be repeatable: the same seed gives the same masks.
But each step must have a mask of its own, and another seed other masks. Mend it.
""",
        given="""
import random

def masks(steps, n, p, seed):
    out = []
    for _step in range(steps):
        random.seed(seed)
        out.append([0.0 if random.random() < p else 1 / (1 - p) for _ in range(n)])
    return out
""",
        code="""
import random

def masks(steps, n, p, seed):
    random.seed(seed)
    out = []
    for _step in range(steps):
        out.append([0.0 if random.random() < p else 1 / (1 - p) for _ in range(n)])
    return out
""",
        alike=[
            """
import numpy as np

def masks(steps, n, p, seed):
    rng = np.random.default_rng(seed)
    return ((rng.random((steps, n)) >= p) / (1 - p)).tolist()
""",
            """
import torch

def masks(steps, n, p, seed):
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for _ in range(steps):
        rows.append((torch.rand(n, generator=generator) >= p) / (1 - p))
    return torch.stack(rows)
""",
            """
import numpy as np

def masks(steps, n, p, seed):
    return [np.random.default_rng((seed, step)).binomial(1, 1 - p, n) / (1 - p)
            for step in range(steps)]
""",
        ],
        check=check_masks,
        power="1000 coins at 0.25: a rate off by 0.12 is found 99 times in 100; equal masks are "
              "found for certain",
        in_page=True,
        harmless={
            "random.random() < p -> random.random() <= p": "a coin equals p once in 2^53 tosses",
        },
        hints=[
            "What does `random.seed(seed)` do to the coins that come after it?",
            "It puts the generator back to one place. How often should that happen in a run?",
            "Once: before the loop.",
        ],
        solution="""
The seed says where a run begins. Set inside the loop, it begins anew in each step. (A seed for each
step made of both, as the third answer below has it, is right too; their sum is not, for step 1 of
seed 7 would then be step 0 of seed 8.)
""",
        wrong=[
            Wrong("""
import random

def masks(steps, n, p, seed):
    out = []
    for step in range(steps):
        out.append([0.0 if random.random() < p else 1 / (1 - p) for _ in range(n)])
    return out
""", "Without any seed every step tosses anew, and every run too: nobody can repeat it."),
            Wrong("""
import random

def masks(steps, n, p, seed):
    out = []
    for step in range(steps):
        random.seed(seed + step)
        out.append([0.0 if random.random() < p else 1 / (1 - p) for _ in range(n)])
    return out
""", "A sum of seed and step is the same number for many pairs. Runs with neighbouring seeds, by "
     "which people see how much a result varies, then share nearly all of their masks."),
            Wrong("""
import random

def masks(steps, n, p, seed):
    out = []
    for step in range(steps):
        random.seed(step)
        out.append([0.0 if random.random() < p else 1 / (1 - p) for _ in range(n)])
    return out
""", "The step alone settles the coins. Every run drops the same, whatever its seed."),
            Wrong("""
import random

def masks(steps, n, p, seed):
    random.seed(seed)
    mask = [0.0 if random.random() < p else 1 / (1 - p) for _ in range(n)]
    return [mask for step in range(steps)]
""", "The seed is where it belongs, but the mask is drawn once and handed out again and again."),
            Slip("0.0 if random.random() < p else", "0.0 if random.random() < 1 - p else",
                 "You drop with probability `1 - p`."),
            Slip("1 / (1 - p)", "1.0", "The factor that makes up for what is dropped is missing."),
            Slip("1 / (1 - p)", "1 / p", "The factor is one over the probability to be *kept*."),
            Wrong("""
import random

def masks(steps, n, p, seed):
    out = []
    for step in range(steps):
        random.seed(seed if step < 2 else seed + 1000)
        out.append([0.0 if random.random() < p else 1 / (1 - p) for _ in range(n)])
    return out
""", "Some steps begin at the same place of the generator as others. Two equal masks are two too "
     "many."),
        ],
    )
)  # fmt: skip


def check_network(Network):
    import torch

    yield expect(
        "it is a class of modules",
        isinstance(Network, type) and issubclass(Network, torch.nn.Module),
        "`Network` is no class derived from `torch.nn.Module`.",
        "give the class itself to `q.check`",
    )  # fmt: skip
    x = torch.ones(400, 8)
    net = Network(0.25)
    with torch.no_grad():
        for weight in net.parameters():
            weight.fill_(1.0)
    net.train()
    calm = torch.equal(net(x), net(x))
    net.eval()
    first, second = net(x), net(x)
    with torch.no_grad():
        silent = torch.equal(net(x), net(x))
    good = isinstance(first, torch.Tensor) and tuple(first.shape) == (400, 3)
    yield expect(
        "it gives three numbers for each row", good,
        f"For a batch of 400 rows comes {tuple(first.shape)}." if isinstance(first, torch.Tensor)
        else "What comes is no tensor.",
        "leave the layers as they are",
    )  # fmt: skip
    yield expect(
        "two evaluations are equal", torch.equal(first, second),
        "After `net.eval()`, two calls with the same batch differ.",
        "how does the line with the dropout learn in which mode the network is?",
        "inverted" if calm else "gradients" if silent else "always",
    )  # fmt: skip
    whole = first[0, 0].item()  # 64 units of 9, and the bias
    yield expect(
        "evaluation uses every unit as it is", abs(whole - 577) < 0.01,
        f"With all weights 1 and x = 1 the output is {whole:.4g} in evaluation; 577 is wanted.",
        "in evaluation the line with the dropout should change nothing",
    )  # fmt: skip
    net.train()
    state = torch.random.get_rng_state()
    out, again = net(x), net(x)
    moved = not torch.equal(state, torch.random.get_rng_state())
    yield expect(
        "it drops in training", not torch.equal(out, first),
        "After `net.train()` comes what comes after `net.eval()`.",
        "which mode is `self.training` True in?",
    )  # fmt: skip
    yield expect(
        "two passes in training differ", not torch.equal(out, again),
        "After `net.train()`, two calls with the same batch are equal, and drop.",
        "set no seed in `forward`, and keep no mask",
        "moved" if moved else "still",
    )  # fmt: skip
    units = (out[:, 0] - 1) / 9 * 0.75
    counts = units.round()
    fair = (units - counts).abs().max() < 1e-3
    yield expect(
        "hidden units drop, and outputs do not", bool((out != 0).all()),
        "With all weights and biases 1 some outputs are 0 in training; the bias alone is 1.",
        "what stands behind the dropout, and what before it?",
    )  # fmt: skip
    threes = bool((counts % 3 == 0).all())  # as for a factor of 4
    yield expect(
        "survivors are divided by 1 − p once", bool(fair) and not threes,
        f"At p = 0.25 with all weights 1 an output is {out[0, 0].item():.6g}, which is not 1 plus "
        "12 for each unit that is kept.",
        "which rate is the factor made of, and how many lines scale?",
        "swapped" if threes else "other",
    )  # fmt: skip
    yield expect(
        "each row has a mask of its own", bool((out != out[:1]).any()),
        "All 400 rows are equal, and so are their outputs in training.",
        "a mask needs a coin for each number of the batch",
    )  # fmt: skip
    yield expect(
        "units drop one by one", bool(((counts > 0) & (counts < 64)).all()),
        "In training some rows keep none or all of their 64 units.",
        "which axis does this dropout take for channels?",
    )  # fmt: skip
    total = int(counts.sum())
    yield expect(
        "a share of 1 − p is kept", plausible(total, 400 * 64, 0.75),
        f"At p = 0.25, {total / 256:.1f}% of the hidden units are kept; 75% are wanted.",
        "count the dropouts that a unit has to pass, and look at their rates",
    )  # fmt: skip


EXERCISES.append(
    Code(
        id="15.6",
        title="Find the bug: a network that never calms down",
        trains="functional dropout and the mode of its module",
        question=r"""
This network goes on dropping after `net.eval()`. Mend it: dropout at rate `p` in training, each
number with a coin of its own, and none in evaluation. Leave the linear layers as they are.
""",
        given="""
import torch
import torch.nn.functional as F
from torch import nn

class Network(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.p = p
        self.lift, self.out = nn.Linear(8, 64), nn.Linear(64, 3)

    def forward(self, x):
        h = F.dropout(torch.relu(self.lift(x)), self.p)
        return self.out(h)
""",
        code="""
import torch
import torch.nn.functional as F
from torch import nn

class Network(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.p = p
        self.lift, self.out = nn.Linear(8, 64), nn.Linear(64, 3)

    def forward(self, x):
        h = F.dropout(torch.relu(self.lift(x)), self.p, training=self.training)
        return self.out(h)
""",
        alike=[
            """
import torch
from torch import nn

class Network(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.lift, self.out = nn.Linear(8, 64), nn.Linear(64, 3)
        self.drop = nn.Dropout(p)

    def forward(self, x):
        return self.out(self.drop(torch.relu(self.lift(x))))
""",
            """
import torch
from torch import nn

class Network(nn.Sequential):
    def __init__(self, p):
        super().__init__(nn.Linear(8, 64), nn.ReLU(), nn.Dropout(p), nn.Linear(64, 3))
""",
            """
import torch
from torch import nn

class Network(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.q = 1 - p
        self.lift, self.out = nn.Linear(8, 64), nn.Linear(64, 3)

    def forward(self, x):
        h = torch.relu(self.lift(x))
        if self.training:
            h = h * torch.bernoulli(torch.full_like(h, self.q)) / self.q
        return self.out(h)
""",
        ],
        check=check_network,
        takes="object",
        power="25600 coins at 0.25: a rate off by 0.025 is found 99 times in 100",
        hints=[
            "What is the default of `training` in `F.dropout`?",
            "It is True, in every mode. The module knows its mode as `self.training`.",
            "`F.dropout(…, self.p, training=self.training)`, or `nn.Dropout(p)` as an attribute.",
        ],
        solution="""
A function knows no module: it must be told the mode. A layer that is an attribute is told by
`net.eval()`.
""",
        wrong=[
            Slip("training=self.training", "training=True", "That is the default, written out."),
            Slip("training=self.training", "training=not self.training",
                 "The two modes are exchanged: it drops in evaluation, and only there."),
            Slip("training=self.training", "training=False",
                 "Now nothing drops in either mode, and the rate is idle."),
            Slip("training=self.training", "training=torch.is_grad_enabled()",
                 "Gradients are another matter. Whoever evaluates without `no_grad()` still gets "
                 "noise, and a validation under `no_grad()` in training mode gets none."),
            Slip("        return self.out(h)",
                 "        h = F.dropout(h, self.p, training=self.training)\n"
                 "        return self.out(h)",
                 "A unit now has to pass two dropouts, which together drop more than `p`."),
            Slip("        return self.out(h)",
                 "        return self.out(h if self.training else (1 - self.p) * h)",
                 "The factor at test time belongs to the paper's dropout. This one has scaled in "
                 "training already."),
            Slip("        return self.out(h)",
                 "        h = torch.relu(self.lift(x))\n"
                 "        return F.dropout(self.out(h), self.p, training=self.training)",
                 "Your coins fall on the three outputs. What is lost there nothing behind can make "
                 "up for; it was the hidden layer that dropped."),
            Slip("F.dropout(", "F.dropout1d(", "`dropout1d` takes a batch of rows for one example "
                 "whose channels are the rows, and deletes whole rows."),
            Slip("        h = F", "        torch.manual_seed(0)\n        h = F",
                 "The coins now fall alike in every pass. A seed belongs before the training."),
            Slip("F.dropout(torch.relu(self.lift(x)), self.p, training=self.training)",
                 "torch.relu(self.lift(x)) * F.dropout(torch.ones(64), self.p, self.training)",
                 "One row of coins serves the whole batch: right on average, and noisier than it "
                 "need be."),
            Slip("self.p, training", "1 - self.p, training",
                 "That drops with the probability to keep."),
        ],
    )
)  # fmt: skip


def check_diagnose(diagnose):
    import torch
    import torch.nn.functional as F
    from torch import nn

    class Part(nn.Module):
        def __init__(self, way):
            super().__init__()
            self.way, self.lift, self.out = way, nn.Linear(8, 400), nn.Linear(400, 2)

        def forward(self, x):
            h = torch.relu(self.lift(x))
            if self.way == "sound":
                h = F.dropout(h, 0.5, self.training)
            if self.way == "always":
                h = F.dropout(h, 0.5)
            if self.way == "inverted":
                h = F.dropout(h, 0.5, not self.training)
            if self.way == "seeded" and self.training:
                coins = torch.rand(h.shape, generator=torch.Generator().manual_seed(3))
                h = h * (coins > 0.5) / 0.5
            return self.out(h)

    names = "drops-in-evaluation", "idle", "same-mask", "sound"
    cases = (
        ("a sound model is sound", "sound", "sound"),
        ("dropout in both modes is found", "always", "drops-in-evaluation"),
        ("dropout that never acts is found", "nothing", "idle"),
        ("a mask that repeats is found", "seeded", "same-mask"),
        ("dropout in evaluation alone is found", "inverted", "drops-in-evaluation"),
    )
    resting = diagnose(Part("sound").eval(), torch.ones(16, 8))
    for claim, way, wanted in cases:
        found = diagnose(Part(way), torch.ones(16, 8))
        text = found if found in names else repr(found)[:40]
        yield expect(
            claim, found == wanted, f"A model of this kind is called {text}.",
            "which of the four comparisons tells it from the others?",
            f"{way} {text} {resting in names and resting}",
        )  # fmt: skip
    for mode in (True, False):
        model = Part("sound")
        model.train(mode)
        diagnose(model, torch.ones(16, 8))
        word = "training" if mode else "evaluation"
        yield expect(
            f"a model that comes in {word} mode leaves in it", model.training == mode,
            f"The model was in {word} mode, and is so no more.",
            "note `model.training` at the beginning, and put it back",
        )  # fmt: skip


EXERCISES.append(
    Code(
        id="15.7",
        title="An auditor in ten lines",
        trains="the facts that a sound model obeys",
        question=r"""
Write `diagnose(model, x)`. From runs of `model(x)`, which gives a tensor, it returns one text:

- `"drops-in-evaluation"` if two evaluations differ, whatever happens in training;
- `"idle"` if training gives what evaluation gives;
- `"same-mask"` if training differs from evaluation, but two passes in training are equal;
- `"sound"` otherwise.

Then the model must be in the mode in which it came. (A real dropout layer lets two passes agree by
chance once in a very long time; leave that aside.)
""",
        given="""
import torch

def diagnose(model, x):
    ...
""",
        code="""
import torch

def diagnose(model, x):
    mode = model.training
    model.eval()
    calm, again = model(x), model(x)
    model.train()
    first, second = model(x), model(x)
    model.train(mode)
    if not torch.equal(calm, again):
        return "drops-in-evaluation"
    if torch.equal(first, calm):
        return "idle"
    if torch.equal(first, second):
        return "same-mask"
    return "sound"
""",
        alike=[
            """
import torch

@torch.no_grad()
def diagnose(model, x):
    was = model.training
    outs = []
    for mode in (False, False, True, True):
        outs.append(model.train(mode)(x))
    model.train(was)
    apart = lambda a, b: float((outs[a] - outs[b]).abs().max()) > 0
    if apart(0, 1):
        return "drops-in-evaluation"
    if not apart(0, 2):
        return "idle"
    return "sound" if apart(2, 3) else "same-mask"
""",
            """
import copy
import torch

def diagnose(model, x):
    twin = copy.deepcopy(model)
    twin.train()
    a, b = twin(x), twin(x)
    twin.eval()
    c, d = twin(x), twin(x)
    if (c != d).any():
        return "drops-in-evaluation"
    if (a == c).all():
        return "idle"
    return "same-mask" if (a == b).all() else "sound"
""",
        ],
        check=check_diagnose,
        takes="object",
        power="6400 coins for each pass: two passes agree by chance less than once in 10^1000",
        hints=[
            "Four outputs are enough: two in each mode. Take them all before you compare.",
            "Ask in the order of the list: the first comparison that decides, returns.",
            "Note `mode = model.training` first, and end the runs with `model.train(mode)`.",
        ],
        solution="""
Four outputs and three comparisons. The auditor of the library begins like this; it then asks which
layer it was, at which line, and how much it costs.
""",
        wrong=[
            Slip("    model.eval()\n", "", "You never go to evaluation mode, so what you call an "
                 "evaluation is a pass in the mode in which the model came."),
            Slip("    model.train()\n", "", "You never go to training mode, and the passes that "
                 "should toss coins do not."),
            Slip("    model.train(mode)\n", "", "The model comes back in training mode, always: "
                 "whoever audits before deployment deploys dropout."),
            Slip("    model.train(mode)\n", "    model.eval()\n", "The model comes back in "
                 "evaluation mode, always: the training that goes on has no dropout."),
            Slip("""    if torch.equal(first, calm):
        return "idle"
    if torch.equal(first, second):
        return "same-mask"
""", """    if torch.equal(first, second):
        return "same-mask"
""", "Passes in training are also equal where nothing drops at all. Compare with evaluation "
     "first."),
            Slip("""    if torch.equal(first, second):
        return "same-mask"
""", "", "You do not compare two passes in training with each other."),
            Slip("""    if not torch.equal(calm, again):
        return "drops-in-evaluation"
""", "", "Evaluation must be compared with evaluation too."),
            Slip("if not torch.equal(calm, again):", "if not torch.equal(calm, first):",
                 "A sound model differs between its modes: that is what dropout does. Compare "
                 "evaluation with evaluation."),
        ],
    )
)  # fmt: skip
