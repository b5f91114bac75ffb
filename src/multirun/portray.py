"""Has workers record the models that a sweep is to keep, and their figures."""

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from src.errors import RefusedError
from src.multirun.crew import TrialCrew
from src.outcome import Outcome
from src.sweep.channel import Call, Finished, Job
from src.sweep.portraits import Due
from src.sweep.workers import Died, WorkerPool
from src.terminal import say

TICK_SECONDS = 0.5


def record_portraits(
    due: Sequence[Due], crew: TrialCrew, pool: WorkerPool | None, meanwhile: Callable[[], None]
) -> None:
    """Record all; what fails is said, and tried again when the same command is.

    meanwhile: called once, while the first are under way. pool: may be None where none is due.
    """
    if pool is None or not due:
        meanwhile()
        return
    parts = [(one, part) for one in due for part in crew.portrait_jobs(one)]
    waiting = deque(enumerate(parts, 1))
    under_way: dict[int, Due] = {}
    reasons: dict[int, str | None] = {}
    is_first = True
    while waiting or under_way:
        for worker in pool.free()[: len(waiting)]:
            number, (one, (function, payload)) = waiting.popleft()
            pool.submit(worker, Job(-number, function, payload))
            under_way[-number] = one
        if is_first and under_way:
            is_first = False
            meanwhile()
        for job, reason in _ended(pool, crew):
            one = under_way.pop(job)
            reasons[one.number] = reasons.get(one.number) or reason
    for one in due:
        _end(one, reasons[one.number])


def _ended(pool: WorkerPool, crew: TrialCrew) -> list[tuple[int, str | None]]:
    """The job that ends next, with the reason where it fails; empty where something else happens."""
    found = pool.next_event(TICK_SECONDS)
    event: Any = found[1] if found else None
    if isinstance(event, Call):
        with suppress(RefusedError):  # the user deleted the run
            crew.record(event)
    elif isinstance(event, Finished):
        outcome: Outcome = event.result
        return [(event.job, None if outcome.state == "complete" else outcome.reason or outcome.state)]
    elif isinstance(event, Died):
        return [(event.job, event.reason)]
    return []


def _end(due: Due, reason: str | None) -> None:
    """What was left goes last."""
    if reason is not None:
        say(f"note: the model of trial {due.number} is not recorded: {reason}")
    elif due.outcome.left is not None:
        Path(due.outcome.left).unlink(missing_ok=True)
