"""A user's function builds a network for the data's shape, and wrong networks are refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from omegaconf import OmegaConf

from kerasweep.config.model import ModelConf
from kerasweep.errors import ConfigError

Build = Callable[..., keras.Model]

SOURCE = """
import keras

def dense(input_shape, num_classes, units=(4,), activation="softmax"):
    assert type(units) in (tuple, list), units
    layers = [keras.Input(input_shape), keras.layers.Flatten()]
    layers += [keras.layers.Dense(count, activation="relu") for count in units]
    return keras.Sequential([*layers, keras.layers.Dense(num_classes, activation=activation)])

def no_model(input_shape, num_classes):
    return {"layers": 3}

def other_input(input_shape, num_classes):
    return dense((4, 4, 3), num_classes)

def without_input(input_shape, num_classes):
    return keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(num_classes, activation="softmax")])

def other_output(input_shape, num_classes):
    return dense(input_shape, num_classes + 1)

def feature_map(input_shape, num_classes):
    return keras.Sequential([keras.Input(input_shape), keras.layers.Dense(num_classes, activation="softmax")])

def compiled(input_shape, num_classes):
    network = dense(input_shape, num_classes)
    network.compile(loss="mse")
    return network

def logits(input_shape, num_classes):
    return dense(input_shape, num_classes, activation="linear")

class Subclassed(keras.Model):
    def __init__(self, num_classes):
        super().__init__()
        self.output_layer = keras.layers.Dense(num_classes, activation="softmax")

    def call(self, inputs):
        return self.output_layer(keras.ops.reshape(inputs, (-1, 64)))

def subclassed(input_shape, num_classes):
    return Subclassed(num_classes)

def negative(input_shape, num_classes):
    bias = keras.initializers.RandomUniform(-1, 1, seed=1)

    def shares(shape, dtype=None):
        values = bias(shape, dtype)
        return values / keras.ops.sum(values)

    last = keras.layers.Dense(num_classes, kernel_initializer="zeros", bias_initializer=shares)
    return keras.Sequential([keras.Input(input_shape), keras.layers.Flatten(), last])


def broken(input_shape, num_classes):
    raise ZeroDivisionError("my own mistake")
"""


@pytest.fixture
def custom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., ModelConf]:
    (tmp_path / "own_networks.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    return lambda name, **kwargs: ModelConf("custom", target=f"own_networks:{name}", kwargs=kwargs)


@pytest.mark.parametrize("wrap", [lambda model: model, OmegaConf.structured], ids=["dataclass", "composed"])
def test_function_gets_shape_classes_and_keywords(
    build: Build, custom: Callable[..., ModelConf], wrap: Callable[[ModelConf], Any]
) -> None:
    network = build(wrap(custom("dense", units=[5, 6])), input_shape=(8, 8, 3), num_classes=4)
    assert network.input_shape == (None, 8, 8, 3)
    assert [layer.units for layer in network.layers[1:]] == [5, 6, 4]


def test_keywords_may_be_left_out(build: Build, custom: Callable[..., ModelConf]) -> None:
    for kwargs in (None, {}):
        model = custom("dense")
        model.kwargs = kwargs
        assert build(model).output_shape == (None, 10)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("no_model", "must return a keras.Model, but it returned dict. Let it return"),
        (
            "other_input",
            "must return a network that takes (None, 8, 8, 1), but its input is (None, 4, 4, 3). Begin it "
            "with keras.Input(input_shape)",
        ),
        ("without_input", "must return a network that takes (None, 8, 8, 1), but its input is None."),
        ("subclassed", "must return a network that takes (None, 8, 8, 1), but its input is None."),
        (
            "other_output",
            "must return a network that gives (None, 10), one probability a class, but its output is "
            "(None, 11). End it with keras.layers.Dense(num_classes, activation='softmax').",
        ),
        ("feature_map", "one probability a class, but its output is (None, 8, 8, 10)."),
        ("logits", "must return a network that gives probabilities, but for a random image they add up to"),
        ("negative", "must return a network that gives probabilities, but for a random image one is -"),
    ],
)
def test_wrong_network_is_refused(
    build: Build, custom: Callable[..., ModelConf], name: str, said: str
) -> None:
    with pytest.raises(ConfigError) as error:
        build(custom(name))
    assert str(error.value).startswith(f"model.target=own_networks:{name} must return")
    assert said in str(error.value)


def test_errors_of_the_function_are_not_caught(build: Build, custom: Callable[..., ModelConf]) -> None:
    with pytest.raises(ZeroDivisionError, match="my own mistake"):
        build(custom("broken"))
    with pytest.raises(TypeError, match="unexpected keyword argument 'depth'"):
        build(custom("dense", depth=3))


def test_unknown_function_is_refused(build: Build, custom: Callable[..., ModelConf]) -> None:
    with pytest.raises(ConfigError, match="own_networks"):
        build(custom("missing"))


def test_image_must_have_three_axes(build: Build, custom: Callable[..., ModelConf]) -> None:
    with pytest.raises(ConfigError, match="A network reads 4-D input"):
        build(custom("dense"), input_shape=(64,))


def test_half_precision_softmax_counts_as_probabilities(
    build: Build, custom: Callable[..., ModelConf], half_precision: str
) -> None:
    network = build(custom("dense"))
    total = np.asarray(network(np.ones((1, 8, 8, 1))), dtype="float32").sum()
    assert total == pytest.approx(1, abs=0.02)


def test_a_compiled_network_warns_once_that_its_loss_is_not_used(
    build: Build, custom: Callable[..., ModelConf], caplog: pytest.LogCaptureFixture
) -> None:
    build(custom("dense"))
    for _ in range(2):
        build(custom("compiled"))
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.startswith(
        "model.target=own_networks:compiled returns a compiled model. Its loss, optimizer and"
    )
