"""Runs exported models, each in the runtime of its format."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kerasweep.handover.convert import PIXELS, PROBABILITIES
from kerasweep.handover.export_formats import Format


@dataclass(frozen=True)
class Tensor:
    """An input or an output, as the exported file itself declares it."""

    name: str
    dtype: str
    # None for any size.
    shape: tuple[int | None, ...]


@dataclass(frozen=True)
class Loaded:
    """An exported model that was loaded from its file."""

    input: Tensor
    output: Tensor
    # From uint8 (n, height, width, channels) to float32 (n, classes).
    predict: Callable[[np.ndarray], np.ndarray]


def load_exported(format: Format, folder: Path) -> Loaded:
    """Loads the model that `convert` wrote into a folder."""
    return _LOADERS[format.name](folder / format.file)


def _load_saved_model(path: Path) -> Loaded:
    import tensorflow as tf

    # The object owns the variables: without it they are gone.
    loaded = tf.saved_model.load(str(path))
    serve = loaded.signatures["serving_default"]
    pixels = serve.structured_input_signature[1][PIXELS]
    probabilities = serve.structured_outputs[PROBABILITIES]

    def predict(images: np.ndarray) -> np.ndarray:
        return np.asarray(loaded.serve(images)[PROBABILITIES])

    return Loaded(
        Tensor(PIXELS, pixels.dtype.name, tuple(pixels.shape)),
        Tensor(PROBABILITIES, probabilities.dtype.name, tuple(probabilities.shape)),
        predict,
    )


def _load_onnx(path: Path) -> Loaded:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (pixels,), (probabilities,) = session.get_inputs(), session.get_outputs()

    def predict(images: np.ndarray) -> np.ndarray:
        return np.asarray(session.run([probabilities.name], {pixels.name: images})[0])

    return Loaded(_onnx_tensor(pixels), _onnx_tensor(probabilities), predict)


def _onnx_tensor(declared: Any) -> Tensor:
    kind = declared.type.removeprefix("tensor(").removesuffix(")")
    shape = tuple(side if isinstance(side, int) else None for side in declared.shape)
    return Tensor(declared.name, {"float": "float32"}.get(kind, kind), shape)


def _load_litert(path: Path) -> Loaded:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path))
    runner = interpreter.get_signature_runner()
    (pixels,) = runner.get_input_details().items()
    (probabilities,) = runner.get_output_details().items()

    def predict(images: np.ndarray) -> np.ndarray:
        return np.asarray(runner(**{pixels[0]: images})[probabilities[0]])

    return Loaded(_litert_tensor(*pixels), _litert_tensor(*probabilities), predict)


def _litert_tensor(name: str, details: dict[str, Any]) -> Tensor:
    shape = tuple(None if side < 0 else int(side) for side in details["shape_signature"])
    return Tensor(name, np.dtype(details["dtype"]).name, shape)


_LOADERS: dict[str, Callable[[Path], Loaded]] = {
    "saved_model": _load_saved_model,
    "onnx": _load_onnx,
    "litert": _load_litert,
}
