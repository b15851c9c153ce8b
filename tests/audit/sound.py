"""Models with nothing wrong with their dropout, in which an audit has nothing to find."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

from dropout import nn as dnn
from dropout.seeding import seeded


def features(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(5))


def tokens(*shape, words=20):
    return torch.randint(words, shape, generator=torch.Generator().manual_seed(5))


def mlp():
    return nn.Sequential(
        nn.Linear(12, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 16), nn.ReLU(),
        nn.Dropout(0.2), nn.Linear(16, 4),
    )  # fmt: skip


def mlp_with_batch_norm():
    return nn.Sequential(
        nn.Linear(12, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 4)
    )


def in_place():
    return nn.Sequential(
        nn.Linear(12, 16), nn.Dropout(0.5, inplace=True), nn.ReLU(inplace=True), nn.Linear(16, 4)
    )


def cnn():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Dropout2d(0.25), nn.MaxPool2d(2),
        nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.Dropout2d(0.25), nn.Flatten(),
        nn.Linear(8 * 16, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 4),
    )  # fmt: skip


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width)
        self.conv2, self.norm2 = nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width)

    def forward(self, x):
        h = F.relu(self.norm1(self.conv1(x)))
        return F.relu(x + self.norm2(self.conv2(h)))


class ResNet(nn.Module):
    """Dropout behind the last batch norm."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.blocks = nn.ModuleList([Block(8), Block(8)])
        self.drop, self.head = nn.Dropout(0.3), nn.Linear(8, 4)

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.head(self.drop(x.mean((2, 3))))


class Recurrent(nn.Module):
    def __init__(self, kind, **options):
        super().__init__()
        self.embed = nn.Embedding(20, 12)
        self.rnn = kind(12, 10, num_layers=2, dropout=0.3, **options)
        self.drop, self.out = nn.Dropout(0.4), nn.Linear(10, 20)

    def forward(self, x):
        h, _ = self.rnn(self.drop(self.embed(x)))
        return self.out(self.drop(h))


class BiLSTM(nn.Module):
    """Sequences of several lengths, packed."""

    def __init__(self):
        super().__init__()
        self.embed, self.drop = nn.Embedding(20, 12), nn.Dropout(0.2)
        self.rnn = nn.LSTM(12, 8, 2, dropout=0.3, batch_first=True, bidirectional=True)
        self.out = nn.Linear(16, 4)

    def forward(self, x, lengths):
        packed = nn.utils.rnn.pack_padded_sequence(
            self.drop(self.embed(x)), lengths, batch_first=True, enforce_sorted=False
        )
        h, _ = nn.utils.rnn.pad_packed_sequence(self.rnn(packed)[0], batch_first=True)
        return self.out(self.drop(h))


class LockedLanguageModel(nn.Module):
    """After AWD-LSTM: time first, a mask of its own that is held over time."""

    def __init__(self):
        super().__init__()
        self.embed, self.rnn = nn.Embedding(20, 12), nn.LSTM(12, 12)
        self.out = nn.Linear(12, 20)

    def locked(self, x, p):
        if not self.training:
            return x
        mask = x.new_empty(1, x.size(1), x.size(2)).bernoulli_(1 - p) / (1 - p)
        return x * mask

    def forward(self, x):
        h, _ = self.rnn(self.locked(self.embed(x), 0.4))
        return self.out(self.locked(h, 0.5))


class Transformer(nn.Module):
    def __init__(self, norm_first=False):
        super().__init__()
        self.embed, self.drop = nn.Embedding(20, 16), nn.Dropout(0.1)
        self.places = nn.Parameter(torch.randn(1, 7, 16))
        layer = nn.TransformerEncoderLayer(16, 2, 24, 0.2, batch_first=True, norm_first=norm_first)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.out = nn.Linear(16, 4)

    def forward(self, x, padding=None):
        h = self.drop(self.embed(x) + self.places)
        return self.out(self.encoder(h, src_key_padding_mask=padding).mean(1))


class Attends(nn.Module):
    """scaled_dot_product_attention and functional dropout, as nanoGPT has them."""

    def __init__(self):
        super().__init__()
        self.qkv, self.proj = nn.Linear(16, 48), nn.Linear(16, 16)
        self.drop, self.norm, self.head = nn.Dropout(0.1), nn.LayerNorm(16), nn.Linear(16, 4)

    def forward(self, x):
        b, t, c = x.shape
        heads = self.qkv(self.norm(x)).view(b, t, 3, 2, 8).permute(2, 0, 3, 1, 4)
        q, k, v = heads.unbind()
        p = 0.1 if self.training else 0.0
        y = F.scaled_dot_product_attention(q, k, v, dropout_p=p, is_causal=True)
        x = x + self.drop(self.proj(y.transpose(1, 2).reshape(b, t, c)))
        return self.head(x)


class AttendsByHand(nn.Module):
    def __init__(self):
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(16, 16) for _ in range(3))
        self.drop, self.out = nn.Dropout(0.2), nn.Linear(16, 4)

    def forward(self, x, mask=None):
        scores = self.q(x) @ self.k(x).mT / 4.0
        if mask is not None:
            scores = scores.masked_fill(mask == 0, -1e9)
        weights = self.drop(scores.softmax(-1))
        return self.out(weights @ self.v(x)), weights


class DropPath(nn.Module):
    """After timm."""

    def __init__(self, p):
        super().__init__()
        self.p = p

    def forward(self, x):
        if self.p == 0 or not self.training:
            return x
        shape = (x.shape[0],) + (1,) * (x.ndim - 1)
        mask = x.new_empty(shape).bernoulli_(1 - self.p)
        return x * mask.div_(1 - self.p)


class ConvNeXtLike(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.drop_path = nn.LayerNorm(16), DropPath(0.2)
        self.mlp = nn.Sequential(
            nn.Linear(16, 32), nn.GELU(), nn.Dropout(0.1), nn.Linear(32, 16), nn.Dropout(0.1)
        )
        self.head = nn.Linear(16, 4)

    def forward(self, x):
        return self.head((x + self.drop_path(self.mlp(self.norm(x)))).mean(1))


class VAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.encode = nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Dropout(0.1))
        self.mean, self.log_variance = nn.Linear(16, 3), nn.Linear(16, 3)
        self.decode = nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Linear(16, 12))

    def forward(self, x):
        h = self.encode(x)
        mean, log_variance = self.mean(h), self.log_variance(h)
        z = mean + (log_variance / 2).exp() * torch.randn_like(mean)
        return self.decode(z), mean, log_variance


class ReturnsDict(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(12, 16), nn.Tanh(), nn.Dropout(0.3))
        self.one, self.two = nn.Linear(16, 4), nn.Linear(16, 2)

    def forward(self, x):
        h = self.body(x)
        return {"one": self.one(h), "two": [self.two(h), None], "name": "both", "features": h}


@dataclass
class Output:
    logits: torch.Tensor
    loss: torch.Tensor | None = None


class TwoInputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(12, 16), nn.Embedding(20, 16)
        self.drop, self.out = nn.Dropout(0.3), nn.Linear(16, 4)

    def forward(self, batch, *, ids, labels=None, scale=1.0):
        h = self.drop(torch.tanh(self.a(batch["x"]) * scale + self.b(ids)))
        logits = self.out(h)
        loss = None if labels is None else F.cross_entropy(logits, labels)
        return Output(logits, loss)


class Functional(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(12, 16), nn.Linear(16, 4)

    def forward(self, x):
        h = F.dropout(F.relu(self.a(x)), p=0.4, training=self.training)
        return F.log_softmax(self.b(h), dim=-1)


class Handmade(nn.Module):
    """Inverted dropout, written out."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.p = nn.Linear(12, 32), nn.Linear(32, 4), 0.4

    def forward(self, x):
        h = torch.relu(self.a(x))
        if self.training:
            h = h * (torch.rand_like(h) > self.p) / (1 - self.p)
        return self.b(h)


class DropFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, p, training):
        mask = (torch.rand_like(x) > p).to(x.dtype) / (1 - p) if training else torch.ones_like(x)
        ctx.save_for_backward(mask)
        return x * mask

    @staticmethod
    def backward(ctx, gradient):
        return gradient * ctx.saved_tensors[0], None, None


class ByAutograd(nn.Module):
    """Dropout as a function with a derivative of its own."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(12, 32), nn.Linear(32, 4)

    def forward(self, x):
        return self.b(DropFunction.apply(torch.relu(self.a(x)), 0.4, self.training))


class Zoneout(nn.Module):
    """A recurrent network that keeps some of its old state at random, after Krueger et al."""

    def __init__(self):
        super().__init__()
        self.cell, self.out, self.p = nn.GRUCell(12, 8), nn.Linear(8, 4), 0.2

    def forward(self, x):
        h = x.new_zeros(x.shape[1], 8)
        for part in x:
            new = self.cell(part, h)
            old = torch.rand_like(h) < self.p if self.training else self.p
            h = old * h + (~old * new if self.training else (1 - self.p) * new)
        return self.out(h)


class StochasticDepth(nn.Module):
    """After Huang et al.: a coin for a layer, whose output is scaled in evaluation."""

    def __init__(self):
        super().__init__()
        self.layers, self.out = nn.ModuleList(nn.Linear(12, 12) for _ in range(4)), nn.Linear(12, 4)

    def forward(self, x):
        for layer in self.layers:
            if not self.training:
                x = x + 0.8 * layer(x).relu()
            elif torch.rand(()).item() < 0.8:
                x = x + layer(x).relu()
        return self.out(x)


class DropBlock(nn.Module):
    """Blocks of a map, scaled by what is kept."""

    def __init__(self):
        super().__init__()
        self.conv, self.out = nn.Conv2d(3, 8, 3, padding=1), nn.Linear(8, 4)

    def forward(self, x):
        x = F.relu(self.conv(x))
        if self.training:
            seeds = (torch.rand(x.shape[0], 1, *x.shape[2:]) < 0.02).float()
            keep = 1 - F.max_pool2d(seeds, 3, 1, 1)
            x = x * keep * keep.numel() / keep.sum()
        return self.out(x.mean((2, 3)))


class DenoisingAutoencoder(nn.Module):
    """Hides inputs in training, and scales nothing."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 12))

    def forward(self, x):
        return self.body(x * (torch.rand_like(x) > 0.3) if self.training else x)


class WordDropout(nn.Module):
    """Sets whole words to 0 and scales nothing, after Iyyer et al."""

    def __init__(self):
        super().__init__()
        self.embed, self.out = nn.Embedding(20, 16), nn.Linear(16, 4)

    def forward(self, x):
        h = self.embed(x)
        if self.training:
            h = h * (torch.rand(x.shape) > 0.2)[..., None]
        return self.out(h.mean(1))


class OldDropout(nn.Module):
    """As the paper of 2014 has it: nothing is scaled in training, all in evaluation."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.keep = nn.Linear(12, 32), nn.Linear(32, 4), 0.6

    def forward(self, x):
        h = torch.relu(self.a(x))
        h = h * torch.bernoulli(torch.full_like(h, self.keep)) if self.training else h * self.keep
        return self.b(h)


class KeepsAllInEvaluation(nn.Module):
    """Tosses coins in both modes, and in evaluation none of them can drop."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(12, 4)

    def forward(self, x):
        keep = 0.8 if self.training else 1.0
        return self.layer(x * (torch.rand_like(x) < keep) / keep)


class Checkpointed(nn.Module):
    def __init__(self, reentrant):
        super().__init__()
        self.first, self.reentrant = nn.Linear(12, 16), reentrant
        self.body = nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Dropout(0.5))
        self.out = nn.Linear(16, 4)

    def forward(self, x):
        h = checkpoint(self.body, self.first(x), use_reentrant=self.reentrant)
        return self.out(h)


class FineTuned(nn.Module):
    """A frozen backbone that stays in evaluation mode, and a head."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Dropout(0.5))
        self.backbone.requires_grad_(False)
        self.head = nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 4))

    def train(self, mode=True):
        super().train(mode)
        self.backbone.eval()
        return self

    def forward(self, x):
        return self.head(self.backbone(x))


class MaskedLanguageModel(nn.Module):
    """Hides inputs at random in training, which is not dropout."""

    def __init__(self):
        super().__init__()
        self.embed, self.out = nn.Embedding(21, 16), nn.Linear(16, 20)

    def forward(self, x):
        if self.training:
            hidden = torch.rand(x.shape, device=x.device) < 0.3
            x = x.masked_fill(hidden, 20)
        return self.out(torch.tanh(self.embed(x)))


class LayerSkipping(nn.Module):
    """Skips layers at random in training."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Linear(12, 12), nn.ReLU(), nn.Dropout(0.1)) for _ in range(3)
        )
        self.out = nn.Linear(12, 4)

    def forward(self, x):
        for layer in self.layers:
            if self.training and float(torch.rand(())) < 0.5:
                continue
            x = x + layer(x)
        return self.out(x)


class GumbelRouter(nn.Module):
    """Draws in evaluation too, on purpose, and does not drop."""

    def __init__(self):
        super().__init__()
        self.gate, self.experts = nn.Linear(12, 3), nn.Linear(12, 12)
        self.drop, self.out = nn.Dropout(0.2), nn.Linear(4, 2)

    def forward(self, x):
        gate = F.gumbel_softmax(self.gate(x), hard=True)
        h = (self.experts(x).view(-1, 3, 4) * gate[..., None]).sum(1)
        return self.out(self.drop(F.relu(h)))


class WritesBuffers(nn.Module):
    """Counts its calls, keeps what it saw, and returns a nan."""

    def __init__(self):
        super().__init__()
        self.a, self.drop, self.b = nn.Linear(12, 16), nn.Dropout(0.3), nn.Linear(16, 4)
        self.register_buffer("calls", torch.zeros((), dtype=torch.long))
        self.seen = []

    def forward(self, x):
        self.calls += 1
        h = self.drop(self.a(x).relu())
        self.seen.append(h)
        out = self.b(h)
        return torch.cat([out, torch.full_like(out, float("nan"))], -1), "done"


def library_mlp():
    return nn.Sequential(
        nn.Linear(12, 16), nn.ReLU(), dnn.Dropout(0.5), nn.Linear(16, 16), nn.SELU(),
        dnn.AlphaDropout(0.1), nn.Linear(16, 4),
    )  # fmt: skip


def library_cnn():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), dnn.DropBlock2d(0.2, 3),
        nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), dnn.Dropout2d(0.2), nn.Flatten(),
        dnn.DropConnect(nn.Linear(8 * 64, 16), 0.3), nn.ReLU(), dnn.GaussianDropout(0.3),
        nn.Linear(16, 4),
    )  # fmt: skip


class LibraryTransformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = dnn.TransformerEmbedding(20, 7, 16, 0.1)
        self.blocks = nn.Sequential(*(dnn.TransformerBlock(16, 2, 0.2) for _ in range(2)))
        self.out = nn.Linear(16, 20)

    def forward(self, x):
        return self.out(self.blocks(self.embed(x)))


class LibraryRecurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = dnn.EmbeddingDropout(nn.Embedding(20, 12), 0.1)
        self.locked = dnn.LockedDropout(0.3)
        self.first = dnn.WeightDrop(nn.LSTM(12, 12), 0.4)
        self.second = dnn.VariationalRNN(nn.GRU(12, 10, num_layers=2))
        self.out = nn.Linear(10, 20)

    def forward(self, x):
        h, _ = self.first(self.locked(self.embed(x)))
        h, _ = self.second(h)
        return self.out(h)


def library_residual():
    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.path = nn.Linear(12, 12), dnn.DropPath(0.2)
            self.deep = dnn.StochasticDepth(nn.Sequential(nn.Linear(12, 12), nn.Tanh()), 0.2)
            self.out = nn.Linear(12, 4)

        def forward(self, x):
            return self.out(self.deep(x + self.path(self.a(x).relu())))

    return Residual()


SOUND = {
    "mlp": (mlp, lambda: (features(16, 12),), {}),
    "mlp with batch norm": (mlp_with_batch_norm, lambda: (features(16, 12),), {}),
    "mlp of one row": (mlp, lambda: (features(1, 12),), {}),
    "in place": (in_place, lambda: (features(16, 12),), {}),
    "cnn": (cnn, lambda: (features(4, 3, 8, 8),), {}),
    "residual": (ResNet, lambda: (features(8, 3, 8, 8),), {}),
    "lstm": (lambda: Recurrent(nn.LSTM, batch_first=True), lambda: (tokens(4, 7),), {}),
    "gru": (lambda: Recurrent(nn.GRU, bidirectional=False), lambda: (tokens(7, 4),), {}),
    "locked": (LockedLanguageModel, lambda: (tokens(7, 4),), {}),
    "locked as long as wide": (LockedLanguageModel, lambda: (tokens(6, 6),), {}),
    "transformer": (Transformer, lambda: (tokens(4, 7),), {}),
    "transformer, norm first": (lambda: Transformer(True), lambda: (tokens(4, 7),),
                                {"padding": torch.arange(7) > torch.tensor([[4], [6], [6], [3]])}),
    "attention": (Attends, lambda: (features(4, 7, 16),), {}),
    "attention by hand": (AttendsByHand, lambda: (features(4, 7, 16),),
                          {"mask": torch.ones(7, 7).tril()}),
    "drop path": (ConvNeXtLike, lambda: (features(8, 5, 16),), {}),
    "vae": (VAE, lambda: (features(8, 12),), {}),
    "dict": (ReturnsDict, lambda: (features(8, 12),), {}),
    "two inputs": (TwoInputs, lambda: ({"x": features(8, 12)},),
                   {"ids": tokens(8), "labels": tokens(8, words=4), "scale": 2.0}),
    "functional": (Functional, lambda: (features(8, 12),), {}),
    "handmade": (Handmade, lambda: (features(8, 12),), {}),
    "autograd function": (ByAutograd, lambda: (features(8, 12),), {}),
    "zoneout": (Zoneout, lambda: (features(5, 8, 12),), {}),
    "stochastic depth": (StochasticDepth, lambda: (features(8, 12),), {}),
    "dropblock": (DropBlock, lambda: (features(4, 3, 8, 8),), {}),
    "denoising autoencoder": (DenoisingAutoencoder, lambda: (features(8, 12),), {}),
    "word dropout": (WordDropout, lambda: (tokens(8, 7),), {}),
    "packed": (BiLSTM, lambda: (tokens(4, 7), torch.tensor([7, 6, 2, 5])), {}),
    "keeps all in evaluation": (KeepsAllInEvaluation, lambda: (features(8, 12),), {}),
    "paper of 2014": (OldDropout, lambda: (features(8, 12),), {}),
    "checkpointed": (lambda: Checkpointed(False), lambda: (features(8, 12),), {}),
    "checkpointed, reentrant": (lambda: Checkpointed(True), lambda: (features(8, 12),), {}),
    "fine-tuned": (FineTuned, lambda: (features(8, 12),), {}),
    "masked language model": (MaskedLanguageModel, lambda: (tokens(8, 12),), {}),
    "layer skipping": (LayerSkipping, lambda: (features(8, 12),), {}),
    "gumbel": (GumbelRouter, lambda: (features(8, 12),), {}),
    "writes buffers": (WritesBuffers, lambda: (features(8, 12),), {}),
    "library mlp": (library_mlp, lambda: (features(8, 12),), {}),
    "library cnn": (library_cnn, lambda: (features(4, 3, 8, 8),), {}),
    "library transformer": (LibraryTransformer, lambda: (tokens(4, 7),), {}),
    "library recurrent": (LibraryRecurrent, lambda: (tokens(7, 4),), {}),
    "library residual": (library_residual, lambda: (features(16, 12),), {}),
    "library mlp with keys": (lambda: seeded(library_mlp(), 1), lambda: (features(8, 12),), {}),
}  # fmt: skip
