"""Seeds, initializers and regularizers are what their names say."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasweep.config.model import (
    ConstantInitializerConf,
    InitializerConf,
    RandomNormalInitializerConf,
    RegularizerConf,
)
from kerasweep.model.adjustable import AdjustablePenalty
from kerasweep.model.parts import StockParts, build_initializer, layer_seed, penalties

# A 3x3 convolution from 32 to 96 channels.
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
def test_variance_is_the_schemes(name: str, variance: float, limit: float | None) -> None:
    weights = np.asarray(build_initializer(InitializerConf(name), 5)(SHAPE))
    assert weights.var() == pytest.approx(variance, rel=0.03)
    assert abs(weights.mean()) < 4 * np.sqrt(variance / weights.size)
    # Keras cuts its normal schemes at two standard deviations of the uncut normal, here divided by 0.8796.
    cut = limit or 2 * np.sqrt(variance) / 0.87962566
    assert 0.97 * cut < np.abs(weights).max() <= cut * (1 + 1e-6)


def test_random_normal_has_its_standard_deviation_whatever_the_size() -> None:
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
    """Of a loss that counts the penalty three times."""
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
