"""Copies what a run has recorded into another run."""

import os
import tempfile
from collections.abc import Mapping

from kerasweep.tracking.entries import Metrics
from kerasweep.tracking.retry import with_retries
from kerasweep.tracking.writer import Tracker

NOT_COPIED = ("state", "reason")  # these close a run


def copy_run(tracker: Tracker, source: str, run_id: str, tags: Mapping[str, str]) -> None:
    """Copies a run's metrics of all epochs, its data set, artifacts, model and those tags that are missing.

    A second copy into the same run changes nothing. The model is not copied: both runs refer to it.

    Args:
        tracker: Writes to MLflow.
        source: The run that is copied.
        run_id: The run that gets the copy, with its params and with tags of its own.
        tags: Further tags for it.

    Raises:
        TrackingError: MLflow cannot be used.
    """
    from mlflow.entities import LoggedModelOutput

    client, uri = tracker.client, tracker.uri
    run, own = with_retries(uri, client.get_run, source), with_retries(uri, client.get_run, run_id)
    histories = [with_retries(uri, client.get_metric_history, source, name) for name in run.data.metrics]
    metrics = [
        Metrics({point.key: point.value}, point.step, point.timestamp)
        for history in histories
        for point in history
    ]
    tracker.write_values(run_id, metrics)
    if run.inputs.dataset_inputs and not own.inputs.dataset_inputs:
        with_retries(uri, client.log_inputs, run_id, datasets=run.inputs.dataset_inputs)
    models = [output.model_id for output in run.outputs.model_outputs] if run.outputs else []
    if models and not (own.outputs and own.outputs.model_outputs):
        outputs = [LoggedModelOutput(model, step=0) for model in models]
        with_retries(uri, client.log_outputs, run_id, models=outputs)
    if with_retries(uri, client.list_artifacts, source):
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        with tempfile.TemporaryDirectory() as folder:
            with_retries(uri, client.download_artifacts, source, "", folder)
            with_retries(uri, client.log_artifacts, run_id, folder)
    missing = {
        name: text
        for name, text in run.data.tags.items()
        if name not in own.data.tags and name not in NOT_COPIED and not name.startswith("mlflow.")
    }
    tracker.set_tags(run_id, {**missing, **tags})
