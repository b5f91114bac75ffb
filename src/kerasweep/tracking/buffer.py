"""Buffers entries and writes them together: a call of MLflow takes longer than a small epoch."""

import time
from collections.abc import Callable

from kerasweep.errors import RefusedError
from kerasweep.tracking.entries import Entry, Metrics, Params, Tags, Values, single_values
from kerasweep.tracking.recorder import Recorder
from kerasweep.tracking.writer import Tracker

MAX_SECONDS = 5.0  # the driver needs the processor that the trials of small networks need


class BufferedRecorder(Recorder):
    """Records many runs; metrics, tags and params of a run wait up to MAX_SECONDS to be written together.

    An entry that comes later than that after the last write is written at once. Artifacts never wait.
    """

    def __init__(self, tracker: Tracker, clock: Callable[[], float] = time.monotonic) -> None:
        self._tracker = tracker
        self._clock = clock
        self._waiting: dict[str, list[Values]] = {}
        self._written: dict[str, float] = {}

    def write(self, run_id: str, entry: Entry) -> None:
        if not isinstance(entry, Metrics | Tags | Params):
            self._tracker.write(run_id, entry)
            return
        self._written.setdefault(run_id, self._clock())
        self._waiting.setdefault(run_id, []).append(entry)
        self._flush_if_due(run_id)

    def flush(self, run_id: str) -> None:
        """Writes the waiting entries of a run, at its end.

        Raises:
            RefusedError: MLflow refuses some of them; the others are written.
            TrackingError: MLflow cannot be used; all of them still wait.
        """
        self._flush(run_id)
        self._written.pop(run_id, None)

    def flush_due(self) -> dict[str, str]:
        """Writes entries that have waited long enough; returns the reason of a refusal by run."""
        refused = {}
        for run_id in list(self._waiting):
            try:
                self._flush_if_due(run_id)
            except RefusedError as error:
                refused[run_id] = str(error)
        return refused

    def flush_all(self) -> None:
        """Writes the waiting entries of all runs; refused entries are dropped."""
        for run_id in list(self._waiting):
            try:
                self.flush(run_id)
            except RefusedError:
                continue

    def _flush_if_due(self, run_id: str) -> None:
        if self._clock() - self._written[run_id] >= MAX_SECONDS:
            self._written[run_id] = self._clock()
            self._flush(run_id)

    def _flush(self, run_id: str) -> None:
        """Writes the waiting entries of a run; they keep waiting if MLflow cannot be used."""
        entries = self._waiting.get(run_id, [])
        try:
            self._tracker.write_values(run_id, entries)
        except RefusedError:
            self._write_singly(run_id, entries)
        self._waiting.pop(run_id, None)

    def _write_singly(self, run_id: str, entries: list[Values]) -> None:
        """Writes each value in a call, since MLflow refuses whole calls, then raises the first refusal."""
        refusal = None
        for entry in entries:
            for value in single_values(entry):
                try:
                    self._tracker.write_values(run_id, [value])
                except RefusedError as error:
                    refusal = refusal or error
        if refusal is not None:
            del self._waiting[run_id]
            raise refusal
