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
from kerasweep.model.custom import check_saveable, check_scaling

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

class Saveable(Subclassed):
    def get_config(self):
        return {"num_classes": self.output_layer.units}

def saveable(input_shape, num_classes):
    return Saveable(num_classes)

def doubling(input_shape, num_classes):
    layers = [keras.layers.Lambda(lambda pixels: pixels * 2.0), keras.layers.Flatten()]
    return keras.Sequential([keras.Input(input_shape), *layers, keras.layers.Dense(num_classes, "softmax")])

def subclassed(input_shape, num_classes):
    return Subclassed(num_classes)

class Trained(Subclassed):
    def train_step(self, data):
        return {}

def trained(input_shape, num_classes):
    return Trained(num_classes)

class Lossy(keras.Model):
    def compute_loss(self, **arguments):
        return 0.0

def lossy(input_shape, num_classes):
    network = dense(input_shape, num_classes)
    return Lossy(network.inputs, network.outputs)

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
        (
            "other_output",
            "must return a network that gives (None, 10), one probability a class, but its output is "
            "(None, 11). End it with keras.layers.Dense(num_classes, activation='softmax').",
        ),
        ("feature_map", "one probability a class, but its output is (None, 8, 8, 10)."),
        ("logits", "must return a network that gives probabilities, but for a random image they add up to"),
        (
            "trained",
            "returns a Trained with a train_step of its own, which nothing would call: kerasweep has its own "
            "training step. Use training.loss, add_loss in a layer, or trial.target for a training function "
            "of your own.",
        ),
        ("lossy", "returns a Lossy with a compute_loss of its own"),
        ("negative", "must return a network that gives probabilities, but for a random image one is -"),
    ],
)
def test_wrong_network_is_refused(
    build: Build, custom: Callable[..., ModelConf], name: str, said: str
) -> None:
    with pytest.raises(ConfigError) as error:
        build(custom(name))
    assert str(error.value).startswith(f"model.target=own_networks:{name} ")
    assert said in str(error.value)


@pytest.mark.parametrize("name", ["without_input", "saveable"])
def test_network_without_an_input_is_called_on_an_image(
    build: Build, custom: Callable[..., ModelConf], name: str
) -> None:
    network = build(custom(name))
    assert (network.input_shape, network.output_shape) == ((None, 8, 8, 1), (None, 10))
    check_saveable("own_networks", network)


def test_classes_of_the_user_are_named_before_the_training(
    build: Build, custom: Callable[..., ModelConf], caplog: pytest.LogCaptureFixture
) -> None:
    network = build(custom("saveable"))
    for _ in range(2):
        check_saveable("own_networks:named", network)
    (warning,) = [record.getMessage() for record in caplog.records]
    assert warning == (
        "model.target=own_networks:named has classes of its own (Saveable): only a program that imports them "
        "can load the saved model. Decorate them with keras.saving.register_keras_serializable(), so that an "
        "import is enough."
    )


def test_logits_get_a_softmax(build: Build, custom: Callable[..., ModelConf]) -> None:
    keras.utils.set_random_seed(0)
    model = custom("logits")
    model.from_logits = True
    network = build(model)
    images = np.random.default_rng(0).random((3, 8, 8, 1), dtype=np.float32)
    logits = np.asarray(keras.Sequential(network.layers[:-1])(images))
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(network(images), expected, rtol=1e-5)


def test_a_second_softmax_is_refused(build: Build, custom: Callable[..., ModelConf]) -> None:
    model = custom("dense")
    model.from_logits = True
    with pytest.raises(
        ConfigError, match="gives probabilities, but model.from_logits=true puts a softmax behind it"
    ):
        build(model)


def test_network_that_cannot_be_saved_is_refused_before_its_training(
    build: Build, custom: Callable[..., ModelConf]
) -> None:
    with pytest.raises(ConfigError) as error:
        check_saveable("own_networks:subclassed", build(custom("subclassed")))
    assert str(error.value) == (
        "model.target=own_networks:subclassed returns a network that cannot be saved: Object Subclassed was "
        "created by passing non-serializable argument values in `__init__()`, and therefore the object must "
        "override `get_config()` in order to be serializable. Give its class get_config, as Keras's guide to "
        "serialization shows, or record no model with tracking.models=none."
    )
    with pytest.raises(ConfigError) as error:
        check_saveable("own_networks:doubling", build(custom("doubling")))
    assert str(error.value) == (
        "model.target=own_networks:doubling returns a network that cannot be saved: Requested the "
        "deserialization of a `Lambda` layer whose `function` is a Python lambda. Replace the lambda by a "
        "layer, or by a function registered with Keras, or record no model with tracking.models=none."
    )


def test_arguments_that_the_function_lacks_are_refused(
    build: Build, custom: Callable[..., ModelConf]
) -> None:
    with pytest.raises(ConfigError) as error:
        build(custom("dense", depth=3))
    assert str(error.value) == (
        "model.target=own_networks:dense is called with model.kwargs (depth), which it does not take: got an "
        "unexpected keyword argument 'depth'. It takes (input_shape, num_classes, units=(4,), "
        "activation='softmax')."
    )


@pytest.mark.parametrize(
    ("factor", "scaling", "warns"),
    [(1 / 255, "min_max", True), (1 / 255, "none", False), (2.0, "min_max", False)],
)
def test_network_that_scales_pixels_again_is_warned_of(
    caplog: pytest.LogCaptureFixture, factor: float, scaling: str, warns: bool
) -> None:
    layers = [keras.Input((4, 4, 3)), keras.layers.Rescaling(factor, name="scaled"), keras.layers.Flatten()]
    check_scaling(f"nets:scaled_{factor}", keras.Sequential(layers), scaling)
    assert [record.getMessage() for record in caplog.records] == warns * [
        f"model.target=nets:scaled_{factor} scales pixels in its layer scaled, but receives pixels that "
        "data.scaling=min_max has scaled already. Add data.scaling=none, or remove the layer."
    ]


def test_errors_of_the_function_are_not_caught(build: Build, custom: Callable[..., ModelConf]) -> None:
    with pytest.raises(ZeroDivisionError, match="my own mistake"):
        build(custom("broken"))


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
