"""A pool of worker processes, each warm, each with one job at a time, none of which can end the sweep."""

import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from pebble import ProcessExpired, ProcessPool

from kerasweep.errors import TrainingError
from kerasweep.workers.limits import Limits, is_timeout
from kerasweep.workers.memory import rss_mb, watch_memory
from kerasweep.workers.reception import Closed, Reception
from kerasweep.workers.signals import interrupts_blocked
from kerasweep.workers.template import has_template, template_has_ended, worker_context
from kerasweep.workers.worker import Call, Finished, Hello, Job, Report, start_worker, work

EXIT_SECONDS = 2.0
MAX_STILLBORN = 3


@dataclass(frozen=True)
class Died:
    """A worker process has ended, or its job's function raised. reason: a sentence's end for the user."""

    worker: int
    job: int
    reason: str


@dataclass
class _Slot:
    """One worker. job: what it does now. failure: what pebble says of that job, since failed_at."""

    pool: ProcessPool
    pid: int | None = None
    connection: Connection | None = None
    job: Job | None = None
    failure: BaseException | None = None
    failed_at: float = 0.0
    closed_at: float | None = None
    killed_for: str | None = None
    stillborn: int = 0


Event = Call | Report | Finished | Died


class WorkerPool:
    """`count` processes that do jobs and tell what happens, one event at a time.

    variables: the environment of each worker, set before anything else is imported. prepare:
    `module:name`, called with `shared` in each new process. (pebble starts, ends and replaces the
    processes, one pool a worker; messages come over a socket of each process's own, so that what a
    dying process said is whole or absent.)
    """

    def __init__(
        self,
        count: int,
        variables: Callable[[int], Mapping[str, str]],
        prepare: str,
        shared: bytes,
        limits: Limits,
    ) -> None:
        self.limits = limits
        self._variables = variables
        self._prepare = prepare
        self._shared = shared
        self._events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._reception = Reception(self._events, self._kill)
        self._stopping = threading.Event()
        self._slots = [_Slot(self._open(worker)) for worker in range(count)]
        if limits.memory_mb is not None:
            watch_memory(self._busy, limits.memory_mb, self._grown, self._stopping)

    def __len__(self) -> int:
        return len(self._slots)

    def free(self) -> list[int]:
        """The workers that are ready and have nothing to do."""
        return [worker for worker, slot in enumerate(self._slots) if slot.job is None and slot.connection]

    def submit(self, worker: int, job: Job) -> None:
        """Give a free worker its next job."""
        slot = self._slots[worker]
        assert slot.job is None
        slot.job, slot.failure, slot.closed_at, slot.killed_for = job, None, None, None
        try:
            self._schedule(slot, worker, job)
        except RuntimeError:  # its process was killed while it had nothing to do
            self._replace(worker)
            self._schedule(slot, worker, job)

    def _schedule(self, slot: _Slot, worker: int, job: Job) -> None:
        future = slot.pool.schedule(work, args=(job,), timeout=self.limits.timeout_seconds)

        def tell(ended: Future[None]) -> None:
            self._events.put((worker, job.id, ended.exception()))

        future.add_done_callback(tell)

    def answer(self, worker: int, stops: bool) -> None:
        """Answer a report that waits."""
        connection = self._slots[worker].connection
        if connection is not None:
            with suppress(OSError):  # it died meanwhile, which is an event of its own
                connection.send(stops)

    def next_event(self, timeout: float) -> tuple[int, Event] | None:
        """The next thing that a worker says or suffers.

        None where a worker has become free without a job, and after `timeout` seconds without anything.
        """
        deadline = time.monotonic() + timeout
        while True:
            self._revive()
            died = self._unsaid()
            if died is not None:
                return died.worker, died
            try:
                item = self._events.get(timeout=max(0.0, min(0.1, deadline - time.monotonic())))
            except queue.Empty:
                if time.monotonic() >= deadline:
                    return None
                continue
            event = self._take(item)
            if event is not None or (isinstance(item[1], Hello) and self._slots[item[0]].job is None):
                return event

    def _take(self, item: Any) -> tuple[int, Event] | None:
        worker, first, *rest = item
        slot = self._slots[worker]
        if isinstance(first, Hello):
            if slot.job is not None and slot.connection is not None:  # the process before it has ended
                slot.closed_at = slot.closed_at or time.monotonic()
            slot.pid, slot.connection, slot.stillborn = first.pid, rest[0], 0
            return None
        if isinstance(first, Closed):
            if slot.pid == first.pid:
                slot.connection = None
                slot.closed_at = time.monotonic()
            return None
        if isinstance(first, int):
            return self._ended(worker, first, rest[0])
        if slot.job is None or slot.job.id != first.job:
            if isinstance(first, Report) and first.waits:
                self.answer(worker, True)
            return None  # of a job that has ended, or was given up
        if isinstance(first, Finished):
            slot.job = None
            self._recycle(worker)
        return worker, first

    def _ended(self, worker: int, job: int, failure: BaseException | None) -> tuple[int, Event] | None:
        """What pebble says of a job's process. A failure waits until its last words have been heard."""
        slot = self._slots[worker]
        if slot.job is None or failure is None:
            return None
        if slot.job.id != job:
            if isinstance(failure, ProcessExpired):  # after its last job: the next one has not begun
                self._replace(worker)
                self._schedule(slot, worker, slot.job)
            return None
        if isinstance(failure, BrokenProcessPool):  # the process ended before it took the job
            self._replace(worker)
            self._schedule(slot, worker, slot.job)
            return None
        slot.failure, slot.failed_at = failure, time.monotonic()
        is_gone = isinstance(failure, ProcessExpired) or is_timeout(failure)
        if is_gone and slot.connection is not None and slot.closed_at is None:
            return None
        return self._give_up(worker)

    def _revive(self) -> None:
        """Start a worker again that ended without a job: while it was made ready, or killed from outside."""
        for worker, slot in enumerate(self._slots):
            if slot.job is not None or slot.connection is not None or slot.pool.active:
                continue
            slot.stillborn += 1
            if slot.stillborn >= MAX_STILLBORN:
                raise TrainingError(
                    f"Workers end before they are ready, {slot.stillborn} times in a row: see above. "
                    "Check that TensorFlow can be imported and that there is memory for it."
                )
            self._replace(worker)

    def _unsaid(self) -> Died | None:
        """A job whose process is gone and has been heard to the end.

        A child that the job forked holds the connection open: then the end is a while later.
        """
        now = time.monotonic()
        for worker, slot in enumerate(self._slots):
            if slot.job is None:
                continue
            if slot.failure is not None and slot.closed_at is not None:
                return self._give_up(worker)[1]
            if slot.failure is not None and now - slot.failed_at > EXIT_SECONDS:
                slot.pid, slot.connection = None, None
                return self._give_up(worker)[1]
            if slot.closed_at is not None and now - slot.closed_at > EXIT_SECONDS:
                self._replace(worker)  # pebble waits for ever for a process that exits with 0
                slot.failure = ProcessExpired("", 0, slot.pid or 0)
                return self._give_up(worker)[1]
        return None

    def _give_up(self, worker: int) -> tuple[int, Died]:
        """Raises TrainingError where all workers went with the template: that is no trial's fault."""
        slot = self._slots[worker]
        assert slot.job is not None and slot.failure is not None
        if slot.killed_for is None and has_template() and template_has_ended():
            raise TrainingError(
                "The process that workers fork off has ended, and they with it: it was killed, or memory ran "
                "out. The trials under way are not lost: the same command goes on with them."
            )
        died = Died(worker, slot.job.id, slot.killed_for or self.limits.reason(slot.failure))
        slot.job, slot.failure, slot.closed_at = None, None, None
        return worker, died

    def pids(self) -> list[int]:
        return [slot.pid for slot in self._slots if slot.pid is not None]

    def _grown(self, worker: int, used_mb: float) -> None:
        """End a worker whose job has outgrown its limit."""
        slot, limit = self._slots[worker], self.limits.memory_mb
        if slot.pid is not None and slot.killed_for is None:
            slot.killed_for = f"its process used {used_mb:.0f} MB, more than trial.memory_mb={limit:g}"
            with suppress(ProcessLookupError):
                os.kill(slot.pid, signal.SIGKILL)

    def _busy(self) -> list[tuple[int, int]]:
        """The workers that do a job, each with its process id."""
        slots = enumerate(self._slots)
        return [(worker, slot.pid) for worker, slot in slots if slot.job and slot.connection and slot.pid]

    def _recycle(self, worker: int) -> None:
        """Replace a worker that has grown: TensorFlow never gives all of its memory back."""
        pid = self._slots[worker].pid
        if pid is not None and rss_mb(pid) > self.limits.most_kept_mb:
            self._replace(worker)

    def _replace(self, worker: int) -> None:
        slot = self._slots[worker]
        slot.pool.stop()
        if slot.pid is not None:
            with suppress(ProcessLookupError):  # a worker that is ready goes on at SIGTERM
                os.kill(slot.pid, signal.SIGKILL)
        slot.pool.join()
        slot.pid, slot.connection, slot.closed_at = None, None, None
        slot.pool = self._open(worker)

    def _open(self, worker: int) -> ProcessPool:
        """A pool of one process, which starts at once."""
        pool = ProcessPool(
            max_workers=1,
            initializer=start_worker,
            initargs=(
                self._reception.address,
                self._reception.key,
                worker,
                {**os.environ, **self._variables(worker)},
                self._prepare,
                self._shared,
            ),
            context=worker_context(),  # type: ignore[arg-type]
        )
        try:
            with interrupts_blocked():
                _ = pool.active  # starts the pool's process and threads
        except BrokenProcessPool as error:
            raise TrainingError(
                "No worker process can be started. Check that there is memory for it, and that "
                "TensorFlow can be imported."
            ) from error
        return pool

    def _kill(self, worker: Hello, reason: str) -> None:
        slot = self._slots[worker.worker]
        if slot.pid == worker.pid:
            slot.killed_for = reason
        with suppress(ProcessLookupError):
            os.kill(worker.pid, signal.SIGKILL)

    def stop(self) -> None:
        """End every process, whatever it does."""
        self._stopping.set()
        for pid in self.pids():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for slot in self._slots:
            slot.pool.stop()
        for slot in self._slots:
            slot.pool.join()
        self._reception.close()
