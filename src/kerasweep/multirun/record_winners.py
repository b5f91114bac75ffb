"""Gives workers the jobs that record the models, figures and test scores of a sweep's best trials."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kerasweep.config.search import TrackingConf
from kerasweep.errors import RefusedError
from kerasweep.multirun.trial_runs import WorkerTrialRuns
from kerasweep.results import Outcome, State
from kerasweep.sweep.best_repeats import Winner
from kerasweep.terminal import say
from kerasweep.tracking.reader import get_run
from kerasweep.workers.pool import JobFailed, WorkerPool
from kerasweep.workers.worker import Finished, Job, Recorded

TICK_SECONDS = 0.5
LOSER = "were deleted at an earlier end of the sweep, when another trial was the best"


@dataclass
class _Recording:
    """The parts of one winner that are being recorded."""

    winner: Winner
    missing: set[str]  # parts that are not recorded yet, or failed
    is_end: bool  # whether the weights are not needed later

    def end(self, part: str, reason: str | None) -> None:
        """Notes the end of a part, with a reason if it failed; deletes the weights after the last part."""
        if reason is not None:
            say(f"note: the {part} of trial {self.winner.number} cannot be recorded: {reason}")
            return
        self.missing.discard(part)
        if not self.missing and self.is_end:
            self.delete_weights()

    def delete_weights(self) -> None:
        if self.winner.outcome.weights is not None and self.winner.may_delete:
            Path(self.winner.outcome.weights).unlink(missing_ok=True)


def record_winners(
    winners: Sequence[Winner],
    trial_runs: WorkerTrialRuns,
    pool: WorkerPool | None,
    meanwhile: Callable[[], None],
    is_end: bool = True,
) -> None:
    """Records all winners. Prints each part that fails; the same command then tries it again.

    Args:
        winners: The repeats to record.
        trial_runs: Makes the jobs and records their results.
        pool: May be None if there are no winners.
        meanwhile: Called once, while the first jobs run.
        is_end: Whether the sweep is finished. If not, the winner is not tested and its weights stay.
    """
    waiting = deque(_missing_parts(winners, trial_runs, is_end))
    if pool is None or not waiting:
        meanwhile()
        return
    under_way: dict[int, tuple[_Recording, str]] = {}
    is_called = False
    while waiting or under_way:
        for worker in pool.free()[: len(waiting)]:
            recording, part, (function, payload) = waiting.popleft()
            number = -1 - len(waiting)
            pool.submit(worker, Job(number, function, payload, is_limited=False))
            under_way[number] = recording, part
        if under_way and not is_called:
            is_called = True
            meanwhile()
        ended = _next_end(pool, trial_runs)
        if ended is not None:
            recording, part = under_way.pop(ended[0])
            with suppress(RefusedError):  # the user deleted the run
                trial_runs.write(recording.winner.outcome.run_id)
            recording.end(part, ended[1])


def note_lost_weights(
    winners: Sequence[Winner], tracking: TrackingConf, has_repeated_axis: bool = True
) -> None:
    """Names the winners that this machine cannot record: their weights are on another one, or are gone.

    Args:
        winners: The best trials whose weights are not here.
        tracking: Where their runs are.
        has_repeated_axis: Whether a seed is an axis, so that a loser may have become the best.
    """
    for winner in winners:
        with suppress(RefusedError):  # the user deleted the run
            if "test_accuracy" not in get_run(tracking, winner.outcome.run_id).metrics:
                say(f"note: {_where_weights_are(winner, has_repeated_axis)}")


def _where_weights_are(winner: Winner, has_repeated_axis: bool) -> str:
    if winner.host is not None:
        return (
            f"the weights of trial {winner.number} are on {winner.host}: if no driver there records its "
            "model, start this command there once more"
        )
    if winner.adopted_from is not None:
        return (
            f"trial {winner.number} has no model and no test score: {winner.adopted_from} trained it, and "
            "kept the weights of its own best trial. To get both, train it again: "
            f"python -m src.rerun run_id={winner.outcome.run_id}"
        )
    file = winner.outcome.weights
    cause = LOSER if has_repeated_axis else f"are missing: there is no {file}"
    return f"trial {winner.number} has no model and no test score: its weights {cause}"


def _missing_parts(
    winners: Sequence[Winner], trial_runs: WorkerTrialRuns, is_end: bool
) -> Iterator[tuple[_Recording, str, tuple[str, Any]]]:
    """Yields each part that a winner's run lacks, with its job; deletes weights that no part needs."""
    for winner in winners:
        recording = _Recording(winner, set(), is_end)
        try:
            jobs = trial_runs.winner_jobs(winner, is_end)
        except RefusedError:
            say(f"note: the run of trial {winner.number} was deleted: its model cannot be recorded")
            recording.delete_weights()
            continue
        recording.missing |= set(jobs)
        if not jobs and is_end:
            recording.delete_weights()
        yield from ((recording, part, job) for part, job in jobs.items())


def _next_end(pool: WorkerPool, trial_runs: WorkerTrialRuns) -> tuple[int, str | None] | None:
    """Returns a job that ended and why it failed; None if no job ended."""
    _, event = pool.next_event(TICK_SECONDS) or (None, None)
    if isinstance(event, Recorded):
        with suppress(RefusedError):  # the user deleted the run
            trial_runs.record(event.run_id, event.entry)
    elif isinstance(event, Finished):
        outcome: Outcome = event.result
        return event.job, None if outcome.state == State.COMPLETE else outcome.reason or outcome.state
    elif isinstance(event, JobFailed):
        return event.job, event.reason
    return None
