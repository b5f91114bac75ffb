"""A network is built as the configuration says, whatever its architecture."""

from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pytest

from kerasweep.trial.network import build_network
from kerasweep.trial.run import read_data
from tests.compositions import compose_train
from tests.trained_backbones import OVERRIDES

ARCHITECTURES = {
    "cnn": ("model.filters=[4]",),
    "custom": ("model=custom", "model.target=tests.training.networks:dropping"),
    "frozen backbone": (*OVERRIDES, "model.weights=null"),
    "backbone": (*OVERRIDES, "model.weights=null", "model.trainable=true"),
}


@pytest.fixture
def float32_afterwards() -> Iterator[None]:
    yield
    keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_layers_have_the_precision_of_the_training(
    architecture: str, precision: str, float32_afterwards: None, tmp_path: Path
) -> None:
    overrides = (*ARCHITECTURES[architecture], f"training.precision={precision}")
    cfg = compose_train("data.limit=100", f"data.cache_dir={tmp_path}", *overrides)
    for _ in range(2):  # a second network reuses the program of the first
        network = build_network(cfg, read_data(cfg))
        layers = [layer for layer in network.model._flatten_layers() if layer.weights]
        policies = {layer.dtype_policy.name for layer in layers if layer.name != "output"}
        assert policies == {precision}


def test_losses_are_float32_also_where_the_softmax_is_not(float32_afterwards: None, tmp_path: Path) -> None:
    cfg = compose_train(
        "data.limit=100",
        f"data.cache_dir={tmp_path}",
        *ARCHITECTURES["custom"],
        "training.precision=mixed_bfloat16",
    )
    network = build_network(cfg, read_data(cfg))
    part = network.prepared.validation
    probabilities = np.asarray(network.probabilities(part), np.float64)
    probabilities /= probabilities.sum(
        axis=1, keepdims=True
    )  # as Keras does; in halves they do not add up to 1
    losses = -np.log(probabilities[np.arange(len(part)), part.labels])
    assert network.evaluate(part)["loss"] == pytest.approx(losses.mean(), rel=1e-5)
