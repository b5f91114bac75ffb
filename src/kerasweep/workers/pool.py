"""Runs a pool of worker processes: each does one job at a time, and is replaced when it dies."""

import math
import os
import pickle
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import Any

from kerasweep.errors import TrainingError
from kerasweep.workers.descendants import end_all
from kerasweep.workers.limits import Limits, exit_reason, rss_mb
from kerasweep.workers.process import WorkerProcess, start_process
from kerasweep.workers.template import has_template, template_has_ended
from kerasweep.workers.worker import Failed, Finished, Job, Ready, Recorded, Report, Started, run_worker

POLL_SECONDS = 0.2
EXIT_SECONDS = 2.0
MAX_FAILED_STARTS = 3
UNKNOWN_EXIT = 255  # multiprocessing's exit code for a process whose template died before it


@dataclass(frozen=True)
class JobFailed:
    """A job has ended without a result: its process died, or its function raised."""

    worker: int
    job: int
    reason: str  # a sentence without its full stop, for the user
    exceeded_limit: bool = False  # whether the pool ended the process for a limit that the user set


@dataclass(frozen=True)
class JobLost:
    """A job has ended with the machine of its worker, through no fault that is known."""

    worker: int
    job: int
    reason: str  # a sentence without its full stop, for the user


Event = Recorded | Report | Finished | JobFailed | JobLost


class WorkerPool:
    """Processes that do jobs; `next_event` returns what happens, one event at a time.

    Each process has one pipe to the driver, for its jobs, its messages and their answers. `next_event`
    waits, in the driver's own thread, for a message in a pipe or the end of a process, and checks the limits
    of jobs every POLL_SECONDS. When a process has ended, its pipe is read to the end before its job counts as
    dead, and another process takes its place.

    Args:
        variables: Gives each worker's environment variables, besides those of this process.
        prepare: `module:name` of a function that each new process calls with `shared`.
        shared: What all jobs have in common.
        limits: Of each job.
    """

    def __init__(
        self, variables: Callable[[int], Mapping[str, str]], prepare: str, shared: bytes, limits: Limits
    ) -> None:
        self.limits = limits
        self._variables = variables
        self._prepare = prepare
        self._shared = shared
        self._changed: deque[int] = deque()  # workers with a message to read, or that have ended
        self._checked = -math.inf
        self._workers: list[WorkerProcess] = []

    def start(self, count: int) -> None:
        """Starts this many processes. Raises TrainingError if one cannot be started; then none is left."""
        try:
            for number in range(count):
                self._workers.append(self._start(number))
        except BaseException:  # Ctrl-C too: the processes that did start must end
            self.stop()
            raise

    def __len__(self) -> int:
        return len(self._workers)

    def pids(self) -> list[int]:
        return [worker.pid for worker in self._workers]

    def free(self) -> list[int]:
        """Returns the workers that are ready for a job."""
        return [
            number
            for number, worker in enumerate(self._workers)
            if worker.is_ready and worker.job is None and worker.killed_for is None
        ]

    def submit(self, number: int, job: Job) -> None:
        """Gives a free worker its next job."""
        self._workers[number].give(job)

    def answer(self, number: int, stops: bool) -> None:
        """Answers a report that waits."""
        with suppress(OSError):  # the process has ended, which `next_event` reports
            self._workers[number].pipe.send(stops)

    def next_event(self, timeout: float) -> tuple[int, Event] | None:
        """Waits for the next event of any worker.

        Returns:
            The worker's number and the event; None when a new worker is free, or after `timeout` seconds.

        Raises:
            TrainingError: Three processes in a row ended before they were ready, or the template has ended,
                or no process can be started.
        """
        deadline = time.monotonic() + timeout
        while True:
            while self._changed:  # one message a turn, so that no worker waits for a talkative one
                number = self._changed.popleft()
                message = self._read(number)
                if isinstance(message, Ready):
                    return None
                if message is not None:
                    return number, message
            left = max(0.0, deadline - time.monotonic())
            self._check_limits()
            self._changed.extend(self._wait(min(POLL_SECONDS, left)))
            if left == 0 and not self._changed:
                return None

    def stop(self) -> None:
        """Ends every process, whatever it does."""
        end_all([worker.root for worker in self._workers if worker.process.exitcode is None])
        for worker in self._workers:
            worker.close()

    def _wait(self, timeout: float) -> list[int]:
        """Waits until workers send something or end, and returns their numbers.

        Exit codes are polled too: a process that a spawned worker forked keeps its sentinel open.
        """
        numbers: dict[Any, int] = {}
        for number, worker in enumerate(self._workers):
            numbers[worker.pipe] = numbers[worker.process.sentinel] = number
        changed = {numbers[ready] for ready in wait(list(numbers), timeout)}
        ended = {number for number, worker in enumerate(self._workers) if worker.process.exitcode is not None}
        return sorted(changed | ended)

    def _read(self, number: int) -> Ready | Event | None:
        """Reads one message of a worker, or replaces the worker if it has ended and sent no more."""
        worker = self._workers[number]
        # Read before the pipe is: the last message precedes the end.
        has_ended = worker.process.exitcode is not None
        try:
            if not worker.pipe.poll():
                return self._end(number) if has_ended else None
            packed = worker.pipe.recv_bytes()
        except (EOFError, OSError):  # in the middle of a message, too
            return self._end(number)
        try:
            message = pickle.loads(packed)
        except Exception as error:  # unpickling runs code of the user's classes, which may raise anything
            worker.kill(f"its message cannot be read: {type(error).__name__}: {error}")
            return None
        return self._take(number, message)

    def _take(self, number: int, message: Any) -> Ready | Event | None:
        worker = self._workers[number]
        if isinstance(message, Ready):
            worker.note_ready(message.pid)
            return message if worker.job is None else None
        if worker.job is None or worker.job.id != message.job:
            return None  # a process that an earlier job forked uses the pipe
        if isinstance(message, Started):
            worker.note_started()
            return None
        if isinstance(message, Failed):
            worker.end_job()
            return JobFailed(number, message.job, message.reason)
        if isinstance(message, Finished):
            worker.end_job()
            if rss_mb(worker.pid) > self.limits.max_idle_mb:  # TensorFlow never gives all of its memory back
                self._replace(number)
        return message

    def _end(self, number: int) -> JobFailed | None:
        """Replaces a worker that has ended; returns the end of its job, unless the next process can do it."""
        worker = self._workers[number]
        worker.process.join(EXIT_SECONDS)
        if worker.process.exitcode is None:
            worker.kill("it closed its connection to the sweep")
        code = worker.process.exitcode
        worker.close()
        is_template_gone = has_template() and template_has_ended(EXIT_SECONDS if code == UNKNOWN_EXIT else 0)
        if worker.killed_for is None and is_template_gone:
            raise TrainingError(
                "The process that workers are forked from has ended, and so have they: it was killed, or "
                "memory ran out. The running trials are not lost: the same command without study.fresh=true "
                "continues them."
            )
        if worker.next_failed_starts >= MAX_FAILED_STARTS:
            raise TrainingError(
                f"Workers ended before they were ready, {MAX_FAILED_STARTS} times in a row, the last one "
                f"because {exit_reason(code or 0)}: see above. Check that TensorFlow and the code of the "
                "targets can be imported, and that there is memory for it."
            )
        self._replace(number)
        self._workers[number].take_over(worker)
        if worker.job is None or worker.started is None:
            return None
        reason = worker.killed_for or exit_reason(code or 0)
        return JobFailed(number, worker.job.id, reason, worker.exceeded_limit)

    def _check_limits(self) -> None:
        now = time.monotonic()
        if now - self._checked < POLL_SECONDS:
            return
        self._checked = now
        for worker in self._workers:
            is_limited = worker.job is not None and worker.job.is_limited
            if worker.started is not None and is_limited and worker.killed_for is None:
                reason = self.limits.excess(worker.pid, now - worker.started)
                if reason is not None:
                    worker.exceeded_limit = True
                    worker.kill(reason)

    def _replace(self, number: int) -> None:
        self._workers[number].close()
        self._workers[number] = self._start(number)

    def _start(self, number: int) -> WorkerProcess:
        environment = {**os.environ, **self._variables(number)}
        return start_process(f"worker {number}", run_worker, (environment, self._prepare, self._shared))
