"""Adam in one fused kernel gives Keras's weights and moments for every dtype and number of steps."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasweep.config.training import (
    AdamConf,
    AdamWConf,
    CustomOptimizerConf,
    OptimizerConf,
    RMSpropConf,
    SGDConf,
)
from kerasweep.errors import ConfigError
from kerasweep.training.optimizers import FusedAdam, FusedAdamW, build_optimizer

# 1 - beta_2 has five digits in float32: Keras subtracts in Python where the kernel subtracts in float32.
ROUNDING = {"rtol": 2e-5, "atol": 2e-6}
PAIRS = [
    (FusedAdam, keras.optimizers.Adam, {}),
    (FusedAdam, keras.optimizers.Adam, {"beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-3, "clipnorm": 0.5}),
    (FusedAdamW, keras.optimizers.AdamW, {"weight_decay": 0.1}),
]


def variables() -> list[keras.Variable]:
    drawn = np.random.default_rng(0)
    return [keras.Variable(drawn.normal(size=shape).astype(np.float32)) for shape in ((3, 4), (5,))]


def after(optimizer: keras.optimizers.Optimizer, steps: int) -> list[np.ndarray]:
    """Returns weights and optimizer variables after these steps, run in a graph as a program does."""
    weights = variables()
    optimizer.build(weights)

    @tf.function(autograph=False)
    def step(gradients: Any, rate: Any) -> None:
        optimizer.learning_rate.assign(rate)
        optimizer.apply(gradients, weights)

    drawn = np.random.default_rng(1)
    for number in range(steps):
        gradients = [drawn.normal(size=weight.shape).astype(np.float32) for weight in weights]
        step([tf.constant(gradient) for gradient in gradients], tf.constant(0.1 / (number + 1)))
    return [variable.numpy() for variable in (*weights, *optimizer.variables)]


@pytest.mark.parametrize(("fused", "stock", "arguments"), PAIRS)
@pytest.mark.parametrize("steps", [1, 7])
def test_steps_equal_keras(fused: Any, stock: Any, arguments: dict[str, Any], steps: int) -> None:
    pairs = zip(after(fused(0.1, **arguments), steps), after(stock(0.1, **arguments), steps), strict=True)
    for ours, theirs in pairs:
        np.testing.assert_allclose(ours, theirs, **ROUNDING)


def test_keras_applies_sparse_gradients() -> None:
    found = []
    for maker in (FusedAdam, keras.optimizers.Adam):
        table = keras.Variable(np.ones((4, 2), np.float32))
        optimizer = maker(0.1)
        optimizer.build([table])
        values = tf.constant([[1.0, 2.0]])
        optimizer.apply([tf.IndexedSlices(values, tf.constant([2]), tf.constant([4, 2]))], [table])
        found.append(table.numpy())
    np.testing.assert_array_equal(*found)
    assert (found[0][2] != 1.0).all()


def test_loss_scale_steps_equal_keras() -> None:
    found = []
    for maker in (FusedAdam, keras.optimizers.Adam):
        optimizer = keras.optimizers.LossScaleOptimizer(maker(0.1), initial_scale=8.0)
        found.append(after(optimizer, 3))
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, **ROUNDING)


@pytest.mark.parametrize(
    ("conf", "kind"),
    [
        (SGDConf("sgd", momentum=0.5, nesterov=True), keras.optimizers.SGD),
        (AdamConf("adam", beta_1=0.8), keras.optimizers.Adam),
        (AdamWConf("adamw", weight_decay=0.1), keras.optimizers.AdamW),
        (RMSpropConf("rmsprop", rho=0.7), keras.optimizers.RMSprop),
    ],
)
def test_optimizers_use_their_settings(conf: OptimizerConf, kind: type) -> None:
    conf.clipnorm = 1.5
    optimizer = build_optimizer(conf)
    assert isinstance(optimizer, kind)
    expected = {key: float(value) for key, value in vars(conf).items() if key != "name"}
    assert {key: float(optimizer.get_config()[key]) for key in expected} == pytest.approx(expected)


def custom(name: str, **kwargs: object) -> CustomOptimizerConf:
    target = name if ":" in name else f"tests.training.own_parts:{name}"
    return CustomOptimizerConf("custom", learning_rate=0.1, target=target, kwargs=kwargs)


def test_any_other_optimizer_is_made_by_its_target() -> None:
    optimizer = build_optimizer(custom("keras.optimizers:Lion", beta_2=0.9))
    assert isinstance(optimizer, keras.optimizers.Lion)
    assert (float(optimizer.learning_rate), optimizer.beta_2, optimizer.clipnorm) == (
        pytest.approx(0.1),
        0.9,
        None,
    )
    assert isinstance(build_optimizer(custom("adagrad")), keras.optimizers.Adagrad)


@pytest.mark.parametrize(
    ("conf", "said"),
    [
        (
            custom("nothing"),
            "must return a keras.optimizers.Optimizer, but it returned NoneType. Name a class such as "
            "keras.optimizers:Lion, or a function of learning_rate that returns one.",
        ),
        (
            custom("scheduled"),
            "must return a keras.optimizers.Optimizer with a number as its learning rate, but it has a "
            "CosineDecay. Pass on learning_rate, and choose a schedule such as schedule=cosine.",
        ),
        (
            custom("averaging"),
            "must return a keras.optimizers.Optimizer without use_ema: validation would not see its averaged "
            "weights. Leave use_ema out.",
        ),
        (
            custom("adagrad", begin=1),
            "is called with learning_rate, clipnorm and optimizer.kwargs (learning_rate, begin), which it "
            "does not take: got an unexpected keyword argument 'begin'. It takes (learning_rate: float, "
            "start: float = 0.5) -> keras.src.optimizers.optimizer.Optimizer.",
        ),
        (custom("keras.optimizers:Lion", beta_3=1), "refuses its arguments: "),
    ],
)
def test_wrong_optimizer_is_refused(conf: CustomOptimizerConf, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        build_optimizer(conf)
    assert str(error.value).startswith(f"optimizer.target={conf.target} {said}")


def test_unknown_optimizer() -> None:
    with pytest.raises(ConfigError, match="optimizer.name must be one of sgd, adam, adamw, rmsprop"):
        build_optimizer(OptimizerConf("lion"))
