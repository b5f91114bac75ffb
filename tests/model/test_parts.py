"""Seeds, initializers, regularizers and dropout follow their formulas, whatever was built before."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasweep.config.model import (
    ConstantInitializerConf,
    InitializerConf,
    ModelConf,
    NormalizationConf,
    RandomNormalInitializerConf,
    RegularizerConf,
)
from kerasweep.model.network import build_model
from kerasweep.model.parts import (
    AdjustableParts,
    AdjustablePenalty,
    StockParts,
    build_initializer,
    layer_seed,
    penalties,
)

# The kernel of a 3x3 convolution from 32 to 96 channels.
SHAPE = (3, 3, 32, 96)
FAN_IN, FAN_OUT = 9 * 32, 9 * 96


def test_seeds_follow_the_documented_formula() -> None:
    expected = np.random.SeedSequence(7, spawn_key=(1, 3)).generate_state(1)[0]
    assert layer_seed(7, "dropout", 3) == expected
    assert type(layer_seed(7, "dropout", 3)) is int


def test_seeds_differ_by_run_kind_and_position() -> None:
    seeds = {
        layer_seed(seed, kind, position)
        for seed in (0, 1, 2**32 - 1)
        for kind in ("kernel", "dropout")
        for position in range(20)
    }
    assert len(seeds) == 3 * 2 * 20


@pytest.mark.parametrize(
    ("name", "variance", "limit"),
    [
        ("glorot_uniform", 2 / (FAN_IN + FAN_OUT), np.sqrt(6 / (FAN_IN + FAN_OUT))),
        ("he_uniform", 2 / FAN_IN, np.sqrt(6 / FAN_IN)),
        ("glorot_normal", 2 / (FAN_IN + FAN_OUT), None),
        ("he_normal", 2 / FAN_IN, None),
        ("lecun_normal", 1 / FAN_IN, None),
    ],
)
def test_variance_is_that_of_the_scheme(name: str, variance: float, limit: float | None) -> None:
    weights = np.asarray(build_initializer(InitializerConf(name), 5)(SHAPE))
    assert weights.var() == pytest.approx(variance, rel=0.03)
    assert abs(weights.mean()) < 4 * np.sqrt(variance / weights.size)
    # Keras cuts normals at two standard deviations of the uncut normal, which is 1 / 0.8796 times as wide.
    cut = limit or 2 * np.sqrt(variance) / 0.87962566
    assert 0.97 * cut < np.abs(weights).max() <= cut * (1 + 1e-6)


def test_random_normal_has_its_standard_deviation_at_any_size() -> None:
    weights = np.asarray(build_initializer(RandomNormalInitializerConf("random_normal", 0.3), 5)(SHAPE))
    assert weights.std() == pytest.approx(0.3, rel=0.03)


@pytest.mark.parametrize(
    ("cfg", "value"),
    [(InitializerConf("zeros"), 0.0), (ConstantInitializerConf("constant", 0.25), 0.25)],
)
def test_every_weight_is_equal(cfg: InitializerConf, value: float) -> None:
    assert (np.asarray(build_initializer(cfg, 5)(SHAPE)) == np.float32(value)).all()


@pytest.mark.parametrize(
    ("name", "l1", "l2"), [("none", 0, 0), ("l1", 0.01, 0), ("l2", 0, 0.01), ("l1_l2", 0.01, 0.01)]
)
def test_penalty_uses_the_strength_for_each_part(name: str, l1: float, l2: float) -> None:
    cfg = RegularizerConf(name, None if name == "none" else 0.01)
    assert penalties(cfg, "conv") == (l1, l2)
    stock = StockParts(InitializerConf("zeros"), cfg, 0).kernel("conv", 0, "conv")["kernel_regularizer"]
    weights = keras.ops.convert_to_tensor(np.array([[1.0, -2.0], [0.5, 0.0]], "float32"))
    adjustable = AdjustablePenalty()
    adjustable.adjust(l1, l2)
    assert float(adjustable(weights)) == pytest.approx(l1 * 3.5 + l2 * 5.25)
    assert (stock is None) == (name == "none")
    if stock is not None:
        assert float(stock(weights)) == pytest.approx(l1 * 3.5 + l2 * 5.25)
        np.testing.assert_array_equal(gradient(adjustable, weights), gradient(stock, weights))


def gradient(penalty: Any, weights: Any) -> np.ndarray:
    """Returns the gradient of three times the penalty."""
    with tf.GradientTape() as tape:
        tape.watch(weights)
        loss = 3.0 * penalty(weights)
    return np.asarray(tape.gradient(loss, weights))


@pytest.mark.parametrize(
    ("name", "on", "kinds"),
    [
        ("l2", "conv", {"conv"}),
        ("l2", "dense", {"dense"}),
        ("l2", "both", {"conv", "dense"}),
        ("none", "both", set()),
    ],
)
def test_penalty_lies_on_the_layers_named(name: str, on: str, kinds: set[str]) -> None:
    cfg = RegularizerConf(name, None if name == "none" else 0.1, on)
    assert {kind for kind in ("conv", "dense") if any(penalties(cfg, kind))} == kinds


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
    # The shapes belong to all convolutions but the first, and to both dense layers and the output.
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
def test_networks_that_differ_in_layers_without_weights_start_equal(
    build: Build, changes: dict[str, Any]
) -> None:
    first, second = kernels(build(cnn(dense_units=[5]))), kernels(build(cnn(dense_units=[5], **changes)))
    assert first.keys() == second.keys()
    for name, kernel in first.items():
        np.testing.assert_array_equal(kernel, second[name])


def test_each_dropout_has_its_own_seed() -> None:
    """Dropouts of blocks and of dense layers are numbered together: equal seeds would give equal masks."""
    model = ModelConf("cnn", filters=[4, 4], dropout=0.1, dense_units=[5, 5], dense_dropout=0.1)
    parts = StockParts(InitializerConf("he_normal"), RegularizerConf("none"), 3)
    network = build_model(model, parts, (8, 8, 1), 10)
    seeds = [layer.seed for layer in network.layers if isinstance(layer, keras.layers.Dropout)]
    assert seeds == [layer_seed(3, "dropout", position) for position in range(4)]


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


@pytest.mark.parametrize("plain", [False, True], ids=["trained", "saved"])
def test_share_of_zeroed_activations_is_the_rate(plain: bool) -> None:
    """This holds for each kind of dropout, and after a network starts again with new rates."""
    rates = [(0.2, 0.6), (0.7, 0.1)]
    parts: Any = AdjustableParts()
    network = None
    for dropout, dense_dropout in rates:
        model = cnn(dense_units=[5], dropout=dropout, dense_dropout=dense_dropout)
        numbers = InitializerConf("he_normal"), RegularizerConf("none"), 0
        if plain or network is None:
            network = build_model(model, StockParts(*numbers) if plain else parts, (8, 8, 1), 10)
        if not plain:
            parts.begin(network, model, *numbers)
        for name, rate in (("block2_dropout", dropout), ("dense1_dropout", dense_dropout)):
            dropped = np.asarray(network.get_layer(name)(np.ones((1, 20_000), "float32"), training=True))
            assert (dropped == 0).mean() == pytest.approx(rate, abs=0.02)
            assert dropped.max() == pytest.approx(1 / (1 - rate))
