"""Chapter 14, does it work?"""

from dropout.exercises.forms import Choice, Code, Exercise, Formula, Number, Open, Slip, Wrong
from dropout.exercises.probes import close, expect, saw, shown

EXERCISES: list[Exercise] = []

# ---- by hand ------------------------------------------------------------------------------------

EXERCISES.append(
    Number(
        id="14.1",
        title="Through two points",
        trains="reading a curve of averages by its formula",
        question=r"""
The error of an average over $k$ sub-networks is about $e + a/k$: what is left, $e$, and a price for
having only $k$. From the plot of figure 11 one reads 1.28 % at $k = 3$ and 1.105 % at $k = 9$.
Which error, in percent, does the formula through these two points give at $k = 20$?
""",
        answer=1.056875,
        within=0.004,
        unit="percent",
        follows="From 9 to 20 sub-networks the error would change by {answer - 1.105} points, "
                "where from 3 to 9 it changed by -0.175.",
        hints=[
            "Two equations: $e + a/3 = 1.28$ and $e + a/9 = 1.105$. Subtract them.",
            "$a (\\frac13 - \\frac19) = 0.175$, so that $a = 0.7875$.",
            "$e = 1.28 - 0.7875/3 = 1.0175$. Add $a/20$.",
        ],
        solution=r"""
From $a(\frac13 - \frac19) = 0.175$ comes $a = 0.7875$, and $e = 1.28 - 0.2625 = 1.0175$. At
$k = 20$ that is $1.0175 + 0.0394 = 1.057$ %. The plot shows about 1.07, read to within 0.03: two
points predict the third. The formula also says what more averaging can still buy from here: 0.04
points.
""",
        wrong=[
            Wrong(0.784167, "You have gone on in a straight line in $k$. Each further sub-network "
                            "buys less than the one before, and no line ever levels off."),
            Wrong(0.977809, "You have gone on in a straight line in $\\log k$, which is how the "
                            "eye reads an axis of that kind. It has no floor: it would end below "
                            "zero."),
            Wrong(1.0175, "That is $e$, what endlessly many sub-networks would leave. Twenty still "
                          "pay $a/20$."),
            Wrong(0.192, "You have let the whole error shrink like $1/k$. Averaging removes what "
                         "sub-networks disagree on, and leaves what all get wrong."),
            Wrong(1.026252, "You have taken $a/\\sqrt k$. So a standard error falls; what is added "
                            "to the *mean* error falls like the variance."),
            Wrong(1.07, "That is what the plot itself shows there, more or less. Asked is what the "
                        "formula says that knows of $k = 3$ and $k = 9$ only."),
        ],
    )
)  # fmt: skip

EXERCISES.append(
    Number(
        id="14.2",
        title="Plus or minus what?",
        trains="asking what stands behind a ±",
        question=r"""
Table 10 gives for MNIST the mean error of ten networks with dropout, 1.08 ± 0.04 %, and of ten with
normal noise, 0.95 ± 0.04 %. It does not say what the ± is. Suppose it is the *standard error of
each mean*, and the twenty networks are independent. How many standard errors of the difference is
the difference?
""",
        answer=2.298097,
        within=0.01,
        hints=[
            "The difference is 0.13. How uncertain is a difference of two uncertain numbers?",
            "Their variances add: $0.04^2 + 0.04^2$.",
            "Its standard error is $0.04 \\sqrt 2$. Divide 0.13 by it.",
        ],
        solution=r"""
The standard error of the difference is $\sqrt{0.04^2 + 0.04^2} = 0.0566$, and
$0.13 / 0.0566 = 2.3$. If the ± is the standard deviation of the *networks*, each mean has the
standard error $0.04 / \sqrt{10} = 0.0126$, and the same difference is 7.3 standard errors. The one
is a fair hint, the other leaves no doubt. For CIFAR-10, 12.6 ± 0.1 against 12.5 ± 0.1, it is 0.7
or, with ten networks each, 2.2: there the reading decides whether there is a difference at all.
""",
        wrong=[
            Wrong(3.25, "You have divided by the uncertainty of one mean. The other is no more "
                        "certain than that."),
            Wrong(1.625, "You have added the two standard errors. Errors that are independent do "
                         "not always point the same way: it is their squares that add."),
            Wrong(7.2672, "That is so if the ± is the standard deviation of the networks. Here it "
                          "is already that of the mean: do not divide by $\\sqrt{10}$ again."),
            Wrong(10.277, "You have divided by $0.04/\\sqrt{10}$: the ± is already that of a mean, "
                          "and there are two means."),
            Wrong(40.625, "You have divided by the sum of the squares. That is the variance; take "
                          "its root."),
            Wrong(4.596, "You have taken $0.04 / \\sqrt 2$, the standard error of the *average* of "
                         "the two. Their difference is less certain than each of them."),
        ],
    )
)  # fmt: skip

EXERCISES.append(
    Number(
        id="14.3",
        title="Five pairs for how many?",
        trains="what a shared seed is worth",
        question=r"""
Two kinds of noise, five seeds; a seed gives both arms the same first weights and the same order of
images. Test errors in percent:

| seed | 0 | 1 | 2 | 3 | 4 |
|---|---|---|---|---|---|
| coins | 2.0 | 2.2 | 1.9 | 2.3 | 2.1 |
| normal | 1.9 | 2.0 | 1.8 | 2.2 | 2.1 |

By pairs the mean difference, 0.1, has a certain standard error. Somebody else compares the arms on
seeds of their own, nothing shared. How many networks *per arm* must they train for a standard error
as small, if variances are as in the table?
""",
        answer=50,
        within=0.01,
        unit="networks per arm",
        follows="That would be {2 * answer} networks in all, where the pairs have 10.",
        hints=[
            "The variance (of a sample, divided by $n - 1$) of each arm is 0.025.",
            "Nothing shared: one difference has the variance $0.025 + 0.025$. In pairs: take the "
            "variance of the five differences 0.1, 0.2, 0.1, 0.1, 0.",
            "It is 0.005, over five pairs. Solve $0.05/n = 0.005/5$.",
        ],
        solution=r"""
The differences 0.1, 0.2, 0.1, 0.1, 0 have the variance $0.02/4 = 0.005$, so that their mean has
$0.005/5 = 0.001$. Unpaired, one difference has $0.025 + 0.025 = 0.05$, and $0.05/n = 0.001$ gives
$n = 50$. By pairs the interval is $0.1 \pm 2.78 \sqrt{0.001} = 0.1 \pm 0.09$. Forget the pairs of
the same ten numbers, and it is $0.1 \pm 0.23$. How much a pair saves must be measured: where
training forgets where it began, nothing.
""",
        wrong=[
            Wrong(5, "Then pairing would be worth nothing. Look down the columns: a seed that is "
                     "bad for one arm is bad for the other."),
            Wrong(25, "You have counted the variance of one arm. With nothing shared both vary."),
            Wrong(10, "That is the factor between the two variances. By how much must five be "
                      "multiplied?"),
            Wrong(15.811, "You have taken the ratio of the standard deviations. How many networks "
                          "one needs goes with the square."),
            Wrong(500, "You have squared the ratio of the *variances*. To halve a standard error "
                       "takes four times as many networks, which is once the ratio of the "
                       "variances."),
            Wrong(100, "That is how many networks both arms have together. The question is per "
                       "arm."),
        ],
    )
)  # fmt: skip

EXERCISES.append(
    Number(
        id="14.4",
        title="Where the grid of τ ends",
        trains="telling a limit of the grid from one of the network",
        question=r"""
A regression network's passes all agree. Its root mean squared error on test rows is $r = 0.5$, and
it predicts a normal density of precision $\tau$ around its output: the mean log-likelihood of a row
is $\frac12 \ln \frac{\tau}{2\pi} - \frac{\tau r^2}{2}$. The grid from which $\tau$ is chosen ends
at 0.75. How many nats a row does that cost, against the $\tau$ that is best for this network?
""",
        answer=0.430736,
        within=0.01,
        unit="nats",
        follows="The 31 test rows of a split of yacht would then lose {31 * answer} nats together.",
        hints=[
            "Set the derivative in $\\tau$ to 0: $\\frac{1}{2\\tau} = \\frac{r^2}{2}$.",
            "The best $\\tau$ is $1/r^2 = 4$. It lies beyond the grid, so the end of the grid is "
            "chosen.",
            "The difference is $\\frac12 \\ln\\frac{4}{0.75} - \\frac{4 - 0.75}{2} \\cdot 0.25$.",
        ],
        solution=r"""
Best is $\tau = 1/r^2 = 4$, with $\frac12 \ln \frac{4}{2\pi} - \frac12 = -0.726$. The end of the
grid gives $\frac12 \ln \frac{0.75}{2\pi} - 0.094 = -1.157$: 0.431 nats less. However well a network
predicts, it cannot pass $\frac12 \ln \frac{0.75}{2\pi} = -1.063$ there. In the corrected table the
errors of yacht and energy are 0.67 and 0.54, for which $1/r^2$ is 2.2 and 3.4, and their grids end
at 0.75. So their log-likelihoods say as much of the grid as of the network.
""",
        wrong=[
            Wrong(0.836988, "That is by how much the cap rises, the first term alone. A larger "
                            "$\\tau$ also weighs each error more."),
            Wrong(1.267726, "You have lost the ½ before the logarithm: the density of a normal has "
                            "the *root* of $\\tau$ in it."),
            Wrong(0.334165, "You have taken $1/r$ for the best $\\tau$. A precision is one over a "
                            "*square*."),
            Wrong(0.725791, "That is, but for its sign, what the best $\\tau$ reaches. Asked is "
                            "the distance from there to the end of the grid."),
            Wrong(1.156529, "That is, but for its sign, what the end of the grid reaches. How much "
                            "more would the best $\\tau$ have?"),
            Wrong(0.40625, "That is how much more the errors cost at the best $\\tau$. The first "
                           "term gains more than that."),
        ],
    )
)  # fmt: skip

# ---- choices ------------------------------------------------------------------------------------

EXERCISES.append(
    Choice(
        id="14.5",
        title="Twelve tries against three",
        trains="what tuning finds where there is nothing to find",
        question=r"""
Arm A was tuned on a grid of twelve points, arm B on one of three, one network a point. Suppose that
nothing matters: all fifteen points have the same true error, around which single networks scatter
with a standard deviation of 0.10 points. (The least of twelve normal numbers lies 1.63 standard
deviations below their mean on average, the least of three 0.85.) A report gives for each arm the
validation error of its chosen network. What is to be expected of it?
""",
        options={
            "a": "Both the same: no arm is better, and chance does not take sides.",
            "b": "A lower by 0.16, which is what the least of twelve gains.",
            "c": "A lower by 0.08, and lower by as much when the chosen points are trained anew "
                 "and tested.",
            "d": "A lower by 0.08, and by nothing when the chosen points are trained anew and "
                 "tested.",
            "e": "B lower: three points are easier to choose from than twelve.",
        },
        answer="d",
        hints=[
            "Each arm reports the luckiest of its networks. Which has more to choose from?",
            "The difference is $(1.63 - 0.85) \\cdot 0.10$. Does a fresh network inherit the luck?",
        ],
        solution=r"""
A's winner is expected 0.163 below the truth, B's 0.085: A looks better by 0.08, by chance alone and
every time. Fresh seeds and test data take that away. What they do not take away: where points *do*
differ, twelve tries come closer to the best than three, so that the better tuned arm wins for its
tuning. Hence both rules of this chapter: grids of one size, and a verdict on networks that were not
part of the choice.
""",
        wrong=[
            Wrong("a", "It would be so for one network each, or for the *means* of the twelve and "
                       "the three. A minimum is another thing: more tries, more luck."),
            Wrong("b", "B reports the least of three, and flatters itself too. The report compares "
                       "the two."),
            Wrong("c", "The points have the same true error. What would a new network, of another "
                       "seed and on other images, have from the luck of the old one?"),
            Wrong("e", "Choosing is no effort that may fail here: the least is taken. Of more "
                       "numbers the least lies lower."),
        ],
    )
)  # fmt: skip

EXERCISES.append(
    Choice(
        id="14.6",
        title="Which of these three?",
        trains="reading training and test error over the rate together",
        question=r"""
Two hidden layers of $n$ units, 200 of scikit-learn's digits to learn from. For every rate $p$
learning rate and stop are chosen on validation data. Errors in evaluation mode in percent, training
/ test, each the mean of sixteen networks; the standard errors of the test errors are 0.5 to 0.7,
and 1 to 2 where they are above 15:

| $p$ | X | Y | Z |
|---|---|---|---|
| 0 | 0.0 / 11.4 | 0.4 / 10.2 | 0.0 / 8.8 |
| 0.25 | 0.0 / 10.3 | 0.9 / 9.2 | 0.0 / 8.5 |
| 0.5 | 0.2 / 9.4 | 3.3 / 11.4 | 0.0 / 7.8 |
| 0.75 | 0.3 / 9.7 | 23.4 / 31.1 | 0.3 / 9.7 |
| 0.9 | 9.1 / 17.7 | 79.6 / 85.0 | 38.4 / 48.6 |

One column keeps $n = 64$ and has 240 epochs. One keeps $qn = 16$ units in use, so that $n$ is 16,
21, 32, 64 and 160, and has 240 epochs too. One keeps $n = 64$ and has 24 epochs. Which is which?
""",
        options={
            "a": "X keeps $n$, Y has 24 epochs, Z keeps $qn$.",
            "b": "X keeps $qn$, Y keeps $n$, Z has 24 epochs.",
            "c": "X has 24 epochs, Y keeps $qn$, Z keeps $n$.",
            "d": "X keeps $qn$, Y has 24 epochs, Z keeps $n$.",
        },
        answer="d",
        hints=[
            "At which rate are two of the three the same networks, with as many epochs?",
            "At 0.75 two columns must agree. The third has another budget.",
            "Of the two that agree, one has 16 units at $p = 0$ and 160 at 0.9, the other 64 "
            "throughout. Who is better off at either end?",
        ],
        solution=r"""
At $p = 0.75$ both panels of 240 epochs have $n = 64$: X and Z are the same networks there, and Y is
the short one. Noise slows learning, so that a short budget moves the best rate down: in Y it is
0.25, and at 0.75 a quarter of the *training* images is still wrong. X is worse than Z on the left,
with 16 units in place of 64, and better at 0.9, with 160 in place of 64. So Z's rise at the right
end is largely that six units are left; what rises in X, with 16 in use throughout, is not that. A
curve over the rate always shows more than the rate: capacity and budget are in it.
""",
        wrong=[
            Wrong("a", "You have found the short one. Now look at $p = 0$, where one of the two "
                       "others has 16 units and one has 64. Which of X and Z errs more?"),
            Wrong("b", "Then at $p = 0.5$ Z would learn its training images to the last in 24 "
                       "epochs, and Y, with the same 64 units, would not in 240."),
            Wrong("c", "X and Z agree at 0.75. With 24 epochs in X and 240 in Z, that would be a "
                       "strange accident; and Y would have all epochs, and 31 % wrong."),
        ],
    )
)  # fmt: skip

EXERCISES.append(
    Choice(
        id="14.7",
        title="Before dropout gets the credit",
        trains="naming the run that must stand beside a gain",
        question=r"""
The atlas illustrates dropout by a classifier of texts, accuracy in training and validation: 98 and
72 % without, 88 and 81 % with `Dropout(0.5)`, both after all epochs. You run the like on your own
texts and get much the same. One more run may stand beside the two before you write "dropout gained
nine points". Which?
""",
        options={
            "a": "Both networks again with other seeds.",
            "b": "The network without dropout, for twice as many epochs.",
            "c": "The network without dropout with half of its units, as half of them drop.",
            "d": "The network without dropout, stopped where its validation accuracy is highest.",
            "e": "The network with dropout, with its own best learning rate.",
        },
        answer="d",
        hints=[
            "What has a training accuracy of 98 % beside 72 % gone through on its way there?",
            "Which free remedy does everyone have who has no dropout, but does have validation "
            "data?",
        ],
        solution=r"""
A network at 98 and 72 % has overfitted, and was better earlier. Stopping there costs nothing and is
what anyone would do. What dropout is worth is what it gains over *that*, which may be most of the
nine points or hardly one. Both stops are then chosen on the same validation data, and
the gain is read off test data. More seeds come next, as soon as there is something to be told.
""",
        wrong=[
            Wrong("a", "Seeds tell whether nine points are chance. They are hardly that; the doubt "
                       "here is what the nine points are a gain *over*."),
            Wrong("b", "It is at 98 % in training already. More epochs make the rival of dropout "
                       "worse, and the gain larger: look the other way."),
            Wrong("c", "That compares capacities, and is worth a run some day. But the smaller "
                       "network would be judged after all epochs too, past its best."),
            Wrong("e", "That makes the winner better. A control is to give the *loser* its best "
                       "chance."),
        ],
    )
)  # fmt: skip

EXERCISES.append(
    Choice(
        id="14.8",
        title="Halve and double",
        trains="finding measures that a change of scale cannot move",
        question=r"""
In a ReLU autoencoder all incoming weights and biases of the hidden units are halved, and all their
outgoing weights doubled. Four measures on test images: the *mean activation*; the share of *zeros*
among activations; the *sparseness* $(\sum_i h_i)^2 / (k \sum_i h_i^2)$ of an image's $k$
activations; the *window*, the largest share of a feature's squared weight in a square of 7 x 7
pixels. Which of them change?
""",
        options={
            "a": "The mean activation only.",
            "b": "The mean activation and the sparseness.",
            "c": "The mean activation, the zeros and the sparseness.",
            "d": "The mean activation and the window.",
            "e": "None, since the network computes the same function.",
        },
        answer="a",
        hints=[
            "For $a > 0$, $\\max(0, az) = a \\max(0, z)$. What does that make of each activation?",
            "Put $h/2$ for $h$ into each of the four, and $w/2$ for $w$ into the last.",
        ],
        solution=r"""
Every activation is halved, and the outputs are the same. So is the mean activation halved. Zeros
stay zeros, and the two others are ratios of squares, from which the ½ cancels. Of figure 8, then,
the mean of 2.0 without and 0.7 with dropout is no evidence of sparse activations by itself: it
could be had, or undone, without a change of function. The share of zeros and the two ratios could
not.
""",
        wrong=[
            Wrong("b", "Numerator and denominator of the sparseness are both quadratic in the "
                       "activations. What becomes of a common factor?"),
            Wrong("c", "Which activations are zero depends on the sign of what a unit receives. "
                       "Can a factor of ½ change a sign?"),
            Wrong("d", "A *share* of the squared weight: all squares of a feature become a "
                       "quarter, those in the square and those in the whole."),
            Wrong("e", "The function from images to outputs is the same. The activations lie in "
                       "between: each is half of what it was."),
        ],
    )
)  # fmt: skip

EXERCISES.append(
    Choice(
        id="14.9",
        title="Dropout, or its optimiser?",
        trains="separating two things that were changed at once",
        question=r"""
A logistic regression on texts. Arm 1: L2 at its best strength, fitted by L-BFGS until it stands
still. Arm 2: dropout at $p = 0.9$ and a little L2, fitted by forty epochs of AdaGrad, as drawn
masks need a stochastic method. Arm 2 errs 1.5 points less on the test data. Which run tells whether
that is dropout's doing?
""",
        options={
            "a": "AdaGrad for forty epochs without dropout, with arm 1's grid of L2.",
            "b": "L-BFGS with dropout's masks.",
            "c": "L-BFGS with arm 2's L2 and no dropout.",
            "d": "AdaGrad with dropout for four hundred epochs.",
            "e": "Arm 1 again, with its L2 set by cross-validation.",
        },
        answer="a",
        hints=[
            "List what differs between the arms. There are three things, one of which is dropout.",
            "A control changes one of them and leaves the others. Which run has everything of arm "
            "2 but dropout?",
        ],
        solution=r"""
The arms differ in dropout, in the optimiser, and in that one of them stops before it stands still,
which regularises by itself. AdaGrad at $p = 0$, with all strengths of L2 to choose from, differs
from arm 2 in dropout alone. If it errs like arm 1, the gain is dropout's; if like arm 2, it was
AdaGrad or its early end. The other way round works where there is a penalty without masks: Wager's
can be given to L-BFGS.
""",
        wrong=[
            Wrong("b", "L-BFGS compares losses along a line and builds a curvature from gradients. "
                       "With fresh masks each call has another loss, and it breaks down."),
            Wrong("c", "That gives arm 1 a strength that was best for another arm, so it can only "
                       "lose. Its optimiser is still not that of arm 2."),
            Wrong("d", "That asks whether dropout was trained for long enough. Both arms still "
                       "differ in two things."),
            Wrong("e", "Better tuning of L2 is a fair wish, but arm 1 is at its best strength "
                       "already, and its optimiser has not been changed."),
        ],
    )
)  # fmt: skip

# ---- a formula ----------------------------------------------------------------------------------

EXERCISES.append(
    Formula(
        id="14.10",
        title="Where two classifiers disagree",
        trains="pairing by test example",
        question=r"""
Two classifiers are tried on the same $m$ test reviews. There are $b$ reviews that only the first
gets wrong and $c$ that only the second gets wrong, so that the first errs by $(b - c)/m$ more. What
is the variance of this difference, as the reviews are drawn at random? Take for one review the
difference 1, $-1$ or 0, its variance over the $m$ reviews (a plain mean of squares, no $m - 1$),
and from it that of the mean of $m$.
""",
        answer="((b + c) / m - ((b - c) / m)^2) / m",
        names={"b": (1, 2, 4, 5, 3), "c": (2, 1, 3, 5, 4), "m": (10, 12, 20, 30, 40)},
        equal=[
            "(b + c - (b-c)^2/m) / m^2",
            "(m(b + c) - (b - c)^2)/m^3",
            "(b/m (1 - b/m) + c/m (1 - c/m) + 2 b c/m^2)/m",
        ],
        hints=[
            "The mean of the $m$ numbers 1, $-1$ and 0 is $(b-c)/m$. And that of their squares?",
            "It is $(b + c)/m$. The variance is the mean square less the square of the mean.",
            "Divide by $m$: the mean of $m$ independent reviews has an $m$-th of it.",
        ],
        solution=r"""
The squares are 1 for $b + c$ reviews: the mean square is $(b+c)/m$, and the variance of one review
$\frac{b+c}{m} - \left(\frac{b-c}{m}\right)^2$; the mean has an $m$-th of it. What both get right,
or both get wrong, does not count. With 25,000 reviews, errors of 12 and 11 % and $b = 1000$,
$c = 750$ the difference of 1 point has the standard error 0.17. From the two errors alone, as if
each had reviews of its own, one would say 0.29.
""",
        wrong=[
            Wrong("(b + c) / m^2", "That takes the mean square for the variance. It is so if the "
                                   "two err equally often; otherwise the mean is not 0."),
            Wrong("(b + c) / m - ((b - c) / m)^2", "That is the variance of one review. The mean "
                                                   "of many is surer."),
            Wrong("(b/m (1 - b/m) + c/m (1 - c/m)) / m", "You have added the variances of $b/m$ "
                  "and $c/m$. They are not independent: a review that is in $b$ cannot be in $c$."),
            Wrong("((b + c) / m - (b - c) / m) / m", "You have taken off the mean itself. It is "
                                                     "its *square* that goes off."),
            Wrong("sqrt(((b + c) / m - ((b - c) / m)^2) / m)", "That is the standard error, which "
                  "one wants in the end. The question is for its square."),
            Wrong("(b - c)^2 / m^2", "That is the square of the difference. Its variance is not "
                                     "how large it is, but how it would vary with other reviews."),
        ],
    )
)  # fmt: skip

# ---- code ---------------------------------------------------------------------------------------


def check_vote(vote):
    one = [[[0.2, 0.7, 0.1], [0.5, 0.2, 0.3]]]
    out = vote(one)
    rows = isinstance(out, list) and any(isinstance(part, list) for part in out)
    yield expect(
        "there is one class for each image", isinstance(out, list) and len(out) == 2 and not rows,
        saw(vote, out, [1, 0]), "return a list with a class for each image",
        "rows" if rows else "list" if isinstance(out, list) else "none",
    )  # fmt: skip
    yield expect(
        "a single network has its way", out == [1, 0], saw(vote, out, [1, 0]),
        "what does one network say, if it is the only voter?",
    )  # fmt: skip
    sure = [[[0.5, 0.45, 0.05]], [[0.5, 0.45, 0.05]], [[0.0, 0.35, 0.65]]]
    out = vote(sure)
    yield expect(
        "two votes beat one, however sure that is", out == [0], saw(vote, out, [0]),
        "give each network one vote, for the class that it finds most probable",
    )  # fmt: skip
    out = vote([[[0.6, 0.4]], [[0.1, 0.9]]])
    yield expect(
        "where votes tie, the greater sum of probabilities decides", out == [1],
        f"Two networks give the classes [0.6, 0.4] and [0.1, 0.9]: one vote each, sums 0.7 and "
        f"1.3. Yours is {shown(out)}; [1] is wanted.",
        "compare the sums of the probabilities where the numbers of votes are equal",
    )  # fmt: skip
    out = vote([[[0.85, 0.02, 0.13]], [[0.02, 0.7, 0.28]], [[0.03, 0.45, 0.52]]])
    yield expect(
        "it is the sum over all networks that decides", out == [1],
        f"Three networks give [0.85, 0.02, 0.13], [0.02, 0.7, 0.28] and [0.03, 0.45, 0.52]: a vote "
        f"each, sums 0.9, 1.17 and 0.93. Yours is {shown(out)}; [1] is wanted.",
        "add up the probabilities that all networks give a class, and do nothing else with them",
    )  # fmt: skip
    five = [[[0.4, 0.3, 0.3]], [[0.4, 0.3, 0.3]], [[0.1, 0.5, 0.4]], [[0.1, 0.5, 0.4]],
            [[0.0, 0.0, 1.0]]]  # fmt: skip
    out = vote(five)
    yield expect(
        "only classes with most votes are in the tie", out == [1],
        f"Five networks vote 0, 0, 1, 1 and 2; the classes' sums are 1.0, 1.6 and 2.4. Yours is "
        f"{shown(out)}; [1] is wanted.",
        "let the sums decide between the classes that have the most votes, and no others",
    )  # fmt: skip
    out = vote([[[0.5, 0.5, 0.0]], [[0.25, 0.25, 0.5]]])
    yield expect(
        "a network that is undecided votes for the first of its classes", out == [0],
        f"Two networks give [0.5, 0.5, 0] and [0.25, 0.25, 0.5]. Yours is {shown(out)}; [0] is "
        f"wanted.",
        "of equal probabilities take the first",
    )  # fmt: skip
    out = vote([[[0.75, 0.25]], [[0.25, 0.75]]])
    yield expect(
        "where all is equal, the least class is taken", out == [0],
        f"Two networks give [0.75, 0.25] and [0.25, 0.75]. Yours is {shown(out)}; [0] is wanted.",
        "which of two equal classes does your last comparison keep?",
    )  # fmt: skip


EXERCISES.append(
    Code(
        id="14.11",
        title="The vote of several networks",
        trains="what a vote is, to the last tie",
        question=r"""
`p[k][i][c]` is the probability that network `k` gives to class `c` for image `i`. Write `vote(p)`:
the list of the classes, 0, 1, 2, …, that the networks elect, one for each image. Each network votes
for its most probable class, the first of them where several are equal. The class with the most
votes wins. Between classes with equally many votes the sum of the probabilities over all networks
decides, and if that is equal too, the least class wins.
""",
        given="""
def vote(p):
    ...
""",
        code="""
def vote(p):
    elected = []
    for image in range(len(p[0])):
        rows = [network[image] for network in p]
        classes = range(len(rows[0]))
        ballots = [row.index(max(row)) for row in rows]
        votes = [ballots.count(c) for c in classes]
        sums = [sum(row[c] for row in rows) for c in classes]
        elected.append(max(classes, key=lambda c: (votes[c], sums[c])))
    return elected
""",
        alike=[
            """
import numpy as np

def vote(p):
    p = np.asarray(p)
    votes = np.eye(p.shape[2])[p.argmax(2)].sum(0)
    return np.where(votes == votes.max(1, keepdims=True), p.sum(0), -1).argmax(1)
""",
            """
import torch

def vote(p):
    p = torch.as_tensor(p).double()
    votes = torch.nn.functional.one_hot(p.argmax(2), p.shape[2]).sum(0)
    return (votes + p.sum(0) / (len(p) + 1)).argmax(1)
""",
            """
from collections import Counter

def vote(p):
    elected = []
    for rows in zip(*p):
        votes = Counter(row.index(max(row)) for row in rows)
        most = max(votes.values())
        tied = sorted(c for c in votes if votes[c] == most)
        best = tied[0]
        for c in tied[1:]:
            if sum(row[c] for row in rows) > sum(row[best] for row in rows):
                best = c
        elected.append(best)
    return elected
""",
        ],
        check=check_vote,
        power="nothing is random",
        in_page=True,
        hints=[
            "Image by image: collect the row of each network, then the class of its greatest "
            "probability, `row.index(max(row))`.",
            "Count the votes and sum the probabilities of each class.",
            "`max(classes, key=lambda c: (votes[c], sums[c]))` compares votes first, sums second, "
            "and keeps the first of equals.",
        ],
        solution="""
A vote asks only which class each network puts first, so that a network which is very sure counts no
more than the others; the average of the probabilities lets it. Both are called an ensemble, and a
table must say which it shows, and what becomes of ties. With five networks and ten classes they are
not rare among the images on which networks disagree.
""",
        wrong=[
            Slip("(votes[c], sums[c])", "sums[c]", "You average the probabilities. It is an "
                 "ensemble too, but no vote: who is very sure counts for more there."),
            Slip("(votes[c], sums[c])", "votes[c]", "Between classes with equally many votes you "
                 "take the least. The classes' numbers are names, and say nothing of images."),
            Slip("max(classes, key=lambda c: (votes[c], sums[c]))",
                 "max(classes, key=lambda c: sums[c]) if sorted(votes)[-1] == sorted(votes)[-2] "
                 "else votes.index(max(votes))",
                 "At a tie you let *all* classes in again. One with a single vote then wins by its "
                 "sum."),
            Slip("sums = [sum(row[c] for row in rows) for c in classes]",
                 "sums = [max(row[c] for row in rows) for c in classes]",
                 "At a tie you ask who is surest of all. One network then decides for the rest."),
            Slip("key=lambda c: (votes[c], sums[c])", "key=lambda c: (votes[c], sums[c], c)",
                 "Where votes and sums are equal you take the last class."),
            Slip("sums = [sum(row[c] for row in rows) for c in classes]",
                 "sums = [1.0 for c in classes]\n"
                 "        for row in rows:\n"
                 "            sums = [s * v for s, v in zip(sums, row)]",
                 "You multiply the probabilities. One network that rules a class out then has a "
                 "veto."),
            Slip("elected.append(max(classes, key=lambda c: (votes[c], sums[c])))",
                 "elected.append(votes)", "You return how many votes each class has. The winner is "
                 "asked for."),
            Slip("for image in range(len(p[0])):", "for image in range(1):",
                 "You hold an election for the first image only."),
            Slip("row.index(max(row)) for row in rows", "row.index(min(row)) for row in rows",
                 "Your networks vote for the class they find least probable."),
            Slip("ballots = [row.index(max(row)) for row in rows]",
                 "ballots = [row.index(max(row)) for row in [max(rows, key=max)]]",
                 "Only the network that is surest of itself votes. It is often the one most in "
                 "error."),
        ],
    )
)  # fmt: skip


def check_report(report):
    validation = [[[5.0, 4.0, 6.0, 7.0]], [[7.0, 8.0, 9.0, 9.0]]]
    test = [[[6.0, 5.0, 3.0, 4.5]], [[2.0, 1.0, 4.0, 4.0]]]
    out = report(validation, test)
    yield expect(
        "learning rate and time are chosen on validation data", close(out, 5.0),
        f"Two learning rates, one seed: validation errors 5, 4, 6, 7 and 7, 8, 9, 9, test errors "
        f"6, 5, 3, 4.5 and 2, 1, 4, 4. Yours is {shown(out)}; 5 is wanted.",
        "where is the validation error least, and what is the test error *there*?",
    )  # fmt: skip
    out = report([[[5.0, 4.0]], [[3.0, 6.0]]], [[[2.0, 2.5]], [[4.0, 1.0]]])
    yield expect(
        "any learning rate may be the best", close(out, 4.0),
        f"Two learning rates, one seed: validation errors 5, 4 and 3, 6, test errors 2, 2.5 and "
        f"4, 1. Yours is {shown(out)}; 4 is wanted.",
        "find the least validation error over learning rates and times together",
    )  # fmt: skip
    out = report([[[4.0, 6.0], [7.0, 6.0]]], [[[7.0, 5.0], [3.0, 4.0]]])
    yield expect(
        "all seeds count, at one time for all", close(out, 5.0),
        f"One learning rate, two seeds: validation errors 4, 6 and 7, 6, test errors 7, 5 and 3, "
        f"4. Yours is {shown(out)}; 5 is wanted.",
        "average the curves over seeds, and look for the least of what comes out",
    )  # fmt: skip
    steady = [[[2.0, 8.0], [8.0, 2.0]], [[4.0, 4.5], [4.0, 4.5]]]
    out = report(steady, [[[1.0, 1.5], [2.0, 2.5]], [[6.0, 7.0], [8.0, 9.5]]])
    yield expect(
        "a learning rate is as good as its mean over seeds at its best time", close(out, 7.0),
        f"Validation errors 2, 8 and 8, 2 with one learning rate, 4, 4.5 and 4, 4.5 with another. "
        f"The first has the mean 5 at either time, the second 4 at its first. With test errors "
        f"6, 7 and 8, 9.5 for the second, 7 is wanted. Yours is {shown(out)}.",
        "compare means over seeds with one another, not single networks",
    )  # fmt: skip
    out = report([[[3.0, 3.0]], [[3.0, 3.0]]], [[[1.0, 2.0]], [[5.0, 6.0]]])
    yield expect(
        "of equals the first is taken", close(out, 1.0),
        f"All validation errors are 3, test errors 1, 2 and 5, 6. Yours is {shown(out)}; 1 is "
        f"wanted.",
        "keep the first learning rate and the earliest time where several are equal",
    )  # fmt: skip


EXERCISES.append(
    Code(
        id="14.12",
        title="Find the bugs: always at the right moment",
        trains="keeping the test data out of every choice",
        question=r"""
`validation[k][s][j]` is the validation error with learning rate `k` and seed `s`, measured at time
`j`; `test` has the same of test images. `report(validation, test)` is to return what an arm may
claim: choose the learning rate and the time, one for all seeds, whose mean validation error over
seeds is least (of equals the first learning rate, then the earliest time), and give the mean test
error over seeds for that choice. This version, as many a script has it, flatters the arm in two
ways. Mend it.
""",
        given="""
def report(validation, test):
    found = []
    for k in range(len(validation)):
        for s in range(len(validation[k])):
            found.append((min(validation[k][s]), min(test[k][s])))
    return min(found)[1]
""",
        code="""
def report(validation, test):
    best = None
    for curves, judged in zip(validation, test):
        for j in range(len(curves[0])):
            mean = sum(curve[j] for curve in curves) / len(curves)
            if best is None or mean < best:
                best = mean
                error = sum(curve[j] for curve in judged) / len(judged)
    return error
""",
        alike=[
            """
import numpy as np

def report(validation, test):
    means = np.asarray(validation).mean(1)
    k, j = np.unravel_index(means.argmin(), means.shape)
    return np.asarray(test)[k, :, j].mean()
""",
            """
import torch

def report(validation, test):
    means = torch.as_tensor(validation).double().mean(1)
    return torch.as_tensor(test).double().mean(1).flatten()[means.flatten().argmin()].item()
""",
            """
def report(validation, test):
    mean = lambda curves, j: sum(curve[j] for curve in curves) / len(curves)
    places = [(k, j) for k in range(len(test)) for j in range(len(test[k][0]))]
    k, j = min(places, key=lambda place: mean(validation[place[0]], place[1]))
    return mean(test[k], j)
""",
        ],
        check=check_report,
        power="nothing is random",
        in_page=True,
        harmless=dict.fromkeys(
            (
                "sum((curve[j] for curve in curves)) / len(curves) -> "
                "sum((curve[j] for curve in curves)) * len(curves)",
                "sum((curve[j] for curve in curves)) / len(curves) -> "
                "sum((curve[j] for curve in curves))",
            ),
            "there are as many seeds for each learning rate: a sum orders them as a mean does",
        ),
        hints=[
            "Where does `test` take part in a choice? Ask that of every `min`.",
            "`min(test[k][s])` stops each network when its *test* error is least. And the outer "
            "`min` reports one network, the luckiest seed.",
            "For each `k` and `j` take the mean of `validation[k][s][j]` over `s`; keep the least, "
            "and with it the mean of `test[k][s][j]` over `s`.",
        ],
        solution="""
Two choices leaked. The time was chosen by the test error, which nobody has who uses the network.
And the report was that of the luckiest seed, which another arm's mean cannot match. How much they
flatter depends on how noisy an arm's curves are and how far they turn up again, so that leaks do
not cancel between arms.
""",
        wrong=[
            Slip("error = sum(curve[j] for curve in judged) / len(judged)",
                 "error = min(sum(curve[i] for curve in judged) / len(judged) "
                 "for i in range(len(judged[0])))",
                 "Seeds are averaged now. The time is still the one at which the *test* error is "
                 "least."),
            Slip("mean = sum(curve[j] for curve in curves) / len(curves)",
                 "mean = sum(curve[j] for curve in judged) / len(judged)",
                 "You choose by the mean test error. Validation data are there so that test data "
                 "need not choose."),
            Wrong("""
def report(validation, test):
    mean = lambda curves, j: sum(curve[j] for curve in curves) / len(curves)
    stops = [[mean(curves, j) for j in range(len(curves[0]))] for curves in validation]
    return min(mean(judged, s.index(min(s))) for s, judged in zip(stops, test))
""", "The time is chosen on validation data. But of the learning rates you take the one with the "
     "least *test* error."),
            Slip("error = sum(curve[j] for curve in judged) / len(judged)",
                 "error = min(curve[j] for curve in judged)",
                 "You report the luckiest seed. An arm is what a network of it does on average."),
            Wrong("""
def report(validation, test):
    found = []
    for curves, judged in zip(validation, test):
        for v, t in zip(curves, judged):
            found.append((min(v), t[v.index(min(v))]))
    return min(found)[1]
""", "The time is chosen fairly now. But you still report one network, the one whose validation "
     "error happens to be least."),
            Wrong("""
def report(validation, test):
    best = None
    for curves, judged in zip(validation, test):
        stops = [curve.index(min(curve)) for curve in curves]
        mean = sum(min(curve) for curve in curves) / len(curves)
        if best is None or mean < best:
            best = mean
            error = sum(t[j] for t, j in zip(judged, stops)) / len(judged)
    return error
""", "You let each seed stop at a time of its own. The time is part of the recipe here, one for "
     "all seeds."),
            Slip("                error = sum(curve[j] for curve in judged) / len(judged)\n"
                 "    return error",
                 "                error = best\n    return error",
                 "You report the validation error that was chosen for being small. It flatters by "
                 "the choice itself."),
            Slip("error = sum(curve[j] for curve in judged) / len(judged)",
                 "error = sum(curve[-1] for curve in judged) / len(judged)",
                 "You report the test error at the end. The choice included a time."),
            Slip("mean < best", "mean <= best", "Of equals you keep the last."),
            Slip("mean = sum(curve[j] for curve in curves) / len(curves)",
                 "mean = max(curve[j] for curve in curves)",
                 "You choose by the worst seed. That is a cautious rule, but not the one agreed "
                 "on."),
            Slip("mean = sum(curve[j] for curve in curves) / len(curves)",
                 "mean = min(curve[j] for curve in curves)",
                 "You choose the learning rate and the time that were best for *some* seed. A "
                 "single lucky curve then decides for all."),
        ],
    )
)  # fmt: skip


def check_gain(gain):
    without, dropout = [[0, 2.0], [1, 3.0], [2, 2.5]], [[0, 1.5], [1, 2.75], [2, 1.75]]
    out = gain(without, dropout, 2.0)
    pair = isinstance(out, list) and len(out) == 2 and not any(isinstance(v, list) for v in out)
    yield expect(
        "two numbers come out", pair, saw(gain, out, [0.5, 0.2887]),
        "return the mean and half of the interval, as a list",
        "pair",
    )  # fmt: skip
    yield expect(
        "the mean difference is positive where dropout errs less", close(out[0], 0.5),
        f"Errors 2, 3, 2.5 without and 1.5, 2.75, 1.75 with dropout, of seeds 0, 1 and 2. Your "
        f"mean is {out[0]:.4g}; 0.5 is wanted.",
        "for each seed take the error without less that with dropout",
    )  # fmt: skip
    yield expect(
        "half the interval is t times the standard error of the mean difference",
        close(out[1], 0.288675, 1e-4),
        f"There the differences are 0.5, 0.25 and 0.75, and t is 2. Your half is {out[1]:.4g}; "
        f"0.2887 is wanted.",
        "the variance is that of the *differences*, of a sample, over the number of pairs",
    )  # fmt: skip
    mixed = [[7, 1.75], [3, 1.5], [5, 2.75]]
    out = gain([[3, 2.0], [5, 3.0], [7, 2.5]], mixed, 2.0)
    yield expect(
        "pairs are found by their seeds, in whatever order", close(out, [0.5, 0.288675], 1e-4),
        saw(gain, out, [0.5, 0.2887]), "look the seed up in the other list",
    )  # fmt: skip
    out = gain([[9, 8.0], [0, 2.0], [1, 3.0]], [[1, 2.75], [0, 1.5], [4, 0.5]], 4.0)
    yield expect(
        "a seed that one arm lacks is left out", close(out, [0.375, 0.5], 1e-4),
        saw(gain, out, [0.375, 0.5]), "take only seeds that both lists have",
    )  # fmt: skip


EXERCISES.append(
    Code(
        id="14.13",
        title="The gain, by pairs",
        trains="an interval for a difference over shared seeds",
        question=r"""
Runs end in any order, and some are missing. `without` and `dropout` are lists of `[seed, error]`,
no seed twice in a list. Write `gain(without, dropout, t)`: the list `[mean, half]` of the mean,
over the seeds that both have, of the error without dropout less the error with it, and of half its
interval, $t\,s/\sqrt n$. Here $n$ is the number of pairs, $s$ the standard deviation of their
differences (of a sample, with $n - 1$), and `t` the quantile of Student for so many. At least two
pairs are there.
""",
        given="""
def gain(without, dropout, t):
    ...
""",
        code="""
def gain(without, dropout, t):
    error = {seed: value for seed, value in dropout}
    found = [value - error[seed] for seed, value in without if seed in error]
    n = len(found)
    mean = sum(found) / n
    variance = sum((d - mean) ** 2 for d in found) / (n - 1)
    return [mean, t * (variance / n) ** 0.5]
""",
        alike=[
            """
import numpy as np

def gain(without, dropout, t):
    a, b = (dict(np.asarray(runs).tolist()) for runs in (without, dropout))
    d = np.array([a[s] - b[s] for s in sorted(a.keys() & b.keys())])
    return d.mean(), t * d.std(ddof=1) / np.sqrt(len(d))
""",
            """
import statistics

def gain(without, dropout, t):
    found = []
    for seed, error in without:
        for other, less in dropout:
            if other == seed:
                found.append(error - less)
    return [statistics.mean(found), t * statistics.stdev(found) / len(found) ** 0.5]
""",
            """
import torch

def gain(without, dropout, t):
    without, dropout = torch.as_tensor(without).double(), torch.as_tensor(dropout).double()
    same = without[:, None, 0] == dropout[None, :, 0]
    d = (without[:, None, 1] - dropout[None, :, 1])[same]
    return torch.stack([d.mean(), t * d.std() / len(d) ** 0.5])
""",
        ],
        check=check_gain,
        power="nothing is random",
        in_page=True,
        hints=[
            "Make a dictionary of one arm, from the seed to the error.",
            "Go through the other arm; where its seed is in the dictionary, note the difference.",
            "Then the mean, the sum of squared distances from it over `n - 1`, over `n`, and the "
            "root.",
        ],
        solution="""
What is compared is one seed with itself, so that whatever the seed settles drops out of the
difference. Position in a list is not a seed: runs end in the order in which the machine pleases,
and one that failed shifts all that follow.
""",
        wrong=[
            Slip("[value - error[seed] for seed, value in without if seed in error]",
                 "[a[1] - b[1] for a, b in zip(without, dropout)]",
                 "You pair by position. The mean hardly suffers, but the differences are now those "
                 "of strangers."),
            Slip("value - error[seed]", "error[seed] - value",
                 "You give by how much the error rises. A gain is how much it falls."),
            Slip("/ (n - 1)", "/ n", "You divide by $n$. With three pairs that makes the interval "
                 "a fifth too narrow: the mean was fitted to the same three numbers."),
            Slip("(variance / n) ** 0.5", "variance ** 0.5",
                 "That is t times the scatter of single pairs. The mean of $n$ pairs is known "
                 "better."),
            Slip("t * (variance / n) ** 0.5", "t * variance ** 0.5 / n",
                 "You divide by $n$ outside the root: the standard error falls with the root of "
                 "$n$."),
            Slip("t * (variance / n)", "(variance / n)",
                 "You have left out `t`. One standard error to either side covers about two "
                 "thirds, and less with few pairs."),
            Wrong("""
def gain(without, dropout, t):
    arms = [[value for _, value in runs] for runs in (without, dropout)]
    means = [sum(arm) / len(arm) for arm in arms]
    variances = [
        sum((v - m) ** 2 for v in arm) / (len(arm) - 1) / len(arm) for arm, m in zip(arms, means)
    ]
    return [means[0] - means[1], t * sum(variances) ** 0.5]
""", "You add the variances of the two arms, as if they shared no seeds. What a seed does to both "
     "is then counted twice, where it cancels."),
            Slip("if seed in error]", "]", "A seed that is missing in "
                 "`dropout` stops you with an error. Runs fail; ask whether it is there."),
            Slip("[value - error[seed] for seed, value in without if seed in error]",
                 "[a[1] - b[1] for a, b in zip(sorted(without), sorted(dropout))]",
                 "You sort by seed and pair by position. Where each list lacks another seed, "
                 "strangers meet."),
            Slip("[value - error[seed] for seed, value in without if seed in error]",
                 "[value - error.get(seed, 0.0) for seed, value in without]",
                 "For a seed that dropout lacks you take an error of 0, as if nothing had gone "
                 "wrong in a run that never was."),
        ],
    )
)  # fmt: skip

# ---- an experiment ------------------------------------------------------------------------------

EXERCISES.append(
    Open(
        id="14.14",
        title="A study of your own",
        trains="building a comparison that is fair to both arms, and asking what it leaves open",
        question=r"""
By how many percent does dropout lower the test loss of a small network on 200 of scikit-learn's
digits, if both arms may choose their learning rate and their stop? Write a study, as those of this
chapter are written. In a file `my_study.py`:

```python
from dropout.experiments.comparison import comparison, curve, product
from dropout.training.data import digits
from dropout.training.loops import evaluate, mlp
from dropout.training.seeds import seeds
from dropout.training.sweep import sweep


def train(*, arm, seed, judge, device, lr, p=0.0, decay=0.0, stop=100):
    train, validation, test = digits(train=200, seed=seed)
    [model], told = sweep(
        [lambda: mlp(64, 64, 64, 10, p=p)], train, validation, seed=seed, lr=lr,
        weight_decay=decay, epochs=stop, every=5, batch_size=50,
    )
    if judge == "validation":
        loss, error = told.validation_loss[0], 100 * (1 - told.validation_accuracy[0])
        return curve(list(zip(range(5, 101, 5), loss.tolist(), error.tolist())))
    found = {}
    for part, images in (("train", train), ("test", test)):
        loss, accuracy = evaluate(model, images)
        found[part] = {"loss": loss, "error": 100 * (1 - accuracy)}
    return found
```

Add `STUDY = comparison("my_study", …)` with the arms "none" and "dropout". Give each six points:
six learning rates from 0.005 to 0.2 without dropout, and the learning rates 0.02, 0.05 and 0.1
times the rates 0.25 and 0.5 with it. Tune on `seeds(3, first=12)`, judge on `seeds(12)`. Then, in
the folder of the file,

    python -m dropout experiment run my_study:STUDY
    python -m dropout experiment show my_study:STUDY

A seed settles images, first weights and batches, so that entry k of one arm's values goes with
entry k of the other's. Give 100 times the mean difference of test losses over the mean loss without
dropout. Then add a third arm, "decay": no dropout, and six points of a learning rate and a `decay`.
What do you say now?
""",
        answer=13.8,
        within=0.6,
        unit="percent",
        hints=[
            "`arms` has what is fixed in an arm, which may be nothing: `{\"none\": {}, "
            "\"dropout\": {}}`. `grids` has for each a list of points: `product(lr=(0.02, 0.05, "
            "0.1), p=(0.25, 0.5))`.",
            "`check` is a small run: `{\"arm\": \"none\", \"lr\": 0.05, \"seed\": 99, \"judge\": "
            "\"test\", \"stop\": 10}`. `about`, `beside` and `scale` are texts of yours.",
            "In what `show` prints, `arms`, then the arm, `test`, `loss`, `values`. `interval` of "
            "`dropout.experiments.comparison` gives mean and half of the twelve differences.",
            "For \"decay\" try the learning rates 0.1, 0.2 and 0.4 times the strengths 0.001 and "
            "0.003, and look at `edge` of each arm's `chosen`.",
        ],
        solution=r"""
Dropout lowers the loss by 14 %, 0.046 nats, and the error by 1.5 points. In each of eight studies
the interval of the paired difference lies above 0.

With six points of weight decay the third arm has less loss than dropout, in all eight: by 0.029
nats on average, with an interval that leaves out 0 in four of them. The errors are 0.4 points
apart. So what the first two arms show is that regularising pays on 200 digits, and not that it
takes dropout. The two could be had together; whether that adds would be a fourth arm.

What is left open: `edge`. Weight decay chose the larger of two strengths six times of eight,
dropout the smaller of two rates seven times, and the last epoch three times. An axis of two values
has nothing but edges. Twice the epochs, with smaller learning rates to choose from, left the
picture as it was in five studies: 0.045 nats for dropout, 0.023 more for weight decay.
""",
        reference="Eight studies as in the question, with fresh seeds for each, of images, weights "
        "and batches: 6.7 (the seeds of the question), 18.2, 15.6, 13.9, 13.1, 11.1, 15.2 and 16.6 "
        "percent, mean 13.8, standard deviation 3.6. In nats 0.024 to 0.060, mean 0.046; half the "
        "95 % interval of one study 0.014 to 0.039. Unpaired the standard error would be 1.7 to 6 "
        "times as large. Learning rates without dropout 0.005, 0.01, 0.02, 0.05, 0.1 and 0.2, of "
        "which 0.02 was chosen in seven. Two arms are 61 runs, about half a minute on one core.",
        rubric=[
            "Grids of one size, tuning seeds that do not judge, both arms with their own stop.",
            "The paired difference with its interval over the seeds, and what pairing has saved.",
            "Loss and error both: the arms were chosen by the loss.",
            "What was chosen, and whether it lies on an edge of its grid.",
            "The third arm, and a sentence on what two arms alone could not have shown.",
            "One study, or several with fresh seeds: how far do they lie apart?",
        ],
        wrong=[
            Wrong(0.138, "That is the share of the loss. The answer is wanted in percent, 100 "
                         "times as much."),
            Wrong(0.046, "That is about the gain in nats. Divide it by the mean loss without "
                         "dropout, and give percent."),
            Wrong(1.46, "That is about the gain in error, in percentage points. The loss was asked "
                        "for, and relative to what it is without dropout."),
            Wrong(-10.5, "Against weight decay dropout does come out behind, by about that. The "
                         "first question is against nothing; there look at the sign."),
        ],
    )
)  # fmt: skip
