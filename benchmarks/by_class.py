"""Sorts CIFAR-10 by class, as a folder per class is read: the order in which shuffling matters most."""

import numpy as np

from kerasweep.config.data import DataConf
from kerasweep.data.arrays import Arrays, make_arrays
from kerasweep.data.sources import load


def cifar10(path: str) -> Arrays:
    """Returns CIFAR-10 with its training images in the order of their classes. path: see data.path."""
    arrays = load(DataConf(source="cifar10", path=path))
    order = np.argsort(arrays.train_labels, kind="stable")
    train = (arrays.train_images[order], arrays.train_labels[order])
    test = (arrays.test_images, arrays.test_labels)
    return make_arrays(train, test, arrays.class_names, "CIFAR-10 by class")
