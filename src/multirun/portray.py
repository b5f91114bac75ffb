"""Has a worker record the models that a sweep is to keep."""

from collections.abc import Callable
from contextlib import suppress

from src.errors import RefusedError
from src.multirun.crew import TrialCrew
from src.outcome import Outcome
from src.sweep.channel import Call, Finished, Job
from src.sweep.portraits import Due
from src.sweep.workers import Died, WorkerPool
from src.terminal import say

TICK_SECONDS = 0.5


def record_portraits(
    due: list[Due], crew: TrialCrew, pool: WorkerPool | None, meanwhile: Callable[[], None]
) -> None:
    """Record one after another; what fails is said, and tried again when the same command is.

    meanwhile: called once, while the first is under way. pool: may be None where none is due.
    """
    if pool is None or not due:
        meanwhile()
        return
    for number, one in enumerate(due, 1):
        function, payload = crew.portrait_job(one)
        pool.submit(_free_worker(pool), Job(-number, function, payload))
        if number == 1:
            meanwhile()
        outcome = _outcome(pool, crew)
        if outcome.state != "complete":
            say(f"note: the model of trial {one.number} is not recorded: {outcome.reason}")


def _free_worker(pool: WorkerPool) -> int:
    while not pool.free():
        pool.next_event(TICK_SECONDS)
    return pool.free()[0]


def _outcome(pool: WorkerPool, crew: TrialCrew) -> Outcome:
    """What comes of the only job under way."""
    while True:
        found = pool.next_event(TICK_SECONDS)
        event = found[1] if found else None
        if isinstance(event, Call):
            with suppress(RefusedError):  # the user deleted the run
                crew.record(event)
        elif isinstance(event, Finished):
            outcome: Outcome = event.result
            return outcome
        elif isinstance(event, Died):
            return Outcome("failed", "", reason=event.reason)
