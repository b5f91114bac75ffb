"""Converts a Keras model to the formats of src.export."""

import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kerasweep.errors import ConfigError
from kerasweep.handover.export_formats import Format

PIXELS, PROBABILITIES = "pixels", "probabilities"
UNSUPPORTED_ONNX = re.compile(r"No Op registered for (\w+)")
UNSUPPORTED_LITERT = re.compile(r"\btf\.(\w+)\(")


def with_names(model: keras.Model, image_shape: tuple[int, ...]) -> keras.Model:
    """Returns the model with an input and an output that have the same name in each format.

    Args:
        model: From raw pixels to probabilities (n, classes).
        image_shape: (height, width, channels).

    Returns:
        A model from uint8 `pixels` (n, height, width, channels) to a mapping with float32 `probabilities`.
    """
    pixels = keras.Input(image_shape, dtype="uint8", name=PIXELS)
    named = keras.Model(pixels, {PROBABILITIES: model(keras.ops.cast(pixels, "float32"))})
    named(np.zeros((1, *image_shape), np.uint8))  # Keras exports to ONNX only what was called
    return named


def convert(named: keras.Model, format: Format, folder: Path, calibration: np.ndarray | None) -> None:
    """Writes a model in a format.

    Args:
        named: See `with_names`.
        format: Its file is written into the folder.
        folder: An existing folder.
        calibration: Training images, uint8 (n, ...), whose activations give the ranges of int8; None for
            the numbers of the Keras model.

    Raises:
        ConfigError: The format lacks an operation of the model.
        OSError: The disk is full.
    """
    _CONVERTERS[format.name](named, folder / format.file, calibration)


def _to_saved_model(named: keras.Model, path: Path, calibration: np.ndarray | None) -> None:
    named.export(path, format="tf_saved_model", verbose=False)


def _to_onnx(named: keras.Model, path: Path, calibration: np.ndarray | None) -> None:
    import onnx

    from kerasweep.handover.onnx_erfc import register_erfc

    register_erfc()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of NumPy 2 about Keras's patch of tf2onnx
        named.export(path, format="onnx", verbose=False)
    try:
        onnx.checker.check_model(path)
    except onnx.checker.ValidationError as error:
        raise _unsupported("ONNX", UNSUPPORTED_ONNX, error) from error
    if calibration is not None:
        _quantize_onnx(path, calibration)


def _quantize_onnx(path: Path, calibration: np.ndarray) -> None:
    """Replaces a file by its quantized form, which is made of a form without batch normalization."""
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.images = iter(calibration)

        def get_next(self) -> dict[str, np.ndarray] | None:
            image = next(self.images, None)
            return None if image is None else {PIXELS: image[np.newaxis]}

    folded = path.with_suffix(".folded")
    quant_pre_process(path, folded, skip_symbolic_shape=True)
    quantize_static(
        folded,
        path,
        Reader(),
        op_types_to_quantize=["Conv", "MatMul", "Gemm"],
        # Sums of signed weights saturate on processors without VNNI.
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QUInt8,
    )
    folded.unlink()


def _to_litert(named: keras.Model, path: Path, calibration: np.ndarray | None) -> None:
    import tensorflow as tf
    from tensorflow.lite.python.convert_phase import ConverterError

    def images() -> Iterator[list[np.ndarray]]:
        assert calibration is not None
        yield from ([image[np.newaxis]] for image in calibration)

    # Others would need TensorFlow beside LiteRT.
    options: dict[str, Any] = {"target_spec": {"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]}}
    if calibration is not None:
        options |= {"optimizations": [tf.lite.Optimize.DEFAULT], "representative_dataset": images}
    try:
        named.export(path, format="litert", verbose=False, **options)
    except ConverterError as error:
        raise _unsupported("LiteRT", UNSUPPORTED_LITERT, error) from error


def _unsupported(name: str, pattern: re.Pattern[str], error: Exception) -> ConfigError:
    operations = ", ".join(dict.fromkeys(pattern.findall(str(error))))
    reason = operations or str(error).strip().partition("\n")[0]
    return ConfigError(f"{name} lacks an operation of this network: {reason}. Use format=saved_model.")


_CONVERTERS: dict[str, Callable[[keras.Model, Path, np.ndarray | None], None]] = {
    "saved_model": _to_saved_model,
    "onnx": _to_onnx,
    "litert": _to_litert,
}
