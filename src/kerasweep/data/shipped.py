"""Keeps data sets that a driver on another machine sent, in this machine's cache, by their digests."""

import fcntl
from collections.abc import Callable
from pathlib import Path

from kerasweep.config.data import DataConf
from kerasweep.data.arrays import Arrays
from kerasweep.data.cache import cache_of, read_entry, write_entry


def find_shipped(cfg: DataConf, digest: str) -> Arrays | None:
    """Returns the data set with this digest, memory-mapped; None if nobody sent it."""
    return read_entry(_entry(cfg, digest))


def keep_shipped(cfg: DataConf, digest: str, fetch: Callable[[], Arrays]) -> None:
    """Writes a data set into the cache unless it is there. Of several processes, one fetches and writes it.

    Args:
        cfg: The group `data`, for the folder of the cache.
        digest: Of the data set.
        fetch: Returns the data set.
    """
    entry = _entry(cfg, digest)
    entry.parent.mkdir(parents=True, exist_ok=True)
    with open(entry.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if read_entry(entry) is None:
            write_entry(entry, fetch())


def _entry(cfg: DataConf, digest: str) -> Path:
    return cache_of(cfg) / "shipped" / digest
