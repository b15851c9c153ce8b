"""Training in data-parallel processes: together they do what one process does with the batch.

Four processes, and two of them alone, talk by gloo, through a file. They compute everything in one
go; the tests look at what was gathered.
"""

import warnings
from itertools import starmap

import pytest
import torch
import torch.distributed as dist
from torch import multiprocessing
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.distributed.tensor import Shard as Along
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

from dropout import nn
from dropout.seeding import Rows, gather_rows, seeded, set_step, unique_keys

SEED = 2**63 + 5
# The rows of each process at each step: as many in all, then other numbers and none in one.
COUNTS = {2: [(3, 3), (4, 1)], 4: [(2, 2, 2, 2), (2, 1, 3, 0)]}


class BatchFirst(torch.nn.Module):
    """Tokens (batch, time), a transformer block under a checkpoint, paths, then one axis less."""

    def __init__(self):
        super().__init__()
        self.words = nn.WordDropout(0, 0.2)
        self.embedding = nn.EmbeddingDropout(torch.nn.Embedding(9, 6), 0.3)
        self.block = nn.TransformerBlock(6, 2, 0.3)
        self.locked = nn.LockedDropout(0.3, batch_first=True)
        self.path = nn.DropPath(0.5)
        self.linear = torch.nn.Linear(6, 6)
        self.deep = nn.StochasticDepth(torch.nn.Linear(6, 6), 0.5)
        self.connect = nn.DropConnect(torch.nn.Linear(6, 6), 0.3, per_example=True)
        self.flat = nn.GaussianDropout(0.3)
        self.out = torch.nn.Linear(6, 1)

    def forward(self, tokens):
        x = self.locked(self.embedding(self.words(tokens)))
        x = checkpoint(self.block, x, use_reentrant=False)
        x = self.connect(self.deep(x + self.path(self.linear(x))))
        return self.out(self.flat(x.flatten(0, 1))).view(tokens.shape)

    @staticmethod
    def inputs(n):
        return torch.randint(9, (n, 5), generator=torch.Generator().manual_seed(n))


class TimeFirst(torch.nn.Module):
    """Sequences (time, batch, features). Time is twice the rows of one process at the first step,
    which a layer that was told nothing would take for two elements to a row."""

    def __init__(self):
        super().__init__()
        self.locked = nn.LockedDropout(0.3)
        self.inner = nn.VariationalRNN(torch.nn.LSTM(6, 5), 0.3)
        self.outer = nn.WeightDrop(torch.nn.GRU(5, 6), 0.3)
        self.drop = nn.Dropout(0.3)
        self.alpha = nn.AlphaDropout(0.3)
        self.uout = nn.Uout(0.3)
        self.out = torch.nn.Linear(6, 1)

    def forward(self, x):
        x = self.drop(self.outer(self.inner(self.locked(x))[0])[0])
        return self.out(self.uout(self.alpha(x)))[..., 0].T

    @staticmethod
    def inputs(n):
        x = torch.randn(n, 4, 6, generator=torch.Generator().manual_seed(n), dtype=torch.double)
        return x.transpose(0, 1)


class Maps(torch.nn.Module):
    """Images (batch, channels, height, width)."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 4, 3)
        self.channels = nn.Dropout2d(0.3)
        self.blocks = nn.DropBlock2d(0.3, 2)
        self.alpha = nn.FeatureAlphaDropout(0.3)
        self.out = nn.DropConnect(torch.nn.Linear(4 * 16, 1), 0.3)

    def forward(self, x):
        x = self.alpha(self.blocks(self.channels(self.conv(x))))
        return self.out(x.flatten(1))

    @staticmethod
    def inputs(n):
        generator = torch.Generator().manual_seed(n)
        return torch.randn(n, 3, 6, 6, generator=generator, dtype=torch.double)


MODELS = {kind.__name__: kind for kind in (BatchFirst, TimeFirst, Maps)}


def made(kind):
    torch.manual_seed(7)
    return seeded(kind().double(), SEED, batch_axis=int(kind is TimeFirst))


def of_rows(kind, x, rows):
    return x.narrow(int(kind is TimeFirst), rows.start, rows.count)


def train(model, kind, counts, rows=None, told=True):
    """Losses, masks of the layers whose zeros show them, and the weights after two steps.

    `rows` is what makes the numbers of rows of each rank those of this one; else it has all.
    """
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    found = {"losses": [], "masks": []}
    for layer in model.modules():
        if isinstance(layer, (nn.Dropout, nn.LockedDropout, nn.Dropout2d, nn.DropBlock2d)):
            layer.register_forward_hook(lambda layer, _, out: found["masks"].append(out == 0))
    for step, each in enumerate(counts):
        here = rows(each) if rows else Rows(0, sum(each), sum(each))
        set_step(model, step, here if rows and told else None)
        out = model(of_rows(kind, kind.inputs(sum(each)), here))
        loss = out.square().mean(1).sum() / here.total
        (loss * (len(each) if rows else 1)).backward()
        found["losses"].append(loss.detach())
        optimizer.step()
        optimizer.zero_grad()
    weights = [p.detach() for p in model.parameters()]
    found["weights"] = [p.full_tensor() if isinstance(p, DTensor) else p for p in weights]
    return found


def sharded(model, mesh):
    """FSDP's, each child by itself and the rest."""
    for child in model.children():
        if any(True for _ in child.parameters()):
            fully_shard(child, mesh=mesh)
    return fully_shard(model, mesh=mesh)


def trained(rank, size, group, mesh):
    """What comes of each way to train."""
    found = {}
    for kind in MODELS.values():

        def gathered(each):
            return gather_rows(each[rank], group)

        ddp = DistributedDataParallel(made(kind), process_group=group)
        found["DDP", kind.__name__] = train(ddp, kind, COUNTS[size], gathered)
        fsdp = sharded(made(kind), mesh)
        found["FSDP", kind.__name__] = train(fsdp, kind, COUNTS[size], gathered)
    return found


# ---- the debug mode -----------------------------------------------------------------------------


def message(model, x, *others):
    """What the debug mode says of a forward, "" if nothing."""
    try:
        with unique_keys(model):
            model(x, *others)
    except RuntimeError as error:
        return str(error)
    return ""


def debugged(rank):
    """What the debug mode says in each case, on four ranks."""
    mine, common = torch.arange(4.0) + rank, torch.arange(4.0)
    keyed = seeded(torch.nn.Sequential(torch.nn.Identity(), nn.Dropout(0.5)), SEED)
    said = {"keyed": message(keyed, mine), "keyed, equal inputs": message(keyed, common)}
    said["rows"] = message(set_step(keyed, 0, 4), mine)
    said["one's rows for all"] = message(set_step(keyed, 0, Rows(0, 4, 16)), mine)
    said["pairs"] = message(set_step(keyed, 0), torch.arange(4.0) + rank // 2)
    if rank == 0:  # alone: it must not wait for the others
        said["evaluation"] = message(keyed.eval(), mine)
    drawn = torch.nn.Sequential(nn.Dropout(0.5), nn.GaussianDropout(0.0))
    torch.manual_seed(1)
    said["drawn alike"] = message(drawn, mine)
    said["drawn, equal inputs"] = message(drawn, common)
    torch.manual_seed(1 + rank)
    said["drawn"] = message(drawn, mine)
    own = nn.Dropout(0.5, generator=torch.Generator().manual_seed(1))
    said["its own generator"] = message(own, mine)
    weights = nn.DropConnect(torch.nn.Linear(4, 2), 0.5)
    said["weights"] = message(seeded(weights, SEED), mine)
    said["nothing drops"] = message(seeded(nn.Dropout(0.0), SEED), mine)
    mesh = DeviceMesh("cpu", torch.arange(4))
    spread = distribute_tensor(torch.arange(16.0), mesh, [Along(0)])
    said["a DTensor"] = message(set_step(keyed.train(), 0), spread)
    with pytest.raises(ValueError, match="a DTensor in parts knows its rows"):
        set_step(keyed, 0, Rows(0, 4, 16))(spread)
    return said


def work(rank, folder):
    torch.set_num_threads(1)
    # On writes in place into what a forward returns, of which there are none here.
    warnings.filterwarnings("ignore", "FSDP2-wrapped module .* returned a view", UserWarning)
    store = f"file://{folder}/store"
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=4)
    results = {}
    for size in (2, 4):
        group = dist.new_group(range(size))
        mesh = DeviceMesh("cpu", torch.arange(size))
        if rank < size:
            results[size] = trained(rank, size, group, mesh)
        else:
            with pytest.raises(ValueError, match="not in the group"):
                gather_rows(1, group)
    results["debug"] = debugged(rank)
    torch.save(results, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def gathered(tmp_path_factory):
    folder = tmp_path_factory.mktemp("group")
    # One process imports what all four need, and is forked.
    preload = ["torch.distributed.tensor", "torch.distributed.fsdp", "dropout.nn"]
    multiprocessing.set_forkserver_preload(preload)
    multiprocessing.start_processes(work, (str(folder),), nprocs=4, start_method="forkserver")
    return [torch.load(folder / f"{rank}.pt") for rank in range(4)]


def assert_close(found, expected):
    """Equal but for the rounding of sums of some dozens of numbers of about 1."""
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("size", COUNTS)
@pytest.mark.parametrize("way", ["DDP", "FSDP"])
@pytest.mark.parametrize("name", MODELS)
def test_processes_together_train_as_one_with_the_whole_batch(gathered, name, way, size):
    kind = MODELS[name]
    expected = train(made(kind), kind, COUNTS[size])
    found = [gathered[rank][size][way, name] for rank in range(size)]
    assert_close(map(sum, zip(*(f["losses"] for f in found), strict=True)), expected["losses"])
    for f in found:
        assert_close(f["weights"], expected["weights"])
    axis = int(kind is TimeFirst)
    masks = [torch.cat(parts, axis) for parts in zip(*(f["masks"] for f in found), strict=True)]
    assert all(starmap(torch.equal, zip(masks, expected["masks"], strict=True)))


@pytest.mark.parametrize("name", MODELS)
def test_a_rank_whose_layers_are_not_told_its_rows_drops_others(name):
    """The last rank of two, which has other rows than the first ones."""
    kind = MODELS[name]

    def last(each):
        return Rows(each[0], each[1], sum(each))

    right, wrong = (train(made(kind), kind, COUNTS[2], last, told) for told in (True, False))
    assert not any(starmap(torch.equal, zip(right["masks"], wrong["masks"], strict=True)))


# ---- the debug mode -----------------------------------------------------------------------------


def test_ranks_that_would_drop_alike_are_named_on_all_of_them(gathered):
    key = f"MaskKey(seed={SEED}, stream=0, step=0)"
    for said in (found["debug"] for found in gathered):
        for case in ("keyed", "pairs"):
            assert said[case] == (
                "'1' would drop alike on ranks 0, 1, 2, 3, whose inputs differ: they have "
                f"{key} and no rows. Call set_step with the rows of each"
            )
        assert f"{key} and Rows(start=0, count=4, total=16)" in said["one's rows for all"]
        for case, name in (("drawn alike", "'0'"), ("its own generator", "''")):
            assert said[case].startswith(f"{name} would drop alike on ranks 0, 1, 2, 3, whose")
            assert "generators are in one state. Seed each rank by a number" in said[case]


def test_ranks_with_their_rows_or_seeds_or_equal_inputs_may_drop(gathered):
    for said in (found["debug"] for found in gathered):
        for case in ("rows", "drawn", "keyed, equal inputs", "drawn, equal inputs", "a DTensor"):
            assert said[case] == ""


def test_what_drops_nothing_or_the_same_for_all_rows_is_not_counted(gathered):
    assert gathered[0]["debug"]["evaluation"] == ""
    for said in (found["debug"] for found in gathered):
        assert said["weights"] == said["nothing drops"] == ""
