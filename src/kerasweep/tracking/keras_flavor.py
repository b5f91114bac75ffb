"""MLflow's flavor `keras`, whose models are served by kerasweep's own code.

MLflow's wrapper answers by `model.predict`, which takes milliseconds for a single image.
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

import kerasweep.serving
from kerasweep.serving import INPUT
from kerasweep.serving.pixels import Conversion

CODE, DATA = "code", "data"
SERVING = Path(kerasweep.serving.__file__).parent


def save_model(model: Any, path: str, mlflow_model: Any, conversion: Conversion, **options: Any) -> None:
    """Saves a model as mlflow.keras.save_model does, with the code that serves it; Model.log calls this.

    Args:
        model: A keras.Model.
        path: The folder to save into.
        mlflow_model: The mlflow.models.Model that describes it.
        conversion: How image files become its pixels.
        options: Further arguments of mlflow.keras.save_model.
    """
    import mlflow.keras
    from mlflow import pyfunc
    from mlflow.models.model import MLMODEL_FILE_NAME

    mlflow.keras.save_model(model, path, mlflow_model=mlflow_model, **options)
    conversion.save(Path(path, DATA))
    stock = mlflow_model.flavors.pop(pyfunc.FLAVOR_NAME)
    package = _copy_code(Path(path, CODE))
    pyfunc.add_to_model(
        mlflow_model,
        loader_module=f"{package}.model",
        code=CODE,
        data=DATA,
        conda_env=stock[pyfunc.ENV][pyfunc.EnvType.CONDA],
        python_env=stock[pyfunc.ENV][pyfunc.EnvType.VIRTUALENV],
    )
    mlflow_model.save(str(Path(path, MLMODEL_FILE_NAME)))


def make_signature(model: Any) -> Any:
    """Returns the mlflow.models.ModelSignature of a classifier.

    The input is an object, since for uint8 MLflow would cut 0.5 in JSON to 0 without a word, and refuse image
    files; the code that serves the model checks each value.
    """
    from mlflow.models import ModelSignature
    from mlflow.types.schema import Schema, TensorSpec

    images = TensorSpec(np.dtype(object), (-1,), INPUT)
    probabilities = TensorSpec(
        np.dtype(np.float32), [-1 if side is None else side for side in model.output_shape]
    )
    return ModelSignature(Schema([images]), Schema([probabilities]))


def describe_input(model: Any) -> str:
    """Describes the input for the model's metadata, where the signature cannot."""
    return f"uint8 {tuple(model.input_shape[1:])}: raw pixels from 0 to 255, or an image file"


def _copy_code(into: Path) -> str:
    """Copies the serving package; its name has a digest, since a process may load models of two versions."""
    files = {file.name: file.read_bytes() for file in sorted(SERVING.glob("*.py"))}
    digest = hashlib.sha256(repr(files).encode()).hexdigest()[:12]
    package = f"kerasweep_serving_{digest}"
    (into / package).mkdir(parents=True)
    for name, content in files.items():
        (into / package / name).write_bytes(content)
    return package
