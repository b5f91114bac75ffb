"""Hosts a worker process on a node of a Ray cluster, for a driver on another machine."""

import os
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray

from kerasweep.data.arrays import Arrays
from kerasweep.data.shipped import keep_shipped
from kerasweep.workers.carried import Carried, carry
from kerasweep.workers.limits import Limits
from kerasweep.workers.pool import Event, WorkerPool
from kerasweep.workers.worker import Job


def _units(amount: float) -> int:
    """Returns an amount of a resource in Ray's smallest unit."""
    return round(amount * 10_000)


@dataclass(frozen=True)
class Share:
    """What each worker reserves of its node."""

    cpus: float
    gpus: float

    def fits(self, resources: Mapping[str, float]) -> int:
        """Returns how many workers fit on a node with these resources."""
        wanted = {"CPU": _units(self.cpus), "GPU": _units(self.gpus)}
        return min(_units(resources.get(name, 0.0)) // units for name, units in wanted.items() if units)


@dataclass(frozen=True)
class ShippedData:
    """A data set in the cluster's object store."""

    cfg: Any  # the group `data` that loads it
    digest: str
    arrays: Any  # Ray's reference

    def fetch(self) -> Arrays:
        """Returns the data set, in memory that this node's processes share."""
        arrays: Arrays = ray.get(self.arrays)
        return arrays


@dataclass(frozen=True)
class WorkerConfig:
    """What all workers of a sweep have in common."""

    folder: str | None  # the working directory, which each node has; None if Ray brings a copy of it
    variables: Mapping[str, str]  # environment variables, besides those of the node
    python_path: tuple[str, ...]  # where the driver finds modules
    prepare: str  # see `WorkerPool`
    shared: bytes  # see `WorkerPool`
    limits: Limits  # of each job
    data: Sequence[ShippedData] = ()  # what each node gets


class RayWorker:
    """A Ray actor with one worker process, which keeps limits and ends what jobs started, as elsewhere.

    Ray calls `events` in one thread and the other methods in another: it must be given two.
    """

    def __init__(self, setup: WorkerConfig) -> None:
        if setup.folder is not None:
            os.chdir(setup.folder)
        self._own_folder = Path.cwd() if setup.folder is None else None
        os.environ.update(setup.variables)
        before = [path for path in [os.environ.get("PYTHONPATH")] if path]  # with Ray's copies of modules
        os.environ["PYTHONPATH"] = os.pathsep.join([*before, *setup.python_path])
        sys.path.extend(path for path in setup.python_path if path not in sys.path)
        for data in setup.data:
            keep_shipped(data.cfg, data.digest, data.fetch)
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

    def events(self, seconds: float) -> list[Event | Carried]:
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
        events: list[Event | Carried] = []
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0 or events:
            event = self._pool.next_event(0.0 if events else left)
            if event is not None:
                events.append(event[1] if self._own_folder is None else carry(event[1], self._own_folder))
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
