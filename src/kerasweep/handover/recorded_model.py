"""Loads a recorded model by the id of its run or by its address in the registry."""

import math
import re
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from kerasweep.config.search import TrackingConf
from kerasweep.config.target import import_target
from kerasweep.errors import ConfigError, TrackingError
from kerasweep.results import State, sign_of
from kerasweep.serving.hub_layers import import_hub_layers
from kerasweep.serving.pixels import Conversion
from kerasweep.tracking.keras_model import download_model, find_model, has_model
from kerasweep.tracking.reader import find_runs, get_run
from kerasweep.tracking.registry import SCHEME, find_version
from kerasweep.tracking.run_record import RunRecord
from kerasweep.tracking.tags import read_objectives
from kerasweep.training.runtime import start_tensorflow

TARGET = "model.target"  # the param
# What a damaged archive raises while it is read.
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError)
# Keras's message about a class or function that is not registered.
_CUSTOM = re.compile(
    r"Could not locate (?:class|function) '(?P<name>\w+)'.*?'module': '(?P<module>[\w.]+)'", re.S
)


@dataclass(frozen=True)
class RecordedModel:
    """A Keras model from raw pixels to probabilities, and the run that trained it."""

    name: str  # "run ID", or the address of a version in the registry
    run: RunRecord
    model: Any  # keras.Model, uncompiled: (n, height, width, channels), 0..255, to float32 (n, classes)
    class_names: tuple[str, ...]  # of its outputs
    location: str  # of its files
    conversion: Conversion = Conversion()  # how image files become its pixels


def read_model(cfg: TrackingConf, name: str, imports_target: bool = False) -> RecordedModel:
    """Loads a model. No code that came with it runs.

    Args:
        cfg: Names the server or database, and the experiment.
        name: The id of a run or at least six of its first digits, or an address such as
            models:/digits@champion.
        imports_target: Whether to import the module of the run's `model.target`, found here, if the model
            has layers that only that module registers.

    Raises:
        TrackingError: There is no such run or model, the run is not complete, or its file cannot be loaded.
    """
    if name.startswith(SCHEME):
        version = find_version(cfg, name)
        if version.run_id is None:
            raise TrackingError(f"{name} was not registered from a run, so nothing says how it was trained.")
        run, location, name = get_run(cfg, version.run_id), version.location, version.uri
    else:
        run = get_run(cfg, name)
        name = f"run {run.run_id}"
        location = _find(cfg, run)
    with TemporaryDirectory() as folder:
        path, class_names = download_model(cfg, location, Path(folder))
        conversion = Conversion.load(path.parent)
        target = run.params.get(TARGET) if imports_target else None
        model = load_keras(path, name, target)
        return RecordedModel(name, run, model, tuple(class_names), location, conversion)


def load_keras(path: Path, name: str, target: str | None = None) -> Any:
    """Loads a `.keras` file, in Keras's safe mode.

    Args:
        path: The file.
        name: Names the model in the error.
        target: A function, as `package.module:function`, whose module may register the model's layers.

    Raises:
        TrackingError: It is damaged, needs layers that are not registered, or holds code.
    """
    _check_whole(path, name)  # HDF5 would crash
    start_tensorflow()
    import keras

    try:
        import_hub_layers(path)
        model = keras.models.load_model(path, compile=False, safe_mode=True)
    except ModuleNotFoundError as error:
        raise TrackingError(
            f"The model of {name} has layers of KerasHub, which is not installed. Install it, as in "
            "pip install 'kerasweep[hub]'."
        ) from error
    except (ValueError, TypeError, OSError, KeyError, AttributeError, ImportError, RecursionError) as error:
        if (lacking := _CUSTOM.search(str(error))) is not None:
            if target is not None:
                _import_module_of(target, name)
                return load_keras(path, name)
            layer, module = lacking["name"], lacking["module"]
            raise TrackingError(
                f"The model of {name} cannot be loaded: it needs {layer} of {module}, which Keras does not "
                "have. If that is your own code, src.export takes it with "
                f"custom_objects=[{module}:{layer}], and in Python you import it before "
                "keras.models.load_model. src.predict imports the module of the run's model.target, and "
                "src.promote takes no such model."
            ) from error
        reason = (str(error).strip() or type(error).__name__).partition("\n")[0]
        raise TrackingError(
            f"The model of {name} cannot be loaded: {reason} A network with custom layers "
            "needs them registered with keras.saving.register_keras_serializable, and imported."
        ) from error
    if not isinstance(getattr(model, "input_shape", None), tuple) or not isinstance(model, keras.Model):
        raise TrackingError(f"The model of {name} must take one batch of images, which it does not.")
    return model


def _import_module_of(target: str, name: str) -> None:
    """Imports the module of a recorded model.target, which registers the layers of its networks."""
    try:
        import_target(target)
    except ConfigError as error:
        raise TrackingError(
            f"The model of {name} cannot be loaded: it needs model.target. {error}"
        ) from error


def check_outputs(recorded: RecordedModel) -> None:
    """Raises TrackingError if a model does not give a probability for each of its class names."""
    expected = (None, len(recorded.class_names))
    if recorded.model.output_shape != expected:
        raise TrackingError(
            f"The model of {recorded.name} must give {expected} for its {len(recorded.class_names)} class "
            f"names, but gives {recorded.model.output_shape}. Export or promote another run."
        )


def _check_whole(path: Path, name: str) -> None:
    """Raises TrackingError if a byte of a `.keras` file has changed."""
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except _DAMAGE as error:
        raise TrackingError(f"The model of {name} cannot be loaded: its file is damaged: {error}.") from error
    if damaged is not None:
        raise TrackingError(f"The model of {name} cannot be loaded: its file is damaged in {damaged}.")


def _find(cfg: TrackingConf, run: RunRecord) -> str:
    """Returns the location of a run's model. Raises TrackingError if it is not complete, or has none."""
    if run.status == State.RUNNING.mlflow:
        raise TrackingError(f"The run {run.run_id} is not finished yet: its model is not complete.")
    state = run.tags.get("state", run.status.lower())
    if run.status != State.COMPLETE.mlflow:
        reason = f" ({run.tags['reason']})" if "reason" in run.tags else ""
        raise TrackingError(f"The run {run.run_id} is {state}{reason}: its model is not complete.")
    location = find_model(cfg, run.run_id)
    if location is None:
        raise TrackingError(_no_model(cfg, run))
    return location


def _no_model(cfg: TrackingConf, run: RunRecord) -> str:
    text = (
        f"The run {run.run_id} has no model: a sweep saves the model of its best trial, "
        "and with tracking.models=all that of every trial. src.rerun trains a run again and saves its model."
    )
    sweep = run.tags.get("sweep")
    siblings = find_runs(cfg, {"sweep": sweep}) if sweep else []
    for sibling in sorted(siblings, key=_best_first):
        if has_model(cfg, sibling.run_id):
            return f"{text} The run {sibling.run_id} of the same sweep has one."
    return text


def _best_first(run: RunRecord) -> float:
    _, direction = read_objectives(run.tags.get("objective", ""))[0]
    value = run.metrics.get("objective", math.nan)
    return math.inf if math.isnan(value) else -sign_of(direction) * value
