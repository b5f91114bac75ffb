"""Defines custom networks for `model.target`."""

import keras


def dropping(shape: tuple[int, int, int], classes: int) -> keras.Model:
    """Returns a network whose weights and dropout use Keras's global seed, with layer names by Keras."""
    return keras.Sequential(
        [
            keras.Input(shape),
            keras.layers.Flatten(),
            keras.layers.Dense(8, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(classes, activation="softmax"),
        ]
    )
