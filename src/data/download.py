"""Finds data sets in Keras's cache, and has Keras download those that are missing."""

import os
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from src.errors import DataError

CONNECT_SECONDS = 5
_CIFAR = "https://www.cs.toronto.edu/~kriz"
_KERAS = "https://storage.googleapis.com/tensorflow/tf-keras-datasets"


@dataclass(frozen=True)
class KerasFiles:
    """places: where Keras keeps it below its datasets folder, newest layout first. origin: its address."""

    places: tuple[str, ...]
    origin: str
    advice: str


KERAS_FILES = {
    "cifar10": KerasFiles(
        ("cifar-10-batches-py-target/cifar-10-batches-py", "cifar-10-batches-py"),
        f"{_CIFAR}/cifar-10-python.tar.gz",
        "the folder cifar-10-batches-py or cifar-10-python.tar.gz",
    ),
    "cifar100": KerasFiles(
        ("cifar-100-python-target/cifar-100-python", "cifar-100-python"),
        f"{_CIFAR}/cifar-100-python.tar.gz",
        "the folder cifar-100-python or cifar-100-python.tar.gz",
    ),
    "mnist": KerasFiles(
        ("mnist.npz",), f"{_KERAS}/mnist.npz", "a folder with MNIST's four IDX files, or mnist.npz"
    ),
    "fashion_mnist": KerasFiles(
        ("fashion-mnist",),
        f"{_KERAS}/train-labels-idx1-ubyte.gz",
        "a folder with Fashion-MNIST's four IDX files, as Debian's package dataset-fashion-mnist installs them",
    ),
}


def keras_datasets() -> Path:
    """Keras's own folder of data sets: $KERAS_HOME/datasets, or ~/.keras/datasets."""
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "datasets"


def download(source: str) -> Path:
    """Have Keras download a data set into its cache, and return where it lies.

    Raises DataError with what to do offline, within seconds, where its address cannot be reached.
    """
    files = KERAS_FILES[source]
    try:
        request = urllib.request.Request(files.origin, method="HEAD")
        urllib.request.urlopen(request, timeout=CONNECT_SECONDS).close()
    except (urllib.error.URLError, OSError) as error:
        raise DataError(
            f"data={source} is not on this machine, and {files.origin} cannot be reached ({_reason(error)}). "
            f"Offline, copy the data here and name it: data.path is {files.advice}; "
            "or use data=digits, which needs no network."
        ) from error
    _keras_loader(source)()
    for name in files.places:
        if (keras_datasets() / name).exists():
            return keras_datasets() / name
    raise DataError(f"Keras downloaded {source}, but not to {keras_datasets()}. Name its place with data.path.")


def _reason(error: OSError) -> str:
    return str(getattr(error, "reason", error))


def _keras_loader(source: str) -> Callable[[], object]:
    import keras

    loaders: dict[str, Callable[[], object]] = {
        "cifar10": keras.datasets.cifar10.load_data,
        "cifar100": keras.datasets.cifar100.load_data,
        "mnist": keras.datasets.mnist.load_data,
        "fashion_mnist": keras.datasets.fashion_mnist.load_data,
    }
    return loaders[source]
