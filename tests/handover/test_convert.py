"""Each format predicts as the Keras model does, in its own runtime."""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

from kerasweep.errors import ConfigError
from kerasweep.handover.convert import convert, with_names
from kerasweep.handover.export_formats import FORMATS
from kerasweep.handover.runtimes import Loaded, Tensor, load_exported

Classifier = Callable[..., keras.Model]


def exported(model: keras.Model, name: str, folder: Path, calibration: np.ndarray | None = None) -> Loaded:
    """Converts a model, and loads what was written."""
    folder.mkdir(exist_ok=True)
    convert(with_names(model, model.input_shape[1:]), FORMATS[name], folder, calibration)
    return load_exported(FORMATS[name], folder)


@pytest.mark.parametrize("name", FORMATS)
def test_export_takes_raw_pixels_and_predicts_as_keras(
    name: str, classifier: Classifier, images: np.ndarray, tmp_path: Path
) -> None:
    model = classifier(
        keras.layers.Conv2D(4, 3, padding="same", use_bias=False),
        keras.layers.BatchNormalization(),
        keras.layers.Activation("relu"),
        keras.layers.MaxPooling2D(),
        keras.layers.Dropout(0.5),
    )
    loaded = exported(model, name, tmp_path)
    assert loaded.input == Tensor("pixels", "uint8", (None, 6, 4, 3))
    assert loaded.output == Tensor("probabilities", "float32", (None, 5))
    expected = model.predict(images, verbose=0)
    for some in (slice(1), slice(40), slice(3, 6), slice(1)):  # the size of a batch may change at any call
        probabilities = loaded.predict(images[some])
        assert probabilities.dtype == np.float32
        np.testing.assert_allclose(probabilities, expected[some], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_has_gelu(name: str, classifier: Classifier, images: np.ndarray, tmp_path: Path) -> None:
    model = classifier(keras.layers.Activation("gelu"))
    probabilities = exported(model, name, tmp_path).predict(images)
    np.testing.assert_allclose(probabilities, model.predict(images, verbose=0), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["onnx", "litert"])
def test_int8_is_smaller_and_predicts_nearly_the_same(
    name: str, classifier: Classifier, images: np.ndarray, tmp_path: Path
) -> None:
    model = classifier(keras.layers.Conv2D(64, 3, padding="same", activation="relu"))
    loaded = exported(model, name, tmp_path / "int8", calibration=images)
    exported(model, name, tmp_path / "float")
    sizes = [(tmp_path / kind / FORMATS[name].file).stat().st_size for kind in ("int8", "float")]
    assert sizes[0] < 0.6 * sizes[1]
    assert [path.name for path in (tmp_path / "int8").iterdir()] == [FORMATS[name].file]
    assert (loaded.input.dtype, loaded.output.dtype) == ("uint8", "float32")
    difference = np.abs(loaded.predict(images) - model.predict(images, verbose=0)).max()
    assert 1e-5 < difference < 0.2


class Inverse(keras.Layer):
    """An operation that neither ONNX nor LiteRT has."""

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        return keras.ops.erfinv(inputs / 2)


class Determinant(keras.Layer):
    """An operation that LiteRT has only beside TensorFlow."""

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        return keras.ops.det(inputs[:, :3, :3])


@pytest.mark.parametrize(
    ("name", "layer", "message"),
    [
        ("onnx", Inverse, "ONNX lacks an operation of this network: Erfinv. Use format=saved_model."),
        ("litert", Inverse, "LiteRT lacks an operation of this network: Erfinv. Use format=saved_model."),
        (
            "litert",
            Determinant,
            "LiteRT lacks an operation of this network: MatrixDeterminant. Use format=saved_model.",
        ),
    ],
)
def test_operation_that_a_format_lacks_is_named(
    name: str, layer: type[keras.Layer], message: str, classifier: Classifier, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as raised:
        exported(classifier(layer()), name, tmp_path)
    assert str(raised.value) == message


def test_saved_model_keeps_layers_of_the_users_own(
    classifier: Classifier, images: np.ndarray, tmp_path: Path
) -> None:
    model = classifier(Inverse())
    probabilities = exported(model, "saved_model", tmp_path).predict(images)
    np.testing.assert_allclose(probabilities, model.predict(images, verbose=0), rtol=0, atol=1e-5)
