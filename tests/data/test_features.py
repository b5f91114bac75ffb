"""Features are computed once for all processes, and the cache stays within its size."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from kerasweep.data.features import Extraction, cached_features

VALUES = np.arange(20, dtype=np.float32).reshape(5, 4)
# Computes the features of two keys again and again, as each removes the other's.
TAKING_TURNS = """
import sys
from pathlib import Path
import numpy as np
from kerasweep.data.features import Extraction, cached_features
for turn in range(600):
    number = turn % 2
    values = np.full((5, 4), number, np.float32)
    given = cached_features(
        Path(sys.argv[1]), f"key{number}", lambda: Extraction(values.shape, 7, iter([values])), max_bytes=0
    )
    assert isinstance(given.values, np.memmap) and (given.values == number).all()
"""
ON_A_SMALL_DISK = """
import subprocess, sys
from pathlib import Path
import numpy as np
from kerasweep.data.features import Extraction, cached_features
folder = Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", folder], check=True)
values = np.arange(40_000, dtype=np.float32).reshape(10_000, 4)
given = cached_features(folder, "one", lambda: Extraction(values.shape, 7, iter(np.split(values, 100))))
assert (given.values == values).all()
print(*(path.name for path in (folder / "features").iterdir()))
"""


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


def test_processes_may_remove_what_others_write(tmp_path: Path) -> None:
    command = [sys.executable, "-c", TAKING_TURNS, str(tmp_path)]
    started = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    ended = [(process.communicate(timeout=120)[1], process.returncode) for process in started]
    assert ended == [("", 0)] * 2


def test_an_entry_that_is_being_written_is_not_removed(tmp_path: Path) -> None:
    def interrupted() -> Iterator[np.ndarray]:
        yield VALUES[:2]
        (tmp_path / "features" / ".new-one" / "notes.json").write_text("as just before the entry is renamed")
        cached_features(tmp_path, "two", Computed(), max_bytes=0)
        yield VALUES[2:]

    features = cached_features(tmp_path, "one", lambda: Extraction(VALUES.shape, 7, interrupted()))
    assert isinstance(features.values, np.memmap)
    np.testing.assert_array_equal(cached_features(tmp_path, "one", no_extraction).values, VALUES)


def test_a_full_disk_costs_a_warning(tmp_path: Path) -> None:
    alone = ["unshare", "--map-root-user", "--mount"]
    if subprocess.run([*alone, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this machine mounts no file system for a user")
    ended = subprocess.run(
        [*alone, sys.executable, "-c", ON_A_SMALL_DISK, str(tmp_path)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert (ended.returncode, ended.stdout) == (0, "one.lock\n"), ended.stderr
    assert "cannot be written ([Errno 28] No space left on device)" in ended.stderr


def test_images_that_cannot_be_read_are_not_called_a_cache_that_cannot_be_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def unreadable() -> Iterator[np.ndarray]:
        yield VALUES[:2]
        raise OSError(5, "Input/output error", "images.npy")

    with pytest.raises(OSError, match="images.npy"):
        cached_features(tmp_path, "one", lambda: Extraction(VALUES.shape, 7, unreadable()))
    assert caplog.text == ""


def test_features_of_fewer_images_are_not_saved(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="^the backbone gave 12 of 20 values$"):
        cached_features(tmp_path, "one", lambda: Extraction(VALUES.shape, 7, iter([VALUES[:3]])))
    assert [path.name for path in (tmp_path / "features").iterdir()] == ["one.lock"]
