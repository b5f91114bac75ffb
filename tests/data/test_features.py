"""Features are computed once for all processes, and the cache stays within its size."""

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from kerasweep.data.features import Extraction, cached_features

VALUES = np.arange(20, dtype=np.float32).reshape(5, 4)


class Computed:
    """Counts how often features are computed."""

    def __init__(self, values: np.ndarray = VALUES, seconds: float = 0.0) -> None:
        self.values, self.seconds, self.times = values, seconds, 0

    def __call__(self) -> Extraction:
        self.times += 1
        return Extraction(self.values.shape, 7, self.batches())

    def batches(self) -> Iterator[np.ndarray]:
        for start in range(0, len(self.values), 2):
            time.sleep(self.seconds)
            yield self.values[start : start + 2]


def no_extraction() -> Extraction:
    raise AssertionError("The features should come from the cache.")


def test_features_are_computed_once_and_memory_mapped(tmp_path: Path) -> None:
    computed = Computed()
    for _ in range(2):
        features = cached_features(tmp_path, "one", computed)
        assert isinstance(features.values, np.memmap)
        np.testing.assert_array_equal(features.values, VALUES)
        assert features.parameters == 7
    assert computed.times == 1


def test_another_key_is_computed(tmp_path: Path) -> None:
    cached_features(tmp_path, "one", Computed())
    features = cached_features(tmp_path, "two", Computed(VALUES + 1))
    np.testing.assert_array_equal(features.values, VALUES + 1)


def test_two_workers_at_once_make_one_copy(tmp_path: Path) -> None:
    computed = Computed(seconds=0.02)
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: cached_features(tmp_path, "one", computed), range(2)))
    assert computed.times == 1
    np.testing.assert_array_equal(both[0].values, both[1].values)


def cut(entry: Path) -> None:
    os.truncate(entry / "values.npy", 150)


def empty(entry: Path) -> None:
    (entry / "notes.json").write_text("")


def reshape(entry: Path) -> None:
    np.save(entry / "values.npy", VALUES[:3])


@pytest.mark.parametrize("damage", [cut, empty, reshape])
def test_damaged_features_are_computed_again(damage: Callable[[Path], None], tmp_path: Path) -> None:
    cached_features(tmp_path, "one", Computed())
    damage(tmp_path / "features" / "one")
    np.testing.assert_array_equal(cached_features(tmp_path, "one", Computed()).values, VALUES)
    cached_features(tmp_path, "one", no_extraction)


def test_computation_that_fails_leaves_no_entry(tmp_path: Path) -> None:
    def broken() -> Iterator[np.ndarray]:
        yield VALUES[:2]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached_features(tmp_path, "one", lambda: Extraction(VALUES.shape, 7, broken()))
    assert [path.name for path in (tmp_path / "features").iterdir()] == ["one.lock"]


def test_what_a_killed_process_left_is_overwritten(tmp_path: Path) -> None:
    left = tmp_path / "features" / ".new-one"
    left.mkdir(parents=True)
    (left / "values.npy").write_bytes(b"half")
    cached_features(tmp_path, "one", Computed())
    assert not left.exists()


def test_features_that_were_not_used_for_longest_are_removed(tmp_path: Path) -> None:
    size = VALUES.nbytes + 128  # the header of a .npy file
    for key in ("old", "used", "middle"):
        cached_features(tmp_path, key, Computed(), max_bytes=3 * size)
    for age, key in enumerate(("middle", "old", "used"), start=1):
        notes = tmp_path / "features" / key / "notes.json"
        os.utime(notes, (time.time() - 100 * age,) * 2)
    mapped = cached_features(tmp_path, "old", no_extraction)
    cached_features(tmp_path, "used", no_extraction)
    cached_features(tmp_path, "new", Computed(), max_bytes=3 * size)
    kept = {path.name for path in (tmp_path / "features").iterdir() if path.is_dir()}
    assert kept == {"old", "used", "new"}
    cached_features(tmp_path, "newest", Computed(), max_bytes=0)
    assert {path.name for path in (tmp_path / "features").iterdir() if path.is_dir()} == {"newest"}
    np.testing.assert_array_equal(mapped.values, VALUES)


def test_folder_that_cannot_be_written_costs_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "features").write_text("a file")
    features = cached_features(tmp_path, "one", Computed())
    np.testing.assert_array_equal(features.values, VALUES)
    assert "cannot be written" in caplog.text and "every process computes again" in caplog.text
