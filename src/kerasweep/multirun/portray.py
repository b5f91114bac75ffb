"""Has workers record the models that a sweep is to keep, and their figures."""

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kerasweep.errors import RefusedError
from kerasweep.multirun.crew import TrialCrew
from kerasweep.results import Outcome, State
from kerasweep.sweep.portraits import Due
from kerasweep.terminal import say
from kerasweep.workers.pool import Died, WorkerPool
from kerasweep.workers.worker import Finished, Job, Recorded

TICK_SECONDS = 0.5


@dataclass
class _Portrait:
    """What is recorded of one seed. missing: parts that have not been recorded yet, or cannot be.

    is_end: whether nothing will be needed of it later.
    """

    due: Due
    missing: set[str]
    is_end: bool

    def end(self, part: str, reason: str | None) -> None:
        """A part has ended, for a reason where it failed. What the seed left goes last."""
        if reason is not None:
            say(f"note: the {part} of trial {self.due.number} cannot be recorded: {reason}")
            return
        self.missing.discard(part)
        if not self.missing and self.is_end:
            self.forget()

    def forget(self) -> None:
        if self.due.outcome.left is not None:
            Path(self.due.outcome.left).unlink(missing_ok=True)


def record_portraits(
    due: Sequence[Due],
    crew: TrialCrew,
    pool: WorkerPool | None,
    meanwhile: Callable[[], None],
    is_end: bool = True,
) -> None:
    """Record all; what fails is said, and tried again when the same command is.

    meanwhile: called once, while the first are under way. pool: may be None where none is due. is_end: of
    the sweep, not of a start that was stopped: then the test set waits, and the weights are kept for it.
    """
    if pool is None or not due:
        meanwhile()
        return
    waiting: deque[tuple[_Portrait, str, tuple[str, Any]]] = deque()
    for one in due:
        portrait = _Portrait(one, set(), is_end)
        try:
            jobs = crew.portrait_jobs(one, is_end)
        except RefusedError:
            say(f"note: the run of trial {one.number} was deleted: its model cannot be recorded")
            portrait.forget()
            continue
        portrait.missing |= set(jobs)
        if not jobs and is_end:
            portrait.forget()
        waiting.extend((portrait, part, job) for part, job in jobs.items())
    under_way: dict[int, tuple[_Portrait, str]] = {}
    is_called = False
    while waiting or under_way:
        for worker in pool.free()[: len(waiting)]:
            portrait, part, (function, payload) = waiting.popleft()
            number = -1 - len(waiting)
            pool.submit(worker, Job(number, function, payload))
            under_way[number] = portrait, part
        if under_way and not is_called:
            is_called = True
            meanwhile()
        ended = _next_end(pool, crew)
        if ended is not None:
            portrait, part = under_way.pop(ended[0])
            with suppress(RefusedError):  # the user deleted the run
                crew.write(portrait.due.outcome.run_id)
            portrait.end(part, ended[1])


def _next_end(pool: WorkerPool, crew: TrialCrew) -> tuple[int, str | None] | None:
    """The job that ends, with the reason where it fails; None where something else happens, or nothing."""
    found = pool.next_event(TICK_SECONDS)
    event: Any = found[1] if found else None
    if isinstance(event, Recorded):
        with suppress(RefusedError):  # the user deleted the run
            crew.record(event.run_id, event.entry)
    elif isinstance(event, Finished):
        outcome: Outcome = event.result
        return event.job, None if outcome.state == State.COMPLETE else outcome.reason or outcome.state
    elif isinstance(event, Died):
        return event.job, event.reason
    return None
