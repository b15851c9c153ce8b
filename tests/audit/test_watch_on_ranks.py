"""`Watch` on two processes: masks that are equal on ranks whose data differ.

They talk by gloo, through a file, and compute everything in one go.
"""

import contextlib

import pytest
import torch
import torch.distributed as dist
from torch import multiprocessing, nn
from torch.nn.parallel import DistributedDataParallel

from dropout import nn as dnn
from dropout.audit import Watch
from dropout.seeding import Rows, seeded, set_step

# What a training does: the seed of a rank, whether the ranks' data differ, keys, an error.
LOOPS = {
    "seeded alike": {"seed": lambda rank: 7},
    "seeded apart": {"seed": lambda rank: 7 + rank},
    "seeded alike, equal data": {"seed": lambda rank: 7, "differ": False},
    "keys without rows": {"seed": lambda rank: 7 + rank, "rows": lambda rank: None},
    "keys with rows": {"seed": lambda rank: 7 + rank, "rows": lambda rank: Rows(4 * rank, 4, 8)},
    "an error": {"seed": lambda rank: 7, "fails": True},
}
EXPECTED = {
    "seeded alike": [("same-mask-on-ranks", "", [0, 1])],
    "keys without rows": [("same-mask-on-ranks", "module.1", [0, 1])],
}


def train(rank, seed, differ=True, rows=None, fails=False):
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(6, 5), dnn.Dropout(0.5), nn.Linear(5, 2))
    if rows is not None:
        seeded(model, seed=1)
    torch.manual_seed(seed(rank))
    parallel = DistributedDataParallel(model)
    x = torch.randn(3, 4, 6, generator=torch.Generator().manual_seed(rank if differ else 0))
    watch = Watch(parallel)
    with pytest.raises(KeyError) if fails else contextlib.nullcontext(), watch:
        for step, batch in enumerate(x):
            if rows is not None:
                set_step(model, step, rows(rank))
            parallel(batch).sum().backward()
        if fails:
            raise KeyError
    return [(f.kind, f.module, f.evidence.get("ranks")) for f in watch.findings]


def work(rank, folder):
    dist.init_process_group("gloo", f"file://{folder}/meet", world_size=2, rank=rank)
    found = {name: train(rank, **options) for name, options in LOOPS.items()}
    torch.save(found, f"{folder}/{rank}")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("ranks"))
    multiprocessing.spawn(work, (folder,), nprocs=2)
    return [torch.load(f"{folder}/{rank}") for rank in range(2)]


@pytest.mark.parametrize("name", LOOPS)
def test_ranks_that_drop_alike_on_different_data_are_found_on_both(found, name):
    for rank in range(2):
        assert found[rank][name] == EXPECTED.get(name, [])
