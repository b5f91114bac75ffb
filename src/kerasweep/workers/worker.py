"""The worker's side of a sweep: connects to its driver, does one job after another, sends what they say."""

import os
import signal
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from multiprocessing.connection import Client, Connection
from typing import Any

from kerasweep.workers.signals import die_with_driver, go_on


@dataclass(frozen=True)
class Job:
    """One piece of work.

    function: `module:name`, called as function(payload, channel); what it returns is sent back.
    """

    id: int
    function: str
    payload: Any


@dataclass(frozen=True)
class Hello:
    """The first message of a worker process, once it is ready."""

    worker: int
    pid: int


@dataclass(frozen=True)
class Call:
    """Asks the driver to call a method of its tracker."""

    job: int
    name: str
    arguments: tuple[Any, ...]
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """An epoch's value of the first objective. waits: the worker stands still until it is answered."""

    job: int
    epoch: int
    value: float
    waits: bool


@dataclass(frozen=True)
class Finished:
    """A job's result, after everything else that it had to say."""

    job: int
    result: Any


class Channel:
    """What a job talks through."""

    def __init__(self, connection: Connection, job: int) -> None:
        self._connection = connection
        self._job = job

    def call(self, name: str, *arguments: Any, **options: Any) -> None:
        """Have the driver's tracker do it, in the order of the calls; nothing comes back."""
        self._send(Call(self._job, name, arguments, options))

    def report(self, epoch: int, value: float, waits: bool) -> bool:
        """Tell the driver an epoch's value; True where the job is to end itself."""
        with _lock:  # a thread that outlived its job must not take the answer of the next one
            self._connection.send(Report(self._job, epoch, value, waits))
            return bool(self._connection.recv()) if waits else False

    def finish(self, result: Any) -> None:
        self._send(Finished(self._job, result))

    def _send(self, message: Any) -> None:
        with _lock:
            self._connection.send(message)


_connection: Connection | None = None
_lock = threading.RLock()


def start_worker(
    address: str,
    key: bytes,
    worker: int,
    environment: Mapping[str, str],
    prepare: str,
    shared: bytes,
) -> None:
    """Make this new process a worker: its environment, its end with its parent, its connection.

    environment: the whole of it. prepare: `module:name` of a function that is called with `shared`
    before the first job.
    """
    global _connection
    os.environ.clear()
    os.environ.update(environment)
    # Ctrl-C, and what ends a whole group of processes, reaches this one too: the driver decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with_driver()
    import_function(prepare)(shared)
    signal.signal(signal.SIGTERM, go_on)
    _connection = Client(address, authkey=key)
    _connection.send(Hello(worker, os.getpid()))


def work(job: Job) -> None:
    """Do a job and send its result."""
    assert _connection is not None
    channel = Channel(_connection, job.id)
    channel.finish(import_function(job.function)(job.payload, channel))


def import_function(path: str) -> Callable[..., Any]:
    """The function that `module:name` names."""
    module, _, name = path.partition(":")
    function: Callable[..., Any] = getattr(import_module(module), name)
    return function
