"""Writes a run to MLflow from a process of its own, so that MLflow starts beside TensorFlow.

Each takes seconds to import, and within one process Python imports one after the other. That process is
asked in order and answers later: an error of MLflow's is raised at the next call, or by `wait`.
"""

import os
import shutil
import signal
import tempfile
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Any

from kerasweep.config.search import TrackingConf
from kerasweep.errors import TrackingError
from kerasweep.tracking.location import default_uri, resolve_uri
from kerasweep.tracking.recorder import Recorder
from kerasweep.tracking.runs import Tracker, open_tracker
from kerasweep.workers.signals import die_with_driver, go_on
from kerasweep.workers.template import has_template, worker_context

# TensorFlow, which MLflow needs to know what a Keras model is, computes nothing there.
IDLE = {"CUDA_VISIBLE_DEVICES": "", "TF_ENABLE_ONEDNN_OPTS": "0"}


def is_beside() -> bool:
    """Whether the command began a process for it."""
    return has_template()


def open_beside(cfg: TrackingConf) -> "Tracker | TrackerBeside":
    """As `open_tracker`, in the process that the command began for it; where it did not, in this one."""
    return TrackerBeside(cfg, worker_context()) if is_beside() else open_tracker(cfg)


class TrackerBeside(Recorder):
    """A Tracker in a process of its own. Raises what a Tracker raises, and TrackingError where it is gone."""

    def __init__(self, cfg: TrackingConf, context: BaseContext) -> None:
        self.uri = resolve_uri(cfg.uri)
        self._cfg = TrackingConf(uri=self.uri, experiment=cfg.experiment, models=cfg.models)
        self._files = tempfile.TemporaryDirectory()
        environment = {**os.environ, **IDLE}
        self._pool = ProcessPoolExecutor(1, context, initializer=_begin, initargs=(environment,))
        self._asked: deque[Future[Any]] = deque()
        try:
            self._ask(_open, self._cfg)
        except (EOFError, OSError) as error:  # what it forks off is gone
            self._close()
            raise _ended() from error

    @property
    def is_default(self) -> bool:
        """Whether this is the database that commands use when they are told nothing."""
        return self.uri == default_uri()

    def start(self, name: str, tags: Mapping[str, str], params: Mapping[str, str]) -> str:
        """Open a run and return its id."""
        started = self._ask(_call, "start", name, dict(tags), dict(params))
        try:
            self.wait()
        except TrackingError:
            self._close()
            raise
        if self._cfg.models != "none":
            self._ask(_import_flavor, self.uri)
        return str(started.result())

    def log_epoch(self, run_id: str, epoch: int, metrics: Mapping[str, float]) -> None:
        self._ask(_call, "log_epoch", run_id, epoch, dict(metrics))

    def log_metrics(self, run_id: str, metrics: Mapping[str, float]) -> None:
        self._ask(_call, "log_metrics", run_id, dict(metrics))

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        self._ask(_call, "set_tags", run_id, dict(tags))

    def log_dataset(
        self, run_id: str, name: str, digest: str, source: str, profile: Mapping[str, Any]
    ) -> None:
        self._ask(_call, "log_dataset", run_id, name, digest, source, dict(profile))

    def log_text(self, run_id: str, text: str, path: str) -> None:
        self._ask(_call, "log_text", run_id, text, path)

    def log_file(self, run_id: str, file: Path, folder: str) -> None:
        kept = self._folder() / Path(file).name
        shutil.copy(file, kept)
        self._ask(_call, "log_file", run_id, kept, folder)

    def log_figure(self, run_id: str, draw: Callable[[], Any], path: str) -> None:
        self._ask(_call, "log_figure", run_id, draw, path)

    def log_model(self, run_id: str, model: Any, class_names: Sequence[str]) -> None:
        file = self._folder() / "model.keras"
        model.save(file)
        saved = SavedModel(file, model.input_shape, model.output_shape)
        self._ask(_call, "log_model", run_id, saved, list(class_names))

    def wait(self) -> None:
        """Return once all is written."""
        while self._asked:
            self._hear()

    def finish(self, run_id: str, state: str, reason: str | None = None) -> None:
        """Close a run, whatever became of what was asked before, and end the process."""
        self._asked.clear()
        try:
            self._pool.submit(_call, "finish", run_id, state, reason).result()
        except BrokenProcessPool:
            open_tracker(self._cfg).finish(run_id, state, reason)
        finally:
            self._close()

    def _ask(self, function: Callable[..., Any], *arguments: Any) -> "Future[Any]":
        while self._asked and self._asked[0].done():
            self._hear()
        try:
            future = self._pool.submit(function, *arguments)
        except BrokenProcessPool as error:
            raise _ended() from error
        self._asked.append(future)
        return future

    def _hear(self) -> None:
        try:
            self._asked.popleft().result()
        except BrokenProcessPool as error:
            raise _ended() from error

    def _close(self) -> None:
        self._pool.shutdown()
        self._files.cleanup()

    def _folder(self) -> Path:
        return Path(tempfile.mkdtemp(dir=self._files.name))


def _ended() -> TrackingError:
    return TrackingError(
        "The process that writes to MLflow has ended, killed or for lack of memory. Run the command again."
    )


@dataclass(frozen=True)
class SavedModel:
    """A keras.Model that was saved: what MLflow asks of one, without the model.

    file: its `.keras` file. input_shape, output_shape: with None where any size goes.
    """

    file: Path
    input_shape: tuple[int | None, ...]
    output_shape: tuple[int | None, ...]

    def save(self, path: str) -> None:
        """As keras.Model.save does."""
        shutil.copyfile(self.file, path)


_tracker: Tracker | None = None


def _begin(environment: Mapping[str, str]) -> None:
    """Make a new process ready: it ends with the command, which alone decides on signals."""
    os.environ.clear()
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, go_on)
    die_with_driver()


def _open(cfg: TrackingConf) -> None:
    global _tracker
    _tracker = open_tracker(cfg)


def _call(name: str, *arguments: Any) -> Any:
    assert _tracker is not None
    return getattr(_tracker, name)(*arguments)


def _import_flavor(uri: str) -> None:
    """Now, while the network trains: keeping its model takes it."""
    from kerasweep.tracking.keras_model import import_flavor
    from kerasweep.training.runtime import import_tensorflow

    import_tensorflow()
    import_flavor(uri)
