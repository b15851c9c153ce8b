"""Shards in separate processes: gathered, they are what one process alone would have.

Four processes, and two of them alone, talk by gloo, through a file. They compute everything in one
go; the tests look at what was gathered.
"""

import pytest
import torch
import torch.distributed as dist
from torch import multiprocessing
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Partial, Replicate, distribute_tensor
from torch.distributed.tensor import Shard as Along
from torch.distributed.tensor._utils import compute_local_shape_and_global_offset

from dropout import MaskKey, Shard, functional

KEY = MaskKey(seed=2**63 + 5, stream=1, step=2)
P = 0.5  # a scale of 2, so that sums of whole numbers stay exact in any order
SHARDINGS = {"batch": [Along(0)], "columns": [Along(1)], "rows and columns": [Along(0), Along(1)]}
PLACEMENTS = SHARDINGS | {
    "nowhere": [Replicate()],
    "twice by rows": [Along(0), Along(0)],
    "columns, copied": [Replicate(), Along(1)],
}
FUNCTIONS = {
    "dropout": lambda x: functional.dropout(x, P, key=KEY),
    "in place": lambda x: functional.dropout(x * 1, P, inplace=True, key=KEY),
    "of a shard": lambda x: functional.dropout(x, P, key=KEY, shard=Shard((30, 9), (4, 1))),
    "drop_path": lambda x: functional.drop_path(x, P, key=KEY),
    "alpha_dropout": lambda x: functional.alpha_dropout(x, P, True, key=KEY),
    "gaussian_dropout": lambda x: functional.gaussian_dropout(x, P, key=KEY),
}

LINEAR = ("dropout", "gaussian_dropout")  # in x: what comes of a sum is the sum of what comes


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


def with_gradient(f, x):
    """A function's output, and the gradient of its squares' sum; whole where x is a DTensor."""
    x = x.detach().requires_grad_()
    out = f(x)
    out.square().sum().backward()
    pair = out.detach(), x.grad
    return [t.full_tensor() for t in pair] if isinstance(x, DTensor) else list(pair)


def dropped_as_dtensors(mesh, grid):
    """What each function makes of the tensor, however it is spread, and what else one asks."""
    results = {}
    for name, placements in PLACEMENTS.items():
        x = distribute_tensor(whole(), grid if len(placements) == 2 else mesh, placements)
        assert functional.dropout(x, P, key=KEY).placements == tuple(placements)
        results[name] = {f: with_gradient(function, x) for f, function in FUNCTIONS.items()}
    compiled = torch.compile(FUNCTIONS["dropout"], fullgraph=True, backend="aot_eager")
    x = distribute_tensor(whole(), grid, SHARDINGS["rows and columns"])
    results["compiled"] = with_gradient(compiled, x)
    x, inward, outward = network()
    inward = distribute_tensor(inward, mesh, [Along(0)]).requires_grad_()
    outward = distribute_tensor(outward, mesh, [Along(1)]).requires_grad_()
    results["network"] = loss_and_gradients(distribute_tensor(x, mesh), inward, outward)
    parts = {how: DTensor.from_local(whole(), mesh, [Partial(how)]) for how in ("sum", "avg")}
    results["summed"] = {
        how: {f: FUNCTIONS[f](part).full_tensor() for f in LINEAR} for how, part in parts.items()
    }
    summed = parts["sum"]
    results["refused"] = {
        "drawn": refusal(lambda: functional.dropout(distribute_tensor(whole(), mesh))),
        "affine": refusal(lambda: FUNCTIONS["alpha_dropout"](summed)),
        "largest": refusal(
            lambda: FUNCTIONS["dropout"](DTensor.from_local(whole(), mesh, [Partial("max")]))
        ),
    }
    return results


def refusal(f):
    with pytest.raises(ValueError, match="DTensor") as error:
        f()
    return str(error.value)


def loss_and_gradients(x, inward, outward):
    hidden = functional.dropout((x @ inward.T).relu(), P, key=KEY)
    loss = (hidden @ outward.T).square().sum()
    loss.backward()
    found = {"hidden": hidden, "loss": loss, "inward": inward.grad, "outward": outward.grad}
    return {n: t.full_tensor() if isinstance(t, DTensor) else t for n, t in found.items()}


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
            results[size] = {
                "network": tensor_parallel_loss(row),
                "dtensors": dropped_as_dtensors(row, grid),
            }
            for name, placements in SHARDINGS.items():
                mesh = grid if len(placements) == 2 else row
                results[size][name] = dropped_in_shards(mesh, placements)
        else:  # a process that has no part
            elsewhere = FUNCTIONS["dropout"](distribute_tensor(whole(), row))
            assert not elsewhere.to_local().numel()
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


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("placing", PLACEMENTS)
def test_a_dtensor_drops_what_a_tensor_drops(results, placing, name):
    found, expected = results["dtensors"][placing][name], with_gradient(FUNCTIONS[name], whole())
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_a_dtensor_drops_the_same_in_a_compiled_graph(results):
    found, expected = results["dtensors"]["compiled"], with_gradient(FUNCTIONS["dropout"], whole())
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_a_tensor_parallel_network_has_the_single_process_loss(results):
    x, inward, outward = network()
    expected = loss_and_gradients(x, inward.requires_grad_(), outward.requires_grad_())
    for found in (results["network"], results["dtensors"]["network"]):
        assert all(torch.equal(found[name], one) for name, one in expected.items())


@pytest.mark.parametrize("name", LINEAR)
@pytest.mark.parametrize("how", ["sum", "avg"])
def test_a_sum_over_processes_may_be_dropped_before_it_is_taken(results, how, name, request):
    times = request.node.callspec.params["results"] if how == "sum" else 1
    found, expected = results["dtensors"]["summed"][how][name], FUNCTIONS[name](times * whole())
    # Noise, unlike a scale of 2, makes sums that are rounded: here of at most 4 parts.
    tolerance = 0 if name == "dropout" else 4 * 2.0**-52
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=0)


def test_a_dtensor_without_a_key_or_with_no_place_in_the_mask_is_refused_in_words(results):
    refused = results["dtensors"]["refused"]
    assert refused["drawn"].startswith("a DTensor needs a key")
    assert "placement P(sum)" in refused["affine"]
    assert "placement P(max)" in refused["largest"]
