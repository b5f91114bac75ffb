"""Keeps the memory of a process small while it reads or writes arrays that are mapped from files."""

import mmap
from collections.abc import Callable
from typing import Any

import numpy as np

# TensorFlow copies an array whose address is no multiple of it (EIGEN_MAX_ALIGN_BYTES).
ALIGNMENT = 64
# Returns uint8 zeros for a name, as `train_images`, and a shape, in memory or mapped from a file.
Allocate = Callable[[str, tuple[int, ...]], np.ndarray]


def allocate_in_memory(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Returns an array in memory."""
    return np.zeros(shape, np.uint8)


def allocate_aligned(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Returns an array without initial values, which TensorFlow takes over without a copy."""
    count = int(np.prod(shape)) * dtype.itemsize
    buffer = np.empty(count + ALIGNMENT, np.uint8)
    first = -buffer.ctypes.data % ALIGNMENT
    return buffer[first : first + count].view(dtype).reshape(shape)


def release(array: np.ndarray) -> None:
    """Gives the pages of a memory-mapped array back to the system, which keeps what was written to them.

    Until then they count as memory of this process, as for `trial.memory_mb`. Other arrays stay as they are.
    """
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, mmap.mmap):
        base.madvise(mmap.MADV_DONTNEED)
