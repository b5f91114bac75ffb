"""Pages of mapped arrays go back to the system, and keep what was written."""

from pathlib import Path

import numpy as np
import psutil

from kerasweep.data.mapped import allocate_in_memory, release

MIB = 2**20


def resident_mb() -> float:
    return psutil.Process().memory_info().rss / MIB


def test_released_pages_are_no_memory_of_the_process_and_keep_their_values(tmp_path: Path) -> None:
    array = np.lib.format.open_memmap(tmp_path / "a.npy", "w+", np.uint8, (64, MIB))
    before = resident_mb()
    array[:] = 7
    assert resident_mb() - before > 60
    release(np.asarray(array)[1:])  # a view of a view
    assert resident_mb() - before < 8
    assert (array == 7).all() and (np.load(tmp_path / "a.npy", mmap_mode="r") == 7).all()


def test_arrays_in_memory_stay() -> None:
    array = allocate_in_memory("train_images", (2, 3))
    array[:] = 7
    release(array)
    assert array.tolist() == [[7, 7, 7], [7, 7, 7]]
