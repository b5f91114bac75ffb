"""Pages of mapped arrays go back to the system, and keep what was written."""

from pathlib import Path

import numpy as np
import psutil
import pytest
import tensorflow as tf

from kerasweep.data.mapped import allocate_aligned, allocate_in_memory, release

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


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_tensorflow_takes_aligned_arrays_over_without_a_copy(dtype: type) -> None:
    arrays = []

    def read() -> np.ndarray:
        arrays.append(allocate_aligned((3, 5), np.dtype(dtype)))
        arrays[-1][:] = 7
        return arrays[-1]

    tensor = next(iter(tf.data.Dataset.range(1).map(lambda _: tf.numpy_function(read, [], dtype))))
    arrays[0][1, 2] = 8
    assert tensor.numpy()[1].tolist() == [7, 7, 8, 7, 7]
