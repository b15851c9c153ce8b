"""Chapter 16, GPU and scale."""

from dropout.exercises.forms import Choice, Code, Exercise, Formula, Number, Slip, Wrong
from dropout.exercises.probes import close, expect, saw

EXERCISES: list[Exercise] = []

# ---- by hand ------------------------------------------------------------------------------------

EXERCISES.append(
    Number(
        id="16.1",
        title="The mask of the attention weights",
        trains="where the memory of dropout goes",
        question=r"""
A layer of a transformer has 16 heads. A batch has 4 sequences of 2048 tokens. Dropout acts on the
attention weights, and its mask is kept for backward, one byte for each weight. How many MiB is
that, for one layer? (1 MiB is $2^{20}$ bytes.)
""",
        answer=256,
        within=0.01,
        unit="MiB",
        follows="For each of the 4 sequences and 16 heads that would be {answer / 64} MiB, or "
                "{answer * 16384} weights.",
        hints=[
            "Each head has a weight for each pair of tokens.",
            "That is $2048^2 = 2^{22}$ weights for a head of a sequence.",
            "$4 \\cdot 16 \\cdot 2^{22} = 2^{28}$ bytes.",
        ],
        solution=r"""
A head has $2048^2 = 2^{22}$ weights for each sequence, and there are $4 \cdot 16 = 2^6$ of these:
$2^{28}$ bytes, or 256 MiB. Thirty such layers keep 7.5 GiB of coins.
""",
        wrong=[
            Wrong(16, "That is one head's. Every head has a matrix of its own."),
            Wrong(64, "You have left out that there are 4 sequences in the batch."),
            Wrong(32, "That would do if a mask were kept as bits. Here it is a byte for each "
                      "weight."),
            Wrong(1024, "That is what a mask in float32 takes, as on a CPU. Here it is a byte for "
                        "each weight."),
            Wrong(0.125, "You have counted a weight for each token. Attention has one for each "
                         "*pair* of tokens."),
        ],
    )
)  # fmt: skip

EXERCISES.append(
    Number(
        id="16.2",
        title="One seed on eight ranks",
        trains="which part of the noise ranks average out",
        question=r"""
The gradient of one rank has variance 12: 4 from its data alone, 2 from its mask alone, 6 from both
together. Eight ranks with data of their own average their gradients. By mistake all have the same
seed, and so the same mask. What is the variance of the average?
""",
        answer=3.25,
        within=0.01,
        follows="Independent masks would give 1.5. So the mistake would have changed the variance "
                "by {answer - 1.5}.",
        hints=[
            "Which of the three parts do the eight ranks have in common?",
            "Only what the mask does by itself. The other two are divided by 8.",
            "$(4 + 6)/8 + 2$.",
        ],
        solution=r"""
The data are independent, and so is what data and mask do together, given the mask: these average
out, $(4 + 6)/8 = 1.25$. What the mask does by itself is the same on all ranks: 2 stays. Together
3.25, where independent masks have $12/8 = 1.5$.
""",
        wrong=[
            Wrong(1.5, "That is with a mask of its own for each rank."),
            Wrong(12, "The data of the ranks differ, and their noise does average out."),
            Wrong(8.5, "Only what the mask does *by itself* is the same on all ranks. What it does "
                       "together with the data differs from rank to rank."),
            Wrong(2, "That is the floor, for endlessly many ranks. With eight there is more."),
            Wrong(1.25, "You have let the mask's own part vanish. It is the one part that is the "
                        "same on all ranks."),
        ],
    )
)  # fmt: skip

# ---- choices ------------------------------------------------------------------------------------

EXERCISES.append(
    Choice(
        id="16.3",
        title="Which arm ends worst",
        trains="what coins do to units that began alike",
        question=r"""
The next figure shows the test losses of networks of 64 hidden units in eight shards of eight, with
dropout at $p = 0.5$ or without. "Weights alike" means that all shards began with the same random
weights, "masks alike" that they have the same coins at every step. Which of these ends with the
highest loss?
""",
        options={
            "a": "Nothing alike",
            "b": "Masks alike, weights of their own",
            "c": "Weights alike, masks of their own",
            "d": "Weights alike, no dropout",
            "e": "Weights and masks alike",
        },
        answer="e",
        reveals="fig-twins",
        hints=[
            "In which arms do twins stay twins? There the network has eight units, in effect.",
            "Two arms are like that. One of them also drops, at a rate of one half. What does a "
            "coin drop there?",
        ],
        solution=r"""
Without dropout and with shared coins the twins never part: eight units in effect. With shared coins
each coin takes all eight twins of a unit, so that it is dropout at one half on a network of eight
units, which is far too much for it.
""",
        wrong=[
            Wrong("a", "This is an ordinary network with ordinary dropout."),
            Wrong("b", "Units that began with weights of their own go on learning different "
                       "things, also where they drop together."),
            Wrong("c", "Coins of their own send different numbers from twins, and bring different "
                       "gradients back. What does that do to weights that are equal?"),
            Wrong("d", "It has eight different units, in effect. So has another arm. Which of the "
                       "two has more noise?"),
        ],
    )
)  # fmt: skip

EXERCISES.append(
    Choice(
        id="16.4",
        title="Copies that differ",
        trains="what each part of a block asks of the seeds",
        question=r"""
Four tensor-parallel ranks run a transformer's block; each rank has set
`torch.manual_seed(1000 * seed + rank)`. A debugging print compares what must be equal on all ranks:

| place | equal on all ranks |
|---|---|
| input of the block | yes |
| sum over ranks after the second layer | yes |
| after the dropout on that sum | no, half of the elements differ |
| input of the next block | no |

What is wrong?
""",
        options={
            "a": "Sums in floating point differ in the last digits from rank to rank.",
            "b": "The ranks should have one seed for everything.",
            "c": "That dropout acts on copies of one tensor, and copies need the same coins; only "
                 "parts need coins of their own.",
            "d": "Nothing: the ranks are seeded apart, so masks differ, as they should.",
        },
        answer="c",
        hints=[
            "Does a rank have a part of the sum, or the whole of it?",
            "Before the sum each rank has units of its own. After it all have the same tensor.",
        ],
        solution=r"""
After the sum all ranks hold the same tensor. One process would toss one set of coins for it, so all
copies must have the same. Before the sum each rank has other units, which need coins of their own.
It takes two rules in one block, or coins that are named by their place in the whole.
""",
        wrong=[
            Wrong("a", "Rounding does not make half of the elements differ, and the row above says "
                       "that the sums are equal."),
            Wrong("b", "That would mend the copies. But look at the dropout between the two "
                       "layers, where each rank has units of its own."),
            Wrong("d", "The ranks now go on with different tensors where one process has one. The "
                       "next sum mixes four networks that do not exist."),
        ],
    )
)  # fmt: skip

# ---- a formula ----------------------------------------------------------------------------------

EXERCISES.append(
    Formula(
        id="16.5",
        title="As if by another seed",
        trains="how many fates change when a mask moves",
        question=r"""
A mask of $n$ elements at rate $p$ is drawn again from another seed. How many elements change their
fate, on average: drop where they were kept, or are kept where they dropped? In `n` and `p`.
""",
        answer="2 n p (1 - p)",
        names={"n": (1, 2, 10, 100), "p": (0.0, 0.1, 0.25, 0.5, 0.8)},
        also={"q": "1 - p"},
        equal=["2npq", "n (1 - p^2 - q^2)", "n - n*(p^2 + (1-p)^2)", "2*n*(p - p^2)"],
        hints=[
            "For one element: what is the chance that it dropped and is now kept?",
            "$p q$. And the other way round?",
        ],
        solution=r"""
It dropped and is kept with $pq$, was kept and drops with $qp$: $2pq$ for each element, $2npq$ in
all. At $p = \frac12$ that is half of them, at $p = 0.1$ less than a fifth.
""",
        wrong=[
            Wrong("n p (1 - p)", "An element can change in two ways."),
            Wrong("n / 2", "That is so at $p = \\frac12$. At $p = 0$ nothing can change."),
            Wrong("n p", "That is how many drop in one mask. Some of them also drop in the other."),
            Wrong("n (p^2 + (1 - p)^2)", "That is how many keep their fate."),
        ],
    )
)  # fmt: skip

# ---- code ---------------------------------------------------------------------------------------


def check_part(part):
    lanes = [10, 3, 8, 1, 7, 6, 9, 4, 0, 2, 11, 5]
    out = part(lanes, [3, 4], [0, 0], [3, 4], 5)
    rows = (
        [len(row) if isinstance(row, list) else 0 for row in out]
        if isinstance(out, list)
        else "no list"
    )
    yield expect(
        "there is a row for each row of the part", rows == [4, 4, 4],
        f"For a part of 3 rows and 4 columns there are rows of {rows} numbers.",
        "return a list of `size[0]` lists of `size[1]` numbers",
    )  # fmt: skip
    want = [[1, 0, 1, 0], [1, 1, 1, 0], [0, 0, 1, 1]]
    yield expect(
        "the whole as its own part is the mask of the whole", close(out, want),
        saw(part, out, want),
        "number the elements row after row, and compare the lane of each with `t`",
    )  # fmt: skip
    out = part(lanes, [3, 4], [2, 0], [1, 4], 5)
    yield expect(
        "a part that starts at another row has the whole's rows from there on",
        close(out, [[0, 0, 1, 1]]), saw(part, out, [[0, 0, 1, 1]]),
        "number the elements by their row and column in the *whole*",
    )  # fmt: skip
    out = part(lanes, [3, 4], [0, 2], [3, 2], 5)
    want = [[1, 0], [1, 0], [1, 1]]
    yield expect(
        "a part of some columns has these columns of the whole", close(out, want),
        saw(part, out, want), "one row on is as many elements on as the *whole* has columns",
    )  # fmt: skip
    out = part(lanes, [3, 4], [1, 1], [2, 2], 7)
    want = [[0, 1], [0, 1]]
    yield expect(
        "a part can start at any row and column", close(out, want), saw(part, out, want),
        "add both starts",
    )  # fmt: skip


EXERCISES.append(
    Code(
        id="16.6",
        title="Find the bug: parts that do not fit",
        trains="numbering elements by their place in the whole",
        question=r"""
A mask of `whole = [rows, columns]` elements has a coin for each element: `lanes`, a list in order,
row after row. An element drops if its lane is below `t`. `part(lanes, whole, start, size, t)` is to
return the mask, 1 for kept and 0 for dropped, of a part of `size = [rows, columns]` that begins at
row `start[0]` and column `start[1]` of the whole, as a list of rows. The parts of several processes
must fit together to the mask of the whole. Here they do not. Mend it.
""",
        given="""
def part(lanes, whole, start, size, t):
    mask = []
    for row in range(size[0]):
        line = []
        for column in range(size[1]):
            number = row * size[1] + column
            line.append(1 if lanes[number] >= t else 0)
        mask.append(line)
    return mask
""",
        code="""
def part(lanes, whole, start, size, t):
    mask = []
    for row in range(size[0]):
        line = []
        for column in range(size[1]):
            number = (start[0] + row) * whole[1] + start[1] + column
            line.append(1 if lanes[number] >= t else 0)
        mask.append(line)
    return mask
""",
        alike=[
            """
import numpy as np

def part(lanes, whole, start, size, t):
    mask = np.reshape(lanes, [int(n) for n in whole]) >= t
    (r, c), (h, w) = [int(n) for n in start], [int(n) for n in size]
    return mask[r : r + h, c : c + w].astype(int)
""",
            """
def part(lanes, whole, start, size, t):
    columns = whole[1]
    first = start[0] * columns + start[1]
    starts = [first + row * columns for row in range(size[0])]
    return [[int(lane >= t) for lane in lanes[s : s + size[1]]] for s in starts]
""",
            """
def part(lanes, whole, start, size, t):
    rows = [lanes[k * whole[1] : (k + 1) * whole[1]] for k in range(whole[0])]
    chosen = rows[start[0] : start[0] + size[0]]
    return [[0 if x < t else 1 for x in row[start[1] : start[1] + size[1]]] for row in chosen]
""",
        ],
        check=check_part,
        in_page=True,
        hints=[
            "What does `number` count: elements of the part, or of the whole?",
            "The part's row `row` is the whole's row `start[0] + row`.",
            "A row of the whole has `whole[1]` elements, also where the part has fewer.",
        ],
        solution="""
An element's number is its place in the whole: its row there times the whole's columns, plus its
column there. Numbered within the part, every process asks for the first lanes, and all have the
same mask.
""",
        wrong=[
            Slip("(start[0] + row) * whole[1] + start[1] + column",
                 "(start[0] + row) * size[1] + start[1] + column",
                 "You add the starts, and still step by the rows of the part."),
            Slip("(start[0] + row) * whole[1] + start[1] + column",
                 "row * whole[1] + start[1] + column",
                 "The columns are right now. Which row of the whole is the part's row 0?"),
            Slip("(start[0] + row) * whole[1] + start[1] + column",
                 "(start[0] + row) * whole[1] + column",
                 "The rows are right now. Which column of the whole is the part's column 0?"),
            Slip("(start[0] + row) * whole[1] + start[1] + column",
                 "(start[1] + column) * whole[0] + start[0] + row",
                 "You number column after column. The lanes are stored row after row."),
            Slip("lanes[number] >= t", "lanes[number] > t",
                 "A lane that is *equal* to the threshold is not below it, and its element is "
                 "kept."),
            Slip("1 if lanes[number] >= t else 0", "1 if lanes[number] < t else 0",
                 "You return 1 where an element drops."),
            Slip("mask.append(line)", "mask.extend(line)",
                 "You put all numbers into one list. The mask has rows."),
        ],
    )
)  # fmt: skip


def check_variance(variance):
    table, even = [[1.0, 3.0], [5.0, 11.0]], [0.5, 0.5]
    out = variance(table, even, 1, 0)
    yield expect(
        "one rank has the variance over examples and masks", close(out, 14.0),
        saw(variance, out, 14.0), "take the mean and then the mean square from it, over the table",
    )  # fmt: skip
    out = variance(table, even, 2, 0)
    yield expect(
        "two ranks with masks of their own have half of it", close(out, 7.0),
        saw(variance, out, 7.0), "independent gradients: divide by the number of ranks",
    )  # fmt: skip
    out = variance(table, even, 2, 1)
    yield expect(
        "with one mask the mask's own part is not divided", close(out, 9.0),
        saw(variance, out, 9.0),
        "the mask's own part is the variance, over masks, of the mean over examples",
    )  # fmt: skip
    out = variance(table, even, 1, 1)
    yield expect(
        "for one rank one mask is as good as another", close(out, 14.0),
        saw(variance, out, 14.0), "put 1 for the number of ranks into your formula",
    )  # fmt: skip
    out = variance(table, [0.25, 0.75], 4, 1)
    yield expect(
        "masks count with their probabilities", close(out, 6.25), saw(variance, out, 6.25),
        "weigh each mask by its `chance`, in every mean over masks",
    )  # fmt: skip
    out = variance([[2.0, 4.0], [2.0, 4.0], [2.0, 4.0]], even, 100, 1)
    yield expect(
        "if examples do not matter, ranks average nothing out", close(out, 1.0),
        saw(variance, out, 1.0), "what is the mask's own part here, and what is left of the rest?",
    )  # fmt: skip


EXERCISES.append(
    Code(
        id="16.7",
        title="The noise of R ranks",
        trains="splitting a variance into what is shared and what is not",
        question=r"""
`table[d][k]` is the gradient that example `d` gives under mask `k`. Examples are equally likely,
mask `k` has probability `chance[k]`. Each of `ranks` processes draws an example of its own; with
`alike` 0 each also draws a mask of its own, with `alike` 1 there is one mask for all. Write
`variance(table, chance, ranks, alike)`: the variance of the mean of their gradients.
""",
        given="""
def variance(table, chance, ranks, alike):
    ...
""",
        code="""
def variance(table, chance, ranks, alike):
    examples = len(table)
    by_mask = [sum(row[k] for row in table) / examples for k in range(len(chance))]
    mean = sum(c * m for c, m in zip(chance, by_mask))
    total = sum(c * (row[k] - mean) ** 2 for row in table for k, c in enumerate(chance))
    total = total / examples
    own = sum(c * (m - mean) ** 2 for c, m in zip(chance, by_mask))
    return (total - own) / ranks + own if alike else total / ranks
""",
        alike=[
            """
import numpy as np

def variance(table, chance, ranks, alike):
    g, chance = np.asarray(table), np.asarray(chance)
    mean = (g @ chance).mean()
    total = ((g - mean) ** 2 @ chance).mean()
    covariance = chance @ (g.mean(0) - mean) ** 2 if alike else 0.0
    return total / ranks + (1 - 1 / ranks) * covariance
""",
            """
import torch

def variance(table, chance, ranks, alike):
    g = torch.as_tensor(table).double()
    c = torch.as_tensor(chance).double()
    mean = (g * c).sum() / len(g)
    second = (g**2 * c).sum() / len(g)
    if not alike:
        return (second - mean**2) / ranks
    given = (g**2).mean(0) - g.mean(0) ** 2  # the variance over examples, given the mask
    return (given * c).sum() / ranks + (g.mean(0) ** 2 * c).sum() - mean**2
""",
        ],
        check=check_variance,
        in_page=True,
        hints=[
            "Total variance: over examples and masks together. The mask's own part: the variance, "
            "over masks, of the mean over examples.",
            "With masks of their own the ranks are independent: the total divided by `ranks`.",
            "With one mask only the rest, total minus own part, is divided.",
        ],
        solution="""
Given the mask the ranks are independent, and their mean is the mask's mean over examples. So with
one mask the variance is the mean over masks of the variance over examples, divided by the ranks,
plus the variance over masks of the mean over examples, which is not divided.
""",
        wrong=[
            Slip("(total - own) / ranks + own if alike else total / ranks", "total / ranks",
                 "You divide by the ranks in both cases, as if each had a mask of its own."),
            Slip("(total - own) / ranks + own if alike else total / ranks",
                 "total if alike else total / ranks",
                 "With one mask you average out nothing. The examples still differ from rank to "
                 "rank."),
            Slip("(total - own) / ranks + own if alike else total / ranks",
                 "total / ranks + own if alike else total / ranks",
                 "You count the mask's own part twice: it is in the total too."),
            Slip("(total - own) / ranks + own if alike else total / ranks",
                 "own if alike else total / ranks",
                 "That is the floor, which endlessly many ranks come down to."),
            Slip("total = total / examples", "total = total / (examples - 1)",
                 "You divide by one less than the number of examples, as for a sample. The table "
                 "is all there is."),
            Slip("by_mask = [sum(row[k] for row in table) / examples for k in range(len(chance))]",
                 "by_mask = [sum(row[k] for row in table) / examples for k in range(len(chance))]\n"
                 "    chance = [1 / len(chance)] * len(chance)",
                 "You take all masks for equally likely."),
            Slip("own = sum(c * (m - mean) ** 2 for c, m in zip(chance, by_mask))",
                 "own = sum((sum(c * x for c, x in zip(chance, row)) - mean) ** 2 "
                 "for row in table) / examples",
                 "What you leave undivided is the *data's* own part. The data differ from rank to "
                 "rank; the mask does not."),
        ],
    )
)  # fmt: skip
