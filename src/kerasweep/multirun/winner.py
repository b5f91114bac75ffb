"""Finds the best trials of a sweep, and has workers record their models, figures and test scores."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from kerasweep.errors import RefusedError
from kerasweep.multirun.crew import TrialCrew, Winner
from kerasweep.results import WEIGHTS, Outcome, State
from kerasweep.search.ledger import RESULT, as_outcome, clean_params, known_seeds
from kerasweep.search.sweep import Sweep
from kerasweep.sweep.summary import MAX_FRONT, best_seed, best_trials
from kerasweep.terminal import say
from kerasweep.workers.pool import Died, WorkerPool
from kerasweep.workers.worker import Finished, Job, Recorded

TICK_SECONDS = 0.5


def due_winners(sweep: Sweep, jobs: Path | None = None) -> list[Winner]:
    """Returns the best seeds whose weights are to be recorded, and deletes the weights of all others.

    Weights of a trial that waits for its other seeds are kept: it may become the best. While another driver
    trains, nothing is due: that driver records the winner.

    Args:
        sweep: The sweep.
        jobs: The sweep's own folder of jobs, in which weights that no trial names are deleted too.
    """
    trials = sweep.study.get_trials(deepcopy=False)
    if any(trial.state is TrialState.RUNNING for trial in trials):
        return []
    best = best_trials(sweep)[: MAX_FRONT if len(sweep.directions) > 1 else 1]
    winners = [_best_seed(sweep, trial) for trial in best]
    due = [winner for winner in winners if _has_weights(winner.outcome)]
    waiting = [trial.number for trial in trials if trial.state is TrialState.WAITING]
    seeds = [seed for number in waiting for seed in known_seeds(sweep.study, number).values()]
    kept = {outcome.weights for outcome in (*(winner.outcome for winner in due), *seeds)}
    for trial in trials:
        for outcome in _outcomes(trial):
            if outcome.weights and outcome.weights not in kept:
                Path(outcome.weights).unlink(missing_ok=True)
    for file in jobs.rglob(f"{WEIGHTS}*") if jobs is not None else ():
        if str(file.absolute()) not in kept:
            file.unlink(missing_ok=True)
    return due


def _has_weights(outcome: Outcome) -> bool:
    return outcome.weights is not None and Path(outcome.weights).exists()


def _best_seed(sweep: Sweep, trial: FrozenTrial) -> Winner:
    params = clean_params(sweep.space, trial)
    seeds = known_seeds(sweep.study, trial.number) if sweep.repeats > 1 else {}
    if not seeds:
        return Winner(trial.number, params, 0, as_outcome(trial.user_attrs[RESULT]))
    repeat = best_seed(sweep, seeds)
    return Winner(trial.number, params, repeat, seeds[repeat])


def _outcomes(trial: FrozenTrial) -> Iterator[Outcome]:
    """Yields the stored outcomes of a trial and of its seeds."""
    for value in trial.user_attrs.values():
        if isinstance(value, dict) and "run_id" in value:
            yield as_outcome(value)


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
        if self.winner.outcome.weights is not None:
            Path(self.winner.outcome.weights).unlink(missing_ok=True)


def record_winners(
    winners: Sequence[Winner],
    crew: TrialCrew,
    pool: WorkerPool | None,
    meanwhile: Callable[[], None],
    is_end: bool = True,
) -> None:
    """Records all winners; a part that fails is named, and the same command tries it again.

    Args:
        winners: The seeds to record.
        crew: Makes the jobs and records their results.
        pool: May be None where there are no winners.
        meanwhile: Called once, while the first jobs run.
        is_end: Whether the sweep is finished. If not, the winner is not tested and its weights stay.
    """
    if pool is None or not winners:
        meanwhile()
        return
    waiting: deque[tuple[_Recording, str, tuple[str, Any]]] = deque()
    for winner in winners:
        recording = _Recording(winner, set(), is_end)
        try:
            jobs = crew.winner_jobs(winner, is_end)
        except RefusedError:
            say(f"note: the run of trial {winner.number} was deleted: its model cannot be recorded")
            recording.delete_weights()
            continue
        recording.missing |= set(jobs)
        if not jobs and is_end:
            recording.delete_weights()
        waiting.extend((recording, part, job) for part, job in jobs.items())
    under_way: dict[int, tuple[_Recording, str]] = {}
    is_called = False
    while waiting or under_way:
        for worker in pool.free()[: len(waiting)]:
            recording, part, (function, payload) = waiting.popleft()
            number = -1 - len(waiting)
            pool.submit(worker, Job(number, function, payload))
            under_way[number] = recording, part
        if under_way and not is_called:
            is_called = True
            meanwhile()
        ended = _next_end(pool, crew)
        if ended is not None:
            recording, part = under_way.pop(ended[0])
            with suppress(RefusedError):  # the user deleted the run
                crew.write(recording.winner.outcome.run_id)
            recording.end(part, ended[1])


def _next_end(pool: WorkerPool, crew: TrialCrew) -> tuple[int, str | None] | None:
    """Returns a job that ended and why it failed; None where no job ended."""
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
