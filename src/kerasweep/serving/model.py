"""Answers MLflow's requests with a recorded model, by one call of a graph."""

import base64
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from mlflow.exceptions import MlflowException
from PIL import Image

# Relative, since the package has another name in a model's folder.
from . import INPUT
from .hub_layers import import_hub_layers
from .pixels import DAMAGE, Conversion, decode, to_pixels

# Pillow also opens formats that start other programs: a server reads only these.
FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF")
MAX_PIXELS = 50_000_000  # of an image file: each takes several bytes


class ServedModel:
    """A classifier of raw pixels.

    The graph is traced once, for batches of any size.

    Args:
        model: A keras.Model that takes one batch of images.
        conversion: How image files become pixels; None for the default.
    """

    def __init__(self, model: Any, conversion: Conversion | None = None) -> None:
        self._conversion = conversion
        self._shape = tuple(model.input_shape[1:])
        self._function = tf.function(
            lambda pixels: tf.cast(model(pixels, training=False), tf.float32),
            input_signature=[tf.TensorSpec((None, *self._shape), tf.uint8)],
            autograph=False,
        )
        self._graph = self._function.get_concrete_function()  # traced before the first request

    def predict(self, data: Mapping[str, np.ndarray]) -> np.ndarray:
        """Returns the probabilities of each image.

        Args:
            data: What MLflow makes of a request: an array named `image`, of pixels (n, height, width,
                channels), or (n,) of encoded image files, as bytes or as base64 text.

        Returns:
            float32 (n, classes).

        Raises:
            MlflowException: The input is neither; MLflow answers with HTTP 400.
        """
        images = data[INPUT]
        files = _find_files(images)
        pixels = self._decode_files(files) if files else self._check_pixels(images)
        return self._graph(tf.constant(pixels)).numpy()

    def _check_pixels(self, images: np.ndarray) -> np.ndarray:
        """Returns pixels as uint8, unchanged in value."""
        if images.dtype == object:  # as MLflow reads JSON
            try:
                images = np.asarray(images.tolist())
            except ValueError as error:
                raise _refusal(
                    f"{self._expected()}, but the images or their rows differ in length."
                ) from error
        if images.dtype.kind not in "iuf":
            raise _refusal(f"{self._expected()}, but got values that are not numbers.")
        if not tf.TensorShape((None, *self._shape)).is_compatible_with(images.shape):
            raise _refusal(f"{self._expected()}, but got the shape {images.shape}.")
        if not _fits_uint8(images):
            raise _refusal(
                f"{self._expected()}, but got values from {images.min():g} to {images.max():g}. "
                "Send raw pixels: the model scales them itself."
            )
        return images.astype(np.uint8, copy=False)

    def _expected(self) -> str:
        sides = ", ".join("any" if side is None else str(side) for side in self._shape)
        return f"Expected whole numbers from 0 to 255 of the shape (images, {sides})"

    def _decode_files(self, files: Sequence[str | bytes]) -> np.ndarray:
        """Decodes and converts image files as src.predict does."""
        if len(self._shape) != 3 or None in self._shape or self._shape[2] not in (1, 3):
            raise _refusal(f"{self._expected()}, but got image files, which this model cannot take.")
        height, width, channels = self._shape
        decoded = []
        for number, file in enumerate(files, start=1):
            try:
                # A browser writes data:image/png;base64, in front.
                text = file.rpartition("base64,")[2] if isinstance(file, str) else ""
                content = base64.b64decode(text) if isinstance(file, str) else file
                with Image.open(BytesIO(content), formats=FORMATS) as image:
                    if image.width * image.height > MAX_PIXELS:
                        raise ValueError("the image is too large")
                    upright = decode(image)
                decoded.append(to_pixels(upright, channels, (height, width), self._conversion)[0])
            except DAMAGE as error:
                raise _refusal(
                    f"Image {number} of {len(files)} cannot be decoded. "
                    "Expected a PNG, JPEG, WEBP, TIFF, BMP or GIF file, in JSON as base64 text."
                ) from error
        return np.stack(decoded)


def _fits_uint8(images: np.ndarray) -> bool:
    if images.dtype == np.uint8:
        return True
    return bool(np.all((images >= 0) & (images <= 255) & (images == np.trunc(images))))


def _find_files(images: np.ndarray) -> list[str | bytes]:
    """Returns the image files of a request; an empty list if it has pixels."""
    if images.ndim != 1:
        return []
    # From rows such as {"image": TEXT}, MLflow makes an array of arrays without a dimension.
    values = [
        image.item() if isinstance(image, np.ndarray) and image.ndim == 0 else image for image in images
    ]
    return values if all(isinstance(value, str | bytes) for value in values) else []


def _refusal(sentence: str) -> MlflowException:
    return MlflowException.invalid_parameter_value(sentence)


def _load_pyfunc(path: str) -> ServedModel:
    """Loads the model from its data folder; the name is MLflow's."""
    import_hub_layers(Path(path, "model.keras"))
    try:
        model = keras.models.load_model(Path(path, "model.keras"), compile=False, safe_mode=True)
    except (ValueError, TypeError, OSError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise _refusal(
            f"The model cannot be loaded: {reason} A network with custom layers needs them registered "
            "with keras.saving.register_keras_serializable, and imported."
        ) from error
    return ServedModel(model, Conversion.load(Path(path)))
