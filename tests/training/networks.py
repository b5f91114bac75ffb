"""Networks of a user's own, for `model.target`."""

import keras


def dropping(shape: tuple[int, int, int], classes: int) -> keras.Model:
    """Draws its weights and its dropout from Keras's global seed, and leaves the names to Keras."""
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
