"""A tensor spread over processes, a DTensor: each process drops its part of the one mask.

Importing this module tells PyTorch so. `dropout.coins` does it when it meets the first DTensor.
"""

from collections.abc import Sequence

from torch import Tensor
from torch.distributed.tensor import DTensor, Partial, Placement, Replicate, Shard
from torch.library import register_torch_dispatch


def _in_parts(cls, op, types, args, kwargs) -> Tensor:
    """The operator on this process's part of x, at its place in the mask of the whole."""
    x, *rest, whole, start = args
    shifts = op.name() == "dropout::masked_scale" and any(rest[-2:])
    _check(x.placements, linear=not shifts)
    start = [s + a if n > 1 else s for s, a, n in zip(start, _start(x), whole, strict=True)]
    out = op(x.to_local(), *rest, whole, start)
    return DTensor.from_local(out, x.device_mesh, x.placements, shape=x.shape, stride=x.stride())


def _start(x: DTensor) -> list[int]:
    """Where this process's part begins in the whole, which each axis of the mesh cuts as `chunk`.

    PyTorch's own function for it computes with tensors, which its compiler cannot follow.
    """
    start, size = [0] * x.dim(), list(x.shape)
    for part, parts, placement in zip(
        x.device_mesh.get_coordinate() or (), x.device_mesh.shape, x.placements, strict=False
    ):
        if isinstance(placement, Shard):
            axis = placement.dim
            chunk = -(-size[axis] // parts)
            before = min(part * chunk, size[axis])
            start[axis] += before
            size[axis] = min(chunk, size[axis] - before)
    return start


def _check(placements: Sequence[Placement], linear: bool) -> None:
    for placement in placements:
        # What is linear may be done before a sum over processes as well as after it.
        summed = type(placement) is Partial and placement.reduce_op in ("sum", "avg")
        if type(placement) not in (Shard, Replicate) and not (linear and summed):
            raise ValueError(
                f"dropout has no place in its mask for a DTensor's placement {placement}: "
                "redistribute it to Shard or Replicate first"
            )


for _name in ("masked_scale", "multiply"):
    register_torch_dispatch(f"dropout::{_name}", DTensor, _in_parts)
