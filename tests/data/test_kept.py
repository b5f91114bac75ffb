"""Data that was read is kept for the next trial, and only as much as is asked for again."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kerasweep.config.data import DataConf
from kerasweep.data.kept import MAX_KEPT, read_and_keep
from kerasweep.errors import DataError


@pytest.fixture
def archive(tmp_path: Path) -> DataConf:
    path = tmp_path / "data.npz"
    generator = np.random.default_rng(0)
    images = generator.integers(0, 255, (60, 4, 4, 1), dtype=np.uint8)
    np.savez(path, x=images, y=np.arange(60) % 3)
    return DataConf(source="npz", path=str(path))


def test_same_configuration_gets_the_same_arrays(archive: DataConf) -> None:
    assert read_and_keep(archive) is read_and_keep(replace(archive))
    assert read_and_keep(replace(archive, seed=5)) is not read_and_keep(archive)


def test_oldest_is_let_go(archive: DataConf) -> None:
    first = read_and_keep(archive)
    for seed in range(1, MAX_KEPT + 1):
        read_and_keep(replace(archive, seed=seed))
    again = read_and_keep(archive)
    assert again is not first
    assert np.array_equal(again.train.images, first.train.images)


def test_what_cannot_be_read_is_not_kept(archive: DataConf, tmp_path: Path) -> None:
    missing = replace(archive, path=str(tmp_path / "later.npz"))
    with pytest.raises(DataError):
        read_and_keep(missing)
    Path(archive.path or "").rename(tmp_path / "later.npz")
    assert len(read_and_keep(missing).train.labels) > 0
