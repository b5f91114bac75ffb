"""Runs jobs in threads of a few processes, so that one machine can have a thousand workers.

Each worker has a pipe of its own, over which it speaks the protocol of `kerasweep.workers.worker`: it gets a
pickled job, says that it has started, records, reports, and sends the result. It does not start Hydra's job.
"""

import multiprocessing
import pickle
import resource
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector

from kerasweep.config.target import import_target
from kerasweep.multirun.jobs import TrialJob
from kerasweep.results import Outcome
from kerasweep.tracking.recorder import RelayedRecorder
from kerasweep.workers.pool import Event
from kerasweep.workers.worker import Channel, Finished, Job, Started

WORKERS_PER_PROCESS = 200  # a new process is given at most 256 open files
FILES = 4096


class LightPool:
    """Workers that sleep; see `kerasweep.sweep.protocols.Pool`."""

    def __init__(self, count: int) -> None:
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(FILES, most), most))
        context = multiprocessing.get_context("forkserver")
        self._pipes: list[Connection] = []
        self._processes = []
        self._free = dict.fromkeys(range(count))
        self._changed: deque[int] = deque()
        self._selector = DefaultSelector()
        for begin in range(0, count, WORKERS_PER_PROCESS):
            ours, theirs = zip(
                *(context.Pipe() for _ in range(begin, min(count, begin + WORKERS_PER_PROCESS))), strict=True
            )
            process = context.Process(target=_work, args=(theirs,), daemon=True)
            process.start()
            self._processes.append(process)
            for number, pipe in enumerate(ours, start=begin):
                self._selector.register(pipe, EVENT_READ, number)
            self._pipes += ours

    def __len__(self) -> int:
        return len(self._pipes)

    def free(self) -> list[int]:
        return list(self._free)

    def submit(self, worker: int, job: Job) -> None:
        del self._free[worker]
        self._pipes[worker].send(replace(job, payload=pickle.dumps(job.payload)))

    def answer(self, worker: int, stops: bool) -> None:
        self._pipes[worker].send(stops)

    def next_event(self, timeout: float) -> tuple[int, Event] | None:
        while True:
            if not self._changed:
                self._changed.extend(key.data for key, _ in self._selector.select(timeout))
            if not self._changed:
                return None
            worker = self._changed.popleft()
            message = self._pipes[worker].recv()
            if isinstance(message, Started):
                continue
            if isinstance(message, Finished):
                self._free[worker] = None
            return worker, message

    def stop(self) -> None:
        for process in self._processes:
            process.terminate()
            process.join()


def _work(pipes: Sequence[Connection]) -> None:
    threads = [threading.Thread(target=_serve, args=(pipe,)) for pipe in pipes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _serve(pipe: Connection) -> None:
    """Does one job after another until the driver has gone."""
    while True:
        try:
            job: Job = pipe.recv()
        except EOFError:
            return
        pipe.send(Started(job.id))
        channel = Channel(pipe, job.id)
        channel.end(Finished(job.id, _train(pickle.loads(job.payload), channel)))


def _train(job: TrialJob, channel: Channel) -> Outcome:
    def report(epoch: int, value: float | None) -> bool:
        return channel.report(epoch, value, job.waits)

    recorder = RelayedRecorder(channel.record, Path("unused"), _never)
    outcome: Outcome = import_target(job.target)(job.config, job.ref, recorder, report, Path("unused"))
    return outcome


def _never() -> None:
    raise AssertionError("no model is recorded")
