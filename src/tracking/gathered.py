"""Writes what comes in quick succession together: a call of MLflow takes longer than a small epoch."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from src.errors import RefusedError
from src.tracking.recorder import Recorder
from src.tracking.runs import Notes, Tracker, measured

LONGEST_SECONDS = 1.0


class Gathered(Recorder):
    """Records for many runs; numbers, tags and params of a run wait up to a second for what follows.

    What comes more than a second after the last is written at once. Artifacts never wait.
    """

    def __init__(self, tracker: Tracker, clock: Callable[[], float] = time.monotonic) -> None:
        self._tracker = tracker
        self._clock = clock
        self._notes: dict[str, Notes] = {}
        self._written: dict[str, float] = {}

    def log_params(self, run_id: str, params: Mapping[str, str]) -> None:
        """Log what a run was told to do."""
        self._note(run_id).params.update(params)

    def log_epoch(self, run_id: str, epoch: int, metrics: Mapping[str, float]) -> None:
        self._note(run_id).metrics += measured(metrics, epoch)
        self._write_if_due(run_id)

    def log_metrics(self, run_id: str, metrics: Mapping[str, float]) -> None:
        self._note(run_id).metrics += measured(metrics, 0)

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        self._note(run_id).tags.update(tags)

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
        """Write what waits of a run. Raises what MLflow refuses of it."""
        notes = self._notes.pop(run_id, None)
        self._written.pop(run_id, None)
        if notes is None:
            return
        try:
            self._tracker.write(run_id, notes)
        except RefusedError:
            self._write_singly(run_id, notes)

    def _write_singly(self, run_id: str, notes: Notes) -> None:
        """MLflow takes all of a call or nothing: keep what it takes, and raise what it refuses first."""
        refused = None
        for note in notes.singly():
            try:
                self._tracker.write(run_id, note)
            except RefusedError as error:
                refused = refused or error
        if refused is not None:
            raise refused

    def write_due(self) -> dict[str, str]:
        """Write what has waited for a second; of each run of which MLflow refuses it, why."""
        refused = {}
        for run_id in list(self._notes):
            try:
                self._write_if_due(run_id)
            except RefusedError as error:
                refused[run_id] = str(error)
        return refused

    def _note(self, run_id: str) -> Notes:
        self._written.setdefault(run_id, self._clock())
        return self._notes.setdefault(run_id, Notes())

    def _write_if_due(self, run_id: str) -> None:
        if self._clock() - self._written[run_id] >= LONGEST_SECONDS:
            self.write(run_id)
            self._written[run_id] = self._clock()
