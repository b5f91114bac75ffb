"""Defines the task of every contender: images, network and grid. It imports Keras alone."""

import itertools
import json
import sys
from pathlib import Path

import numpy as np

AXES = ("kernel_size", "batch_size", "regularizer", "initializer", "seed")
STRENGTH = 1e-4


def arguments():
    """Reads the arguments TASK (images, axes and epochs, as .npz) and OUTPUT."""
    task, output = sys.argv[1:3]
    with np.load(task) as file:
        data = {name: file[name] for name in file.files}
    numbers = {name: array.tolist() for name, array in data.items() if not name.startswith(("x_", "y_"))}
    return data | numbers, Path(output)


def grid(data):
    """Returns an iterator over the trials: the values of AXES, in their order."""
    return itertools.product(*(data[axis] for axis in AXES))


def network(kernel_size, regularizer, initializer, strength=STRENGTH, shape=(8, 8, 1), filters=(16, 32)):
    """Builds and compiles blocks of convolution, batch normalization, ReLU and pooling, then a softmax.

    Args:
        kernel_size: Of the convolutions.
        regularizer: none, l1, l2 or l1_l2, which adds both penalties, each with the full strength.
        initializer: Keras's name.
        strength: The factor of a penalty.
        shape: The shape of an image.
        filters: The filters of each block.
    """
    import keras

    penalties = {name: strength for name in ("l1", "l2") if name in regularizer.split("_")}
    kernel = {
        "kernel_regularizer": keras.regularizers.L1L2(**penalties) if penalties else None,
        "kernel_initializer": initializer,
    }
    layers = [keras.Input(shape)]
    for number in filters:
        layers += [
            keras.layers.Conv2D(number, kernel_size, padding="same", use_bias=False, **kernel),
            keras.layers.BatchNormalization(),
            keras.layers.Activation("relu"),
            keras.layers.MaxPooling2D(2),
        ]
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
