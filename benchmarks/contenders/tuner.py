"""Runs KerasTuner's GridSearch over the same grid; histories.json beside OUTPUT has every epoch."""

import json
from pathlib import Path

import keras
import keras_tuner
from task import arguments, network, write

DATA, OUTPUT = arguments()
HISTORIES = []


class Grid(keras_tuner.HyperModel):
    def build(self, hp):
        seed, *numbers = (
            hp.Choice(axis, DATA[axis]) for axis in ("seed", "kernel_size", "regularizer", "initializer")
        )
        keras.utils.set_random_seed(seed)
        return network(*numbers, filters=DATA["filters"])

    def fit(self, hp, model, *args, **kwargs):
        history = model.fit(*args, batch_size=hp.Choice("batch_size", DATA["batch_size"]), **kwargs)
        HISTORIES.append({**hp.values, "val_accuracy": history.history["val_accuracy"]})
        return history


def main():
    tuner = keras_tuner.GridSearch(
        Grid(), objective="val_accuracy", directory=Path.cwd(), project_name="grid"
    )
    tuner.search(
        DATA["x_train"],
        DATA["y_train"],
        epochs=DATA["epochs"],
        validation_data=(DATA["x_validation"], DATA["y_validation"]),
        verbose=0,
    )
    write(OUTPUT, [trial.score for trial in tuner.oracle.trials.values()])
    OUTPUT.with_name("histories.json").write_text(json.dumps(HISTORIES))


main()
