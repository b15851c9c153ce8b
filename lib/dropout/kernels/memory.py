"""Memory for large results on the CPU, in huge pages and used again for the next one of its size.

C's allocator gives blocks this large back to the system when they are freed, and gets the next one
page by page as it is touched: that takes longer than all the work on its elements, and on a virtual
machine, whose host may have taken the pages meanwhile, ten times as long.

The two last results, up to 256 MiB each, are therefore held until others take their places: that is
what it costs. They are PyTorch's own tensors, which may be resized.
"""

import ctypes
import sys
from collections import deque
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from dropout.torch_private import memory_users

LARGE = 1 << 25  # bytes: glibc's allocator may keep what is smaller by itself
LARGEST = 1 << 28  # bytes: what is larger is not kept
PAGE, MADV_HUGEPAGE = 1 << 12, 14  # Linux
# A forward's result and a backward's; none where PyTorch does not say who else is on their memory.
_kept: deque[tuple[int, Tensor]] = deque(maxlen=2 if memory_users else 0)


def empty_like(x: Tensor) -> Tensor:
    """`torch.empty_like`, in memory that is fast to write where there is much of it."""
    if x.nbytes < LARGE:
        return torch.empty_like(x)
    if x.nbytes > LARGEST:
        return _in_huge_pages(torch.empty_like(x))
    out = _used(x)
    if out is None:
        out = _in_huge_pages(torch.empty_like(x))
    _kept.append((out.data_ptr(), out.detach()))
    return out


def _used(x: Tensor) -> Tensor | None:
    """A tensor like x in the memory of a result that is gone, if there is such memory."""
    for _ in range(len(_kept)):
        try:
            address, last = _kept.popleft()
        except IndexError:  # another thread took it
            break
        if (last.dtype, last.nbytes) == (x.dtype, x.nbytes) and _is_free(last, address):
            out: Any = torch.empty(0, dtype=x.dtype, device="cpu")
            return out.set_(last, 0, x.shape, torch.empty_like(x, device="meta").stride())
        _kept.append((address, last))
    return None


def _is_free(last: Tensor, address: int) -> bool:
    """Whether nothing else is on the memory of a tensor, and the memory is still at its address.

    It is not where somebody resized it, or moved it to where other processes see it. A storage that
    Python has held counts for one in use, for good.
    """
    return memory_users is not None and memory_users(last) == 1 and last.data_ptr() == address


def _in_huge_pages(x: Tensor) -> Tensor:
    if advise := _madvise():
        begin = -(-x.data_ptr() // PAGE) * PAGE
        advise(begin, x.data_ptr() + x.nbytes - begin, MADV_HUGEPAGE)
    return x


@lru_cache
def _madvise():
    """The C library's function where Linux has it."""
    if not sys.platform.startswith("linux"):
        return None
    function = ctypes.CDLL(None).madvise
    function.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    return function
