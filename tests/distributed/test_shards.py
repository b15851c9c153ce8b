"""Shards in separate processes: gathered, they are what one process alone would have.

Four processes, and two of them alone, talk by gloo, through a file. They compute everything in one
go; the tests look at what was gathered.
"""

import pytest
import torch
import torch.distributed as dist
from torch import multiprocessing
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.distributed.tensor import Shard as Along
from torch.distributed.tensor._utils import compute_local_shape_and_global_offset

from dropout import MaskKey, Shard, functional

KEY = MaskKey(seed=2**63 + 5, stream=1, step=2)
P = 0.5  # a scale of 2, so that sums of whole numbers stay exact in any order
SHARDINGS = {"batch": [Along(0)], "columns": [Along(1)], "rows and columns": [Along(0), Along(1)]}


def numbers(*shape, seed=0):
    return torch.randint(-4, 5, shape, generator=torch.Generator().manual_seed(seed)).double()


def whole():
    return numbers(10, 7)  # neither 2 nor 4 divides both: shards differ in size, one may be empty


def network():
    """Inputs, and the weights of a network of one hidden layer."""
    return numbers(6, 5, seed=1), numbers(8, 5, seed=2), numbers(3, 8, seed=3)


def dropped_in_shards(mesh, placements):
    """A tensor's shards, each dropped in its own process, and their gradients, gathered."""
    x = distribute_tensor(whole(), mesh, placements)
    shape, start = compute_local_shape_and_global_offset(x.shape, mesh, placements)
    local = x.to_local().clone().requires_grad_()
    assert tuple(local.shape) == tuple(shape)
    out = functional.dropout(local, P, key=KEY, shard=Shard(tuple(x.shape), tuple(start)))
    out.square().sum().backward()
    return [
        DTensor.from_local(t, mesh, placements, shape=x.shape, stride=x.stride()).full_tensor()
        for t in (out.detach(), local.grad)
    ]


def tensor_parallel_loss(mesh):
    """Loss and gradients of the network, a slice of whose hidden units each process has."""
    rank, size = mesh.get_local_rank(), mesh.size()
    x, inward, outward = network()
    inward = inward.chunk(size)[rank].clone().requires_grad_()
    outward = outward.chunk(size, dim=1)[rank].clone().requires_grad_()
    hidden = (x @ inward.T).relu()
    place = Shard((6, 8), (0, rank * len(inward)))
    hidden = functional.dropout(hidden, P, key=KEY, shard=place)
    partial = hidden @ outward.T
    total = partial.detach().clone()
    dist.all_reduce(total, group=mesh.get_group())
    partial.backward(2 * total)  # of the sum of squares of the total
    parts = {
        "hidden": (hidden.detach(), 1),
        "inward": (inward.grad, 0),
        "outward": (outward.grad, 1),
    }
    whole = {
        name: DTensor.from_local(part, mesh, [Along(dim)]).full_tensor()
        for name, (part, dim) in parts.items()
    }
    return {"loss": total.square().sum(), **whole}


def work(rank, folder):
    torch.set_num_threads(1)
    store = f"file://{folder}/store"
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=4)
    results = {}
    for size in (2, 4):
        row = DeviceMesh("cpu", torch.arange(size))
        grid = DeviceMesh("cpu", torch.arange(size).view(2, -1))
        if rank < size:
            results[size] = {"network": tensor_parallel_loss(row)}
            for name, placements in SHARDINGS.items():
                mesh = grid if len(placements) == 2 else row
                results[size][name] = dropped_in_shards(mesh, placements)
    if rank == 0:
        torch.save(results, f"{folder}/results.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def gathered(tmp_path_factory):
    folder = tmp_path_factory.mktemp("group")
    # One process imports what all four need, and is forked.
    multiprocessing.set_forkserver_preload(["torch.distributed.tensor", "dropout.functional"])
    multiprocessing.start_processes(work, (str(folder),), nprocs=4, start_method="forkserver")
    return torch.load(folder / "results.pt")


@pytest.fixture(params=[2, 4])
def results(request, gathered):
    return gathered[request.param]


@pytest.mark.parametrize("sharding", SHARDINGS)
def test_gathered_shards_are_the_single_process_result(results, sharding):
    x = whole().requires_grad_()
    expected = functional.dropout(x, P, key=KEY)
    expected.square().sum().backward()
    out, grad = results[sharding]
    assert torch.equal(out, expected)
    assert torch.equal(grad, x.grad)


def test_a_tensor_parallel_network_has_the_single_process_loss(results):
    x, inward, outward = network()
    inward.requires_grad_(), outward.requires_grad_()
    hidden = functional.dropout((x @ inward.T).relu(), P, key=KEY)
    loss = (hidden @ outward.T).square().sum()
    loss.backward()
    found = results["network"]
    assert torch.equal(found["hidden"], hidden)
    assert torch.equal(found["loss"], loss)
    assert torch.equal(found["inward"], inward.grad)
    assert torch.equal(found["outward"], outward.grad)
