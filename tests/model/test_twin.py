"""The saved model predicts like the trained one, from raw pixels and without this package."""

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from kerasweep.config.model import ModelConf, NormalizationConf, RegularizerConf
from kerasweep.errors import ConfigError
from kerasweep.model.twin import plain_twin

Build = Callable[..., keras.Model]
PIXELS = np.random.default_rng(1).integers(0, 256, (20, 8, 8, 3), dtype=np.uint8)
LABELS = np.arange(20) % 10


@dataclass(frozen=True)
class Scaling:
    scale: tuple[float, ...]
    offset: tuple[float, ...]

    def apply(self, images: np.ndarray) -> np.ndarray:
        return (images * np.array(self.scale) + np.array(self.offset)).astype("float32")


MIN_MAX = Scaling((1 / 255,), (0.0,))
Z_SCORE = Scaling((0.011, 0.013, 0.02), (-1.2, -1.4, -2.0))
MODEL = ModelConf("cnn", filters=[4, 6], dense_units=[8], dropout=0.2, dense_dropout=0.2)
CHANGES: dict[str, Any] = {"input_shape": (8, 8, 3), "regularizer": RegularizerConf("l1_l2", 0.01)}


def train(network: keras.Model, scaling: Scaling) -> keras.Model:
    """Trains two steps, which change every weight."""
    network.compile(
        optimizer=keras.optimizers.SGD(0.1), loss="sparse_categorical_crossentropy", run_eagerly=True
    )
    for _ in range(2):
        network.train_on_batch(scaling.apply(PIXELS), LABELS)
    return network


def load(twin: keras.Model, folder: Path) -> keras.Model:
    twin.save(folder / "model.keras")
    return keras.models.load_model(folder / "model.keras", safe_mode=True)


@pytest.fixture(scope="module")
def trained(build: Build) -> keras.Model:
    """Returns a network that was trained with penalties, on min-max scaled images."""
    return train(build(MODEL, **CHANGES), MIN_MAX)


@pytest.fixture(scope="module")
def saved(build: Build, trained: keras.Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the folder in which the trained network's twin is saved."""
    folder = tmp_path_factory.mktemp("twin")
    load(plain_twin(trained, lambda: build(MODEL, plain=True, seed=9, **CHANGES), MIN_MAX), folder)
    return folder


@pytest.mark.parametrize("scaling", [MIN_MAX, Z_SCORE, Scaling((1.0,), (0.0,))])
def test_saved_twin_takes_raw_pixels(build: Build, tmp_path: Path, scaling: Scaling) -> None:
    trained = train(build(MODEL, **CHANGES), scaling)
    twin = plain_twin(trained, lambda: build(MODEL, plain=True, seed=9, **CHANGES), scaling)
    loaded = load(twin, tmp_path)
    expected = np.asarray(trained(scaling.apply(PIXELS), training=False))
    for dtype in ("uint8", "float32"):
        np.testing.assert_allclose(loaded(PIXELS.astype(dtype)), expected, atol=1e-5, err_msg=dtype)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_saved_twin_predicts_raw_pixels(trained: keras.Model, saved: Path, dtype: str) -> None:
    loaded = keras.models.load_model(saved / "model.keras", safe_mode=True)
    expected = np.asarray(trained(MIN_MAX.apply(PIXELS), training=False))
    np.testing.assert_allclose(loaded.predict(PIXELS.astype(dtype), verbose=0), expected, atol=1e-5)


def test_saved_twin_names_nothing_but_keras(saved: Path) -> None:
    config = zipfile.ZipFile(saved / "model.keras").read("config.json").decode()
    assert "BatchNormalization" in config
    assert "kerasweep" not in config
    assert "src." not in config


def test_twin_is_one_row_of_layers_and_not_compiled(build: Build, trained: keras.Model) -> None:
    twin = plain_twin(trained, lambda: build(MODEL, plain=True, input_shape=(8, 8, 3)), Z_SCORE)
    assert [layer.name for layer in twin.layers] == [
        "pixel_scaling",
        *(layer.name for layer in trained.layers),
    ]
    assert not twin.compiled


def test_every_weight_and_moving_statistic_is_copied(build: Build, trained: keras.Model) -> None:
    twin = plain_twin(trained, lambda: build(MODEL, plain=True, input_shape=(8, 8, 3), seed=9), MIN_MAX)
    found = {weight.path: np.asarray(weight) for weight in twin.weights}
    expected = {weight.path: np.asarray(weight) for weight in trained.weights if weight.name != "updates"}
    assert found.keys() == expected.keys()
    assert {"moving_mean", "moving_variance", "gamma", "beta", "kernel", "bias"} == {
        path.rpartition("/")[2] for path in found
    }
    for path, value in expected.items():
        np.testing.assert_array_equal(found[path], value)


def test_twin_of_half_precision_is_float32(build: Build, half_precision: str, tmp_path: Path) -> None:
    trained = train(build(MODEL, input_shape=(8, 8, 3)), MIN_MAX)
    twin = plain_twin(trained, lambda: build(MODEL, plain=True, input_shape=(8, 8, 3)), MIN_MAX)
    assert keras.config.dtype_policy().name == half_precision
    assert {layer.compute_dtype for layer in load(twin, tmp_path).layers} == {"float32"}
    expected = np.asarray(trained(MIN_MAX.apply(PIXELS), training=False))
    np.testing.assert_allclose(np.asarray(twin(PIXELS)), expected, atol=0.05)


def test_diverged_network_has_a_twin(build: Build) -> None:
    trained = build(MODEL, input_shape=(8, 8, 3))
    trained.layers[0].kernel.assign(np.full(trained.layers[0].kernel.shape, np.nan))
    twin = plain_twin(trained, lambda: build(MODEL, plain=True, input_shape=(8, 8, 3)), MIN_MAX)
    assert np.isnan(np.asarray(twin(PIXELS))).all()


def branched() -> keras.Model:
    """Returns a network of two parallel convolutions, whose names Keras changes at each call."""
    inputs = keras.Input((8, 8, 3))
    branches = [keras.layers.Conv2D(4, size, padding="same")(inputs) for size in (3, 5)]
    normalized = keras.layers.BatchNormalization()(keras.layers.add(branches))
    features = keras.layers.GlobalAveragePooling2D()(normalized)
    return keras.Model(inputs, keras.layers.Dense(10, activation="softmax")(features))


def test_custom_network_is_copied_in_order_where_names_change(tmp_path: Path) -> None:
    trained = train(branched(), Z_SCORE)
    loaded = load(plain_twin(trained, branched, Z_SCORE), tmp_path)
    expected = np.asarray(trained(Z_SCORE.apply(PIXELS), training=False))
    np.testing.assert_allclose(np.asarray(loaded(PIXELS)), expected, atol=1e-5)


def test_network_of_other_shapes_is_refused(build: Build) -> None:
    trained = build(MODEL, input_shape=(8, 8, 3))
    other = ModelConf("cnn", filters=[4, 7], dense_units=[8])
    with pytest.raises(ConfigError, match="Let model.target build the same network at each call"):
        plain_twin(trained, lambda: build(other, plain=True, input_shape=(8, 8, 3)), MIN_MAX)


def test_network_with_other_predictions_is_refused(build: Build) -> None:
    trained = build(MODEL, input_shape=(8, 8, 3))
    other = ModelConf("cnn", filters=[4, 6], dense_units=[8], normalization=NormalizationConf(epsilon=0.5))
    with pytest.raises(ConfigError, match="must predict as the trained one to within 0.0001"):
        plain_twin(trained, lambda: build(other, plain=True, input_shape=(8, 8, 3)), MIN_MAX)


def test_precision_is_set_back_when_building_fails(build: Build, half_precision: str) -> None:
    def fail() -> keras.Model:
        raise OSError("no such file")

    with pytest.raises(OSError, match="no such file"):
        plain_twin(build(), fail, MIN_MAX)
    assert keras.config.dtype_policy().name == half_precision
