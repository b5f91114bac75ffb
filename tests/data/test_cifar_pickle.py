"""Batches of Python 2 and Python 3 are read; damaged and malicious ones are refused in a sentence."""

import builtins
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kerasweep.data.cifar_pickle import read_batch
from kerasweep.errors import DataError


def python2_batch(module: bytes, rows: np.ndarray, labels: list[int]) -> bytes:
    """Returns a batch as Python 2's cPickle writes it, at protocol 2 with an old or new NumPy module."""

    def text(value: bytes) -> bytes:
        return b"T" + struct.pack("<I", len(value)) + value

    shape = b"".join(b"M" + struct.pack("<H", size) for size in rows.shape)
    dtype = b"cnumpy\ndtype\n" + text(b"u1") + b"K\0K\x01\x87R(K\x03" + text(b"|") + b"NNN"
    dtype += 2 * b"J\xff\xff\xff\xff" + b"K\0tb"
    array = b"c" + module + b"\n_reconstruct\ncnumpy\nndarray\nK\0\x85" + text(b"b") + b"\x87R"
    array += b"(K\x01" + shape + b"\x86" + dtype + b"\x89" + text(rows.tobytes()) + b"tb"
    numbers = b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    return b"\x80\x02}(" + text(b"data") + array + text(b"labels") + numbers + b"u."


@pytest.mark.parametrize("module", [b"numpy.core.multiarray", b"numpy._core.multiarray"])
def test_reads_a_batch_of_python_2(module: bytes) -> None:
    rows = np.arange(2 * 3072, dtype=np.uint16).astype(np.uint8).reshape(2, 3072)
    batch = read_batch(python2_batch(module, rows, [3, 9]), "batch")
    assert np.array_equal(batch[b"data"], rows)
    assert batch[b"labels"] == [3, 9]


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_reads_a_batch_of_python_3(protocol: int) -> None:
    content = {b"data": np.zeros((1, 3072), np.uint8), "labels": [np.int64(4)]}
    batch = read_batch(pickle.dumps(content, protocol=protocol), "batch")
    assert batch[b"data"].shape == (1, 3072)
    assert batch[b"labels"] == [4]


class Hostile:
    """An object whose unpickling calls a function."""

    def __init__(self, function: Callable[..., Any], argument: str) -> None:
        self.call = function, (argument,)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize(
    ("function", "said"),
    [(os.system, r"wants (posix|nt)\.system"), (builtins.eval, r"wants (__builtin__|builtins)\.eval")],
)
def test_refuses_a_batch_that_would_run_code(
    function: Callable[..., Any], said: str, protocol: int, tmp_path: Path
) -> None:
    content = {b"data": Hostile(function, f"open({str(tmp_path / 'ran')!r}, 'w')")}
    with pytest.raises(DataError, match=said):
        read_batch(pickle.dumps(content, protocol=protocol), "batch")
    assert not (tmp_path / "ran").exists()


WHOLE = pickle.dumps({b"data": np.arange(6, dtype=np.uint8).reshape(2, 3), b"labels": [1, 0]}, protocol=2)
U1 = b"X\x02\0\0\0u1"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (WHOLE.replace(U1, b"X\x02\0\0\0O8"), "an array of |O8, which are not numbers"),
        (WHOLE.replace(U1, b"X\x02\0\0\0u8"), "bytes do not fill the shape (2, 3)"),
        (WHOLE.replace(b"K\x02K\x03\x86", b"K\x02K\x04\x86"), "bytes do not fill the shape (2, 4)"),
        (WHOLE.replace(b"K\x02K\x03\x86", b"K\x02N\x86"), "an array of shape (2, None)"),
        (WHOLE.replace(b"cnumpy\ndtype\n", b"cnumpy\nndarray\n"), "is damaged or incomplete"),
    ],
)
def test_refuses_an_altered_array(content: bytes, said: str) -> None:
    """NumPy's own unpickling crashes the interpreter on some of these."""
    with pytest.raises(DataError) as refused:
        read_batch(content, "batch")
    assert said in str(refused.value)


def test_refuses_a_number_that_would_fill_the_memory() -> None:
    """These few bytes would make Python allocate room for 268 million objects."""
    with pytest.raises(DataError, match="batch is damaged or incomplete .it numbers an object 268435455"):
        read_batch(b"\x80\x02}r\xff\xff\xff\x0f.", "batch")


def test_keeps_byte_order_and_column_order() -> None:
    array = np.asfortranarray(np.arange(6, dtype=">i4").reshape(2, 3))
    batch = read_batch(pickle.dumps({b"data": array, b"size": np.float64(0.5)}, protocol=2), "batch")
    assert np.array_equal(batch[b"data"], array)
    assert batch[b"size"] == 0.5


@pytest.mark.parametrize(
    "name",
    [
        *("numpy.core.multiarray\n_reconstruct", "numpy.core.multiarray\nscalar"),
        *("numpy\nndarray", "numpy\ndtype", "_codecs\nencode"),
    ],
)
def test_no_batch_changes_how_the_next_is_read(name: str) -> None:
    """The opcode BUILD with a pair sets attributes on the object that a pickle received."""
    for attribute in ("__setstate__", "__defaults__", "__call__", "__func__"):
        text = attribute.encode()
        pair = b"(N}X" + struct.pack("<I", len(text)) + text + b"Nst"
        with pytest.raises(DataError, match="is damaged or incomplete"):
            read_batch(b"\x80\x02c" + name.encode() + b"\n" + pair + b"b.", "batch")
    assert read_batch(WHOLE, "batch")[b"data"].tolist() == [[0, 1, 2], [3, 4, 5]]
