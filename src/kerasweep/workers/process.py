"""Starts and ends a worker process, and holds its pipe and its job for the driver."""

import os
import pickle
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from kerasweep.errors import TrainingError
from kerasweep.workers.descendants import end_all
from kerasweep.workers.signals import interrupts_blocked
from kerasweep.workers.template import worker_context
from kerasweep.workers.worker import Job

MAX_SILENT_SECONDS = 30  # in the middle of a message


@dataclass
class WorkerProcess:
    """One worker process and its job."""

    process: BaseProcess
    pipe: Connection
    failed_starts: int = 0  # how many processes in a row, before this one, ended before they were ready
    worker: int | None = None  # the process id of the worker behind its guardian, None before it is ready
    job: Job | None = None
    started: float | None = None  # when the process received the job
    killed_for: str | None = None  # the reason, if the pool killed the process
    exceeded_limit: bool = False  # whether that reason is a limit of the job

    @property
    def is_ready(self) -> bool:
        return self.worker is not None

    @property
    def pid(self) -> int:
        """The process that does the jobs; before it is ready, its guardian."""
        return self.worker or self.root

    @property
    def root(self) -> int:
        """The process that was started: the worker's guardian."""
        assert self.process.pid is not None
        return self.process.pid

    @property
    def next_failed_starts(self) -> int:
        """The number of processes in a row, with this one, that ended before they were ready."""
        return 0 if self.is_ready else self.failed_starts + 1

    def give(self, job: Job) -> None:
        """Sends the next job to the process, which must be ready and free."""
        assert self.is_ready and self.job is None
        self.job, self.started = job, None
        self._send_job()

    def note_ready(self, pid: int) -> None:
        """Notes that the process can do jobs, and sends the one that its predecessor did not start."""
        self.worker = pid
        self._send_job()

    def note_started(self) -> None:
        """Notes that the process has received its job."""
        self.started = time.monotonic()

    def end_job(self) -> None:
        """Notes that the job has ended: the process is free."""
        self.job = None

    def take_over(self, ended: "WorkerProcess") -> None:
        """Takes the place of a process that has ended, with its job if that was not started."""
        self.failed_starts = ended.next_failed_starts
        if ended.started is None:
            self.job = ended.job

    def _send_job(self) -> None:
        """Sends the job, if there is one, packed: a payload that cannot be unpacked fails its job alone."""
        if self.job is not None:
            with suppress(OSError):  # the process has ended, which the pool notices
                self.pipe.send(replace(self.job, payload=pickle.dumps(self.job.payload)))

    def kill(self, reason: str) -> None:
        """Ends the process and all that it has started."""
        self.killed_for = self.killed_for or reason
        self._end()

    def close(self) -> None:
        """Ends the process with all that it has started, whatever they do, and the pipe."""
        self._end()
        self.process.join()
        self.pipe.close()

    def _end(self) -> None:
        if self.process.exitcode is None:
            end_all([self.root])


def start_process(name: str, function: Callable[..., None], arguments: tuple[Any, ...]) -> WorkerProcess:
    """Starts a process that calls function(pipe, *arguments).

    Raises:
        TrainingError: It cannot be started.
    """
    context: Any = worker_context()
    pipe, theirs = context.Pipe()
    process = context.Process(target=function, args=(theirs, *arguments), name=name)
    try:
        with interrupts_blocked():
            process.start()
    except (OSError, EOFError) as error:
        raise TrainingError(
            "No worker process can be started. Check that there is memory for it, and that "
            "TensorFlow can be imported."
        ) from error
    finally:
        theirs.close()
    # A read that waits longer for the rest of a message fails: its sender was stopped in the middle of it, or
    # has died while a process that it forked holds the pipe open.
    with socket.socket(fileno=os.dup(pipe.fileno())) as end:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", MAX_SILENT_SECONDS, 0))
    return WorkerProcess(process, pipe)
