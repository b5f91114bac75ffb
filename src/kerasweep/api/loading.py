"""Loads a recorded model from Python."""

from typing import TYPE_CHECKING, cast

from kerasweep.api.caller import caller_kept
from kerasweep.config.search import TrackingConf
from kerasweep.handover.recorded_model import read_model

if TYPE_CHECKING:
    import keras


def load(run_id: str, tracking_uri: str | None = None, experiment: str = "kerasweep") -> "keras.Model":
    """Loads the model of a run, or of MLflow's registry.

    Args:
        run_id: The id of a run or at least six of its first digits, or an address such as
            models:/digits@champion.
        tracking_uri: MLflow's; None for $MLFLOW_TRACKING_URI, or mlruns/mlflow.db of the working directory.
        experiment: MLflow's.

    Returns:
        An uncompiled Keras model from raw pixels (n, height, width, channels), 0 to 255, to probabilities.

    Raises:
        TrackingError: There is no such run or model, or its file cannot be loaded.

    Example:
        >>> import kerasweep
        >>> model = kerasweep.load("models:/digits@champion")  # doctest: +SKIP
    """
    with caller_kept():
        recorded = read_model(TrackingConf(uri=tracking_uri, experiment=experiment), str(run_id))
    return cast("keras.Model", recorded.model)
