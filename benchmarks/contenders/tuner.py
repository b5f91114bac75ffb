"""Runs KerasTuner's GridSearch over the same grid; histories.json beside OUTPUT has every epoch.

With KERASTUNER_TUNER_ID and the oracle's address in the environment, it is one process of a distributed
search, as KerasTuner's guide describes it.
"""

import json
from pathlib import Path

import keras
import keras_tuner
from task import AXES, arguments, build, write

DATA, OUTPUT = arguments()
HISTORIES = []


class Grid(keras_tuner.HyperModel):
    def build(self, hp):
        trial = {axis: hp.Choice(axis, DATA[axis]) for axis in AXES}
        keras.utils.set_random_seed(trial["seed"])
        return build(DATA, trial)

    def fit(self, hp, model, *args, **kwargs):
        history = model.fit(*args, batch_size=hp.get("batch_size"), **kwargs)
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
    write(OUTPUT, [max(history["val_accuracy"]) for history in HISTORIES])
    OUTPUT.with_name("histories.json").write_text(json.dumps(HISTORIES))


main()
