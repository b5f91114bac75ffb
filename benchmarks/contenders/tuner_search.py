"""Runs KerasTuner over the space of TASK until it is killed: THIS.py TASK OUTPUT TUNER SEED [test].

The tuner is hyperband, random or bayesian. Each epoch is a line of OUTPUT as it ends: its validation
accuracy, and of which configuration. With `test`, the killed search is loaded, and the accuracy of its best
model on the test images is written to test.json beside OUTPUT.
"""

import json
import sys
from pathlib import Path

import keras
import keras_tuner
from task import arguments, network

DATA, OUTPUT = arguments()
SEARCH, SEED = sys.argv[3], int(sys.argv[4])
AXES = ("kernel_size", "batch_size", "regularizer", "initializer", "strength")
WITHOUT_END = 10**6


class Network(keras_tuner.HyperModel):
    def build(self, hp):
        kernel_size, _, regularizer, initializer = (hp.Choice(axis, DATA[axis]) for axis in AXES[:4])
        with hp.conditional_scope("regularizer", [name for name in DATA["regularizer"] if name != "none"]):
            strength = hp.Float("strength", *DATA["strength"], sampling="log")
        return network(kernel_size, regularizer, initializer, strength, DATA["x_train"].shape[1:])

    def fit(self, hp, model, *args, callbacks, **kwargs):
        callbacks = [Recording(hp.values), *callbacks]
        return model.fit(*args, batch_size=hp.get("batch_size"), callbacks=callbacks, **kwargs)


class Recording(keras.callbacks.Callback):
    """Writes an epoch as soon as it has been validated."""

    def __init__(self, values):
        super().__init__()
        self.configuration = {axis: values[axis] for axis in AXES if axis in values}

    def on_epoch_end(self, epoch, logs=None):
        line = {"accuracy": logs["val_accuracy"], "configuration": self.configuration}
        with OUTPUT.open("a") as file:
            file.write(json.dumps(line) + "\n")


def tuner():
    """Returns a tuner. KerasTuner seeds its n-th draw with SEED + n: neighbouring seeds would share draws."""
    common = {"objective": "val_accuracy", "seed": 1000 * SEED, "directory": Path.cwd()}
    if SEARCH == "bayesian":
        return keras_tuner.BayesianOptimization(Network(), max_trials=WITHOUT_END, **common)
    if SEARCH == "random":
        return keras_tuner.RandomSearch(Network(), max_trials=WITHOUT_END, **common)
    return keras_tuner.Hyperband(
        Network(), max_epochs=DATA["epochs"], hyperband_iterations=WITHOUT_END, **common
    )


def main():
    keras.utils.set_random_seed(SEED)
    if sys.argv[5:] == ["test"]:
        (model,) = tuner().get_best_models()
        _, accuracy = model.evaluate(DATA["x_test"], DATA["y_test"], verbose=0)
        OUTPUT.with_name("test.json").write_text(json.dumps(accuracy))
        return
    tuner().search(
        DATA["x_train"],
        DATA["y_train"],
        epochs=DATA["epochs"],
        validation_data=(DATA["x_validation"], DATA["y_validation"]),
        verbose=0,
    )


main()
