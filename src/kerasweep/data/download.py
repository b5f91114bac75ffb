"""Finds data sets in Keras's cache, and lets Keras download missing ones into it."""

import os
import queue
import socket
import tempfile
import threading
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

from kerasweep.errors import DataError

CONNECT_SECONDS = 4
STALL_SECONDS = 30
_CIFAR = "https://www.cs.toronto.edu/~kriz"
_KERAS = "https://storage.googleapis.com/tensorflow/tf-keras-datasets"


@dataclass(frozen=True)
class KerasFiles:
    """How Keras stores a data set."""

    places: tuple[str, ...]  # below Keras's datasets folder, newest layout first
    needed: tuple[str, ...]  # the files of a whole copy
    origin: str  # its address
    advice: str  # what a local copy consists of


KERAS_FILES = {
    "cifar10": KerasFiles(
        ("cifar-10-batches-py-target/cifar-10-batches-py", "cifar-10-batches-py"),
        (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch", "batches.meta"),
        f"{_CIFAR}/cifar-10-python.tar.gz",
        "the folder cifar-10-batches-py or cifar-10-python.tar.gz",
    ),
    "cifar100": KerasFiles(
        ("cifar-100-python-target/cifar-100-python", "cifar-100-python"),
        ("train", "test", "meta"),
        f"{_CIFAR}/cifar-100-python.tar.gz",
        "the folder cifar-100-python or cifar-100-python.tar.gz",
    ),
    "mnist": KerasFiles(
        ("mnist.npz",),
        (),
        f"{_KERAS}/mnist.npz",
        "a folder with MNIST's four IDX files, or mnist.npz",
    ),
    "fashion_mnist": KerasFiles(
        ("fashion-mnist",),
        tuple(
            f"{part}-{kind}-ubyte.gz" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")
        ),
        f"{_KERAS}/train-labels-idx1-ubyte.gz",
        "a folder with Fashion-MNIST's four IDX files, as in Debian's package dataset-fashion-mnist",
    ),
}


def keras_folders() -> list[Path]:
    """Returns Keras's folders of data sets: in $KERAS_HOME or ~/.keras, and in /tmp if not writable."""
    home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras").expanduser()
    homes = [home]
    if not os.access(home, os.W_OK):
        homes.append(Path("/tmp" if os.path.isdir("/tmp") else tempfile.gettempdir()) / ".keras")
    return [path / "datasets" for path in homes]


def keras_copy(source: str) -> Path | None:
    """Returns the copy of a data set in Keras's cache; None if there is none or only a part of one."""
    for folder in keras_folders():
        for name in KERAS_FILES[source].places:
            if _is_whole(folder / name, KERAS_FILES[source].needed):
                return folder / name
    return None


def _is_whole(place: Path, needed: Sequence[str]) -> bool:
    if place.suffix == ".npz":
        return zipfile.is_zipfile(place)  # its table of contents is written last
    return place.exists() and all((place / name).is_file() for name in needed)


def download(source: str) -> Path:
    """Lets Keras download a data set into its cache, and returns the path.

    Raises:
        DataError: The download failed; within seconds if the address cannot be reached. Says what to do.
    """
    _check_reachable(source)
    try:
        with _socket_timeout(STALL_SECONDS):
            _keras_loader(source)()
    except Exception as error:  # Keras raises a bare Exception if a download breaks off.
        raise _offline(source, f"its download from {KERAS_FILES[source].origin} failed ({error})") from error
    path = keras_copy(source)
    if path is None:
        raise DataError(
            f"Keras downloaded {source}, but not to {keras_folders()[-1]}. Name its place with data.path."
        )
    return path


def _check_reachable(source: str) -> None:
    """Asks for the headers first: Keras's own download waits for minutes if nothing answers.

    A thread does it, since a socket's timeout covers neither the name look-up nor several addresses.
    """
    origin = KERAS_FILES[source].origin
    answers: queue.Queue[str | None] = queue.Queue()
    threading.Thread(target=lambda: answers.put(_failure(origin)), daemon=True).start()
    try:
        failure = answers.get(timeout=CONNECT_SECONDS)
    except queue.Empty:
        failure = f"no answer within {CONNECT_SECONDS:g} seconds"
    if failure is not None:
        raise _offline(source, f"{origin} cannot be reached ({failure})")


def _failure(origin: str) -> str | None:
    """Returns why an address cannot be reached; None if it answers."""
    try:
        request = urllib.request.Request(origin, method="HEAD")
        urllib.request.urlopen(request, timeout=CONNECT_SECONDS).close()
    except (OSError, HTTPException, ValueError) as error:  # ValueError: a malformed proxy address
        return str(error.reason) if isinstance(error, urllib.error.URLError) else str(error)
    return None


def _offline(source: str, why: str) -> DataError:
    return DataError(
        f"data={source} is not on this machine, and {why}. Offline, copy the data here and name it: "
        f"data.path is {KERAS_FILES[source].advice}; or use data=digits, which needs no network."
    )


def _keras_loader(source: str) -> Callable[[], object]:
    import keras

    loaders: dict[str, Callable[[], object]] = {
        "cifar10": keras.datasets.cifar10.load_data,
        "cifar100": keras.datasets.cifar100.load_data,
        "mnist": keras.datasets.mnist.load_data,
        "fashion_mnist": keras.datasets.fashion_mnist.load_data,
    }
    return loaders[source]


@contextmanager
def _socket_timeout(seconds: float) -> Iterator[None]:
    """Limits how long a connection opened meanwhile waits for its next bytes."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
