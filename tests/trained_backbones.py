"""Writes a small backbone's weights, as a user has them who cannot download any."""

from pathlib import Path

KWARGS = {"alpha": 0.25}
# The smallest of keras.applications, and its preprocessing is not the identity.
BACKBONE = "mobilenet"
OVERRIDES = (
    "model=backbone",
    f"model.backbone={BACKBONE}",
    "model.image_size=[32,32]",
    "+model.kwargs.alpha=0.25",
)


def write_weights(path: Path) -> Path:
    """Saves random weights whose batch normalization has the statistics of the digits."""
    import keras
    import numpy as np
    from sklearn.datasets import load_digits

    keras.utils.set_random_seed(0)
    base = keras.applications.MobileNet(input_shape=(32, 32, 3), include_top=False, weights=None, **KWARGS)
    images = np.repeat(load_digits().images[:64, ..., None], 3, axis=-1) / 8.0 - 1.0
    for layer in base.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    base(keras.ops.image.resize(images.astype(np.float32), (32, 32)), training=True)
    base.save_weights(path)
    return path
