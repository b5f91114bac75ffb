"""Makes a network ready to train."""

import keras

from src.config.training import OptimizerConf
from src.training.optimizer import build_optimizer

LOSSES = {"sparse": "sparse_categorical_crossentropy", "one_hot": "categorical_crossentropy"}
METRICS = {
    "sparse": keras.metrics.SparseCategoricalAccuracy,
    "one_hot": keras.metrics.CategoricalAccuracy,
}


def compile_model(model: keras.Model, optimizer: OptimizerConf, labels: str) -> None:
    """Compile with the loss that fits the labels: `sparse` class numbers or `one_hot` rows."""
    accuracy = METRICS[labels](name="accuracy")
    model.compile(optimizer=build_optimizer(optimizer), loss=LOSSES[labels], metrics=[accuracy])
