"""Runs KerasTuner's GridSearch over heads of a frozen backbone, built as in Keras's guide."""

from pathlib import Path

import keras
import keras_tuner
from task import arguments, write

DATA, OUTPUT = arguments()
AXES = ("dense_units", "dropout", "learning_rate", "batch_size")
FOUND = []


class Heads(keras_tuner.HyperModel):
    def build(self, hp):
        trial = {axis: hp.Choice(axis, DATA[axis]) for axis in AXES}
        keras.utils.set_random_seed(0)
        side = DATA["side"]
        base = keras.applications.MobileNetV3Small(
            input_shape=(side, side, 3), include_top=False, weights=None
        )
        base.load_weights(DATA["weights"])
        base.trainable = False
        images = keras.Input(DATA["x_train"].shape[1:])
        pixels = keras.layers.Concatenate()([images] * 3)
        pixels = keras.layers.Resizing(side, side)(pixels)
        outputs = keras.layers.GlobalAveragePooling2D()(base(pixels, training=False))
        outputs = keras.layers.Dropout(trial["dropout"])(outputs)
        outputs = keras.layers.Dense(trial["dense_units"], activation="relu")(outputs)
        model = keras.Model(images, keras.layers.Dense(10, activation="softmax")(outputs))
        model.compile(
            keras.optimizers.Adam(trial["learning_rate"]),
            "sparse_categorical_crossentropy",
            metrics=["accuracy"],
        )
        return model

    def fit(self, hp, model, *args, **kwargs):
        history = model.fit(*args, batch_size=hp.get("batch_size"), **kwargs)
        FOUND.append(max(history.history["val_accuracy"]))
        return history


def main():
    tuner = keras_tuner.GridSearch(
        Heads(), objective="val_accuracy", directory=Path.cwd(), project_name="heads"
    )
    tuner.search(
        DATA["x_train"],
        DATA["y_train"],
        epochs=DATA["epochs"],
        validation_data=(DATA["x_validation"], DATA["y_validation"]),
        verbose=0,
    )
    write(OUTPUT, FOUND)


main()
