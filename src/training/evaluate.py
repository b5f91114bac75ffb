"""Reads a trained network: its loss and accuracy on a part of the data, and its probabilities."""

from typing import Any

import keras
import numpy as np


def evaluate(model: keras.Model, batches: Any) -> dict[str, float]:
    """Loss and accuracy of a compiled model, weighted by image. batches: a finite tf.data.Dataset."""
    found = model.evaluate(batches, verbose=0, return_dict=True)
    return {name: float(found[name]) for name in ("loss", "accuracy")}


def predict_probabilities(model: keras.Model, batches: Any) -> np.ndarray:
    """The probabilities float32 (n, classes), in the order of the batches."""
    return np.asarray(model.predict(batches, verbose=0), dtype=np.float32)
