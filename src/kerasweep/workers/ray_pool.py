"""Runs a pool of workers on a Ray cluster: an actor each. Nodes may come and go."""

import math
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from kerasweep.errors import TrainingError
from kerasweep.terminal import say
from kerasweep.workers.carried import Carried, unpack
from kerasweep.workers.pool import MAX_FAILED_STARTS, Event, JobFailed, JobLost
from kerasweep.workers.ray_worker import RayWorker, Share, WorkerConfig
from kerasweep.workers.worker import Finished, Job

LOOK_SECONDS = 2.0  # between two looks at the nodes of the cluster
MAX_PAUSE_SECONDS = 60.0
POLL_SECONDS = 10.0  # an actor answers at least this often


@dataclass
class _Actor:
    """One worker."""

    handle: Any  # Ray's, of a RayWorker
    poll: Any  # Ray's reference to the events that the driver waits for
    is_ready: bool = False
    job: Job | None = None


class RayPool:
    """Workers on the nodes of a Ray cluster; `next_event` returns what happens, one event at a time.

    The cluster is looked at every LOOK_SECONDS: nodes that have joined get workers. A node that has gone
    costs the jobs of its workers, which are reported as lost.

    Args:
        setup: What all workers have in common.
        share: What each reserves of its node.
        max_workers: How many there may be, None for as many as fit. With a number, that many are requested
            from the start, so that a cluster that can grow does.
    """

    def __init__(self, setup: WorkerConfig, share: Share, max_workers: int | None) -> None:
        self._class = ray.remote(RayWorker).options(
            num_cpus=share.cpus, num_gpus=share.gpus, max_concurrency=2, max_restarts=0
        )
        self._setup = ray.put(setup)
        self._share = share
        self._max_workers = max_workers
        self._actors: list[_Actor | None] = []
        self._events: deque[tuple[int, Event | Carried]] = deque()
        self._folder = Path.cwd()  # for the files of nodes without it
        self._looked = -math.inf
        self._failed_starts = 0  # actors in a row that ended before they were ready
        self._said: set[str] = set()  # the warnings that the user knows
        self._adapt()

    def __len__(self) -> int:
        return len(self._actors)

    def free(self) -> list[int]:
        """Returns the workers that are ready for a job."""
        return [
            number for number, actor in enumerate(self._actors) if actor and actor.is_ready and not actor.job
        ]

    def submit(self, number: int, job: Job) -> None:
        """Gives a free worker its next job."""
        actor = self._of(number)
        actor.job = job
        actor.handle.submit.remote(job)

    def answer(self, number: int, stops: bool) -> None:
        """Answers a report that waits."""
        actor = self._actors[number]
        if actor is not None:  # else it has ended, which `next_event` reports
            actor.handle.answer.remote(stops)

    def next_event(self, timeout: float) -> tuple[int, Event] | None:
        """Waits for the next event of any worker.

        Returns:
            The worker's number and the event; None when a new worker is free, or after `timeout` seconds.

        Raises:
            TrainingError: A worker process cannot be started, or the cluster has ended.
            OSError: A file that a worker sent cannot be written.
        """
        deadline = time.monotonic() + timeout
        while not self._events:
            self._adapt()
            left = max(0.0, deadline - time.monotonic())
            is_new = self._poll(left)
            if is_new or (left == 0 and not self._events):
                return None
        number, packed = self._events.popleft()
        event = unpack(packed, self._folder)
        actor = self._actors[number]
        if actor is not None and isinstance(event, Finished | JobFailed):
            actor.job = None  # only now: until its last event is read, a worker is not free
        return number, event

    def stop(self) -> None:
        """Ends every worker."""
        for actor in self._actors:
            if actor is not None:
                _kill(actor)
        ray.shutdown()

    def _of(self, number: int) -> _Actor:
        actor = self._actors[number]
        assert actor is not None
        return actor

    def _adapt(self) -> None:
        """Starts workers where nodes have room, and ends those that can no longer start."""
        pause = min(LOOK_SECONDS * 2**self._failed_starts, MAX_PAUSE_SECONDS)
        if time.monotonic() - self._looked < pause:
            return
        self._looked = time.monotonic()
        try:
            nodes = ray.nodes()
        except RayError as error:
            raise TrainingError(f"The Ray cluster has ended: {error}") from error
        room = sum(self._share.fits(node["Resources"]) for node in nodes if node["Alive"])
        if room == 0:
            self._warn(
                f"no node of the cluster has room for a worker, which needs trial.cpus={self._share.cpus:g} "
                f"and trial.gpus={self._share.gpus:g}; the sweep waits for one"
            )
        wanted = room if self._max_workers is None else self._max_workers
        places = [number for number, actor in enumerate(self._actors) if actor is None]
        missing = wanted - (len(self._actors) - len(places))
        for _ in range(missing):
            handle: Any = self._class.remote(self._setup)
            actor = _Actor(handle, handle.events.remote(POLL_SECONDS))
            if places:
                self._actors[places.pop(0)] = actor
            else:
                self._actors.append(actor)
        if missing < 0:
            self._end_surplus(-missing)

    def _end_surplus(self, count: int) -> None:
        """Ends workers that wait for a node: it has gone before the cluster said so."""
        waiting = [number for number, actor in enumerate(self._actors) if actor and not actor.is_ready]
        for number in waiting[::-1][:count]:
            _kill(self._of(number))
            self._actors[number] = None

    def _poll(self, timeout: float) -> bool:
        """Reads what workers have answered; returns whether one has become ready."""
        polls = {actor.poll: number for number, actor in enumerate(self._actors) if actor is not None}
        if not polls:
            time.sleep(min(timeout, LOOK_SECONDS))
            return False
        answered, _ = ray.wait(list(polls), num_returns=1, timeout=timeout)
        is_new = False
        for poll in answered:
            number = polls[poll]
            actor = self._of(number)
            try:
                events = ray.get(poll)
            except RayError as error:
                self._lose(number, error)
                continue
            is_new = is_new or not actor.is_ready
            actor.is_ready, self._failed_starts = True, 0
            actor.poll = actor.handle.events.remote(POLL_SECONDS)
            self._events.extend((number, event) for event in events)
        return is_new

    def _lose(self, number: int, error: RayError) -> None:
        """Forgets a worker whose actor has ended, with its node or alone, and reports its job as lost.

        Raises:
            TrainingError: No worker is left, and the last ones ended before they were ready.
        """
        actor = self._of(number)
        self._actors[number] = None
        _kill(actor)  # it may live, and only be out of reach
        reason = _reason(error)
        if actor.job is not None:
            text = f"its worker on the cluster has ended: {reason}"
            self._events.append((number, JobLost(number, actor.job.id, text)))
        if actor.is_ready:
            return
        self._failed_starts += 1
        if self._failed_starts >= MAX_FAILED_STARTS and not any(
            actor and actor.is_ready for actor in self._actors
        ):
            raise TrainingError(f"No worker starts on the Ray cluster: {reason}.")
        self._warn(f"a worker does not start on the cluster: {reason}")

    def _warn(self, sentence: str) -> None:
        if sentence not in self._said:
            say(f"note: {sentence}")
            self._said.add(sentence)


def _reason(error: RayError) -> str:
    """Returns the line of Ray's text that names the cause; the end of a traceback if the worker raised."""
    cause = error.cause if isinstance(error, RayTaskError) else error
    lines = str(cause).strip().splitlines() or [type(cause).__name__]
    has_raised = getattr(error, "actor_init_failed", False)
    return lines[-1 if has_raised else 0].strip().rstrip(".")


def _kill(actor: _Actor) -> None:
    with suppress(RayError, ValueError):
        ray.kill(actor.handle)
