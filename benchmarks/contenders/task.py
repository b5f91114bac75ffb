"""Defines the task of every contender: images, network and grid. It imports Keras alone."""

import itertools
import json
import sys
from functools import cache
from pathlib import Path

import numpy as np

AXES = ("kernel_size", "downsampling", "batch_size", "dropout", "regularizer", "initializer", "seed")
STRENGTH = 1e-4
# For each of several processes, as in a worker of kerasweep.
ONE_THREAD = dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"), "1")


def arguments():
    """Reads the arguments TASK (images, axes and epochs, as .npz) and OUTPUT."""
    return read_task(Path(sys.argv[1])), Path(sys.argv[2])


@cache
def read_task(path):
    with np.load(path) as file:
        data = {name: file[name] for name in file.files}
    numbers = {name: array.tolist() for name, array in data.items() if not name.startswith(("x_", "y_"))}
    return data | numbers


def grid(data):
    """Yields the trials: the value of each axis."""
    for values in itertools.product(*(data[axis] for axis in AXES)):
        yield dict(zip(AXES, values, strict=True))


def build(data, trial):
    """Builds the network of a trial for the images of the task."""
    names = ("kernel_size", "regularizer", "initializer", "downsampling", "dropout")
    arguments = {name: trial[name] for name in names}
    return network(**arguments, shape=data["x_train"].shape[1:], filters=data["filters"])


def network(
    kernel_size,
    regularizer,
    initializer,
    strength=STRENGTH,
    shape=(8, 8, 1),
    filters=(16, 32),
    downsampling="max",
    dropout=0.0,
):
    """Builds and compiles blocks of convolution, batch normalization, ReLU and pooling, then a softmax.

    Args:
        kernel_size: Of the convolutions.
        regularizer: none, l1, l2 or l1_l2, which adds both penalties, each with the full strength.
        initializer: Keras's name.
        strength: The factor of a penalty.
        shape: The shape of an image.
        filters: The filters of each block.
        downsampling: max for pooling; stride for convolutions that move by two pixels.
        dropout: The rate after each block.
    """
    import keras

    penalties = {name: strength for name in ("l1", "l2") if name in regularizer.split("_")}
    kernel = {
        "kernel_regularizer": keras.regularizers.L1L2(**penalties) if penalties else None,
        "kernel_initializer": initializer,
    }
    layers, strides = [keras.Input(shape)], 2 if downsampling == "stride" else 1
    for number in filters:
        layers += [
            keras.layers.Conv2D(number, kernel_size, strides, "same", use_bias=False, **kernel),
            keras.layers.BatchNormalization(),
            keras.layers.Activation("relu"),
        ]
        if downsampling == "max":
            layers.append(keras.layers.MaxPooling2D(2))
        if dropout:
            layers.append(keras.layers.Dropout(dropout))
    layers += [keras.layers.Flatten(), keras.layers.Dense(10, activation="softmax", **kernel)]
    model = keras.Sequential(layers)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def fit(model, data, batch_size):
    """Trains a network, and returns the validation accuracy of each epoch."""
    history = model.fit(
        data["x_train"],
        data["y_train"],
        batch_size=batch_size,
        epochs=data["epochs"],
        validation_data=(data["x_validation"], data["y_validation"]),
        verbose=0,
    )
    return history.history["val_accuracy"]


def write(output, found):
    """Writes the best validation accuracy of each trial."""
    output.write_text(json.dumps([float(value) for value in found]))
