"""Keeps freed memory in the process for the next tensors."""

import ctypes
import os

KEPT_BYTES = 2**30
# glibc's malloc.h.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
VARIABLES = ("GLIBC_TUNABLES", "MALLOC_ARENA_MAX", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")


def keep_freed_memory() -> None:
    """Makes malloc keep up to KEPT_BYTES of freed memory; called before TensorFlow starts its threads.

    By default, glibc returns each block above 32 MiB to the system, which fills all pages of the next block
    with zeros: without oneDNN, which has a pool of its own, 40 % of the CPU time of a training on
    photographs. glibc keeps such blocks in its first arena alone, so there is no other. Its variables in the
    environment have precedence. Other C libraries, and glibc before 2.35, which refuses the limit, stay as
    they are.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None or any(name in os.environ for name in VARIABLES):
        return
    if mallopt(M_MMAP_THRESHOLD, KEPT_BYTES):
        mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
        mallopt(M_ARENA_MAX, 1)
