"""Weights begin as the seed, the initializer and the regularizer say, whatever else was built."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from kerasweep.config.model import (
    ConstantInitializerConf,
    InitializerConf,
    ModelConf,
    NormalizationConf,
    RegularizerConf,
)

Build = Callable[..., keras.Model]
IMAGES = np.random.default_rng(0).random((6, 8, 8, 1), dtype="float32")
LABELS = np.array([0, 3, 9, 3, 1, 7])


def cnn(**changes: Any) -> ModelConf:
    return ModelConf("cnn", **({"filters": [4, 6]} | changes))


def kernels(network: keras.Model) -> dict[str, np.ndarray]:
    return {layer.name: np.asarray(layer.kernel) for layer in network.layers if hasattr(layer, "kernel")}


def test_weights_depend_on_the_seed_alone(build: Build) -> None:
    keras.utils.set_random_seed(1)
    first = kernels(build(cnn(dense_units=[5]), seed=3))
    keras.utils.set_random_seed(2)
    build()
    again = kernels(build(cnn(dense_units=[5]), seed=3))
    other = kernels(build(cnn(dense_units=[5]), seed=4))
    for name, kernel in first.items():
        np.testing.assert_array_equal(kernel, again[name])
        assert (kernel != other[name]).any()


def test_layers_of_one_shape_start_differently(build: Build) -> None:
    model = cnn(filters=[5, 5, 5], convs_per_block=2, head="global_average", dense_units=[5, 5])
    network = kernels(build(model, num_classes=5)).values()
    # All but the first convolution; both dense layers and the output.
    for shape, count in (((3, 3, 5, 5), 5), ((5, 5), 3)):
        same = [kernel.tobytes() for kernel in network if kernel.shape == shape]
        assert len(set(same)) == len(same) == count


@pytest.mark.parametrize(
    "changes",
    [
        {"normalization": NormalizationConf(kind="none")},
        {"separate_activation": True},
        {"dropout": 0.3, "dense_dropout": 0.3},
        {"downsampling": "average"},
    ],
)
def test_networks_that_differ_without_weights_start_from_the_same(
    build: Build, changes: dict[str, Any]
) -> None:
    first, second = kernels(build(cnn(dense_units=[5]))), kernels(build(cnn(dense_units=[5], **changes)))
    assert first.keys() == second.keys()
    for name, kernel in first.items():
        np.testing.assert_array_equal(kernel, second[name])


def test_dropout_repeats_with_the_seed_and_not_from_step_to_step(build: Build) -> None:
    model = cnn(dropout=0.5, dense_units=[8], dense_dropout=0.5, normalization=NormalizationConf(kind="none"))
    first, again, other = build(model), build(model), build(model, seed=1)
    other.set_weights(first.get_weights())
    steps = [
        [np.asarray(network(IMAGES, training=True)) for _ in range(2)] for network in (first, again, other)
    ]
    np.testing.assert_array_equal(steps[0], steps[1])
    assert (steps[0][0] != steps[0][1]).any()
    assert (steps[0][0] != steps[2][0]).any()


@pytest.mark.parametrize("initializer", [InitializerConf("zeros"), ConstantInitializerConf("constant", 0.1)])
def test_equal_weights_keep_the_filters_equal(build: Build, initializer: InitializerConf) -> None:
    network = build(cnn(filters=[4]), initializer=initializer)
    assert (kernels(network)["output"] == getattr(initializer, "value", 0) * np.float32(1)).all()
    network.compile(optimizer="sgd", loss="sparse_categorical_crossentropy", run_eagerly=True)
    for _ in range(2):
        network.train_on_batch(IMAGES, LABELS)
    convolution = kernels(network)["block1_conv1"]
    np.testing.assert_allclose(
        convolution, np.broadcast_to(convolution[..., :1], convolution.shape), atol=1e-6
    )


@pytest.mark.parametrize("on", ["conv", "dense", "both"])
def test_penalty_is_on_the_kernels_named(build: Build, on: str) -> None:
    network = build(cnn(dense_units=[5]), regularizer=RegularizerConf("l1_l2", 0.01, on))
    expected = sum(
        0.01 * (np.abs(kernel).sum() + np.square(kernel).sum())
        for name, kernel in kernels(network).items()
        if on == "both" or ("conv" in name) == (on == "conv")
    )
    assert sum(float(loss) for loss in network.losses) == pytest.approx(expected, rel=1e-5)


def test_no_regularizer_has_no_penalty(build: Build) -> None:
    assert build(plain=True).losses == []
    assert [float(loss) for loss in build().losses] == [0.0] * 3
