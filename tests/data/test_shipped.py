"""Data that a driver sent is fetched once for all processes of a machine, and read in place of the source."""

import fcntl
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kerasweep.config.data import DataConf
from kerasweep.data.arrays import Arrays, make_arrays
from kerasweep.data.prepare import load_prepared
from kerasweep.data.shipped import find_shipped, keep_shipped
from kerasweep.errors import ChangedError, DataError


def sent() -> Arrays:
    images, labels = np.full((40, 4, 4), 7, np.uint8), np.arange(40) % 2
    return make_arrays((images, labels), (images, labels), ["a", "b"], "mine")


@pytest.fixture
def cfg(tmp_path: Path) -> DataConf:
    """The source is on the driver's machine alone."""
    cache = str(tmp_path / "cache")
    return DataConf(source="npz", path=str(tmp_path / "absent.npz"), ship=True, cache_dir=cache)


def test_of_several_processes_one_fetches(cfg: DataConf, tmp_path: Path) -> None:
    fetched: list[Arrays] = []
    digest = sent().digest

    def fetch() -> Arrays:
        with open(tmp_path / f"cache/shipped/{digest}.lock") as lock, pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # another process waits meanwhile
        fetched.append(sent())
        return fetched[0]

    for _ in range(2):
        keep_shipped(cfg, digest, fetch)
    assert len(fetched) == 1
    found = find_shipped(cfg, digest)
    assert found is not None and isinstance(found.train_images, np.memmap)
    assert (found.digest, found.class_names) == (digest, ("a", "b"))
    assert found.train_images.tolist() == sent().train_images.tolist()


def test_a_training_reads_what_was_sent(cfg: DataConf) -> None:
    keep_shipped(cfg, sent().digest, sent)
    assert (load_prepared(cfg, sent().digest).train.source == 7).all()


def test_without_it_the_source_is_read(cfg: DataConf, tmp_path: Path) -> None:
    np.savez(tmp_path / "own.npz", x=np.full((40, 4, 4), 9, np.uint8), y=np.arange(40) % 2)
    own = replace(cfg, path=str(tmp_path / "own.npz"))
    assert (load_prepared(own, "0123456789abcdef").train.source == 9).all()


def test_data_that_are_gone_end_the_sweep(cfg: DataConf) -> None:
    with pytest.raises(ChangedError, match=r"^The data that the driver sent is no longer in .*cache\. Start"):
        load_prepared(cfg, "0123456789abcdef")
    with pytest.raises(DataError, match="which does not exist"):  # the driver itself
        load_prepared(cfg)
    with pytest.raises(DataError, match="which does not exist"):  # nobody sent anything
        load_prepared(replace(cfg, ship=False), "0123456789abcdef")


def test_memory_mapped_arrays_are_sent_as_plain_ones(cfg: DataConf) -> None:
    keep_shipped(cfg, sent().digest, sent)
    mapped = find_shipped(cfg, sent().digest)
    assert mapped is not None
    plain = mapped.in_memory()
    assert type(plain.train_images) is np.ndarray and np.shares_memory(
        plain.train_images, mapped.train_images
    )
    assert (plain.digest, plain.validation_images) == (mapped.digest, None)
