"""Buffers entries and writes them together: a call of MLflow takes longer than a small epoch."""

import time
from collections.abc import Callable
from contextlib import nullcontext

from kerasweep.errors import RefusedError, StorageError, TrackingError
from kerasweep.tracking.entries import Entry, File, Metrics, Model, Params, Tags, Values, single_values
from kerasweep.tracking.recorder import Recorder
from kerasweep.tracking.spool import Spool
from kerasweep.tracking.writer import Tracker

MAX_SECONDS = 5.0  # the driver needs the processor that the trials of small networks need


class BufferedRecorder(Recorder):
    """Records many runs; metrics, tags and params of a run wait up to MAX_SECONDS to be written together.

    An entry that comes later than that after the last write is written at once. Artifacts wait only while
    MLflow cannot be used.

    Args:
        tracker: Writes to MLflow.
        spool: Keeps entries on disk that MLflow has not taken.
        clock: Tells the seconds.
    """

    def __init__(self, tracker: Tracker, spool: Spool, clock: Callable[[], float] = time.monotonic) -> None:
        self._tracker = tracker
        self._spool = spool
        self._clock = clock
        self._waiting: dict[str, list[Entry]] = {}
        self._written: dict[str, float] = {}

    def write(self, run_id: str, entry: Entry) -> None:
        """Writes an entry, or lets it wait.

        Raises:
            RefusedError: MLflow refuses it.
            TrackingError: It is a model, and MLflow cannot be used.
            OSError: The file of an artifact cannot be kept.
        """
        if isinstance(entry, Metrics | Tags | Params):
            self._written.setdefault(run_id, self._clock())
            self._waiting.setdefault(run_id, []).append(entry)
            self._flush_if_due(run_id)
            return
        try:
            self._tracker.write(run_id, entry)
        except RefusedError:
            raise
        except TrackingError:
            if isinstance(entry, Model):  # only a process with Keras can write it
                raise
            if isinstance(entry, File):
                entry = self._spool.adopt(run_id, entry)
            self._waiting.setdefault(run_id, []).append(entry)

    def flush(self, run_id: str) -> None:
        """Writes the waiting entries of a run, at its end, and the entries on disk.

        Raises:
            RefusedError: MLflow refuses some of them; the others are written.
            TrackingError: MLflow cannot be used; all of them still wait.
            StorageError: The entries on disk are damaged.
        """
        self._flush(run_id)
        self._written.pop(run_id, None)

    def flush_or_keep(self, run_id: str) -> bool:
        """Writes the waiting entries of a run, or keeps them on disk if MLflow cannot be used.

        Returns:
            Whether entries of the run are on disk now.

        Raises:
            RefusedError: MLflow refuses some of them; the others are written.
            OSError: They cannot be kept.
        """
        try:
            self.flush(run_id)
        except RefusedError:
            raise
        except TrackingError:
            entries = self._waiting.pop(run_id, [])
            if entries:
                self._spool.add(run_id, entries)
        return self._spool.has(run_id)

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
        """Writes the waiting entries of all runs, or keeps them on disk; refused entries are dropped.

        Raises:
            OSError: Those of some runs cannot be kept.
            StorageError: Earlier entries of some runs are damaged.
        """
        failure: OSError | StorageError | None = None
        for run_id in list(self._waiting):
            try:
                self.flush_or_keep(run_id)
            except RefusedError:
                continue
            except (OSError, StorageError) as error:
                failure = error
        if failure is not None:
            raise failure

    def replay(self) -> dict[str, str]:
        """Writes all entries on disk, of earlier drivers too; returns the reason of a refusal by run.

        Raises:
            TrackingError: MLflow cannot be used.
            StorageError: The entries on disk are damaged.
        """
        refused = {}
        for run_id in self._spool.runs():
            try:
                self._flush(run_id)
            except RefusedError as error:
                refused[run_id] = str(error)
        return refused

    def _flush_if_due(self, run_id: str) -> None:
        if self._clock() - self._written.setdefault(run_id, self._clock()) < MAX_SECONDS:
            return
        self._written[run_id] = self._clock()
        try:
            self._flush(run_id)
        except RefusedError:
            raise
        except TrackingError:  # they keep waiting
            return

    def _flush(self, run_id: str) -> None:
        """Writes the entries of a run on disk and in memory; they keep waiting if MLflow cannot be used."""
        waiting = self._waiting.get(run_id, [])
        is_on_disk = self._spool.has(run_id) or any(isinstance(entry, File) for entry in waiting)
        with self._spool.lock() if is_on_disk else nullcontext():
            entries = [*(self._spool.load(run_id) if is_on_disk else ()), *waiting]
            refusal = self._write(run_id, entries)
            self._waiting.pop(run_id, None)
            if is_on_disk:
                self._spool.remove(run_id, entries)
        if refusal is not None:
            raise refusal

    def _write(self, run_id: str, entries: list[Entry]) -> RefusedError | None:
        """Writes entries and returns the first refusal; the others are written nevertheless."""
        values = [entry for entry in entries if isinstance(entry, Metrics | Tags | Params)]
        refusal = None
        try:
            self._tracker.write_values(run_id, values)
        except RefusedError:
            refusal = self._write_singly(run_id, values)
        for entry in entries:
            if not isinstance(entry, Metrics | Tags | Params):
                try:
                    if isinstance(entry, File) and not entry.file.exists():
                        raise RefusedError(f"the file {entry.file} is gone")
                    self._tracker.write(run_id, entry)
                except RefusedError as error:
                    refusal = refusal or error
        return refusal

    def _write_singly(self, run_id: str, entries: list[Values]) -> RefusedError | None:
        """Writes each value in a call, since MLflow refuses whole calls; returns the first refusal."""
        refusal = None
        for entry in entries:
            for value in single_values(entry):
                try:
                    self._tracker.write_values(run_id, [value])
                except RefusedError as error:
                    refusal = refusal or error
        return refusal
