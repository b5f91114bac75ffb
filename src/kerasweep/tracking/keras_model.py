"""Saves Keras models in MLflow and loads them again."""

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from yaml import YAMLError

from kerasweep.config.search import TrackingConf
from kerasweep.errors import TrackingError, UnreachableError
from kerasweep.serving import INPUT
from kerasweep.serving.hub_layers import PACKAGE
from kerasweep.serving.pixels import Conversion
from kerasweep.tracking import keras_flavor
from kerasweep.tracking.client import import_mlflow, open_client
from kerasweep.tracking.location import resolve_uri
from kerasweep.tracking.retry import with_retries

MODEL, CLASSES = "model", "class_names"
KERAS_FILE = Path("data", "model.keras")
# What a file MLmodel of another program, or a damaged one, raises.
UNREADABLE = (AttributeError, KeyError, OSError, RecursionError, TypeError, ValueError, YAMLError)
REQUIRED = ("keras", "tensorflow", "numpy", "pillow")


@dataclass(frozen=True)
class LoggedModel:
    """A model that a run has logged."""

    model_id: str
    location: str  # of its files


def log_keras_model(
    client: Any, uri: str, run_id: str, model: Any, class_names: Sequence[str], conversion: Conversion
) -> None:
    """Logs a model that reads raw pixels, as mlflow.keras.log_model does in an active run.

    The requirements are listed, not inferred: MLflow would load the model in a new process for ten seconds.

    Args:
        client: An MlflowClient of `uri`.
        uri: The tracking URI.
        run_id: The run that keeps the model.
        model: A keras.Model.
        class_names: The names of its outputs, which its metadata keep.
        conversion: How image files become its pixels, which its server keeps.
    """
    import_flavor(uri)
    import mlflow
    from mlflow.models import Model

    mlflow.set_tracking_uri(uri)

    required = [*REQUIRED, *(["keras-hub"] if PACKAGE in model.to_json() else [])]

    def log_it() -> None:
        experiment = client.get_run(run_id).info.experiment_id
        # Model.log alone would create it in the active experiment.
        logged = client.create_logged_model(experiment, MODEL, source_run_id=run_id)
        Model.log(
            artifact_path=None,
            name=MODEL,
            flavor=keras_flavor,
            run_id=run_id,
            model_id=logged.model_id,
            model=model,
            conversion=conversion,
            signature=keras_flavor.make_signature(model),
            metadata={CLASSES: list(class_names), INPUT: keras_flavor.describe_input(model)},
            pip_requirements=[f"{package}=={version(package)}" for package in required],
        )

    with_retries(uri, log_it)


def import_flavor(uri: str) -> None:
    """Imports MLflow and its flavor `keras`."""
    import_mlflow(uri)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # MLflow warns about its own type hints
        import mlflow.keras
        import mlflow.pyfunc  # noqa: F401  (else it is imported later, and its warnings are shown)


def find_model(cfg: TrackingConf, run_id: str) -> str | None:
    """Returns the location of a run's newest complete model; None if it has none."""
    model = find_logged_model(cfg, run_id)
    return None if model is None else model.location


def find_logged_model(cfg: TrackingConf, run_id: str) -> LoggedModel | None:
    """Returns a run's newest complete model; None if it has none."""
    uri = resolve_uri(cfg.uri)
    return with_retries(uri, _newest, open_client(uri, create=False), run_id)


def has_model(cfg: TrackingConf, run_id: str) -> bool:
    """Whether a run has a model."""
    return find_model(cfg, run_id) is not None


def download_model(cfg: TrackingConf, location: str, into: Path) -> tuple[Path, list[str]]:
    """Copies a model into a local folder; returns its `.keras` file and its class names.

    No code of the model runs: the file is not loaded.

    Args:
        cfg: Names the server or database.
        location: Where the model is, see `find_model`.
        into: The folder.

    Raises:
        TrackingError: The model is gone, or another program made it.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        from mlflow.artifacts import download_artifacts
        from mlflow.exceptions import MlflowException
        from mlflow.models import Model

    uri = resolve_uri(cfg.uri)
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    try:
        folder = Path(
            with_retries(uri, download_artifacts, artifact_uri=location, dst_path=str(into), tracking_uri=uri)
        )
    except UnreachableError:
        raise
    except TrackingError as error:  # MLflow's first line does not say why
        reason = str(error.__cause__ or error).strip().splitlines()[-1]
        raise TrackingError(f"The files of the model at {location} cannot be read: {reason}") from error
    try:
        metadata = Model.load(str(folder)).metadata
        names = metadata[CLASSES] if isinstance(metadata, dict) else None
    except (*UNREADABLE, MlflowException) as error:
        raise TrackingError(f"The model at {location} has no readable file MLmodel: {error}") from error
    is_listed = isinstance(names, list) and all(isinstance(name, str) for name in names)
    if names is None or not is_listed or not (folder / KERAS_FILE).is_file():
        raise TrackingError(
            f"The model at {location} was not made by kerasweep: it has no {KERAS_FILE}, or no class names."
        )
    return folder / KERAS_FILE, list(names)


def _newest(client: Any, run_id: str) -> LoggedModel | None:
    from mlflow.exceptions import MlflowException

    # The client's list of artifacts would look for models in the global tracking URI.
    outputs = client.get_run(run_id).outputs
    for output in reversed(outputs.model_outputs if outputs else []):
        try:
            logged = client.get_logged_model(output.model_id)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            continue  # the user deleted it
        if logged.name == MODEL and str(logged.status) == "READY":
            return LoggedModel(str(logged.model_id), str(logged.artifact_location))
    return None
