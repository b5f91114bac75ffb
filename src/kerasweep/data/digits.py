"""Loads scikit-learn's handwritten digits: 1,797 images of 8x8, without a network."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from kerasweep.config.data import DataConf
from kerasweep.data.arrays import Arrays, make_arrays
from kerasweep.data.split import stratified_split


def digits_package() -> Path:
    """Returns scikit-learn's main file, without importing it: the cache's key for the digits.

    The import takes most of a second, which the cache saves every later process.
    """
    spec = find_spec("sklearn")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin)


def load_digits(cfg: DataConf) -> Arrays:
    """Loads the digits; data.test_split is the test set's share.

    Pixels 0..16 become 0..255, as in an image file.
    """
    from sklearn import datasets

    digits = datasets.load_digits()
    images = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    labels = digits.target.astype(np.int64)
    split = stratified_split(labels, cfg.test_split, cfg.seed)
    train, test = ((images[part], labels[part]) for part in (split.train, split.validation))
    return make_arrays(train, test, [str(digit) for digit in range(10)], "data=digits")
