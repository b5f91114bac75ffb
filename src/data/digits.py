"""scikit-learn's handwritten digits: 1,797 images of 8x8 that need no network."""

import numpy as np

from src.config.data import DataConf
from src.data.arrays import Arrays, make_arrays
from src.data.split import stratified_split


def load_digits(cfg: DataConf) -> Arrays:
    """Training and test set, of which data.test_split is the test set's share.

    Pixels 0..16 become 0..255, so that an image file of a digit means the same.
    """
    from sklearn import datasets

    digits = datasets.load_digits()
    images = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    labels = digits.target.astype(np.int64)
    split = stratified_split(labels, cfg.test_split, cfg.seed)
    train, test = ((images[part], labels[part]) for part in (split.train, split.validation))
    return make_arrays(train, test, [str(digit) for digit in range(10)], "data=digits")
