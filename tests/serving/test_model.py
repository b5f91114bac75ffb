"""A served model takes pixels or image files of any batch size, and refuses all else with a sentence."""

import base64
from io import BytesIO
from pathlib import Path

import keras
import numpy as np
import pytest
from mlflow.exceptions import MlflowException
from PIL import Image

from kerasweep.serving.model import ServedModel, _load_pyfunc
from kerasweep.serving.pixels import to_pixels
from tests.hostile_models import HOSTILE

EXPECTED = "Expected whole numbers from 0 to 255 of the shape (images, 4, 6, 1), but "
UNDECODABLE = "cannot be decoded. Expected a PNG, JPEG, WEBP, TIFF, BMP or GIF file, in JSON as base64 text."
ONES = np.ones((2, 4, 6, 1), np.uint8)


class Counted(keras.layers.Layer):
    """Counts how often Python runs it; a graph runs without."""

    calls = 0

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        Counted.calls += 1
        return inputs


def small_model(shape: tuple[int | None, ...] = (4, 6, 1)) -> keras.Model:
    keras.utils.set_random_seed(3)
    layers = [keras.Input(shape), keras.layers.Rescaling(1 / 255), keras.layers.Conv2D(3, 3, padding="same")]
    head = [Counted(), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2, activation="softmax")]
    return keras.Sequential([*layers, *head])


MODEL = small_model()
SERVED = ServedModel(MODEL)


def predicted(images: np.ndarray) -> np.ndarray:
    return SERVED.predict({"image": images})


def files(*images: Image.Image, kind: str = "PNG") -> list[bytes]:
    """Encodes images."""
    encoded = []
    for image in images:
        content = BytesIO()
        image.save(content, kind)
        encoded.append(content.getvalue())
    return encoded


def refusal(images: np.ndarray, served: ServedModel = SERVED) -> str:
    with pytest.raises(MlflowException) as raised:
        served.predict({"image": images})
    assert raised.value.get_http_status_code() == 400
    return str(raised.value.message)


def test_batches_of_any_size_share_one_trace() -> None:
    calls = Counted.calls
    for size in (1, 5, 2):
        batch = np.random.default_rng(size).integers(0, 256, (size, 4, 6, 1), np.uint8)
        probabilities = predicted(batch)
        assert Counted.calls == calls
        assert probabilities.dtype == np.float32
        np.testing.assert_allclose(probabilities, MODEL(batch), atol=1e-6)
        calls = Counted.calls


@pytest.mark.parametrize("kind", [np.int64, np.float32, object])
def test_whole_numbers_of_any_type_are_pixels(kind: type) -> None:
    batch = np.arange(48, dtype=np.uint8).reshape(2, 4, 6, 1) + 200
    np.testing.assert_array_equal(predicted(batch.astype(kind)), predicted(batch))


def test_files_are_converted_as_src_predict_does() -> None:
    pictures = [
        Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)),
        Image.new("RGBA", (6, 4), (0, 0, 0, 10)),
        Image.fromarray(np.full((4, 6), 200 * 256, np.uint16)),
    ]
    batch = np.stack([to_pixels(picture, 1, (4, 6))[0] for picture in pictures])
    encoded = files(*pictures)
    texts = [base64.encodebytes(file).decode() for file in encoded]
    rows = [np.array(text, dtype=object) for text in texts]
    nested = np.empty(3, dtype=object)
    nested[:] = rows
    for images in (np.array(encoded, dtype=object), np.array(texts), np.array(texts, dtype=object), nested):
        np.testing.assert_array_equal(predicted(images), predicted(batch))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "GIF"])
def test_each_format_is_decoded(kind: str) -> None:
    (file,) = files(Image.new("L", (6, 4), 128), kind=kind)
    np.testing.assert_array_equal(
        predicted(np.array([file], dtype=object)), predicted(np.full((1, 4, 6, 1), 128))
    )


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (ONES[:, :3], "got the shape (2, 3, 6, 1)."),
        (ONES[0], "got the shape (4, 6, 1)."),
        (np.array([]), "got the shape (0,)."),
        (np.array(5, dtype=object), "got the shape ()."),
        (np.array([[[[1], [2, 3]]]], dtype=object), "the images or their rows differ in length."),
        (ONES.astype(str), "got values that are not numbers."),
        (ONES.astype(bool).astype(object), "got values that are not numbers."),
        (np.array("text", dtype=object), "got values that are not numbers."),
        (np.array(["text", 5], dtype=object), "got values that are not numbers."),
        (np.array([None], dtype=object), "got values that are not numbers."),
    ],
)
def test_other_shapes_and_types_are_refused(images: np.ndarray, said: str) -> None:
    assert refusal(images) == EXPECTED + said


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.5, "0.5 to 1"), (256, "1 to 256"), (-1, "-1 to 1"), (300.0, "1 to 300"), (np.inf, "1 to inf")],
)
@pytest.mark.parametrize("kind", [float, object])
def test_values_that_uint8_cannot_hold_are_refused(value: float, said: str, kind: type) -> None:
    images = ONES.astype(kind)
    images[1, 2, 3, 0] = value
    message = f"{EXPECTED}got values from {said}. Send raw pixels: the model scales them itself."
    assert refusal(images) == message


def test_nan_is_refused() -> None:
    assert refusal(ONES * np.nan).startswith(f"{EXPECTED}got values from nan to nan.")


@pytest.mark.parametrize("file", [b"text", "text", "그림", "", files(Image.new("L", (6, 4)))[0][:30]])
def test_file_that_is_no_image_is_named(file: str | bytes) -> None:
    images = np.array([*files(Image.new("L", (6, 4))), file], dtype=object)
    assert refusal(images) == f"Image 2 of 2 {UNDECODABLE}"


@pytest.mark.parametrize("kind", ["EPS", "PPM"])
def test_other_formats_are_not_decoded(kind: str) -> None:
    (file,) = files(Image.new("L", (6, 4)), kind=kind)
    assert refusal(np.array([file], dtype=object)) == f"Image 1 of 1 {UNDECODABLE}"


def test_model_without_an_image_shape_refuses_files() -> None:
    served = ServedModel(small_model((None, None, 2)))
    assert refusal(np.array(["text"]), served) == (
        "Expected whole numbers from 0 to 255 of the shape (images, any, any, 2), "
        "but got image files, which this model cannot take."
    )
    assert served.predict({"image": np.ones((1, 3, 5, 2))}).shape == (1, 2)


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_model_is_refused_and_its_code_not_run(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, reason = HOSTILE[kind]
    save(tmp_path / "model.keras", tmp_path / "marker")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MlflowException) as raised:
        _load_pyfunc(str(tmp_path))
    assert raised.value.message.startswith(f"The model cannot be loaded: {reason}")
    assert raised.value.message.endswith("keras.saving.register_keras_serializable, and imported.")
    assert not (tmp_path / "marker").exists()
