"""Tensors and masks on which every engine must agree: layouts, edges of blocks, windows, shards."""

import torch

from dropout.shard import Shard

DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]
SEED = -(2**62) - 12345  # as it comes from an int64 tensor: a key of 64 bits with the top one set
_maps = torch.linspace(-3, 3, 840).reshape(4, 6, 5, 7)
_row = torch.linspace(-1, 1, 70000)

# name: tensor, shared axes, shard
CASES = {
    "scalar": (torch.tensor(1.5), (), None),
    "empty": (torch.empty(0, 3), (), None),
    "empty, shared": (torch.empty(2, 0), (1,), None),
    **{f"{n} elements": (_row[:n], (), None) for n in (1, 7, 8, 9, 1023, 1024, 1025, 4096, 4097)},
    "many tiles": (_row, (), None),
    "odd rows": (_row[:3075].reshape(3, 1025), (), None),
    "transposed": (_maps.transpose(0, 2), (), None),
    "channels last": (_maps.to(memory_format=torch.channels_last), (), None),
    "large, transposed": (_row[:69888].reshape(364, 192).t(), (), None),
    "large, channels last": (
        _row[:69300].reshape(3, 100, 7, 33).to(memory_format=torch.channels_last), (), None
    ),
    "sliced": (_maps[:, 1:4, ::2, 1:], (), None),
    "offset in memory": (_row[3:1003], (), None),
    "expanded": (_maps[0, 0].expand(3, 5, 7), (), None),
    "expanded scalar": (torch.tensor(2.5).expand(40), (), None),
    "channels": (_maps, (2, 3), None),
    "channels last, channels": (_maps.to(memory_format=torch.channels_last), (-1, -2), None),
    "channels last, columns": (_maps.to(memory_format=torch.channels_last), (2,), None),
    "large channels": (_row[:69999].reshape(3, 23333), (1,), None),
    "time": (_maps, (0,), None),
    "alternate axes": (_maps, (1, 3), None),
    "one coin": (_maps, (0, 1, 2, 3), None),
    "expanded, shared": (_maps[0, 0].expand(3, 5, 7), (1,), None),
    "beyond 2^32": (_row[:1500].reshape(3, 500), (), Shard((2**31, 2**10), (2**30 + 7, 9))),
    "beyond 2^32, shared": (_maps[0], (2,), Shard((2**31, 2**10, 9), (2**30 + 7, 9, 1))),
    "across 2^35": (_row[:40], (), Shard((2**36,), (2**35 - 20,))),  # block_hi turns 1
    "rows of a shard": (_row[:2000].reshape(2, 1000), (), Shard((4, 1000), (1, 0))),
    "columns of a shard": (_row[:2100].reshape(3, 700), (), Shard((4, 1000), (1, 300))),
    # Whose last blocks reach beyond 1,024 coins, wherever in their first blocks they begin.
    "rows between blocks": (_row[:3069].reshape(3, 1023), (), Shard((4, 1030), (1, 5))),
    "one column": (_row[:3].reshape(3, 1), (), Shard((4, 1000), (1, 300))),
}  # fmt: skip
