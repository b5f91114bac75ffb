"""Every key of the model group changes the network as it says."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from omegaconf import OmegaConf

from kerasweep.config.model import (
    ACTIVATIONS,
    InitializerConf,
    ModelConf,
    NormalizationConf,
    RegularizerConf,
)
from kerasweep.errors import ConfigError
from kerasweep.model.network import build_model
from kerasweep.model.parts import StockParts

Build = Callable[..., keras.Model]
IMAGES = np.random.default_rng(0).random((6, 8, 8, 1), dtype="float32")
LABELS = np.array([0, 3, 9, 3, 1, 7])


def cnn(**changes: Any) -> ModelConf:
    return ModelConf("cnn", **({"filters": [4, 6]} | changes))


def names(network: keras.Model) -> list[str]:
    return [layer.name for layer in network.layers]


def counted_parameters(model: ModelConf, sides: list[int], channels: int, classes: int) -> int:
    """Returns the number of weights and moving statistics, computed layer by layer."""
    total = 0
    norm = model.normalization
    is_before = norm.kind == "batch" and norm.position == "before_activation"
    for filters in model.filters:
        for _ in range(model.convs_per_block):
            total += model.kernel_size**2 * channels * filters
            total += 0 if is_before and norm.center else filters
            if norm.kind == "batch":
                total += filters * (2 + norm.scale + norm.center)
                total += norm.moving_statistics == "warmup"
            channels = filters
        lost = 0 if model.padding == "same" else model.convs_per_block * (model.kernel_size - 1)
        sides = [side - lost for side in sides]
        if model.downsampling == "stride":
            sides = [-(-side // 2) for side in sides]
        else:
            sides = [side // 2 for side in sides]
    features = channels * (sides[0] * sides[1] if model.head == "flatten" else 1)
    for units in [*model.dense_units, classes]:
        total += features * units + units
        features = units
    return total


@pytest.mark.parametrize(
    "model",
    [
        cnn(),
        cnn(filters=[3]),
        cnn(filters=[2, 3, 4]),
        cnn(convs_per_block=3),
        cnn(kernel_size=1),
        cnn(kernel_size=5),
        cnn(kernel_size=4, padding="same"),
        cnn(kernel_size=2, padding="valid", filters=[3, 4]),
        cnn(kernel_size=2, padding="valid", filters=[3, 4], downsampling="stride"),
        cnn(separate_activation=True),
        cnn(normalization=NormalizationConf(kind="none")),
        cnn(normalization=NormalizationConf(position="after_activation")),
        cnn(normalization=NormalizationConf(position="after_activation", center=False)),
        cnn(normalization=NormalizationConf(scale=False)),
        cnn(normalization=NormalizationConf(center=False)),
        cnn(normalization=NormalizationConf(scale=False, center=False)),
        cnn(normalization=NormalizationConf(moving_statistics="keras")),
        cnn(downsampling="average"),
        cnn(downsampling="stride"),
        cnn(downsampling="stride", convs_per_block=2),
        cnn(dropout=0.5),
        cnn(head="global_average"),
        cnn(dense_units=[7, 5], dense_dropout=0.5),
        cnn(head="global_average", dense_units=[9]),
        *(cnn(activation=activation) for activation in ACTIVATIONS),
    ],
)
def test_every_axis_builds_the_parameters_it_should(build: Build, model: ModelConf) -> None:
    network = build(model, input_shape=(9, 12, 3), num_classes=5)
    assert network.input_shape == (None, 9, 12, 3)
    assert network.output_shape == (None, 5)
    assert network.count_params() == counted_parameters(model, [9, 12], 3, 5)
    probabilities = np.asarray(network(np.ones((2, 9, 12, 3))))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (
            cnn(filters=[4], dropout=0.1, dense_units=[5], dense_dropout=0.1),
            "block1_conv1 block1_norm1 block1_activation1 block1_pool block1_dropout flatten dense1 "
            "dense1_dropout output",
        ),
        (
            cnn(filters=[4], convs_per_block=2, normalization=NormalizationConf(position="after_activation")),
            "block1_conv1 block1_norm1 block1_conv2 block1_norm2 block1_pool flatten output",
        ),
        (
            cnn(
                filters=[4],
                separate_activation=True,
                normalization=NormalizationConf(position="after_activation"),
            ),
            "block1_conv1 block1_activation1 block1_norm1 block1_pool flatten output",
        ),
        (
            cnn(downsampling="stride", head="global_average", normalization=NormalizationConf(kind="none")),
            "block1_conv1 block2_conv1 global_average output",
        ),
    ],
)
def test_layers_come_in_order_with_stable_names(build: Build, model: ModelConf, expected: str) -> None:
    assert names(build(model)) == expected.split()
    assert names(build(model)) == expected.split()


def test_stride_is_on_the_last_convolution_of_each_block(build: Build) -> None:
    network = build(cnn(downsampling="stride", convs_per_block=2))
    strides = {layer.name: layer.strides for layer in network.layers if "conv" in layer.name}
    expected = {"block1_conv1": 1, "block1_conv2": 2, "block2_conv1": 1, "block2_conv2": 2}
    assert strides == {name: (stride, stride) for name, stride in expected.items()}


@pytest.mark.parametrize("position", ["before_activation", "after_activation"])
@pytest.mark.parametrize("kind", ["none", "batch"])
def test_separate_activation_gives_the_same_network(build: Build, kind: str, position: str) -> None:
    normalization = NormalizationConf(kind=kind, position=position)
    inside, apart = (
        build(cnn(activation="tanh", separate_activation=is_separate, normalization=normalization))
        for is_separate in (False, True)
    )
    apart.set_weights(inside.get_weights())
    for training in (True, False):
        np.testing.assert_array_equal(inside(IMAGES, training=training), apart(IMAGES, training=training))


def test_output_is_float32_under_mixed_precision(build: Build, half_precision: str) -> None:
    network = build(cnn(dense_units=[5]))
    assert {layer.compute_dtype for layer in network.layers[:-1]} == {half_precision.removeprefix("mixed_")}
    assert network(IMAGES, training=True).dtype.name == "float32"
    assert {weight.dtype for weight in network.weights} == {"float32"}


def test_composed_config_builds_the_same_network(build: Build) -> None:
    model = cnn(dense_units=[5], dropout=0.1)
    network = build(model, plain=True)
    stock = StockParts(
        OmegaConf.structured(InitializerConf("he_normal")), OmegaConf.structured(RegularizerConf("none")), 0
    )
    composed = build_model(OmegaConf.structured(model), stock, (8, 8, 1), 10)
    assert composed.get_config() == network.get_config()
    np.testing.assert_array_equal(composed(IMAGES), network(IMAGES))


def test_plain_network_has_stock_layers_and_the_same_weights(build: Build) -> None:
    ours, plain = build(), build(plain=True)
    assert {type(layer).__module__.split(".")[0] for layer in plain.layers} == {"keras"}
    assert [weight.path for weight in plain.weights] == [
        weight.path for weight in ours.weights if weight.name != "updates"
    ]
    np.testing.assert_allclose(ours(IMAGES), plain(IMAGES), atol=1e-6)


def test_one_image_with_its_batch_axis_is_predicted_as_in_a_batch(build: Build) -> None:
    network = build()
    batch = np.asarray(network(IMAGES))
    np.testing.assert_allclose(np.asarray(network(IMAGES[0][None])), batch[:1], atol=1e-6)


def test_image_without_channels_is_refused(build: Build) -> None:
    with pytest.raises(
        ConfigError, match=r"one image has the shape \(height, width, channels\), but got \(8, 8\)"
    ):
        build(input_shape=(8, 8))


def test_network_too_deep_is_refused(build: Build) -> None:
    with pytest.raises(ConfigError, match="halves the image 4 times"):
        build(cnn(filters=[1, 2, 3, 4]))


def test_one_class_is_refused(build: Build) -> None:
    with pytest.raises(ConfigError, match="at least two classes, but got 1"):
        build(num_classes=1)
