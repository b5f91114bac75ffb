"""Reads CIFAR's pickled batches without running code from the pickle.

NumPy's own unpickling trusts its input: a few altered bytes crash the interpreter. Here stand-ins only
record their arguments, and an array is built from a checked record.
"""

import io
import math
import pickle
import pickletools
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from kerasweep.errors import DataError

# These operations number an object for later use, and Python allocates every number up to the largest.
_STORES = ("PUT", "BINPUT", "LONG_BINPUT")

# The unpickler raises these for a cut or altered pickle.
_DAMAGE = (
    *(pickle.UnpicklingError, EOFError, ValueError, LookupError, TypeError, AttributeError),
    *(OverflowError, MemoryError, RecursionError),
)


def read_batch(content: bytes, origin: str) -> Mapping[bytes, Any]:
    """Unpickles one batch written by Python 2 or 3.

    Args:
        content: The pickle.
        origin: The name of the file in errors.

    Returns:
        The batch, with bytes as keys.

    Raises:
        DataError: The pickle is damaged, or holds anything but arrays of numbers, bytes, str, int, float,
            list, tuple and dict.
    """
    try:
        _check_sizes(content)
        batch = _NumbersOnly(io.BytesIO(content), encoding="bytes").load()
        if isinstance(batch, dict):
            return {_key(key): _value(value) for key, value in batch.items()}
    except _DAMAGE as error:
        raise DataError(f"{origin} is damaged or incomplete ({error}). Copy or download it again.") from error
    raise DataError(f"{origin} is not a CIFAR batch: it holds a {type(batch).__name__}.")


def _check_sizes(content: bytes) -> None:
    """Raises ValueError if a pickle claims more memory than its size can need."""
    for operation, argument, _ in pickletools.genops(content):
        if operation.name in _STORES and not 0 <= int(argument or 0) <= len(content):
            raise ValueError(f"it numbers an object {argument}")


def _key(key: Any) -> Any:
    return key.encode() if isinstance(key, str) else key


def _value(value: Any) -> Any:
    return value.array if isinstance(value, _Array) else value


def _text(value: str | bytes) -> str:
    """Decodes bytes, as which Python 2's strings are read."""
    return value.decode("ascii") if isinstance(value, bytes) else str(value)


class _Type:
    """Stands in for numpy.dtype: a number's kind and size, then its byte order."""

    def __init__(self, code: str | bytes, *_: bool) -> None:
        self.code = _text(code)
        self.order = "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = _text(state[1])

    def numpy_type(self) -> np.dtype:
        if not re.fullmatch(r"[biuf]\d\d?", self.code) or self.order not in tuple("|<>="):
            raise ValueError(f"it has an array of {self.order}{self.code}, which are not numbers")
        return np.dtype(self.order + self.code)


class _Array:
    """Stands in for numpy.ndarray: empty, then given its state."""

    array: np.ndarray | None = None

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, is_fortran, content = state
        if not all(isinstance(size, int) and size >= 0 for size in shape):
            raise ValueError(f"it has an array of shape {shape}")
        dtype = _numpy_type(kind)
        if not isinstance(content, bytes) or math.prod(shape) * dtype.itemsize != len(content):
            raise ValueError(f"it has an array whose bytes do not fill the shape {shape}")
        self.array = np.frombuffer(content, dtype).reshape(shape, order="F" if is_fortran else "C")


def _numpy_type(kind: Any) -> np.dtype:
    if not isinstance(kind, _Type):
        raise TypeError(f"it has an array of {type(kind).__name__}")
    return kind.numpy_type()


class _NumbersOnly(pickle.Unpickler):
    """Gives a pickle stand-ins for the few names that arrays need, and refuses all others.

    The functions among them are bound methods and the classes have a __setstate__: neither can
    be given new attributes by a pickle, so one cannot alter how the next is read.
    """

    def find_class(self, module: str, name: str) -> Any:
        if module in ("numpy.core.multiarray", "numpy._core.multiarray"):
            module = "multiarray"
        admitted = {
            ("multiarray", "_reconstruct"): self._empty_array,
            ("multiarray", "scalar"): self._scalar,
            ("numpy", "ndarray"): _Array,
            ("numpy", "dtype"): _Type,
            ("_codecs", "encode"): self._encoded,
        }
        if (module, name) not in admitted:
            raise DataError(
                f"A CIFAR batch holds only arrays, numbers and text, but this one wants {module}.{name}: "
                "it may be malicious. Get the data from its authors."
            )
        return admitted[module, name]

    def _empty_array(self, *_: Any) -> _Array:
        return _Array()

    def _scalar(self, kind: Any, content: bytes) -> Any:
        return np.frombuffer(content, _numpy_type(kind))[0]

    def _encoded(self, text: str, encoding: str | bytes) -> bytes:
        """Encodes text, as protocol 2 stores the bytes of Python 3."""
        return text.encode(_text(encoding))
