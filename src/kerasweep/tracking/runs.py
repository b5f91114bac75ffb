"""Writes runs to MLflow through its client: start, log, finish."""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from itertools import islice
from pathlib import Path
from typing import Any

from kerasweep.config.search import TrackingConf
from kerasweep.errors import UnreachableError
from kerasweep.results import State
from kerasweep.tracking.batch import Batch, metric_values, now
from kerasweep.tracking.connect import experiment_id, open_client
from kerasweep.tracking.keras_model import log_keras_model
from kerasweep.tracking.location import default_uri, resolve_uri
from kerasweep.tracking.patience import impatience, patiently
from kerasweep.tracking.recorder import Recorder
from kerasweep.tracking.source import git_diff, source_tags

__all__ = ["Tracker", "git_diff", "open_tracker", "source_tags"]

MAX_PER_BATCH, MAX_METRICS_PER_BATCH = 100, 800  # 1,000 in all
MAX_NAME_CHARACTERS = 250
MAX_PARAM_CHARACTERS = 6000
MAX_TAG_CHARACTERS = 8000


def open_tracker(cfg: TrackingConf) -> "Tracker":
    """Reach MLflow and create the database and the experiment where they are missing.

    Raises TrackingError where that fails; see `connect`.
    """
    uri = resolve_uri(cfg.uri)
    client = open_client(uri, create=True)
    experiment = experiment_id(client, uri, cfg.experiment, create=True)
    assert experiment is not None
    return Tracker(client, uri, experiment)


def _reopen(uri: str, experiment: str) -> "Tracker":
    return Tracker(open_client(uri, create=False), uri, experiment)


class Tracker(Recorder):
    """An open experiment that runs are written to; what MLflow refuses is raised as TrackingError.

    A server that has been waited for in vain is waited for no more: what is to be logged is refused at once.
    """

    def __init__(self, client: Any, uri: str, experiment: str) -> None:
        self.client = client
        self.uri = uri
        self.experiment_id = experiment
        self._lost: UnreachableError | None = None

    def __reduce__(self) -> Any:
        """Travels to another process as what it was opened from."""
        return _reopen, (self.uri, self.experiment_id)

    @property
    def is_default(self) -> bool:
        """Whether this is the database that commands use when they are told nothing."""
        return self.uri == default_uri()

    def start(
        self, name: str, tags: Mapping[str, str], params: Mapping[str, str], parent: str | None = None
    ) -> str:
        """Open a run and return its id. parent: the id of the run it is shown under.

        Names, tags and params longer than MLflow takes are cut.
        """
        nested = {**tags, "mlflow.parentRunId": parent} if parent else dict(tags)
        first = dict(islice(nested.items(), MAX_PER_BATCH))
        run = self._write(
            self.client.create_run,
            self.experiment_id,
            start_time=now(),
            run_name=_cut(name, MAX_NAME_CHARACTERS),
            tags={key: _cut(value, MAX_TAG_CHARACTERS) for key, value in first.items()},
        )
        run_id = str(run.info.run_id)
        rest = {key: value for key, value in nested.items() if key not in first}
        self.write(run_id, Batch(dict(params), rest))
        return run_id

    def write(self, run_id: str, batch: Batch) -> None:
        """Log all of that, in as few calls as MLflow takes it in."""
        from mlflow.entities import Metric, Param, RunTag

        params = [Param(key, _cut(value, MAX_PARAM_CHARACTERS)) for key, value in batch.params.items()]
        tags = [RunTag(key, _cut(value, MAX_TAG_CHARACTERS)) for key, value in batch.tags.items()]
        metrics = [Metric(one.name, one.value, one.timestamp, one.step) for one in batch.metrics]
        while params or tags or metrics:
            chunk = {
                "params": params[:MAX_PER_BATCH],
                "tags": tags[:MAX_PER_BATCH],
                "metrics": metrics[:MAX_METRICS_PER_BATCH],
            }
            self._write(self.client.log_batch, run_id, **chunk)
            params, tags = params[MAX_PER_BATCH:], tags[MAX_PER_BATCH:]
            metrics = metrics[MAX_METRICS_PER_BATCH:]

    def resume(self, run_id: str) -> None:
        """Show a closed run as running again."""
        self._write(self.client.update_run, run_id, status=State.RUNNING.mlflow)

    def log_epoch(self, run_id: str, epoch: int, metrics: Mapping[str, float]) -> None:
        self.write(run_id, Batch(metrics=metric_values(metrics, epoch)))

    def log_metrics(self, run_id: str, metrics: Mapping[str, float]) -> None:
        self.write(run_id, Batch(metrics=metric_values(metrics, 0)))

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        self.write(run_id, Batch(tags=dict(tags)))

    def log_dataset(
        self, run_id: str, name: str, digest: str, source: str, profile: Mapping[str, Any]
    ) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        is_code = source == name
        origin = {"tags": {"mlflow.source.name": name}} if is_code else {"uri": source}
        dataset = Dataset(
            name=name,
            digest=digest,
            source_type="code" if is_code else "local",
            source=json.dumps(origin),
            profile=json.dumps(dict(profile)),
        )
        context = InputTag("mlflow.data.context", "training")
        self._write(self.client.log_inputs, run_id, [DatasetInput(dataset, [context])])

    def log_text(self, run_id: str, text: str, path: str) -> None:
        self._write(self.client.log_text, run_id, _storable(text), path)

    def log_file(self, run_id: str, file: Path, folder: str) -> None:
        self._write(self.client.log_artifact, run_id, str(file), folder or None)

    def log_model(self, run_id: str, model: Any, class_names: Sequence[str]) -> None:
        with self._noting_loss():
            log_keras_model(self.client, self.uri, run_id, model, class_names)

    def wait(self) -> None:
        """Return once all is written: each call has returned only then."""

    def finish(self, run_id: str, state: str, reason: str | None = None) -> None:
        """Close a run as `complete`, `pruned`, `failed` or `cancelled`; the tags say so, and why.

        A server that was lost is asked once more: it may be back.
        """
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
        lost, self._lost = self._lost, None
        with impatience() if lost else nullcontext():
            self.set_tags(run_id, {"state": state, **({"reason": reason} if reason else {})})
            self._write(self.client.set_terminated, run_id, status=State(state).mlflow, end_time=now())

    def _write(self, call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        with self._noting_loss():
            return patiently(self.uri, call, *arguments, **options)

    @contextmanager
    def _noting_loss(self) -> Iterator[None]:
        if self._lost is not None:
            raise UnreachableError(str(self._lost))
        try:
            yield
        except UnreachableError as error:
            self._lost = error
            raise


def _cut(value: str, length: int) -> str:
    value = _storable(value)
    return value if len(value) <= length else value[: length - 1] + "…"


def _storable(text: str) -> str:
    """The text with what UTF-8 cannot hold written out: errors about odd file names carry such."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
