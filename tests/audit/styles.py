"""Faults and sound models in styles that are seldom met, or that an audit once got wrong."""

import random
from collections import OrderedDict
from functools import partial
from types import SimpleNamespace

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune
from torch.utils.checkpoint import checkpoint

from tests.audit.planted import quiet
from tests.audit.sound import features, tokens

W = 16
DROPS, IDLE, SCALE = "drops-in-evaluation", "idle-rate", "wrong-scale"


class Net(nn.Module):
    """12 numbers to 4, and between them a function of the model and its hidden numbers."""

    def __init__(self, middle, **parts):
        super().__init__()
        self.a, self.b, self.middle = nn.Linear(12, W), nn.Linear(W, 4), middle
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x):
        return self.b(self.middle(self, torch.tanh(self.a(x))))


def net(middle, **parts):
    return lambda: Net(middle, **parts)


def functional(m, h):
    return F.dropout(h, 0.4, m.training)


def always(m, h):
    return F.dropout(h, 0.4)


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


class Chain(nn.Sequential):
    """A Sequential that does more than its parts."""

    drops = True

    def forward(self, x):
        return F.dropout(super().forward(x), 0.3, self.drops or self.training) @ torch.ones(4, 2)


class QuietChain(Chain):
    drops = False


class Gathers(nn.Module):
    """A dictionary in; a tuple with None and a dictionary out."""

    def __init__(self, wrong):
        super().__init__()
        self.a, self.b, self.drop = nn.Linear(12, W), nn.Linear(W, 4), nn.Dropout(0.3)
        self.wrong = wrong

    def forward(self, batch):
        h = torch.relu(self.a(batch["x"]))
        dropped = self.drop(h)
        h = h if self.wrong else dropped
        return None, {"logits": self.b(h), "rows": len(h)}, (h.mean(),)


class KeepsItsLoss(nn.Module):
    """Returns nothing."""

    def __init__(self, wrong):
        super().__init__()
        self.a, self.wrong, self.loss = nn.Linear(12, 4), wrong, None

    def forward(self, x):
        self.loss = self.a(F.dropout(x, 0.3, self.wrong or self.training)).square().mean()


class OwnGenerator(nn.Module):
    def __init__(self, wrong=None):
        super().__init__()
        self.a, self.b, self.wrong = nn.Linear(12, 32), nn.Linear(32, 4), wrong
        self.generator = torch.Generator().manual_seed(3)

    def forward(self, x):
        h = torch.relu(self.a(x))
        if self.training or self.wrong == "evaluation":
            if self.wrong == "seeds":
                self.generator.manual_seed(3)
            h = h * (torch.rand(h.shape, generator=self.generator) < 0.6) / 0.6
        return self.b(h)


class Attends(nn.Module):
    def __init__(self, in_evaluation, p=0.2):
        super().__init__()
        self.qkv, self.out = nn.Linear(12, 48), nn.Linear(16, 4)
        self.p, self.in_evaluation = p, in_evaluation

    def forward(self, x):
        q, k, v = self.qkv(x).view(*x.shape[:2], 3, 2, 8).permute(2, 0, 3, 1, 4)
        p = self.p if self.training else self.in_evaluation
        y = F.scaled_dot_product_attention(q, k, v, dropout_p=p)
        return self.out(y.transpose(1, 2).flatten(2))


class WritesItsSoftmax(nn.Module):
    def __init__(self, wrong):
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(12, W) for _ in range(3))
        self.drop, self.out, self.wrong = nn.Dropout(0.2), nn.Linear(W, 4), wrong

    def forward(self, x):
        scores = self.q(x) @ self.k(x).mT / 4
        scores = self.drop(scores) if self.wrong else scores
        powers = torch.exp(scores - scores.amax(-1, keepdim=True))
        weights = powers / powers.sum(-1, keepdim=True)
        return self.out((weights if self.wrong else self.drop(weights)) @ self.v(x))


class Reads(nn.Module):
    def __init__(self, kind, layers, rate, **options):
        super().__init__()
        if layers == 1:
            self.rnn = quiet(kind, 12, 8, dropout=rate, batch_first=True, **options)
        else:
            self.rnn = kind(12, 8, layers, dropout=rate, batch_first=True, **options)
        self.drop = nn.Dropout(0.2)
        self.out = nn.Linear(16 if self.rnn.bidirectional else 8, 4)

    def forward(self, x):
        return self.out(self.drop(self.rnn(x)[0]))


class Configured(nn.Module):
    """After the library transformers: rates in a configuration, outputs in a dictionary."""

    def __init__(self, before=False, always=False, rate=0.1):
        super().__init__()
        self.config = SimpleNamespace(hidden_dropout_prob=rate, before=before, always=always)
        self.embeddings, self.norm = nn.Embedding(20, W), nn.LayerNorm(W)
        self.query, self.key, self.value = (nn.Linear(W, W) for _ in range(3))
        self.dropout, self.classifier = nn.Dropout(rate), nn.Linear(W, 4)

    def forward(self, input_ids=None, attention_mask=None, labels=None):
        h = self.dropout(self.norm(self.embeddings(input_ids)))
        scores = self.query(h) @ self.key(h).mT / 4
        scores = scores + (1.0 - attention_mask[:, None].float()) * -10000.0
        if self.config.before:
            weights = self.dropout(scores).softmax(-1)
        else:
            weights = self.dropout(scores.softmax(-1))
        on = self.config.always or self.training
        h = h + F.dropout(weights @ self.value(h), self.config.hidden_dropout_prob, on)
        logits = self.classifier(h[:, 0])
        return OrderedDict(loss=F.cross_entropy(logits, labels), logits=logits, hidden_states=(h,))


def sentences():
    mask = torch.ones(6, 7, dtype=torch.long)
    mask[:, 5:] = 0
    return {"input_ids": tokens(6, 7), "attention_mask": mask, "labels": tokens(6, words=4)}


class DropPath(nn.Module):
    """After timm."""

    def __init__(self, rate, scale_by_keep=True, wrong=False):
        super().__init__()
        self.rate, self.scale_by_keep, self.wrong = rate, scale_by_keep, wrong

    def forward(self, x):
        if not (self.training or self.wrong):
            return x
        mask = x.new_empty((len(x),) + (1,) * (x.ndim - 1)).bernoulli_(1 - self.rate)
        return x * (mask.div_(1 - self.rate) if self.scale_by_keep else mask)


class Paths(nn.Module):
    def __init__(self, **options):
        super().__init__()
        self.embed, self.head = nn.Conv2d(3, W, 4, 4), nn.Linear(W, 4)
        self.mlp = nn.Sequential(nn.LayerNorm(W), nn.Linear(W, W), nn.GELU())
        self.first, self.drop_path = nn.Identity(), DropPath(0.2, **options)

    def forward(self, x):
        x = self.embed(x).flatten(2).mT
        x = x + self.first(self.mlp(x))
        return self.head((x + self.drop_path(self.mlp(x))).mean(1))


class MadeWhenCalled(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.drop = nn.Linear(12, 4), None

    def forward(self, x):
        if self.drop is None:
            self.drop = nn.Dropout(0.4)
        return self.a(self.drop(x))


class Complex(nn.Module):
    def __init__(self, wrong):
        super().__init__()
        self.a, self.b = (nn.Linear(n, m, dtype=torch.cfloat) for n, m in ((12, W), (W, 4)))
        self.wrong = wrong

    def forward(self, x):
        h = self.a(torch.complex(x, x.roll(1, 0)))
        if self.training or self.wrong:
            h = h * ((torch.rand(h.shape) > 0.4) / 0.6)
        return self.b(h).abs()


class Counts(nn.Module):
    """Counts its calls, and raises its rate with them."""

    def __init__(self, wrong):
        super().__init__()
        self.a, self.wrong = nn.Linear(12, 4), wrong
        self.register_buffer("calls", torch.zeros((), dtype=torch.long))
        self.register_buffer("p", torch.tensor(0.1))

    def forward(self, x):
        if self.training:
            self.calls += 1
            self.p.copy_((0.1 + 0.001 * self.calls).clamp(max=0.5))
        return self.a(F.dropout(x, float(self.p), self.wrong or self.training))


def hooked(wrong):
    model = Net(lambda m, h: h)
    model.a.register_forward_hook(
        lambda layer, given, out: F.dropout(out, 0.4, wrong or layer.training)
    )
    return model


class Bags(nn.Module):
    def __init__(self, wrong, sparse=False):
        super().__init__()
        self.bag, self.out = nn.EmbeddingBag(20, W, mode="sum", sparse=sparse), nn.Linear(W, 4)
        self.wrong = wrong

    def forward(self, x, offsets):
        return self.out(F.dropout(self.bag(x, offsets), 0.3, self.wrong or self.training))


def quantised(middle):
    return torch.ao.quantization.quantize_dynamic(Net(middle), {nn.Linear}, dtype=torch.qint8)


class DropsWeights(nn.Module):
    def __init__(self, wrong):
        super().__init__()
        self.wrong = wrong

    def forward(self, weight):
        return F.dropout(weight, 0.3, self.wrong or self.training)


def parametrised(wrong):
    model = Net(lambda m, h: h)
    parametrize.register_parametrization(model.a, "weight", DropsWeights(wrong))
    return model


class RestoresState(nn.Module):
    """Sets the generator to a state that it has kept."""

    def __init__(self):
        super().__init__()
        self.a, self.state = nn.Linear(12, 4), torch.Generator().manual_seed(4).get_state()

    def forward(self, x):
        if self.training:
            old = torch.get_rng_state()
            torch.set_rng_state(self.state)
            x = F.dropout(x, 0.4)
            torch.set_rng_state(old)
        return self.a(x)


class Maps(nn.Module):
    def __init__(self, drop, norm):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), drop, norm, nn.ReLU())
        self.out = nn.Linear(8, 4)

    def forward(self, x):
        return self.out(self.body(x).mean((2, 3)))


class TorchBatchNorm(nn.Module):
    """Calls the function underneath that of torch.nn.functional."""

    def __init__(self, function):
        super().__init__()
        self.a, self.b, self.drop = nn.Linear(12, W), nn.Linear(W, 4), nn.Dropout(0.4)
        self.function = function
        self.register_buffer("mean", torch.zeros(W))
        self.register_buffer("variance", torch.ones(W))

    def forward(self, x):
        h = self.drop(torch.relu(self.a(x)))
        return self.b(self.function(h, self.mean, self.variance, self.training))


def batch_norm(h, mean, variance, training):
    return torch.batch_norm(h, None, None, mean, variance, training, 0.1, 1e-5, False)


def native_batch_norm(h, mean, variance, training):
    return torch.native_batch_norm(h, None, None, mean, variance, training, 0.1, 1e-5)[0]


class FineTunes(nn.Module):
    """A body that no gradient reaches."""

    def __init__(self, way, still=False):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(12, W), nn.ReLU(), nn.Dropout(0.4), nn.Linear(W, W))
        self.head, self.way, self.still = nn.Linear(W, 4), way, still

    def train(self, mode=True):
        super().train(mode)
        if self.still:
            self.body.eval()
        return self

    def forward(self, x):
        if self.way == "detach":
            return self.head(self.body(x).detach())
        with torch.no_grad():
            h = self.body(x)
        return self.head(h)


class CheckpointsNumPy(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(12, W), nn.Linear(W, 4)

    def part(self, x):
        h = torch.tanh(self.a(x))
        if self.training:
            mask = np.random.rand(*h.shape) > 0.4  # noqa: NPY002
            h = h * torch.from_numpy(mask.astype("float32")) / 0.6
        return torch.tanh(h)

    def forward(self, x):
        return self.b(checkpoint(self.part, x, use_reentrant=False))


class CheckpointsGenerator(CheckpointsNumPy):
    def __init__(self):
        super().__init__()
        self.generator = torch.Generator().manual_seed(1)

    def part(self, x):
        h = torch.tanh(self.a(x))
        if self.training:
            h = h * (torch.rand(h.shape, generator=self.generator) > 0.4) / 0.6
        return torch.tanh(h)


class Seeds(nn.Module):
    def __init__(self, whose):
        super().__init__()
        self.a, self.whose = nn.Linear(12, 4), whose

    def forward(self, x):
        if self.training:
            self.whose.seed(0)
            coins = [self.whose.random() > 0.4 for _ in range(x.numel())]
            x = x * torch.tensor(coins).view_as(x) / 0.6
        return self.a(x)


class Skips(nn.Module):
    """Calls the parts of a Sequential that it needs."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(12, W), nn.Dropout(0.3), nn.Linear(W, 4))

    def forward(self, x):
        return self.net[2](torch.relu(self.net[0](x)))


class AddsItsBias(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = (
            nn.Parameter(torch.randn(*size) / 4) for size in ((12, W), (W, 4))
        )
        self.bias = nn.Parameter(torch.zeros(4))

    def forward(self, x):
        return F.dropout(torch.relu(x @ self.first) @ self.second + self.bias, 0.2, self.training)


class Scores(nn.Module):
    """Returns a loss and logits, of the shape of the labels."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.drop = nn.Linear(12, W), nn.Linear(W, 1), nn.Dropout(0.2)

    def forward(self, x, y):
        logits = self.drop(self.b(torch.relu(self.a(x))))
        return F.binary_cross_entropy_with_logits(logits, y), logits


class LockedNotFirst(nn.Module):
    """The mask of AWD-LSTM, made for batches that come second, where they come first."""

    def __init__(self):
        super().__init__()
        self.embed, self.rnn, self.out = nn.Embedding(20, 12), nn.GRU(12, 8), nn.Linear(8, 4)
        self.rnn.batch_first = True

    def forward(self, x):
        h = self.embed(x)
        if self.training:
            mask = h.new_empty(1, h.size(1), h.size(2)).bernoulli_(0.6)
            h = mask.div_(0.6).expand_as(h) * h
        return self.out(self.rnn(h)[0])


class LosesWeights(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(12, 4)

    def forward(self, x):
        with torch.no_grad():
            F.dropout(self.a.weight, 0.3, self.training, inplace=True)
        return self.a(x)


# --- Sound ---------------------------------------------------------------------------------------


class ModalityDropout(nn.Module):
    """Hides a whole sense of an example, and scales nothing."""

    def __init__(self):
        super().__init__()
        self.audio, self.video, self.out = nn.Linear(6, W), nn.Linear(6, W), nn.Linear(2 * W, 4)

    def forward(self, x):
        a, v = x[:, :6], x[:, 6:]
        if self.training:
            a, v = a * (torch.rand(len(a), 1) > 0.2), v * (torch.rand(len(v), 1) > 0.2)
        return self.out(torch.cat([self.audio(a), self.video(v)], 1).relu())


class RaindropRemoval(nn.Module):
    """Samples in evaluation, and has nothing to do with dropout."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(12, W), nn.Linear(W, 12)

    def forward(self, x):
        return self.b(torch.relu(self.a(x)) + torch.randn(len(x), W))


class Guidance(nn.Module):
    """Drops labels in training, as guidance without a classifier does."""

    def __init__(self):
        super().__init__()
        self.labels, self.out, self.rate = nn.Embedding(11, W), nn.Linear(W + 12, 4), 0.2

    def token_drop(self, labels):
        return torch.where(torch.rand(len(labels)) < self.rate, 10, labels)

    def forward(self, x, labels):
        labels = self.token_drop(labels) if self.training else labels
        return self.out(torch.cat([x, self.labels(labels)], 1))


class PatchDropout(nn.Module):
    """Keeps a random half of the patches."""

    def __init__(self):
        super().__init__()
        self.embed, self.out = nn.Linear(12, W), nn.Linear(W, 4)

    def forward(self, x):
        h = self.embed(x)
        if self.training:
            kept = torch.randn(h.shape[:2]).argsort(-1)[:, : h.shape[1] // 2]
            h = h.gather(1, kept.unsqueeze(-1).expand(-1, -1, W))
        return self.out(h.mean(1))


class TwoPasses(nn.Module):
    """The same input twice, with two masks on purpose."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(12, W), nn.ReLU(), nn.Dropout(0.3), nn.Linear(W, 4))

    def forward(self, x):
        one, two = self.body(x), self.body(x)
        return one, F.kl_div(one.log_softmax(-1), two.softmax(-1), reduction="batchmean")


class HeldOverTime(nn.Module):
    """One mask for a sequence, at all its times."""

    def __init__(self):
        super().__init__()
        self.cell, self.out = nn.LSTMCell(12, W), nn.Linear(W, 4)

    def forward(self, x):
        h = c = x.new_zeros(len(x), W)
        mask = torch.empty(len(x), W).bernoulli_(0.7) / 0.7 if self.training else 1.0
        for t in range(x.shape[1]):
            h, c = self.cell(x[:, t], (h * mask, c))
        return self.out(h)


class ManyMasks(nn.Module):
    """Five masks, one head, the mean."""

    def __init__(self):
        super().__init__()
        self.a, self.out = nn.Linear(12, W), nn.Linear(W, 4)
        self.drops = nn.ModuleList(nn.Dropout(0.1 * k) for k in range(1, 6))

    def forward(self, x):
        h = torch.relu(self.a(x))
        return sum(self.out(drop(h)) for drop in self.drops) / 5


class Lora(nn.Module):
    def __init__(self):
        super().__init__()
        self.base = nn.Linear(12, 4).requires_grad_(False)
        self.down, self.up = nn.Linear(12, 3, bias=False), nn.Linear(3, 4, bias=False)
        self.lora_dropout = nn.ModuleDict({"default": nn.Dropout(0.1)})

    def forward(self, x):
        return self.base(x) + self.up(self.down(self.lora_dropout["default"](x))) * 2.0


class Experts(nn.Module):
    """Noisy gates, and experts that each see some of the batch."""

    def __init__(self):
        super().__init__()
        self.gate = nn.Linear(12, 3)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(12, W), nn.ReLU(), nn.Dropout(0.2), nn.Linear(W, 4))
            for _ in range(3)
        )

    def forward(self, x):
        scores = self.gate(x)
        scores = scores + torch.randn_like(scores) if self.training else scores
        best, out = scores.argmax(-1), x.new_zeros(len(x), 4)
        for i, expert in enumerate(self.experts):
            rows = best == i
            if rows.any():
                out[rows] = expert(x[rows]) * scores.softmax(-1)[rows, i, None]
        return out


class Samples(nn.Module):
    """A policy: draws actions in both modes."""

    def __init__(self):
        super().__init__()
        self.a, self.drop, self.out = nn.Linear(12, W), nn.Dropout(0.2), nn.Linear(W, 4)

    def forward(self, x):
        policy = torch.distributions.Categorical(logits=self.out(self.drop(torch.relu(self.a(x)))))
        action = policy.sample()
        return action, policy.log_prob(action)


class Hides(nn.Module):
    """Cuts a square out of each picture, in training."""

    def __init__(self):
        super().__init__()
        self.conv, self.drop, self.out = nn.Conv2d(3, 8, 3), nn.Dropout2d(0.2), nn.Linear(8, 4)

    def forward(self, x):
        if self.training:
            mask = torch.ones(len(x), 1, *x.shape[2:])
            for i, (r, c) in enumerate(torch.randint(0, 5, (len(x), 2)).tolist()):
                mask[i, :, r : r + 3, c : c + 3] = 0
            x = x * mask
        return self.out(self.drop(torch.relu(self.conv(x))).mean((2, 3)))


class Caches(nn.Module):
    """A decoder that returns its keys and values."""

    def __init__(self):
        super().__init__()
        self.embed, self.drop, self.out = nn.Embedding(20, W), nn.Dropout(0.2), nn.Linear(W, 20)
        self.q, self.k, self.v = (nn.Linear(W, W) for _ in range(3))

    def forward(self, x, past=None):
        h = self.drop(self.embed(x))
        k, v = self.k(h), self.v(h)
        if past is not None:
            k, v = torch.cat([past[0], k], 1), torch.cat([past[1], v], 1)
        return self.out((self.q(h) @ k.mT / 4).softmax(-1) @ v), (k, v)


def pruned():
    model = Net(functional)
    prune.random_unstructured(model.a, "weight", 0.5)
    return model


def normed(kind, middle):
    model = Net(middle)
    kind(model.a)
    return model


def encoder_decoder(p):
    return nn.Transformer(W, 2, 1, 1, 24, p, batch_first=True)


def over_rows(m, h, training=None):
    drop = partial(F.dropout, p=0.4, training=m.training if training is None else training)
    return torch.func.vmap(drop, randomness="different")(h)


def native(m, h):
    return torch.ops.aten.native_dropout(h, 0.4, True)[0]


def decomposed(training):
    model = Net(functional).train(training)
    return torch.export.export(model, (features(16, 12),)).run_decompositions().module()


def by_hand(m, h):
    return h * (torch.rand_like(h) > 0.4) / 0.6 if m.training else h


def unscaled(m, h):
    return h * (torch.rand_like(h) > 0.4) if m.training else h


def rows(count=16, dtype=torch.float32):
    return lambda: (features(count, 12).to(dtype),)


def sequences():
    return (features(8, 7, 12),)


def words():
    return (tokens(8, 7),)


def images():
    return (features(8, 3, 8, 8),)


def labelled():
    return features(16, 12), tokens(16, words=10)


def bags():
    return tokens(40), torch.arange(0, 40, 5)


def pairs():
    return features(4, 7, W), features(4, 6, W)


def stack(*layers):
    return lambda: nn.Sequential(nn.Linear(12, W), *layers, nn.Linear(W, 4))


BF16 = torch.bfloat16
FAULTS = {  # the kind, where it is, the model, what it is given
    "lambda": (DROPS, "1", stack(Function(lambda h: F.dropout(h, 0.4))), rows()),
    "partial": (DROPS, "", net(lambda m, h: partial(F.dropout, p=0.4)(h)), rows()),
    "subclass of Sequential": (
        DROPS, "", lambda: Chain(nn.Linear(12, W), nn.Linear(W, 4)), rows()
    ),
    "one layer twice": (
        "dropped-twice", "drop", net(lambda m, h: m.drop(m.drop(h)), drop=nn.Dropout(0.3)), rows()
    ),
    "function twice": ("dropped-twice", "", net(lambda m, h: functional(m, functional(m, h))),
                       rows()),
    "twice across views": (
        "dropped-twice", "",
        net(lambda m, h: functional(m, functional(m, h).view(-1, 4, 4).flatten(1).relu())), rows()
    ),
    "dictionary, thrown away": (
        IDLE, "drop", lambda: Gathers(True), lambda: ({"x": features(16, 12)},)
    ),
    "returns None": (DROPS, "", lambda: KeepsItsLoss(True), rows()),
    "own generator, in evaluation": (DROPS, "", lambda: OwnGenerator("evaluation"), rows()),
    "own generator, seeded": ("same-mask", "", lambda: OwnGenerator("seeds"), rows()),
    "attention": (DROPS, "", lambda: Attends(0.2), sequences),
    "attention, p = 1": ("drops-everything", "", lambda: Attends(0.0, 1.0), sequences),
    "softmax by hand": ("before-softmax", "drop", lambda: WritesItsSoftmax(True), sequences),
    "bidirectional": (
        IDLE, "rnn", lambda: Reads(nn.LSTM, 1, 0.3, bidirectional=True), sequences
    ),
    "gru": (IDLE, "rnn", lambda: Reads(nn.GRU, 1, 0.3), sequences),
    "lstm, p = 1": ("drops-everything", "rnn", lambda: Reads(nn.LSTM, 2, 1.0), sequences),
    "2d of 2": ("wrong-shape", "", net(lambda m, h: F.dropout2d(h, 0.3, m.training)), rows()),
    "alpha of features": ("wrong-shape", "1", stack(nn.FeatureAlphaDropout(0.2)), rows()),
    "alpha behind relu": (SCALE, "2", stack(nn.ReLU(), nn.AlphaDropout(0.3)), rows()),
    "behind the softmax": (
        "on-output", "4",
        lambda: nn.Sequential(*stack(nn.ReLU())(), nn.Softmax(-1), nn.Dropout(0.2)), rows()
    ),
    "bias by hand": ("on-output", "", AddsItsBias, rows()),
    "as many as labels": (
        "on-output", "drop", Scores, lambda: (features(16, 12), tokens(16, 1, words=2).float())
    ),
    "batch norm, channels": (
        "before-batch-norm", "body.2", lambda: Maps(nn.Dropout2d(0.4), nn.BatchNorm2d(8)), images
    ),
    "batch norm, synchronised": (
        "before-batch-norm", "body.2", lambda: Maps(nn.Dropout(0.4), nn.SyncBatchNorm(8)), images
    ),
    "torch.batch_norm": (
        "before-batch-norm", "drop", lambda: TorchBatchNorm(batch_norm), rows(64)
    ),
    "torch.native_batch_norm": (
        "before-batch-norm", "drop", lambda: TorchBatchNorm(native_batch_norm), rows(64)
    ),
    "no_grad": ("frozen-but-dropping", "body", lambda: FineTunes("no_grad"), rows()),
    "detached": ("frozen-but-dropping", "body", lambda: FineTunes("detach"), rows()),
    "function, p = 1": (
        "drops-everything", "", net(lambda m, h: F.dropout(h, 1.0, m.training)), rows()
    ),
    "the mode for the rate": (
        "drops-everything", "", net(lambda m, h: F.dropout(h, m.training)), rows()
    ),
    "p = 0.999": ("keep-for-drop", "1", stack(nn.Dropout(0.999)), rows()),
    "configured, always": (DROPS, "", lambda: Configured(always=True), sentences),
    "configured, scores": (
        "before-softmax", "dropout", lambda: Configured(before=True), sentences
    ),
    "configured, keep": ("keep-for-drop", "", lambda: Configured(rate=0.9), sentences),
    "paths, always": (DROPS, "drop_path", lambda: Paths(wrong=True), images),
    "paths, unscaled": (
        SCALE, "drop_path", lambda: Paths(scale_by_keep=False),
        lambda: (features(32, 3, 8, 8),),
    ),
    "weight norm": (DROPS, "", lambda: normed(parametrizations.weight_norm, always), rows()),
    "nn.Transformer, keep": ("keep-for-drop", "", lambda: encoder_decoder(0.9), pairs),
    "compiled": (DROPS, "", lambda: torch.compile(Net(always), backend="eager"), rows()),
    "made when called": (DROPS, "", MadeWhenCalled, rows()),
    "bfloat16": (DROPS, "", lambda: Net(always).to(BF16), rows(dtype=BF16)),
    "float16, unscaled": (SCALE, "", lambda: Net(unscaled).half(), rows(dtype=torch.half)),
    "complex": (DROPS, "", lambda: Complex(True), rows()),
    "counts": (DROPS, "", lambda: Counts(True), rows()),
    "hook": (DROPS, "", lambda: hooked(True), rows()),
    "bag": (DROPS, "", lambda: Bags(True), bags),
    "quantised": (DROPS, "", lambda: quantised(always), rows()),
    "parametrised": (DROPS, "", lambda: parametrised(True), rows()),
    "restores a state": ("same-mask", "", RestoresState, rows()),
    "torch.dropout": (DROPS, "", net(lambda m, h: torch.dropout(h, 0.4, True)), rows()),
    "operator": (DROPS, "", net(native), rows()),
    "decomposed": (DROPS, "", lambda: decomposed(True), rows()),
    "vmap": (DROPS, "", net(partial(over_rows, training=True)), rows()),
    "data parallel": (DROPS, "module", lambda: nn.DataParallel(Net(always)), rows()),
    "generator in a checkpoint": ("recomputed-otherwise", "", CheckpointsGenerator, rows()),
    "numpy in a checkpoint": ("recomputed-otherwise", "", CheckpointsNumPy, rows()),
    "seeds numpy": ("reseeds", "", lambda: Seeds(np.random), rows()),
    "seeds python": ("reseeds", "", lambda: Seeds(random), rows()),
    "skips a part": (IDLE, "net.1", Skips, rows()),
    "locked, batch first": ("shared-over-batch", "", LockedNotFirst, words),
    "loses weights": ("in-place", "", LosesWeights, rows()),
    "divides by p": (
        SCALE, "", net(lambda m, h: unscaled(m, h) / 0.4 if m.training else h), rows()
    ),
}  # fmt: skip

SOUND = {
    "lambda": (net(functional), rows()),
    "subclass of Sequential": (lambda: QuietChain(nn.Linear(12, W), nn.Linear(W, 4)), rows()),
    "one layer at two places": (
        net(lambda m, h: m.drop(m.c(m.drop(h))), drop=nn.Dropout(0.3), c=nn.Linear(W, W)), rows()
    ),
    "dictionary": (lambda: Gathers(False), lambda: ({"x": features(16, 12)},)),
    "returns None": (lambda: KeepsItsLoss(False), rows()),
    "own generator": (OwnGenerator, rows()),
    "attention": (lambda: Attends(0.0), sequences),
    "softmax by hand": (lambda: WritesItsSoftmax(False), sequences),
    "bidirectional": (lambda: Reads(nn.GRU, 2, 0.3, bidirectional=True), sequences),
    "one layer, no rate": (lambda: Reads(nn.LSTM, 1, 0.0), sequences),
    "one example": (
        lambda: nn.Sequential(nn.Conv3d(2, 4, 3), nn.Dropout3d(0.3), nn.Conv3d(4, 2, 1)),
        lambda: (features(2, 4, 4, 4),),
    ),
    "alpha behind selu": (stack(nn.SELU(), nn.AlphaDropout(0.1)), rows()),
    "layer norm": (stack(nn.Dropout(0.3), nn.LayerNorm(W)), rows()),
    "rms norm": (stack(nn.Dropout(0.3), nn.RMSNorm(W)), rows()),
    "group norm": (lambda: Maps(nn.Dropout(0.3), nn.GroupNorm(2, 8)), images),
    "instance norm": (lambda: Maps(nn.Dropout2d(0.3), nn.InstanceNorm2d(8)), images),
    "batch norm without memory": (
        lambda: Maps(nn.Dropout2d(0.3), nn.BatchNorm2d(8, track_running_stats=False)), images
    ),
    "batch norm, synchronised": (
        stack(nn.SyncBatchNorm(W), nn.ReLU(), nn.Dropout(0.4)), rows()
    ),
    "p = 0": (net(lambda m, h: F.dropout(h, 0.0)), rows()),
    "configured": (Configured, sentences),
    "paths": (Paths, lambda: (features(32, 3, 8, 8),)),
    "weight norm": (lambda: normed(parametrizations.weight_norm, functional), rows()),
    "spectral norm": (lambda: normed(parametrizations.spectral_norm, functional), rows()),
    "nn.Transformer": (lambda: encoder_decoder(0.1), pairs),
    "compiled": (lambda: torch.compile(Net(functional), backend="eager"), rows()),
    "bfloat16": (lambda: Net(functional).to(BF16), rows(dtype=BF16)),
    "float16": (lambda: Net(by_hand).half(), rows(dtype=torch.half)),
    "complex": (lambda: Complex(False), rows()),
    "counts": (lambda: Counts(False), rows()),
    "hook": (lambda: hooked(False), rows()),
    "bag": (lambda: Bags(False), bags),
    "sparse bag": (lambda: Bags(False, sparse=True), bags),
    "quantised": (lambda: quantised(functional), rows()),
    "parametrised": (lambda: parametrised(False), rows()),
    "decomposed": (lambda: decomposed(False), rows()),
    "vmap": (net(over_rows), rows()),
    "data parallel": (lambda: nn.DataParallel(Net(functional)), rows()),
    "no gradient, and still": (lambda: FineTunes("no_grad", still=True), rows()),
    "detached, and still": (lambda: FineTunes("detach", still=True), rows()),
    "modalities": (ModalityDropout, rows()),
    "raindrops": (RaindropRemoval, rows()),
    "guidance": (Guidance, labelled),
    "patches": (PatchDropout, sequences),
    "two passes": (TwoPasses, rows()),
    "held over time": (HeldOverTime, sequences),
    "many masks": (ManyMasks, rows()),
    "lora": (Lora, rows()),
    "experts": (Experts, rows()),
    "samples": (Samples, rows()),
    "hides": (Hides, images),
    "caches": (Caches, words),
    "pruned": (pruned, rows()),
}  # fmt: skip
