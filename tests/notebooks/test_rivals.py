"""The chapters' assertions can fail: each refuses a wrong library or a wrong formula.

A wrong library takes the place of the right one; a wrong formula is typed into the cell that states
it. Then the cells under a label run, with what they need, and an assertion must not hold.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import pytest
import torch
from scipy.special import expit
from torch.optim.swa_utils import update_bn

from dropout import bayes, functional, nn, reference
from dropout import nn as dropout_nn
from dropout.layers import concrete
from dropout.theory import penalties, variance_shift
from dropout.training import loops
from tests import rivals
from tests.notebooks import cells, normalise

pytestmark = pytest.mark.unchecked  # cells call the library as readers do
PATHS = {path.stem: path for path in normalise.notebooks()}


@dataclass(frozen=True)
class Rival:
    """What is wrong, and the label of the chapter's cells that refuse it.

    `library` stands in for `functional.dropout`; `patch` for other names of the library, as
    "module.name"; `change` are pairs of a text in the label's cells and what is typed instead.
    """

    chapter: str
    label: str
    wrong: str
    library: Callable | None = None
    patch: tuple[tuple[str, object], ...] = ()
    change: tuple[tuple[str, str], ...] = ()


def vanilla_penalty(x, w, p):
    """The penalty of vanilla dropout on the weights of inverted dropout: off by q²."""
    return (1 - p) ** 2 * SQUARED_LOSS_PENALTY(x, w, p)


def quadratic_for_exact(x, y, w, b, p):
    """The expected logistic loss to second order in dropout's noise."""
    z = x @ w + b
    quadratic = penalties.glm_penalty(x, w, p, expit(z) * expit(-z))
    return EXPECTED_LOGISTIC_LOSS(x, y, w, b, 0.0) + quadratic


def off_by_q_squared(weight_decay, length_scale, q, n, **options):
    """The precision of the paper's vanilla dropout, for weights of inverted dropout."""
    return q**2 * PRECISION(weight_decay, length_scale, q, n, **options)


def renormalised_attention(queries, keys, values, p, key=None):
    """The kept weights divided by their sum."""
    weights = (queries @ keys.mT / queries.shape[-1] ** 0.5).softmax(-1)
    kept = torch.nn.functional.dropout(weights, p)
    return kept @ values / kept.sum(-1, keepdim=True).clamp(min=1e-9)


def output_dropout(queries, keys, values, p, key=None):
    """What is attended to dropped, instead of the weights."""
    out = torch.nn.functional.scaled_dot_product_attention(queries, keys, values)
    return torch.nn.functional.dropout(out, p)


def tokens_for_types(embedding, p, key=None):
    """A coin for each token of the text, not for each word of the table."""

    def look_up(tokens):
        vectors = embedding(tokens)
        return vectors * (torch.rand(*tokens.shape, 1) >= p) / (1 - p)

    return look_up


class LosesWeights(torch.nn.Module):
    """Weight drop whose mask falls on the weights themselves."""

    def __init__(self, rnn, p):
        super().__init__()
        self.rnn, self.p = rnn, p

    def forward(self, x):
        with torch.no_grad():
            self.rnn.weight_hh_l0 *= torch.rand_like(self.rnn.weight_hh_l0) >= self.p
        return self.rnn(x)


def unscaled_reference(x, p=0.5, training=True, **options):
    return DROPOUT(x, p, training, **options) * (1 - p if training else 1)


def scale_rounded_first(x, p=0.5, training=True, inplace=False, **_):
    """PyTorch's own on the CPU."""
    return torch.nn.functional.dropout(x, p, training)


def one_mask_in_a_draw(x, p=0.5, training=True, inplace=False, **options):
    return x * rivals.RIGHT(torch.ones_like(x[:, :1]), p, training, **options)


def shift_with_p_for_p_over_q(mean, covariance, weight, p):
    return THROUGH_WEIGHTS(mean, covariance, weight, p / (1 + p))


def shift_without_the_mean(mean, covariance, weight, p):
    return THROUGH_WEIGHTS(0 * mean, covariance, weight, p)


def shift_of_infinite_width(units, p, weight=None):
    """The proposition's limit for a large layer, where ten units are asked."""
    c, v = units.mean(1), units.var(1)
    return v / (v + p / (1 - p) * (c**2 + v))


def dropout_left_on(model, batches):
    update_bn(batches, model)
    return model.eval()


def without_dropout(*widths, p=0.0):
    return MLP(*widths)


def kl_without_entropy(layer, length=1.0):
    """The price of the weights alone."""
    return length**2 / 2 * layer.layer.weight.square().sum() * (1 + layer.logit.exp())


def kl_of_one_coin(layer, length=1.0):
    """The entropy of one coin, where each input has its own."""
    return kl_without_entropy(layer, length) + KL(layer, 0.0) / layer.layer.weight.shape[1]


def kl_of_vanilla(layer, length=1.0):
    """The price of vanilla dropout's weights, asked of those of inverted dropout."""
    q = torch.sigmoid(-layer.logit)
    return KL(layer, 0.0) + length**2 / 2 * q * layer.layer.weight.square().sum()


def relaxed_unscaled(x, logit, temperature=0.1, training=True, **options):
    out = CONCRETE(x, logit, temperature, training, **options)
    return out * torch.sigmoid(-logit) if training else out


def relaxed_without_slope(x, logit, *arguments, **options):
    return CONCRETE(x, logit.detach(), *arguments, **options)


def variance_p(x, p, **options):
    return GAUSSIAN(x, p / (1 + p), **options)


def blocks_of_one(x, p, size, *, key=None, per_channel=True):
    return functional.dropout(x, p, key=key)


def torch_always_drops(x, p=0.5, training=True, inplace=False):
    return TORCH_DROPOUT(x, p, True, inplace)


KL, CONCRETE, GAUSSIAN = (
    nn.ConcreteDropout.kl, concrete.concrete_dropout, functional.gaussian_dropout,
)  # fmt: skip
TORCH_DROPOUT = torch.nn.functional.dropout


THROUGH_WEIGHTS, MLP = variance_shift.through_weights, loops.mlp
SQUARED_LOSS_PENALTY = penalties.squared_loss_penalty
EXPECTED_LOGISTIC_LOSS = penalties.expected_logistic_loss
PRECISION, DROPOUT = bayes.precision, reference.dropout

PROCEDURE, SCALING, RIDGE = "02_procedure", "03_inverted_scaling", "07_ridge_equivalence"
ENSEMBLES, NOISE, MC = "04_ensembles", "05_noise_variance", "06_mc_dropout"
OVERFITTING, TENSION, WHY = "01_overfitting", "08_batch_norm_tension", "09_why_it_helps"
SCALE = "16_gpu_and_scale"
SEQUENCES = "12_transformers_and_sequences"
LEARNED, COINS = "10_gaussian_and_learned_noise", "11_one_coin_many_layers"
PITFALLS = "15_pitfalls_and_audit"
PRICE, RELAXED = "dropout.nn.ConcreteDropout.kl", "dropout.layers.concrete.concrete_dropout"
PENALTY, SHIFT = "dropout.theory.penalties", "dropout.theory.variance_shift"
RECIPE, WORKS = "13_training_recipe", "14_does_it_work"
RIVALS = [
    Rival("intro", "", "unscaled", rivals.unscaled),
    Rival("intro", "", "scaled twice", rivals.scaled_twice),
    Rival(OVERFITTING, "forgotten-eval-trained", "no dropout",
          change=(("trained = network(0.5)", "trained = network(0.0)"),)),
    Rival(OVERFITTING, "printed-loss", "no dropout",
          change=(("model, log = network(p), []", "model, log = network(0.0), []"),)),
    Rival(OVERFITTING, "printed-loss", "printed in evaluation mode, at the end",
          change=(("printed.append(loss.item())",
                   "printed = [cross_entropy(model.eval()(train.x), train.y).item()]"),)),
    Rival(OVERFITTING, "one-line", "no dropout",
          patch=(("dropout.training.loops.mlp", without_dropout),)),
    Rival(PROCEDURE, "by-hand", "unscaled", change=(("(tosses * h / q)", "(tosses * h)"),)),
    Rival(PROCEDURE, "four-lines", "unscaled", change=(("keep, h / q, 0.0", "keep, h, 0.0"),)),
    Rival(PROCEDURE, "thinned-network", "unscaled",
          patch=(("dropout.reference.dropout", unscaled_reference),)),
    Rival(PROCEDURE, "exactly-zero", "multiplies", rivals.multiplies),
    Rival(PROCEDURE, "two-to-the-n", "variance n q", change=(("n * p * q", "n * q"),)),
    Rival(PROCEDURE, "coins-are-independent", "8-bit coins", rivals.eight_bit_coins),
    Rival(PROCEDURE, "coins-are-independent", "one mask for all steps",
          change=(('"step": {"step": 1}', '"step": {}'),)),
    Rival(PROCEDURE, "which-p", "p for 1 - p", rivals.keeps_with_p),
    Rival(PROCEDURE, "per-example-counted", "at most B fails",
          change=(("g.mean(axis=0))", "g.sum(axis=0))"),)),
    Rival(PROCEDURE, "per-example-trained", "one mask", one_mask_in_a_draw),
    Rival(PROCEDURE, "no-gradient", "gradient without mask", rivals.negligent_gradient),
    Rival(PROCEDURE, "zero-gradient-moves", "no momentum",
          change=(("momentum=0.9", "momentum=0.0"),)),
    Rival(PROCEDURE, "one-backward", "another example's mask",
          change=(("* kept * scale", "* kept.roll(1, 0) * scale"),)),
    Rival(PROCEDURE, "train-and-eval", "active in evaluation", rivals.active_in_evaluation),
    Rival(PROCEDURE, "forgotten-eval", "active in evaluation", rivals.active_in_evaluation),
    Rival(PROCEDURE, "placement-sampled", "unscaled", rivals.unscaled),
    Rival(PROCEDURE, "dilution", "one mask for all steps", change=(("step=k", "step=0"),)),
    Rival(SCALING, "two-units", "unscaled",
          change=(("chance @ two_sums / q", "chance @ two_sums"),)),
    Rival(SCALING, "mean-enumerated", "unscaled", change=(("(w * h) / q", "(w * h)"),)),
    Rival(SCALING, "mean-sampled", "8-bit coins", rivals.eight_bit_coins),
    Rival(SCALING, "mean-sampled", "unscaled", rivals.unscaled),
    Rival(SCALING, "mean-sampled", "scaled twice", rivals.scaled_twice),
    Rival(SCALING, "share-that-stayed", "unscaled", change=(("(masks / (1 - p),", "(masks,"),)),
    Rival(SCALING, "backward-factor", "the 0/1 mask",
          change=(("ones.grad.unique(), [0", "(ones.grad > 0).unique(), [0"),)),
    Rival(SCALING, "mean-exact", "8-bit coins",
          patch=(("dropout.mask.threshold", lambda p: 256 * round(256 * p)),)),
    Rival(SCALING, "mean-exact", "scaled by the rate asked for",
          patch=(("dropout.reference.inverted_scale", lambda p: 1 / (1 - p)),)),
    Rival(SCALING, "glossary-exercise", "unscaled", rivals.unscaled),
    Rival(SCALING, "never-both", "q once", change=(("Q * Q * Q * z", "Q * z"),)),
    Rival(SCALING, "same-function", "same weights",
          change=(("q * V @ reference", "V @ reference"),)),
    Rival(SCALING, "gradient-scale", "learning rate / q",
          change=(("[eta / Q**2]", "[eta / Q]"),)),
    Rival(SCALING, "learning-rate-sampled", "learning rate / q",
          change=(('"lr": lr0 / q**2', '"lr": lr0 / q'),)),
    Rival(SCALING, "after-a-nonlinearity-counted", "unscaled", rivals.unscaled),
    Rival(SCALING, "low-precision", "scale rounded first", scale_rounded_first),
    Rival(ENSEMBLES, "three-units", "unscaled", change=(("bits / q", "bits"),)),
    Rival(ENSEMBLES, "geometric-derived", "unscaled", change=(("m[j] / q", "m[j]"),)),
    Rival(ENSEMBLES, "geometric-enumerated", "not renormalised",
          change=(("ensembles.geometric_mean(S12, chance)[0]", "torch.exp(chance @ log_P)"),)),
    Rival(ENSEMBLES, "geometric-sampled", "8-bit coins", rivals.eight_bit_coins),
    Rival(ENSEMBLES, "geometric-sampled", "unscaled", rivals.unscaled),
    Rival(ENSEMBLES, "linear-enumerated", "unscaled",
          patch=(("dropout.theory.ensembles.inverted_scale", lambda p: 1.0),)),
    Rival(ENSEMBLES, "logistic", "half the bound", change=(("12 * 3**0.5", "24 * 3**0.5"),)),
    Rival(RIDGE, "penalty-sampled", "8-bit coins", rivals.eight_bit_coins),
    Rival(RIDGE, "penalty-sampled", "unscaled", rivals.unscaled),
    Rival(RIDGE, "penalty-enumerated", "penalty off by q²",
          patch=((f"{PENALTY}.squared_loss_penalty", vanilla_penalty),)),
    Rival(RIDGE, "first-order", "quadratic for exact",
          patch=((f"{PENALTY}.expected_logistic_loss", quadratic_for_exact),)),
    Rival(RIDGE, "quadratic-fails", "quadratic for exact",
          patch=((f"{PENALTY}.expected_logistic_loss", quadratic_for_exact),)),
    Rival(RIDGE, "penalty-sampled", "p for 1 - p", rivals.keeps_with_p),
    Rival(RIDGE, "not-white", "weights alone",
          change=(("second_moment=moments", "second_moment=None"),)),
    Rival(RIDGE, "lambda", "half the decay", change=(("weight_decay=2 * p", "weight_decay=p"),)),
    Rival(MC, "tau-enumerated", "tau off by q²",
          patch=(("dropout.bayes.precision", off_by_q_squared),)),
    Rival(MC, "tau", "tau off by q²", patch=(("dropout.bayes.precision", off_by_q_squared),)),
    Rival(MC, "eight-lines", "model.train()",
          change=(("model.eval().modules()", "model.train().modules()"),)),
    Rival(MC, "kl", "divergence without q",
          change=(("q * ell**2 * length**2 / 2", "ell**2 * length**2 / 2"),)),
    Rival(MC, "does-not-shrink", "ridge by the identity",
          change=(("np.diag(np.diag(gram))", "N * 0.5 * np.eye(n)"),)),
    Rival(NOISE, "variance-sampled", "8-bit coins", rivals.eight_bit_coins),
    Rival(NOISE, "variance-sampled", "unscaled", rivals.unscaled),
    Rival(NOISE, "alpha", "plain dropout",
          change=(("torch.nn.AlphaDropout(0.2)", "torch.nn.Dropout(0.2)"),)),
    Rival(NOISE, "variance-enumerated", "variance p q h²",
          change=(("p / q * layer", "p * q * layer"),)),
    Rival(NOISE, "not-a-small-p", "without the slope",
          change=(("cost + p * (h * slope)", "cost + 0 * (h * slope)"),)),
    Rival(TENSION, "mend", "dropout left on",
          change=(("model.eval()\n    for layer", "model.train()\n    for layer"),)),
    Rival(TENSION, "shift-derived", "without the mean",
          change=(("lambda e: c**2 + v", "lambda e: v"),)),
    Rival(TENSION, "shift-derived", "width alone",
          change=(("rho * (d * cos2 - 1)", "rho * (d - 1)"),)),
    Rival(TENSION, "shift-enumerated", "p for p/q",
          patch=((f"{SHIFT}.through_weights", shift_with_p_for_p_over_q),)),
    Rival(TENSION, "shift-enumerated", "without the mean",
          patch=((f"{SHIFT}.through_weights", shift_without_the_mean),)),
    Rival(TENSION, "shift-sampled", "unscaled", rivals.unscaled),
    Rival(TENSION, "shift-sampled", "scaled twice", rivals.scaled_twice),
    Rival(TENSION, "shift-sampled", "p for 1 - p", rivals.keeps_with_p),
    Rival(TENSION, "live", "dropout left on", patch=((f"{SHIFT}.reestimate", dropout_left_on),)),
    Rival(TENSION, "layer-norm-enumerated", "formula for many units",
          patch=((f"{SHIFT}.before_layer_norm", shift_of_infinite_width),)),
    Rival(WHY, "conspiracy-derived", "unscaled",
          change=(("m[i] * c_[i] / q_", "m[i] * c_[i]"),)),
    Rival(WHY, "conspiracy-enumerated", "changing partners never met",
          change=(("(b - 1) / (len(c) - 1)", "0"),)),
    Rival(WHY, "conspiracy-sampled", "unscaled", rivals.unscaled),
    Rival(WHY, "conspiracy-sampled", "p for 1 - p", rivals.keeps_with_p),
    Rival(WHY, "conspiracy-sampled", "fixed for changing partners",
          change=((".argsort(1)", ".argsort(1) * 0 + np.arange(6)"),)),
    Rival(WHY, "small-version", "formula without its penalty",
          patch=(("dropout.experiments.why_it_helps.noise_variance", lambda p: 0.0),)),
    Rival(SCALE, "rounds", "four rounds",
          change=(("range(rounds)", "range(min(rounds, 4))"),)),
    Rival(SCALE, "elsewhere", "a stream", scale_rounded_first),
    Rival(SCALE, "bytes", "a mask that is kept", scale_rounded_first),
    Rival(SCALE, "checkpoint-safe", "a stream", scale_rounded_first),
    Rival(SCALE, "data-parallel", "no rows told",
          change=(("if told else None", "if told is None else None"),)),
    Rival(SCALE, "one-seed-derived", "the mask's part of two ranks apart",
          change=(('"alike": q / q**2 * mu**2', '"alike": mu**2'),)),
    Rival(SCALE, "one-seed-enumerated", "all noise R times",
          change=(("(A + C) / 2 + B", "A + B + C"),)),
    Rival(SCALE, "one-seed-sampled", "unscaled", rivals.unscaled),
    Rival(SCALE, "one-seed-sampled", "ranks average out the mask",
          change=(("else B)", "else B / ranks)"),)),
    Rival(SCALE, "same-mask-chance", "kept in both alone",
          change=(("((1 - keep) ** 2 + keep**2) ** n", "(keep**2) ** n"),)),
    Rival(SCALE, "tensor-parallel", "one seed for all",
          change=(("shard=Part(whole, start)", "shard=None"),)),
    Rival(SCALE, "smollm", "coins shared after all",
          change=(('"weights alike": {"weights_alike": True},',
                   '"weights alike": {"weights_alike": True, "masks_alike": True},'),)),
    Rival(SCALE, "groups-of-four", "a test that sees nothing",
          change=(("abs(pair - p * p) < 0.01", "abs(pair - p * p) < 1"),)),
    Rival(SEQUENCES, "residual-path", "the norm behind the sum",
          change=(("norm_first=True", "norm_first=False"),)),
    Rival(SEQUENCES, "after-the-sum", "variances of the sums added",
          change=(("- 1, q**-L - 1)", "- 1, L * p / q)"),)),
    Rival(SEQUENCES, "row-by-hand", "p for p/q",
          change=(("p / q * (a**2).sum()", "p * (a**2).sum()"),)),
    Rival(SEQUENCES, "attention-derived", "not scaled",
          change=(("(row, m, Q).equals((1 - Q) / Q *", "(row, m, Q).equals((1 - Q) * Q *"),)),
    Rival(SEQUENCES, "attention-enumerated", "output dropout's variance",
          change=(("p / q * (v.T * a**2) @ v", "p / q * np.diag(y**2)"),)),
    Rival(SEQUENCES, "attention-sampled", "renormalised",
          patch=(("dropout.functional.attention", renormalised_attention),)),
    Rival(SEQUENCES, "attention-sampled", "the output dropped",
          patch=(("dropout.functional.attention", output_dropout),)),
    Rival(SEQUENCES, "renormalise", "scaled by 1/q",
          change=(("mean = chance @ (masks * a / (masks @ a)[:, None])\n    assert",
                   "mean = chance @ (masks * a / q)\n    assert"),)),
    Rival(SEQUENCES, "before-the-softmax", "NaN for every word at the same rate",
          change=(("0.3 ** np.arange(1, T + 1)", "0.3 + 0 * np.arange(1, T + 1)"),)),
    Rival(SEQUENCES, "sdpa-evaluation", "dropping in evaluation",
          change=(("self.training or not self.careful", "True"),)),
    Rival(SEQUENCES, "embedding-and-locked", "a coin for each token",
          patch=(("dropout.nn.EmbeddingDropout", tokens_for_types),)),
    Rival(SEQUENCES, "lstm-between", "on the last layer too",
          change=(("between = upper", "between = 2 * (torch.rand(16) > 0.5) * upper"),)),
    Rival(SEQUENCES, "held-derived", "fresh for held",
          change=(("held.equals((1 - Q) / Q * h**2)", "held.equals((1 - Q) / Q * h)"),)),
    Rival(SEQUENCES, "held-enumerated", "fresh for held",
          patch=(("dropout.functional.locked_dropout", functional.dropout),)),
    Rival(SEQUENCES, "held-enumerated", "unscaled", rivals.unscaled),
    Rival(SEQUENCES, "noise-in-time", "a fresh mask on the state",
          change=(("layers.VariationalRNN(rnn, 0.0, p, 0.0)", "FreshState(rnn, p)"),)),
    Rival(SEQUENCES, "weight-drop", "weights lost in place",
          patch=(("dropout.nn.WeightDrop", LosesWeights),)),
    Rival(SEQUENCES, "fast-kernels", "a loop over the steps",
          patch=(("dropout.nn.WeightDrop", lambda rnn: dropout_nn.VariationalRNN(rnn)),)),
    Rival(SEQUENCES, "language-model", "both rates 0",
          change=(("for p in (0.0, 0.2)]", "for p in (0.0, 0.0)]"),)),
    Rival(SEQUENCES, "language-model", "the whole text each time",
          change=(("n = len(follows) // passes", "n = len(follows)"),)),
    Rival(SEQUENCES, "set-rates", "a configuration that is read at each call",
          change=(("self.head(self.body(x))",
                   "self.head(F.dropout(self.body[:2](x), self.config['dropout']))"),)),
    Rival(SEQUENCES, "set-rates", "a hook that drops in evaluation",
          change=(("F.dropout(out, 0.2, layer.training)", "F.dropout(out, 0.2)"),)),
    Rival(SEQUENCES, "put-in-later", "a layer that scales in evaluation",
          change=(("net = deepcopy(base)\n",
                   "net = deepcopy(base)\n    net[0].weight.data *= 1 - p\n"),)),
    Rival(SEQUENCES, "small-data", "no more examples",
          change=(("turned(train, examples)", "turned(train, 40)"),)),
    Rival(SEQUENCES, "lora-merge", "merged times q",
          change=(("np.allclose(mean, (W + s *", "np.allclose(mean, (W + q * s *"),)),
    Rival(SEQUENCES, "lora-merge", "the frozen path dropped too",
          change=(("outputs = W @ h + s * (kept * h / q) @ (B @ A).T",
                   "outputs = (kept * h / q) @ (W + s * B @ A).T"),)),
    Rival(SEQUENCES, "lora-merge", "p for p/q",
          change=(("p / q * s**2", "p * s**2"),)),
    Rival(SEQUENCES, "log-ratio", "dropout off in the policy",
          change=(("net.train(new)(states)", "net.eval()(states)"),
                  ("net.train(old)(states)", "net.eval()(states)"))),
    Rival(SEQUENCES, "log-ratio", "a reference that drops, for none drops",
          change=(("(policies[0.3], states, False, False)",
                   "(policies[0.3], states, True, True)"),)),
    Rival(SEQUENCES, "same-mask", "a fresh mask for the held one",
          change=(("layers.Dropout(0.3, key=MaskKey(seed=seed(1)))",
                   "layers.Dropout(0.3)"),)),
    Rival(SEQUENCES, "rl-modes", "target network in evaluation mode",
          change=(("    values.train()\n", "    values.eval()\n"),)),
    Rival(SEQUENCES, "two-masks", "one mask for both",
          change=(("two_masks = chance @ (sent @ sent.T) @ chance",
                   "two_masks = chance @ (sent**2).sum(1)"),)),
    Rival(SEQUENCES, "contrastive-live", "one mask for both passes",
          change=(("one, two = (F.normalize(net(train.x[rows]), dim=1) for _ in range(2))",
                   "one = two = F.normalize(net(train.x[rows]), dim=1)"),)),
    Rival(WORKS, "equal-grids", "any one of the points may be the least",
          change=(("sp.expand(k * z * density", "sp.expand(z * density"),)),
    Rival(WORKS, "more-samples-derived", "the whole square",
          change=(("second * v / (k * mean**2)", "v / (k * mean**2)"),)),
    Rival(WORKS, "more-samples-enumerated", "sums in place of means",
          change=(("-np.log(sums / k)", "-np.log(sums)"),)),
    Rival(WORKS, "more-samples-sampled", "one mask for the batch", rivals.one_mask_for_the_batch),
    Rival(WORKS, "more-samples-sampled", "the mean of the losses",
          change=(("-np.log(right(coins).reshape(sets, k_).mean(axis=1))",
                   "-np.log(right(coins)).reshape(sets, k_).mean(axis=1)"),)),
    Rival(WORKS, "samples-trained", "errors for their differences",
          change=(('row["error"]["minus_weight_scaling"] for row in averages}',
                   'row["error"] for row in averages}'),)),
    Rival(WORKS, "rate-figure", "rates in another order",
          change=(('dict(zip(found["rates"], found["test"], strict=True))',
                   'dict(zip(found["rates"], found["test"][::-1], strict=True))'),)),
    Rival(WORKS, "rate-figure", "training errors for those of the test",
          change=(('zip(found["rates"], found["test"]', 'zip(found["rates"], found["train"]'),)),
    Rival(WORKS, "pixel-rate", "a rate of .1 would do",
          change=(("less(pixels[0.3], pixels[0.0])", "less(pixels[0.1], pixels[0.0])"),)),
    Rival(WORKS, "data-size", "with and without exchanged",
          change=(('gain[measure]["mean"], gain[measure]["half"])\n                  for gain',
                   '-gain[measure]["mean"], gain[measure]["half"])\n                  for gain'),)),
    Rival(WORKS, "regularizers", "which has less exchanged",
          change=(('less(ways[one]["error"], ways[other]["error"])',
                   'less(ways[other]["error"], ways[one]["error"])'),)),
    Rival(WORKS, "regularizers", "losses for errors",
          change=(('gained = {arm: less(ways[arm]["error"], ways["l2"]["error"])',
                   'gained = {arm: less(ways[arm]["loss"], ways["l2"]["loss"])'),)),
    Rival(WORKS, "table-two", "which has less exchanged",
          change=(('less(wide[one][of], wide[other][of])',
                   'less(wide[other][of], wide[one][of])'),)),
    Rival(WORKS, "table-two", "errors in training for those in the test",
          change=(('wide = {arm: found["test"]', 'wide = {arm: found["train"]'),)),
    Rival(WORKS, "dropconnect-study", "which has less exchanged",
          change=(('less(connected[one]["test"]', 'less(connected[other]["test"]'),
                  ('connected[other]["test"][measure])\n', 'connected[one]["test"][measure])\n'))),
    Rival(WORKS, "dropconnect-study", "one pass for twenty",
          change=(('left = [found["sampled"]["loss"]', 'left = [found["test"]["loss"]'),)),
    Rival(WORKS, "noise-kinds", "no noise for coins",
          change=(('less(noise["gaussian"][of], noise["bernoulli"][of])',
                   'less(noise["gaussian"][of], noise["none"][of])'),)),
    Rival(WORKS, "conv-places", "which has less exchanged",
          change=(('less(*(arms[arm][of] for arm in pair))',
                   'less(*(arms[arm][of] for arm in pair[::-1]))'),)),
    Rival(WORKS, "conv-places", "no dropout for the dense layer's",
          change=(('less(found[of], arms["dense"][of])', 'less(found[of], arms["plain"][of])'),)),
    Rival(WORKS, "features", "the networks exchanged",
          change=(('for arm in ("plain", "dropout"))', 'for arm in ("dropout", "plain"))'),)),
    Rival(WORKS, "uci-energy", "the rate that validation chose",
          change=(("energy.loc[0.05].iloc[0]", "energy.loc[0.005].iloc[0]"),)),
    Rival(WORKS, "uci-scaling", "many and one exchanged",
          change=(('ours(arm, "authors, long", "scaling_log_likelihood", "scaling"),',
                   'ours(arm, "authors, long", "mc_log_likelihood"),'),
                  ('ours(arm, "authors, long", "mc_log_likelihood"))',
                   'ours(arm, "authors, long", "scaling_log_likelihood", "scaling"))'))),
    Rival(WORKS, "uci-standard", "standard means weight scaling",
          change=(('ours(arm, "authors, long", "one_pass_rmse")["mean"]',
                   'ours(arm, "authors, long", "scaling_rmse")["mean"]'),)),
    Rival(WORKS, "texts", "with and without exchanged",
          change=(('for arm in ("none", rate))', 'for arm in (rate, "none"))'),)),
    Rival(WORKS, "texts-logistic", "a gain over itself",
          change=(('rows[arm] = [100 - found["test"]["error"]["mean"], found["gain"]["mean"],',
                   'rows[arm] = [100 - found["test"]["error"]["mean"], 0.0,'),)),
    Rival(WORKS, "instead", "more for less",
          change=(('for name in (way, other)]', 'for name in (other, way)]'),)),
    Rival(WORKS, "instead", "the networks' errors in training",
          change=(('[found[place][name]["test"][of]', '[found[place][name]["train"][of]'),)),
    Rival(RECIPE, "which-axis", "along the columns",
          change=(("for dim in (1, 0)", "for dim in (0, 1)"),)),
    Rival(RECIPE, "max-norm-derived", "unscaled", change=(("w[j] * x[j] / q_", "w[j] * x[j]"),)),
    Rival(RECIPE, "max-norm-enumerated", "p for p/q",
          change=(("bound = p / q * c**2", "bound = p * c**2"),)),
    Rival(RECIPE, "max-norm-enumerated", "weights bounded one by one",
          change=(("far * min(1, c / np.linalg.norm(far))",
                   "np.clip(far, -c / n**0.5, c / n**0.5)"),)),
    Rival(RECIPE, "max-norm-sampled", "unscaled", rivals.unscaled),
    Rival(RECIPE, "max-norm-sampled", "scaled twice", rivals.scaled_twice),
    Rival(RECIPE, "which-c", "weights for ReLU",
          change=(("1 / sp.sqrt(n)", "sp.sqrt(6) / sp.sqrt(n)"),)),
    Rival(RECIPE, "explode-live", "no bound", change=(("max_norm_(model[:6], c)", "pass"),)),
    Rival(RECIPE, "until-they-meet", "no dropout",
          change=(("nn.Dropout(p)", "nn.Identity()"),)),
    Rival(RECIPE, "how-many-seeds", "without the power",
          change=(("z(0.975) + z(power)", "z(0.975)"),)),
    Rival(LEARNED, "gaussian-differs", "a coin for a normal number",
          patch=(("dropout.functional.gaussian_dropout", functional.dropout),)),
    Rival(LEARNED, "gaussian-differs", "variance p for p/q",
          patch=(("dropout.functional.gaussian_dropout", variance_p),)),
    Rival(LEARNED, "local-derived", "contributions of one sign",
          change=(("variance_ - alpha_ * squares", "variance_ - alpha_ * mean_**2"),)),
    Rival(LEARNED, "gradient-variance", "weights drawn for each",
          change=(("copies = 1 if", "copies = len(a) if"),)),
    Rival(LEARNED, "kl-price", "half a degree of freedom off",
          change=(("@ psi(k + 0.5)", "@ psi(k + 1.0)"),)),
    Rival(LEARNED, "relaxed-bias", "not divided by q", change=(("/ (1 - p) ** r", "/ 1"),)),
    Rival(LEARNED, "relaxed-bias", "a coin",
          change=(("expit(-(logit + v) / t)", "(logit + v < 0)"),)),
    Rival(LEARNED, "learned-derived", "no prior",
          change=(("(2 * (tau * S + ell**2))", "(2 * tau * S)"),)),
    Rival(LEARNED, "learned-enumerated", "prior on the weights themselves",
          change=(("length**2 / (1 - p) * np.eye(4)", "length**2 * np.eye(4)"),)),
    Rival(LEARNED, "learned-enumerated", "entropy of one coin",
          change=(("- 4 * H * entropy", "- H * entropy"),)),
    Rival(LEARNED, "learned-sampled", "no entropy", patch=((PRICE, kl_without_entropy),)),
    Rival(LEARNED, "learned-sampled", "entropy of one coin", patch=((PRICE, kl_of_one_coin),)),
    Rival(LEARNED, "learned-sampled", "price of vanilla weights",
          patch=((PRICE, kl_of_vanilla),)),
    Rival(LEARNED, "learned-sampled", "unscaled", patch=((RELAXED, relaxed_unscaled),)),
    Rival(LEARNED, "learned-sampled", "a rate without a gradient",
          patch=((RELAXED, relaxed_without_slope),)),
    Rival(COINS, "shared-by-hand", "unscaled", change=(("a / q - a", "a - a"),)),
    Rival(COINS, "shared-derived", "a square for each member",
          change=(("own = (1 - Q)", "own = 2 * (1 - Q)"),)),
    Rival(COINS, "shared-enumerated", "a square for each member",
          change=(("p / q * parts[0] @ parts[0]", "p / q * a @ a"),)),
    Rival(COINS, "shared-enumerated", "vanilla: p q",
          change=(("p / q * parts[0] @ parts[1]", "p * q * parts[0] @ parts[1]"),)),
    Rival(COINS, "shared-sampled", "a coin for each element of a channel",
          patch=(("dropout.functional.dropout2d", functional.dropout),)),
    Rival(COINS, "shared-sampled", "a coin for each channel in the place of elements",
          patch=(("dropout.functional.dropout", functional.dropout2d),)),
    Rival(COINS, "shared-sampled", "unscaled", rivals.unscaled),
    Rival(COINS, "neighbours-say", "blocks that are elements",
          patch=(("dropout.functional.drop_block2d", blocks_of_one),)),
    Rival(COINS, "dropconnect-variance", "DropConnect with dropout's coins",
          change=(("covariances((2, 2, 3))", "covariances((2, 1, 3))"),)),
    Rival(COINS, "in-part-derived", "union for intersection",
          change=(("len(i) + len(j)) - 1", "len(i + j) / 2) - 1"),)),
    Rival(COINS, "in-part-enumerated", "the paper's gamma",
          change=(("block_threshold(p, size, size, block) / 2**32",
                   "p / block**2 * size**2 / (size - block + 1) ** 2"),)),
    Rival(COINS, "in-part-sampled", "groups that do not overlap",
          change=(("return np.kron(along, along)", "return np.kron(along, along).clip(max=1)"),)),
    Rival(COINS, "true-rate", "the rate asked for",
          change=(("return drops.mean(), drops", "return p, drops"),)),
    Rival(COINS, "path-batch", "a mask in the place of rows",
          change=(("nn.StochasticDepth(branch, 0.5)",
                   "lambda x: x + functional.drop_path(branch(x), 0.5)"),)),
    Rival(COINS, "path-unused", "no gradient is a gradient of 0",
          change=(("rows=None) is None", "rows=Rows(0, 8, 16)) is None"),)),
    Rival(COINS, "path-depth", "rates from 0 to P",
          change=(("layer / L * P", "(layer - 1) / (L - 1) * P"),)),
    Rival(COINS, "before-pooling", "the mean is that of the greatest",
          change=(("p ** np.arange(4) @ x", "x[0]"),)),
    Rival(COINS, "wrong-shapes", "Dropout1d as plain dropout",
          patch=(("torch.nn.Dropout1d", torch.nn.Dropout),)),
    Rival(PITFALLS, "four-facts", "active in evaluation",
          patch=(("torch.nn.functional.dropout", torch_always_drops),)),
    Rival(PITFALLS, "auditor", "an auditor without checks", patch=(("dropout.audit.CHECKS", ()),)),
    Rival(PITFALLS, "trap-functional", "no mend",
          change=(("F.dropout(h, 0.5, training=self.training)", "F.dropout(h, 0.5)"),)),
    Rival(PITFALLS, "trap-out-of-reach", "no mend",
          change=((' if self.training or self.way == "attention" else 0.0', ""),)),
    Rival(PITFALLS, "trap-thrown-away", "the mend",
          change=(("        F.dropout(h, 0.5, self.training)  #",
                   "        h = F.dropout(h, 0.5, self.training)  #"),)),
    Rival(PITFALLS, "checkpoint-derived", "the same mask",
          change=(("z * k[j] / q", "z * m[j] / q"),)),
    Rival(PITFALLS, "checkpoint-enumerated", "penalty p for p/q",
          change=(("p / (1 - p) * weights * inputs**2", "p * weights * inputs**2"),)),
    Rival(PITFALLS, "checkpoint-sampled", "the state is kept",
          change=(("preserve_rng_state=keep", "preserve_rng_state=True"),)),
    Rival(PITFALLS, "trap-scores", "dropped after the softmax",
          change=(("softmax(self.drop(scores)) if", "self.drop(softmax(scores)) if"),)),
    Rival(PITFALLS, "trap-output", "floor p y²",
          change=(("(1 - keep) / keep * value**2", "(1 - keep) * value**2"),)),
    Rival(PITFALLS, "trap-batch-norm", "without the mean",
          change=(("(units**2).mean() / units", "units.var(0).mean() / units"),)),
    Rival(PITFALLS, "trap-twice", "rates add",
          change=(("joint = 1 - (1 - p) * (1 - r)", "joint = p + r"),)),
    Rival(PITFALLS, "trap-one", "p = 0.9", change=(("nn.Dropout(1.0)", "nn.Dropout(0.9)"),)),
    Rival(PITFALLS, "trap-seed-in-forward", "no seed",
          change=(("torch.manual_seed(0)", "pass"),)),
    Rival(PITFALLS, "trap-one-mask", "a mask for each",
          change=(("torch.rand(h.shape[1:])", "torch.rand(h.shape)"),)),
]  # fmt: skip


class Refused(BaseException):
    """Ends the run of a rival: one refusal is enough."""


class FirstRefusal(cells.Checks):
    def __call__(self, cell: int, count: int, holds) -> None:
        super().__call__(cell, count, holds)
        if not holds:
            raise Refused


def refusals(rival: Rival) -> list[str]:
    """The first assertion under the rival's label that does not hold, if there is one."""
    changed = [change(cell, rival) for cell in cells.code_cells(PATHS[rival.chapter])]
    tests = {
        cell: found
        for cell in changed
        if cell.label == rival.label and (found := cells.assertions(cell))
    }
    checks = FirstRefusal()
    with suppress(Refused):
        cells.run(cells.slice_for(changed, *tests), checked=tests.__contains__, checks=checks)
    by_number = {cell.number: found for cell, found in tests.items()}
    return [by_number[number][k] for (number, k), held in checks.held.items() if not held]


def change(cell: cells.Cell, rival: Rival) -> cells.Cell:
    for old, new in rival.change:
        if cell.label == rival.label and old in cell.source:
            cell = cells.with_change(cell, old, new)
    return cell


@pytest.mark.parametrize("rival", RIVALS, ids=lambda r: f"{r.chapter[:2]}-{r.label}-{r.wrong}")
def test_a_rival_is_refused(rival, monkeypatch):
    sources = [c.source for c in cells.code_cells(PATHS[rival.chapter]) if c.label == rival.label]
    for old, _ in rival.change:
        assert any(old in source for source in sources), f"no cell under {rival.label} has {old!r}"
    if rival.library:
        rivals.install(monkeypatch, rival.library)
    for target, value in rival.patch:
        monkeypatch.setattr(target, value)
    assert refusals(rival)
