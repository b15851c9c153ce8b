"""Memory for large results on the CPU, in huge pages and kept for the next result of its size.

C's allocator gives blocks this large back to the system when they are freed, and gets the next one
page by page as it is touched: that takes longer than all the work on its elements, and on a virtual
machine, whose host may have taken the pages meanwhile, ten times as long.
"""

import ctypes
import sys
import weakref
from collections import deque
from functools import lru_cache

import torch
from torch import Tensor

LARGE = 1 << 25  # bytes: glibc's allocator may keep what is smaller by itself
LARGEST = 1 << 28  # bytes: what is larger is not kept
PAGE, MADV_HUGEPAGE = 1 << 12, 14  # Linux
_kept: deque[Tensor] = deque(maxlen=2)  # a forward's result and a backward's; the oldest goes


def empty_like(x: Tensor) -> Tensor:
    """`torch.empty_like`, in memory that is fast to write where there is much of it."""
    if (size := x.nbytes) < LARGE:
        return torch.empty_like(x)
    block = _block(size)
    lease = block.numpy()
    if size <= LARGEST:  # when the last tensor on the block is gone, so is the array it came from
        weakref.finalize(lease, _kept.append, block)
    strides = torch.empty_like(x, device="meta").stride()
    return torch.frombuffer(lease, dtype=x.dtype).as_strided_(x.shape, strides)


def _block(size: int) -> Tensor:
    """Bytes that no tensor uses: kept ones, or new."""
    for _ in range(len(_kept)):
        try:
            block = _kept.popleft()
        except IndexError:  # another thread took it
            break
        if len(block) == size:
            return block
        _kept.append(block)
    block = torch.empty(size, dtype=torch.uint8, device="cpu")
    if advise := _madvise():
        begin = -(-block.data_ptr() // PAGE) * PAGE
        advise(begin, block.data_ptr() + size - begin, MADV_HUGEPAGE)
    return block


@lru_cache
def _madvise():
    """The C library's function where Linux has it."""
    if not sys.platform.startswith("linux"):
        return None
    function = ctypes.CDLL(None).madvise
    function.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    return function
