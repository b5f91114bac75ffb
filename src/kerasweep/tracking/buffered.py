"""Writes what comes in quick succession together: a call of MLflow takes longer than a small epoch."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kerasweep.errors import RefusedError
from kerasweep.tracking.batch import Batch, metric_values
from kerasweep.tracking.recorder import Recorder
from kerasweep.tracking.runs import Tracker

LONGEST_SECONDS = 1.0


class BufferedRecorder(Recorder):
    """Records for many runs; metrics, tags and params of a run wait up to a second for what follows.

    An epoch that ends more than a second after the last write is written at once. Artifacts never wait.
    """

    def __init__(self, tracker: Tracker, clock: Callable[[], float] = time.monotonic) -> None:
        self._tracker = tracker
        self._clock = clock
        self._waiting: dict[str, Batch] = {}
        self._written: dict[str, float] = {}

    def log_params(self, run_id: str, params: Mapping[str, str]) -> None:
        """Log what a run was told to do."""
        self._batch(run_id).params.update(params)

    def log_epoch(self, run_id: str, epoch: int, metrics: Mapping[str, float]) -> None:
        self._batch(run_id).metrics += metric_values(metrics, epoch)
        self._write_if_due(run_id)

    def log_metrics(self, run_id: str, metrics: Mapping[str, float]) -> None:
        self._batch(run_id).metrics += metric_values(metrics, 0)

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        self._batch(run_id).tags.update(tags)

    def log_dataset(
        self, run_id: str, name: str, digest: str, source: str, profile: Mapping[str, Any]
    ) -> None:
        self._tracker.log_dataset(run_id, name, digest, source, profile)

    def log_text(self, run_id: str, text: str, path: str) -> None:
        self._tracker.log_text(run_id, text, path)

    def log_file(self, run_id: str, file: Path, folder: str) -> None:
        self._tracker.log_file(run_id, file, folder)

    def log_model(self, run_id: str, model: Any, class_names: Sequence[str]) -> None:
        self._tracker.log_model(run_id, model, class_names)

    def write(self, run_id: str) -> None:
        """Write what waits of a run, at its end.

        Raises RefusedError where MLflow takes not all of it; TrackingError where it cannot be used: then
        all of it still waits.
        """
        self._write(run_id)
        self._written.pop(run_id, None)

    def write_due(self) -> dict[str, str]:
        """Write what has waited for a second; of each run of which MLflow refuses some, why."""
        refused = {}
        for run_id in list(self._waiting):
            try:
                self._write_if_due(run_id)
            except RefusedError as error:
                refused[run_id] = str(error)
        return refused

    def write_all(self) -> None:
        """Write what waits of all runs; what MLflow refuses is dropped."""
        for run_id in list(self._waiting):
            try:
                self.write(run_id)
            except RefusedError:
                continue

    def _batch(self, run_id: str) -> Batch:
        self._written.setdefault(run_id, self._clock())
        return self._waiting.setdefault(run_id, Batch())

    def _write_if_due(self, run_id: str) -> None:
        if self._clock() - self._written[run_id] >= LONGEST_SECONDS:
            self._written[run_id] = self._clock()
            self._write(run_id)

    def _write(self, run_id: str) -> None:
        """What MLflow cannot take now stays: it drops what it is given twice."""
        batch = self._waiting.get(run_id)
        if batch is None:
            return
        try:
            self._tracker.write(run_id, batch)
        except RefusedError:
            self._write_entries(run_id, batch)
        del self._waiting[run_id]

    def _write_entries(self, run_id: str, batch: Batch) -> None:
        """MLflow takes all of a call or nothing: keep what it takes, and raise what it refuses first."""
        refused = None
        for entry in batch.entries():
            try:
                self._tracker.write(run_id, entry)
            except RefusedError as error:
                refused = refused or error
        if refused is not None:
            del self._waiting[run_id]
            raise refused
