"""What every contender trains: the same images, the same network, the same grid. Imports Keras alone."""

import itertools
import json
import sys
from pathlib import Path

import numpy as np

AXES = ("kernel_size", "batch_size", "regularizer", "initializer", "seed")
STRENGTH = 1e-4


def arguments():
    """How a benchmark calls a contender: SCRIPT TASK OUTPUT. TASK: images, axes and epochs, as .npz."""
    task, output = sys.argv[1:3]
    with np.load(task) as file:
        data = {name: file[name] for name in file.files}
    numbers = {name: array.tolist() for name, array in data.items() if not name.startswith(("x_", "y_"))}
    return data | numbers, Path(output)


def grid(data):
    """The values of AXES, in their order, of each trial."""
    return itertools.product(*(data[axis] for axis in AXES))


def network(kernel_size, regularizer, initializer, strength=STRENGTH, shape=(8, 8, 1), filters=(16, 32)):
    """Blocks of convolution, batch normalization, ReLU and pooling; a softmax.

    strength: of the regularizer; l1_l2 has both penalties with the whole of it. shape: of an image.
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
    """The validation accuracy of each epoch."""
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
    """found: the best validation accuracy of each trial."""
    output.write_text(json.dumps([float(value) for value in found]))
