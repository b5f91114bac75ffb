"""Hosts a worker process on a node of a Ray cluster, for a driver on another machine."""

import os
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

from kerasweep.workers.limits import Limits
from kerasweep.workers.pool import Event, WorkerPool
from kerasweep.workers.worker import Job


@dataclass(frozen=True)
class WorkerConfig:
    """What all workers of a sweep have in common."""

    folder: str  # the working directory, which each node has
    variables: Mapping[str, str]  # environment variables, besides those of the node
    python_path: tuple[str, ...]  # where the driver finds modules
    prepare: str  # see `WorkerPool`
    shared: bytes  # see `WorkerPool`
    limits: Limits  # of each job


class RayWorker:
    """A Ray actor with one worker process, which keeps limits and ends what jobs started, as elsewhere.

    Ray calls `events` in one thread and the other methods in another: it must be given two.
    """

    def __init__(self, setup: WorkerConfig) -> None:
        os.chdir(setup.folder)
        os.environ.update(setup.variables)
        os.environ["PYTHONPATH"] = os.pathsep.join(setup.python_path)
        sys.path.extend(path for path in setup.python_path if path not in sys.path)
        self._pool = WorkerPool(lambda _: {}, setup.prepare, setup.shared, setup.limits)
        self._waiting: Job | None = None
        self._lock = threading.Lock()

    def submit(self, job: Job) -> None:
        """Gives the process its next job, now or once it is ready: it may have been replaced."""
        with self._lock:
            self._waiting = job
            self._give()

    def answer(self, stops: bool) -> None:
        """Answers a report that waits."""
        self._pool.answer(0, stops)

    def events(self, seconds: float) -> list[Event]:
        """Returns the next events, none after this many seconds.

        The first call starts the process, and returns once that is ready.

        Raises:
            TrainingError: The process ended before it was ready, several times.
        """
        if not len(self._pool):
            self._pool.start(1)
            while not self._pool.free():
                self._pool.next_event(seconds)
            return []
        events: list[Event] = []
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0 or events:
            event = self._pool.next_event(0.0 if events else left)
            if event is not None:
                events.append(event[1])
                continue
            if events:
                break
            with self._lock:
                self._give()
        return events

    def _give(self) -> None:
        if self._waiting is not None and self._pool.free():
            self._pool.submit(0, self._waiting)
            self._waiting = None
