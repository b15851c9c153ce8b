"""Chapter 07, ridge equivalence."""

from dropout.exercises.forms import RATES, Choice, Code, Exercise, Formula, Number, Slip, Wrong
from dropout.exercises.probes import close, expect, saw, shown

EXERCISES: list[Exercise] = []


# ---- by hand, and a prediction ------------------------------------------------------------------

EXERCISES.append(
    Number(
        id="07.1",
        title="One feature, by hand",
        trains="what dropout adds to a squared loss",
        question=r"""
A model $\hat y = wx$ has the weight $w = 5$. For one example $x = 2$ and the target is $y = 6$.
What is the *mean* squared error of this example under inverted dropout on $x$ with drop rate $p =
0.2$, over both masks?
""",
        answer=41.0,
        follows="Less the squared error without dropout, 16, that would leave {answer - 16} for "
                "the variance of what is sent. The feature sends 0 or 12.5.",
        hints=[
            "Two masks: the feature sends 0 with probability 0.2, and something else with 0.8.",
            "What is kept is divided by $q = 0.8$: it sends $10/0.8 = 12.5$.",
            "Weight the squared errors $(6 - 0)^2$ and $(6 - 12.5)^2$ by 0.2 and 0.8.",
        ],
        solution=r"""
The feature sends 0 with probability 0.2 and $10/0.8 = 12.5$ with probability 0.8. The mean of the
squared errors is $0.2 \cdot 36 + 0.8 \cdot 42.25 = 7.2 + 33.8 = 41$. By the theorem: without
dropout the squared error is $(6 - 10)^2 = 16$, and $\frac pq w^2 x^2 = \frac14 \cdot 100 = 25$ is
added.
""",
        wrong=[
            Wrong(16, "That is the squared error without dropout, or of the mean of what is sent. "
                      "The mean of the squared error is larger."),
            Wrong(25, "That is what dropout adds. The squared error without it comes on top."),
            Wrong(42.25, "That is the squared error where the feature is kept. One time in five it "
                         "is dropped."),
            Wrong(20, "Those are the right two masks for vanilla dropout, which does not divide "
                      "what it keeps by $q$."),
            Wrong(416, "You have exchanged $p$ and $q$ in the penalty: seldom dropping costs "
                       "little."),
            Wrong(32, "You added $pq\\, w^2 x^2$, the variance of an *unscaled* coin. Inverted "
                      "dropout divides by $q$, and the variance by $q^2$."),
        ],
    )
)  # fmt: skip

EXERCISES.append(
    Choice(
        id="07.2",
        title="Predict: ten weights on their way to 0",
        trains="what shrinking means where features are correlated",
        question=r"""
The ten measurements of the diabetics are scaled to mean 0 and variance 1. Some of them are strongly
correlated, by up to 0.9, and least squares gives some of these large weights of opposite signs. Now
the keep probability falls from 1 to 0, and at each a linear model is trained with dropout on its
inputs. Before you see the figure: how do the ten weights go?
""",
        options={
            "a": "All by the same factor: each is $q$ times its least-squares weight.",
            "b": "Each towards 0 at its own pace, none away from 0, none with a change of sign.",
            "c": "At least one changes its sign, and all come near 0 in the end.",
            "d": "One after the other becomes exactly 0, the least useful first.",
        },
        answer="c",
        reveals="fig-ridge-paths",
        hints=[
            "For uncorrelated features (a) would be right. What does a large pair of weights with "
            "opposite signs cost, if each feature may be dropped alone?",
            "Two features that nearly agree can cancel only while both are there.",
        ],
        solution=r"""
Two correlated features with large weights of opposite signs nearly cancel, as long as both are
there. Dropout drops one without the other, and so such a pair is expensive. The weights give it
up, and the information that the features share is spread over them with the *same* sign: the
weight of `s1` turns from strongly negative to positive, before it too goes to 0.
""",
        after="A weight shrinks in company: what its correlated neighbours do decides too.",
        wrong=[
            Wrong("a", "That is so for uncorrelated features. With correlated ones dropout also "
                       "asks that no feature rely on another to cancel it, and weights change "
                       "their proportions."),
            Wrong("b", "The *length* of the weight vector falls throughout; a single weight need "
                       "not. Where two correlated features cancel, the pair is given up, and one "
                       "of them may end on the other side."),
            Wrong("d", "That is what a penalty on $|w|$ does, the lasso. A penalty on $w^2$ has no "
                       "slope at 0, and holds no weight there."),
        ],
    )
)  # fmt: skip

# ---- the proof, in steps ------------------------------------------------------------------------

EXERCISES.append(
    Formula(
        id="07.3",
        title="The proof, first step: one feature's variance",
        trains="the variance of a scaled coin",
        question=r"""
Under inverted dropout one feature sends $\frac mq w x$, where the coin $m$ is 1 with probability
$q = 1 - p$ and else 0. What is the *variance* of what it sends, in `w`, `x` and `p`?
""",
        answer="p / (1 - p) * w^2 x^2",
        names={
            "w": (1.0, 2.0, -1.0, 0.5, 3.0),
            "x": (2.0, 1.0, -0.5, 3.0, 1.5, -1.0, 0.7),
            "p": RATES,
        },
        also={"q": "1 - p"},
        equal=["p w^2 x^2 / q", "p (w x)^2/(1-p)", "(1/q - 1) w² x²", "w^2 x^2/q - w^2 x^2"],
        hints=[
            "The variance of a coin that is 1 with probability $q$ is $pq$.",
            "A constant factor comes out of a variance squared. Here it is $wx/q$.",
        ],
        solution=r"""
The coin has the variance $pq$, and the factor $wx/q$ comes out squared:
$pq \cdot w^2x^2 / q^2 = \frac pq w^2 x^2$.
""",
        wrong=[
            Wrong("w^2 x^2/(1-p)", "That is the mean of the square. The square of the mean, "
                                   "$w^2x^2$, has to be taken off."),
            Wrong("p (1-p) w^2 x^2", "That is the variance without the scale $1/q$, as vanilla "
                                     "dropout has it."),
            Wrong("p w x/(1-p)", "The factor $wx$ comes out of a variance *squared*; the sign of a "
                                 "weight cannot matter."),
            Wrong("p w^2 x^2", "The scale $1/q$ comes out squared too: you divided by $q$ once, "
                               "and $pq$ over $q$ is $p$."),
            Wrong("(1-p)/p w^2 x^2", "You have exchanged $p$ and $q$. Where nothing is dropped, "
                                     "there is no variance."),
        ],
    )
)  # fmt: skip

EXERCISES.append(
    Choice(
        id="07.4",
        title="The proof, second step: where the target went",
        trains="the step from a variance to a penalty",
        question=r"""
Write $\tilde y$ for the prediction with dropout and $\hat y$ for that without. The expected loss
of an example, $\mathbb E (y - \tilde y)^2$, is the loss without dropout, $(y - \hat y)^2$, plus a
term in which there is no $y$. Why?
""",
        options={
            "a": "Because the targets are centred, so that what is multiplied by $y$ has mean 0.",
            "b": "Because at the minimum of the loss the error $y - \\hat y$ is 0 on average.",
            "c": "Because the noise is small, so that terms of second order may be left out.",
            "d": "Because dropout keeps the mean of each prediction: $\\mathbb E \\tilde y = "
                 "\\hat y$.",
        },
        answer="d",
        hints=[
            "Take $y - \\tilde y$ apart at $\\hat y$ and square it. Which of the three terms has "
            "both $y$ and a mask in it?",
            "For one example $y - \\hat y$ is a number. What is the mean of $\\hat y - \\tilde y$?",
        ],
        solution=r"""
$$\mathbb E (y - \tilde y)^2 = (y - \hat y)^2 + 2\, (y - \hat y)\, \mathbb E[\hat y - \tilde y]
+ \mathbb E (\hat y - \tilde y)^2 .$$

The middle term is 0, since $\mathbb E\tilde y = \hat y$, for every example, every target and all
weights. The last is the variance of $\tilde y$, in which there is no target. With vanilla dropout
$\mathbb E \tilde y$ is not $\hat y$, and the middle term would stay.
""",
        wrong=[
            Wrong("a", "It holds for every single example, whatever its target is. Nothing is "
                       "averaged over the data, and no target need be centred."),
            Wrong("b", "It holds for all weights and not at the minimum only. The mean that makes "
                       "the product vanish is that over the masks."),
            Wrong("c", "The term that stays *is* of second order, and nothing is left out: for "
                       "squared loss the equation is exact, at any rate."),
        ],
    )
)  # fmt: skip

EXERCISES.append(
    Formula(
        id="07.5",
        title="The proof, third step: two coins",
        trains="where the independence of the coins is used",
        question=r"""
Two features send $a$ and $b$ without dropout ($a = w_1 x_1$, $b = w_2 x_2$). Let their coins, each
1 with probability $q = 1 - p$, *not* be independent, but have the correlation $\rho$. What does
inverted dropout add to the squared loss of the example? Write `a`, `b`, `p` and `rho`.
""",
        answer="p / (1 - p) * (a^2 + b^2 + 2 rho a b)",
        names={
            "a": (1.0, 2.0, -1.0, 0.5, 3.0),
            "b": (2.0, 1.0, -0.5, 3.0, 1.5, -1.0, 0.7),
            "p": RATES,
            "rho": (0.5, 1.0, 0.25, 0.8),
        },
        also={"q": "1 - p"},
        equal=["p/q (a^2 + 2 rho a b + b^2)", "(p/q) ((a+b)^2 - 2 (1-rho) a b)",
               "(1/q - 1)(a² + b² + 2rho*a*b)"],
        hints=[
            "What is added is the variance of the sum of what the two send.",
            "The variance of a sum has twice the covariance in it.",
            "The covariance is $\\rho$ times the two standard deviations, $a\\sqrt{p/q}$ and "
            "$b\\sqrt{p/q}$ (with their signs).",
        ],
        solution=r"""
What is added is $\operatorname{Var}(\frac{m_1}q a + \frac{m_2}q b)$: two variances $\frac pq a^2$
and $\frac pq b^2$, and twice the covariance, which is $\frac{ab}{q^2} \operatorname{Cov}(m_1, m_2)
= \frac{ab}{q^2}\, \rho\, pq = \frac pq \rho\, ab$. For independent coins, $\rho = 0$, no product
is left, *whether or not the features are correlated*: that is the step that carries the theorem.
One coin for both, $\rho = 1$, gives $\frac pq (a + b)^2$.

The whole proof: with $\hat y = b_0 + \sum_j w_j x_j$ and $\tilde y = b_0 + \sum_j \frac{m_j}q w_j
x_j$, for one example,

1. $\frac{m_j}q w_j x_j$ has the mean $w_j x_j$ and the variance $\frac pq w_j^2 x_j^2$;
2. so $\mathbb E \tilde y = \hat y$, and $\mathbb E(y - \tilde y)^2 = (y - \hat y)^2 +
   \operatorname{Var} \tilde y$;
3. the coins are independent, so that the variances add up:
   $\operatorname{Var} \tilde y = \frac pq \sum_j w_j^2 x_j^2$;
4. the sum over the examples is $\mathbb E \tilde L = L + \frac pq \sum_j w_j^2 \sum_i x_{ij}^2$.
   With $\sum_i x_{ij}^2 = N$ for all $j$, it is $L + N \frac pq \lVert w \rVert^2$: ridge
   regression.
""",
        wrong=[
            Wrong("p/(1-p) (a^2 + b^2)", "That is for independent coins. These tend to fall "
                                         "together, and a sum of what moves together varies more."),
            Wrong("p/(1-p) (a + b)^2", "That is for one coin that decides for both, $\\rho = 1$."),
            Wrong("p/(1-p) (a^2 + b^2 + rho a b)", "The square of a sum has its product *twice*."),
            Wrong("p (1-p) (a^2 + b^2 + 2 rho a b)", "The coins' variances and covariance are "
                  "right, and the scale $1/q$ is missing. It comes out squared."),
            Wrong("p/(1-p) (a^2 + b^2) + 2 rho a b", "A correlation has to be multiplied by the "
                  "two standard deviations to be a covariance, and these have $p/q$ in them too."),
            Wrong("p/(1-p) (a^2 + b^2 - 2 rho a b)", "That is the variance of the *difference* of "
                  "what they send. The prediction adds it up."),
        ],
    )
)  # fmt: skip

# ---- which λ ------------------------------------------------------------------------------------

EXERCISES.append(
    Formula(
        id="07.6",
        title="Which λ, by your loss",
        trains="taking λ from one way of writing the loss to another",
        question=r"""
A textbook writes ridge regression as $\frac12 \sum_{i=1}^N (y_i - x_i \cdot w)^2 + \lambda \lVert
w \rVert^2$: *half the sum*, and no ½ before the penalty. The features are centred and have
variance 1. Which $\lambda$ gives the weights that inverted dropout on the inputs has on average?
Write `N` and `p`.
""",
        answer="N p / (2 (1 - p))",
        names={"N": (442, 100, 10, 1000, 3), "p": RATES},
        also={"q": "1 - p"},
        equal=["N p/(2 q)", "N/2 (1/q - 1)", "0.5 N p/(1-p)", "p/(1-p) N/2"],
        hints=[
            "Dropout adds $\\frac pq \\sum_j w_j^2 \\sum_i x_{ij}^2$ to the sum of the squares.",
            "Here $\\sum_i x_{ij}^2 = N$. And what does it add to *half* the sum?",
        ],
        solution=r"""
Dropout adds $N \frac pq \lVert w \rVert^2$ to the sum of the squares, since $\sum_i x_{ij}^2 = N$.
To half the sum it adds half of that: $\lambda = \frac{Np}{2q}$.
""",
        wrong=[
            Wrong("p/(1-p)", "That goes with the *mean* of the squares. In a sum there are $N$ "
                             "examples, each with its penalty."),
            Wrong("N p/(1-p)", "That goes with the whole sum. Here the loss has a ½ before it, and "
                               "the penalty has none."),
            Wrong("p/(2(1-p))", "That goes with half the *mean*. The sum is $N$ times as large, "
                                "and so must the penalty be."),
            Wrong("2 N p/(1-p)", "You made up for the ½ in the wrong direction: a smaller loss is "
                                 "balanced by a smaller penalty."),
            Wrong("N (1-p)/(2p)", "You have exchanged $p$ and $q$: where nothing is dropped, "
                                  "$\\lambda$ is 0."),
            Wrong("N p (1-p)/2", "That is for the weights of vanilla dropout, in whose penalty the "
                                 "scale $1/q$ is missing."),
        ],
    )
)  # fmt: skip

EXERCISES.append(
    Formula(
        id="07.7",
        title="The weight decay of a vanilla network",
        trains="the two conventions, and what an optimiser calls weight decay",
        question=r"""
A linear model was trained with *vanilla* dropout on its inputs, centred and of variance 1: a mask
and no scale. Its weights $v$ are used in evaluation as $\hat y = q\, v \cdot x$. You want these
same $v$ without coins. So you train $\hat y = q\, v \cdot x$, with the factor $q$ in it, without
dropout, by `MSELoss` and `SGD(…, weight_decay=λ)` on $v$; the optimiser adds $\lambda v$ to the
gradient. Which $\lambda$ in `p`?
""",
        answer="2 p (1 - p)",
        names={"p": RATES},
        also={"q": "1 - p"},
        equal=["2 p q", "2(p - p^2)", "2q(1-q)", "2p - 2p²"],
        hints=[
            "With a mask alone an input sends $m v x$. What is its variance?",
            "So dropout adds $pq \\lVert v \\rVert^2$ to the mean of the squares. Which penalty "
            "has the gradient $\\lambda v$?",
        ],
        solution=r"""
With a mask alone an input sends $m v x$, with the mean $q v x$ and the variance $pq\, v^2 x^2$. So
the mean of the squares is on average that of $q\, v \cdot x$ plus $pq \lVert v \rVert^2$. The
optimiser's $\lambda v$ is the gradient of $\frac\lambda2 \lVert v \rVert^2$: $\lambda = 2pq$. It
is greatest at $\frac12$ and falls again, and yet the function is shrunk more and more: with $w =
qv$ the same penalty is $\frac pq \lVert w \rVert^2$.
""",
        wrong=[
            Wrong("p (1-p)", "That is the factor of $\\lVert v \\rVert^2$. An optimiser that adds "
                             "$\\lambda v$ to the gradient has $\\frac\\lambda2 \\lVert v "
                             "\\rVert^2$ for a penalty."),
            Wrong("p (1-p)/2", "You halved where you should double: it is $\\frac\\lambda2$ that "
                               "stands before $\\lVert v \\rVert^2$."),
            Wrong("2 p/(1-p)", "That is for the weights $w$ of inverted dropout. Here nothing is "
                               "divided by $q$, and the weights $v = w/q$ are larger."),
            Wrong("p/(1-p)", "That is for inverted weights and a penalty that is written as "
                             "$\\lambda \\lVert w \\rVert^2$: two conventions, and neither is the "
                             "one asked for."),
            Wrong("2 p/(1-p)^3", "You took the way from $v$ to $w$ in the wrong direction: it is "
                                 "$w = qv$."),
            Wrong("2 p", "That is what you get with $w = qv$ put in once. The penalty has its "
                         "weights squared."),
        ],
    )
)  # fmt: skip

# ---- where it fails, and where it goes ----------------------------------------------------------

EXERCISES.append(
    Number(
        id="07.8",
        title="A feature off centre",
        trains="what the penalty asks of a feature's mean",
        question=r"""
A feature has the mean 3 and the standard deviation 1 over the training data. Dropout with $p =
0.2$ acts on it as it is; the model has a bias, which does not drop. Write the expected loss as the
mean of the squared errors plus $\sum_j \lambda_j w_j^2$. What is $\lambda_j$ for this feature?
""",
        answer=2.5,
        follows="With that λ the mean of the feature's squares would have to be {4 answer}.",
        hints=[
            "The penalty is $\\frac pq w_j^2$ times the mean of $x_{ij}^2$ over the data.",
            "The mean of the squares is the variance plus the squared mean.",
        ],
        solution=r"""
The mean of the squares is $1 + 3^2 = 10$, and $\frac pq = \frac14$, so $\lambda_j = 2.5$. Centred,
the same feature would have $\lambda_j = 0.25$, a tenth. The bias lets ridge regression ignore the
mean; dropout sets the whole $x$ to 0 and not to its mean.
""",
        wrong=[
            Wrong(0.25, "That is for the feature after centring. Dropout makes 0 of $x$ itself, "
                        "and so its mean is lost too."),
            Wrong(2.25, "That has the squared mean alone. The feature varies as well."),
            Wrong(4, "You squared the mean plus the standard deviation. The mean of the squares is "
                     "the *variance* plus the *squared* mean."),
            Wrong(1, "You added the mean itself, and it has to be squared."),
            Wrong(10, "That is the mean of the squares, without the factor that depends on the "
                      "rate."),
            Wrong(40, "You have exchanged $p$ and $q$ in the factor."),
            Wrong(1.6, "That factor is $pq$, which is for vanilla weights."),
        ],
    )
)  # fmt: skip

EXERCISES.append(
    Choice(
        id="07.9",
        title="Which of these three paths?",
        trains="why dropout does not care for the scale of a feature, and ridge regression does",
        question=r"""
Two features are centred and uncorrelated; the first has variance 1, the second 4. Least squares
gives the weights 2 and 1. Inverted dropout acts on the inputs as they are, and the model is
trained, at each keep probability $q$, to the minimum of the expected loss. Which row has its two
weights?

| | $q = 1$ | $q = 0.8$ | $q = 0.5$ | $q = 0.2$ |
|---|---|---|---|---|
| A | 2, 1 | 1.6, 0.94 | 1.0, 0.80 | 0.4, 0.50 |
| B | 2, 1 | 2.0, 1.00 | 2.0, 1.00 | 2.0, 1.00 |
| C | 2, 1 | 1.6, 0.80 | 1.0, 0.50 | 0.4, 0.20 |
""",
        options={"a": "Row A", "b": "Row B", "c": "Row C"},
        answer="c",
        hints=[
            "Without correlation each weight has a loss of its own: $s (w_* - w)^2 + \\frac pq s "
            "w^2$, with $s$ the feature's mean square.",
            "Set the derivative to 0. What becomes of $s$?",
        ],
        solution=r"""
Each weight minimises $s_j (w_{*j} - w_j)^2 + \frac pq s_j w_j^2$. The mean square $s_j$ cancels,
and $w_j = w_{*j} / (1 + \frac pq) = q\, w_{*j}$, whatever the feature's scale: row C. Row A is
ridge regression with one $\lambda = \frac pq$ for both, $w_j = w_{*j}\, s_j / (s_j + \frac pq)$:
it spares the feature with the larger scale. Row B is $v = w/q$, the weights of vanilla dropout.
""",
        wrong=[
            Wrong("a", "That is ridge regression with one $\\lambda$ for both. The penalty of "
                       "dropout has each feature's own mean square in it, and so measures a weight "
                       "by what the feature sends."),
            Wrong("b", "Those are the weights of vanilla dropout, which grow to make up for what "
                       "is missing. Inverted weights are $q$ times these."),
        ],
    )
)  # fmt: skip

EXERCISES.append(
    Choice(
        id="07.10",
        title="Why it converges there",
        trains="what carries the proposition on the steps of SGD",
        question=r"""
Many runs of SGD with dropout on a linear model with squared loss, fresh masks in each step, at one
fixed and sufficiently small learning rate. The *mean* of the weights over the runs goes to the
ridge solution exactly, not just to somewhere near. Which two facts make that so?
""",
        options={
            "a": "The gradient is linear in the weights, and the weights are independent of the "
                 "masks of the step.",
            "b": "The noise of the gradient has mean 0, and becomes smaller near the minimum, "
                 "where the steps come to rest.",
            "c": "The loss with dropout has the same minimum for each mask, and every step goes "
                 "towards it.",
            "d": "The loss is convex, and over many steps the masks average out within one run.",
        },
        answer="a",
        hints=[
            "Take the mean of a step, $w_{k+1} = w_k - \\eta\\, g(w_k, m)$, over all that is "
            "random.",
            "When is the mean of $g(w_k, m)$ the same as the mean gradient *at the mean* of $w_k$?",
        ],
        solution=r"""
Given $w_k$, the mean gradient over fresh masks is $H (w_k - w_*)$, since $w_k$ knows nothing of
these masks. That is *linear* in $w_k$, so its mean over the runs is $H (\mathbb E w_k - w_*)$: the
mean goes step by step as gradient descent on the expected loss, and that converges to $w_*$, which
is ridge regression. For a loss that is not quadratic the mean of the gradient is not the gradient
at the mean, and the mean may end beside the minimum. The weights of a single run do not come to
rest in either case.
""",
        wrong=[
            Wrong("b", "At a fixed learning rate the steps do not come to rest: at the minimum the "
                       "gradient under a mask is not 0, and the weights keep a variance of the "
                       "order of the learning rate. Mean 0 alone does not make the mean exact."),
            Wrong("c", "Each mask has a minimum of its own, that of least squares on what it "
                       "leaves. It is the mean of the losses that has the ridge solution."),
            Wrong("d", "Convexity holds for logistic regression too, where the mean of the weights "
                       "ends only near the minimum at a fixed rate. A single run keeps moving."),
        ],
    )
)  # fmt: skip

# ---- code ---------------------------------------------------------------------------------------


def check_expected(expected_loss):
    out = expected_loss([1.0, 2.0], 3.0, [1.0, 3.0], 0.0)
    yield expect(
        "one number comes out", not isinstance(out, list),
        f"`{expected_loss.text}` gives `{shown(out)}`; a single number is wanted.",
        "add up over the masks",
        "no number",
    )  # fmt: skip
    gap = saw(expected_loss, out, 16.0)
    bare = close(expected_loss([2.0], 5.0, [3.0], 0.25), 12.0)
    yield expect(
        "with p = 0 it is the loss without dropout", close(out, 16.0), gap,
        "at p = 0 only the mask that keeps everything has a probability",
        f"{gap} {bare}",
    )  # fmt: skip
    out = expected_loss([2.0], 5.0, [3.0], 0.25)
    yield expect(
        "it is right for one feature", close(out, 13.0), saw(expected_loss, out, 13.0),
        "the feature sends 0 with probability 0.25, and 6/0.75 = 8 with 0.75",
    )  # fmt: skip
    out = expected_loss([1.0, 2.0], 2.0, [3.0, -1.0], 0.5)
    yield expect(
        "each feature has a coin of its own", close(out, 14.0), saw(expected_loss, out, 14.0),
        "the four masks send 0, 6, −4 and 2, each with probability 1/4",
    )  # fmt: skip
    out = expected_loss([1.0, 2.0, -1.0], 1.0, [2.0, 1.0, 1.0], 0.25)
    yield expect(
        "each mask counts by its probability", close(out, 7.0), saw(expected_loss, out, 7.0),
        "a mask has the probability q for each 1 in it, times p for each 0",
    )  # fmt: skip


EXERCISES.append(
    Code(
        id="07.11",
        title="Every mask, counted",
        trains="the expected loss without a single coin toss",
        question=r"""
Write `expected_loss(x, y, w, p)`: the squared error $(y - \sum_j \frac{m_j}q w_j x_j)^2$ of one
example under inverted dropout on its features, averaged *exactly* over all $2^n$ masks, each with
its probability. `x` and `w` are lists of $n$ numbers, `y` and `p` numbers, $0 \le p < 1$. (To go
through the masks: bit `j` of a number `k` is `k >> j & 1`. Do it by the masks; then hold it
against the theorem.)
""",
        given="""
def expected_loss(x, y, w, p):
    ...
""",
        code="""
def expected_loss(x, y, w, p):
    q = 1 - p
    total = 0.0
    for k in range(2 ** len(x)):
        probability, sent = 1.0, 0.0
        for j in range(len(x)):
            if k >> j & 1:
                probability *= q
                sent += w[j] * x[j] / q
            else:
                probability *= p
        total += probability * (y - sent) ** 2
    return total
""",
        alike=[
            """
def expected_loss(x, y, w, p):
    sends = [a * b for a, b in zip(x, w)]
    return (y - sum(sends)) ** 2 + p / (1 - p) * sum(s * s for s in sends)
""",
            """
def expected_loss(x, y, w, p):
    def rest(j, target):
        if j == len(x):
            return target ** 2
        kept = rest(j + 1, target - w[j] * x[j] / (1 - p))
        return (1 - p) * kept + p * rest(j + 1, target)
    return rest(0, y)
""",
            """
import itertools
import numpy as np

def expected_loss(x, y, w, p):
    masks = np.array(list(itertools.product([0, 1], repeat=len(x))))
    chance = np.where(masks, 1 - p, p).prod(axis=1)
    return chance @ (y - masks @ (np.asarray(w) * x) / (1 - p)) ** 2
""",
            """
import torch

def expected_loss(x, y, w, p):
    n = len(x)
    masks = torch.arange(2 ** n)[:, None] >> torch.arange(n) & 1
    kept = masks.sum(1)
    chance = (1 - p) ** kept * p ** (n - kept)
    return (chance * (y - (masks * w * x).sum(1) / (1 - p)) ** 2).sum()
""",
        ],
        check=check_expected,
        in_page=True,
        harmless={
            "if k >> j & 1: -> if not k >> j & 1:": "the same masks in another order",
        },
        hints=[
            "Two loops: over `k in range(2 ** n)`, and in it over the features `j`.",
            "In the inner loop take the product of the probabilities, `q` or `p`, and the sum of "
            "what is sent, `w[j] * x[j] / q` where the bit is 1.",
            "After the inner loop add `probability * (y - sent) ** 2` to the total.",
        ],
        solution="""
The masks are the numbers below 2ⁿ in binary. For a linear model and squared loss the theorem gives
the same without a loop over masks: `(y - Σ w x)² + p/q Σ (w x)²`.
""",
        wrong=[
            Wrong("""
def expected_loss(x, y, w, p):
    q = 1 - p
    total = 0.0
    for k in range(2 ** len(x)):
        sent = sum(w[j] * x[j] / q for j in range(len(x)) if k >> j & 1)
        total += (y - sent) ** 2
    return total / 2 ** len(x)
""", "You take all masks to be equally probable. They are at p = ½ only."),
            Slip("w[j] * x[j] / q", "w[j] * x[j]", "What is kept is not scaled: that is vanilla "
                 "dropout, whose mean prediction is q times as large."),
            Wrong("""
def expected_loss(x, y, w, p):
    q = 1 - p
    total = 0.0
    for k in range(2 ** len(x)):
        probability, sent = 1.0, 0.0
        for j in range(len(x)):
            if k >> j & 1:
                probability *= p
                sent += w[j] * x[j] / q
            else:
                probability *= q
        total += probability * (y - sent) ** 2
    return total
""", "You have exchanged the probabilities: a 1 in the mask means kept, which has the probability "
     "q."),
            Wrong("""
def expected_loss(x, y, w, p):
    q = 1 - p
    sends = sum(a * b for a, b in zip(x, w))
    return p * y ** 2 + q * (y - sends / q) ** 2
""", "One coin decides for the whole example here. Then what the features send is penalised as a "
     "sum, and not one by one."),
            Slip("range(2 ** len(x))", "range(2 ** len(x) - 1)", "The last mask is missing, the "
                 "one that keeps everything: `range` stops before its end."),
            Slip("total += probability * (y - sent) ** 2\n    return total",
                 "total += probability * sent\n    return (y - total) ** 2",
                 "You average the prediction and then take its error. The mean of the squared "
                 "errors is larger, by the variance of the prediction, and that is the point."),
            Wrong("""
def expected_loss(x, y, w, p):
    sends = [a * b for a, b in zip(x, w)]
    return (y - sum(sends)) ** 2 + p * (1 - p) * sum(s * s for s in sends)
""", "You add the penalty of an unscaled coin. Divided by q, the coin has a variance that is "
     "larger by 1/q²."),
            Wrong("""
def expected_loss(x, y, w, p):
    sends = [a * b for a, b in zip(x, w)]
    return p / (1 - p) * sum(s * s for s in sends)
""", "That is the penalty alone, what dropout *adds*. The loss without dropout belongs to it."),
        ],
    )
)  # fmt: skip


def check_fit(fit):
    four = [[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]]
    out = fit(four, [4.0, 2.0, -2.0, -4.0], 0.0)
    yield expect(
        "one weight for each feature", isinstance(out, list) and len(out) == 2,
        f"Four examples of two features give `{shown(out)}`; two weights are wanted.",
        "solve for as many unknowns as x has columns",
        "not two",
    )  # fmt: skip
    yield expect(
        "with p = 0 it is least squares", close(out, [3.0, 1.0]), saw(fit, out, [3.0, 1.0]),
        "without dropout there is no penalty",
    )  # fmt: skip
    out = fit(four, [4.0, 2.0, -2.0, -4.0], 0.25)
    yield expect(
        "features of mean square 1 have the ridge λ = N p/q", close(out, [2.25, 0.75]),
        saw(fit, out, [2.25, 0.75]),
        "hold what you add to the diagonal of `x.T @ x` against the theorem",
    )  # fmt: skip
    wide = [[1.0, 2.0], [1.0, -2.0], [-1.0, 2.0], [-1.0, -2.0]]
    out = fit(wide, [3.0, -1.0, 1.0, -3.0], 0.5)
    yield expect(
        "a feature of another scale has a λ of its own", close(out, [0.5, 0.5]),
        saw(fit, out, [0.5, 0.5]),
        "what does the theorem multiply the squared weight of feature j by?",
    )  # fmt: skip
    out = fit([[2.0, 0.0], [1.0, 1.0]], [3.0, 1.0], 0.5)
    wanted = [13 / 19, 3 / 19]
    yield expect(
        "products of two features are not penalised", close(out, wanted), saw(fit, out, wanted),
        "add to the diagonal of `x.T @ x` only",
    )  # fmt: skip
    out = fit([[1.0], [3.0]], [1.0, 3.0], 0.5)
    yield expect(
        "a feature's mean counts too", close(out, [0.5]), saw(fit, out, [0.5]),
        "sum the squares of x itself",
    )  # fmt: skip


EXERCISES.append(
    Code(
        id="07.12",
        title="Find the bug: one λ for all",
        trains="the penalty with each feature's own second moment",
        question=r"""
`fit(x, y, p)` is to return the weights that inverted dropout on the inputs has on average: the
minimum of the expected squared loss of $\hat y = x \cdot w$, without a bias, for `x` of shape $(N,
n)$ and `y` of shape $(N,)$. Nothing is said of how the features are scaled, where they have their
means, or how they are correlated; $0 \le p < 1$. On standardised features the function below is
right, and on others it is not. Mend it. (NumPy or PyTorch, as you like.)
""",
        given="""
import torch

def fit(x, y, p):
    N, n = x.shape
    penalty = N * p / (1 - p) * torch.eye(n, dtype=x.dtype)
    return torch.linalg.solve(x.T @ x + penalty, x.T @ y)
""",
        code="""
import torch

def fit(x, y, p):
    penalty = p / (1 - p) * torch.diag((x ** 2).sum(0))
    return torch.linalg.solve(x.T @ x + penalty, x.T @ y)
""",
        alike=[
            """
import numpy as np

def fit(x, y, p):
    gram = x.T @ x
    return np.linalg.solve(gram + p / (1 - p) * np.diag(np.diag(gram)), x.T @ y)
""",
            """
import numpy as np

def fit(x, y, p):
    size = np.sqrt((x ** 2).mean(axis=0))
    z = x / size
    w = np.linalg.solve(z.T @ z + len(x) * p / (1 - p) * np.eye(x.shape[1]), z.T @ y)
    return w / size
""",
            """
import torch

def fit(x, y, p):
    more = torch.diag((p / (1 - p) * x.square().sum(0)).sqrt())
    rows = torch.cat([x, more])
    targets = torch.cat([y, torch.zeros(x.shape[1], dtype=x.dtype)])
    return torch.linalg.lstsq(rows, targets[:, None]).solution[:, 0]
""",
            """
import itertools
import numpy as np

def fit(x, y, p):
    n = x.shape[1]
    gram, moment = np.zeros((n, n)), np.zeros(n)
    for mask in itertools.product([0.0, 1.0], repeat=n):
        kept = sum(mask)
        rows = np.array(mask) * x / (1 - p)
        chance = (1 - p) ** kept * p ** (n - kept)
        gram += chance * rows.T @ rows
        moment += chance * rows.T @ y
    return np.linalg.solve(gram, moment)
""",
        ],
        check=check_fit,
        hints=[
            "Dropout adds $\\frac pq \\sum_j w_j^2 \\sum_i x_{ij}^2$. Where the features are "
            "standardised, $\\sum_i x_{ij}^2$ is $N$. And else?",
            "The penalty matrix is diagonal, with a number for each feature in the place of `N`.",
            "That number is the sum of the squares of the feature's column, the diagonal of "
            "`x.T @ x`.",
        ],
        solution="""
The sum of squares of each column takes the place of N. Then a feature in other units gets a weight
in other units, and the predictions stay the same, which one λ for all does not give.
""",
        wrong=[
            Wrong("""
import numpy as np

def fit(x, y, p):
    ridge = len(x) * p / (1 - p)
    return np.linalg.inv(x.T @ x + np.diag([ridge] * x.shape[1])) @ (x.T @ y)
""", "One λ for all features is plain ridge regression. It punishes a weight by its size alone; "
     "dropout punishes what the feature sends, so that the units do not matter."),
            Slip("(x ** 2).sum(0)", "(x ** 2).mean(0)", "That is the penalty for the *mean* of the "
                 "squares, and `x.T @ x` belongs to their sum: the penalty is too weak by a factor "
                 "N."),
            Slip("(x ** 2).sum(0)", "x.abs().sum(0)", "You sum the sizes of the feature's values. "
                 "The variance of what a coin makes of x goes with the square of it."),
            Slip("(x ** 2).sum(0)", "((x - x.mean(0)) ** 2).sum(0)",
                 "You take the variance. It is x itself that the mask multiplies, so that the mean "
                 "is dropped with it; for features off centre the difference is large."),
            Slip("torch.diag((x ** 2).sum(0))", "x.T @ x", "You penalise the products of two "
                 "features too, as if one coin decided for all. The coins are independent, and the "
                 "penalty has no products."),
            Slip("p / (1 - p)", "(1 - p) / (p + 1e-300)", "You have exchanged p and q: the penalty "
                 "must vanish where nothing is dropped."),
            Slip("p / (1 - p)", "p * (1 - p)", "That is the factor for the weights of vanilla "
                 "dropout. Inverted dropout divides by q."),
            Slip("torch.diag((x ** 2).sum(0))",
                 "torch.eye(x.shape[1], dtype=x.dtype) * (x ** 2).sum() / x.shape[1]",
                 "That is again one λ for all, now the average of those that are wanted."),
            Wrong("""
import torch

def fit(x, y, p):
    z = x / x.square().mean(0).sqrt()
    penalty = len(x) * p / (1 - p) * torch.eye(x.shape[1], dtype=x.dtype)
    return torch.linalg.solve(z.T @ z + penalty, z.T @ y)
""", "You scale the features and fit well, and give the weights of the *scaled* features back. "
     "They are to be used with x as it is."),
        ],
    )
)  # fmt: skip
