"""IDX files are read; missing and damaged ones are named."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from kerasweep.data import mnist
from kerasweep.data.mnist import find_idx_files, load_idx, read_idx
from kerasweep.errors import DataError

TEN = tuple("0123456789")


def test_reads_the_four_files_gzipped_or_not(idx_folder: Path) -> None:
    plain = load_idx(find_idx_files(idx_folder), TEN)
    assert plain.train_images.shape == (20, 4, 5, 1)
    assert plain.train_images[13].max() == plain.train_images[13].min() == 13
    assert plain.test_labels.tolist() == list(range(10))
    for path in list(idx_folder.iterdir()):
        (idx_folder / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
        path.unlink()
    assert load_idx(find_idx_files(idx_folder), TEN).digest == plain.digest


def test_names_the_file_that_is_missing(idx_folder: Path) -> None:
    (idx_folder / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match="must hold t10k-labels-idx1-ubyte or t10k-labels-idx1-ubyte.gz"):
        find_idx_files(idx_folder)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a", b"", "a is not an IDX file of unsigned bytes"),
        ("a", b"\0\0\x0d\x01\0\0\0\x01\0\0\0\0", "a is not an IDX file of unsigned bytes"),
        ("a", b"\0\0\x08\x03\0\0\0\x01", "a is damaged or incomplete"),
        ("a", b"\0\0\x08\x01\0\0\x10\0abc", "a should hold 4,096 bytes of data, but it holds 3"),
        ("a.gz", gzip.compress(b"\0\0\x08\x01\0\0\0\x01a", mtime=0)[:-9], "a.gz is damaged or incomplete"),
        ("a.gz", b"\0\0\x08\x01\0\0\0\x01a", "a.gz is damaged or incomplete"),
        ("a.gz", gzip.compress(bytes(1001), mtime=0), "a.gz holds more than 1,000 bytes, and no data set"),
    ],
)
def test_names_a_damaged_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes, said: str
) -> None:
    monkeypatch.setattr(mnist, "MAX_BYTES", 1000)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as refused:
        read_idx(tmp_path / name)
    assert said in str(refused.value)


def test_reads_labels_in_one_dimension(tmp_path: Path) -> None:
    (tmp_path / "labels").write_bytes(b"\0\0\x08\x01\0\0\0\x02\x05\x06")
    assert np.array_equal(read_idx(tmp_path / "labels"), [5, 6])
