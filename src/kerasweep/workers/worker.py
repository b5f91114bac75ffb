"""The worker process's side of a pool: it receives jobs over a pipe, does them, and sends messages back."""

import os
import pickle
import signal
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from multiprocessing.connection import Connection
from typing import Any

from kerasweep.workers.descendants import children, end_children
from kerasweep.workers.guardian import guard
from kerasweep.workers.signals import die_with_driver, ignore_signal


@dataclass(frozen=True)
class Job:
    """One piece of work."""

    id: int
    function: str  # `module:name`, called as function(payload, channel); its result is sent back
    payload: Any
    is_limited: bool = True  # whether the limits of time and memory hold for it


@dataclass(frozen=True)
class Ready:
    """The first message of a worker process: it is prepared and waits for a job."""

    pid: int


@dataclass(frozen=True)
class Started:
    """The worker has received a job. If it died before, another worker can do the job."""

    job: int


@dataclass(frozen=True)
class Recorded:
    """An entry for the driver to record in a run; see kerasweep.tracking.entries."""

    job: int
    run_id: str
    entry: Any


@dataclass(frozen=True)
class Report:
    """The end of an epoch."""

    job: int
    epoch: int  # from 1
    value: float | None  # the first objective, None where an epoch does not measure it
    waits: bool  # whether the worker waits for an answer


@dataclass(frozen=True)
class Finished:
    """The last message of a job: its result."""

    job: int
    result: Any


@dataclass(frozen=True)
class Failed:
    """The last message of a job whose function raised."""

    job: int
    reason: str  # a sentence without its full stop


class Channel:
    """Lets a job send messages to the driver; after the job's end it sends nothing."""

    def __init__(self, connection: Connection, job: int) -> None:
        self._connection = connection
        self._job = job
        self._is_open = True
        self._lock = threading.RLock()  # a job may report from several threads

    def record(self, run_id: str, entry: Any) -> None:
        """Asks the driver to record an entry, in the order of the calls, without waiting."""
        self._send(Recorded(self._job, run_id, entry))

    def report(self, epoch: int, value: float | None, waits: bool) -> bool:
        """Sends an epoch's value to the driver; True if the job should stop now."""
        with self._lock:
            self._send(Report(self._job, epoch, value, waits))
            if not self._is_open:
                return True
            return bool(self._connection.recv()) if waits else False

    def end(self, message: Finished | Failed) -> None:
        """Sends the job's last message. A thread that the job left behind cannot send or receive any more."""
        with self._lock:
            self._send(message)
            self._is_open = False

    def _send(self, message: Any) -> None:
        with self._lock:
            if self._is_open:
                self._connection.send(message)


def run_worker(connection: Connection, environment: Mapping[str, str], prepare: str, shared: bytes) -> None:
    """Makes this new process a worker, which does one job after another until its driver is gone.

    Args:
        connection: The pipe to the driver.
        environment: All environment variables, set before anything else is imported.
        prepare: `module:name` of a function that is called with `shared` before the first job.
        shared: What all jobs have in common.
    """
    os.environ.clear()
    os.environ.update(environment)
    guard(connection)
    # A user may send signals to all processes, but the driver decides on them.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, ignore_signal)
    die_with_driver()
    import_function(prepare)(shared)
    signal.signal(signal.SIGTERM, ignore_signal)
    do_jobs(connection)


def do_jobs(connection: Connection) -> None:
    """Does one job after another until the driver is gone."""
    try:
        connection.send(Ready(os.getpid()))
        while True:
            job: Job = connection.recv()
            connection.send(Started(job.id))
            _do(job, Channel(connection, job.id))
    except (EOFError, ConnectionError):
        return


def _do(job: Job, channel: Channel) -> None:
    before = set(children(os.getpid()))
    message: Finished | Failed
    try:
        message = Finished(job.id, import_function(job.function)(pickle.loads(job.payload), channel))
    except BaseException as error:
        message = Failed(job.id, f"{type(error).__name__}: {error}")
    end_children(kept=before)
    try:
        channel.end(message)
    except BaseException as error:  # the result cannot be packed
        channel.end(Failed(job.id, f"{type(error).__name__}: {error}"))


def import_function(path: str) -> Callable[..., Any]:
    """Returns the function that `module:name` names."""
    module, _, name = path.partition(":")
    function: Callable[..., Any] = getattr(import_module(module), name)
    return function
