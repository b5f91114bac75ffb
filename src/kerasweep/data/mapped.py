"""Keeps the memory of a process small while it reads or writes arrays that are mapped from files."""

import mmap
from collections.abc import Callable
from typing import Any

import numpy as np

# Returns uint8 zeros for a name, as `train_images`, and a shape, in memory or mapped from a file.
Allocate = Callable[[str, tuple[int, ...]], np.ndarray]


def allocate_in_memory(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Returns an array in memory."""
    return np.zeros(shape, np.uint8)


def release(array: np.ndarray) -> None:
    """Gives the pages of a memory-mapped array back to the system, which keeps what was written to them.

    Until then they count as memory of this process, as for `trial.memory_mb`. Other arrays stay as they are.
    """
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, mmap.mmap):
        base.madvise(mmap.MADV_DONTNEED)
