"""Has a worker record the model of a sweep's best trial, of its seed that did best, or of its front."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from optuna.trial import FrozenTrial, TrialState

from src.errors import RefusedError
from src.multirun.crew import TrialCrew
from src.outcome import Outcome
from src.sweep.channel import Call, Finished, Job
from src.sweep.ledger import RESULT, as_outcome, clean_params, known_seeds
from src.sweep.search import Sweep
from src.sweep.space.axis import Params
from src.sweep.summary import MOST_FRONT, best_seed, best_trials
from src.sweep.workers import Died, WorkerPool
from src.terminal import say
from src.trial.portrait import LEFT

TICK_SECONDS = 0.5


@dataclass(frozen=True)
class Due:
    """A seed of a best trial that left its weights, for a model to be made of them."""

    number: int
    params: Params
    repeat: int
    outcome: Outcome


def due_portraits(sweep: Sweep) -> list[Due]:
    """What is to be recorded of the best trials, unless another driver still trains: then that one does.

    What trials left that are not among the best is removed.
    """
    trials = sweep.study.get_trials(deepcopy=False)
    if any(trial.state is TrialState.RUNNING for trial in trials):
        return []
    best = best_trials(sweep)[: MOST_FRONT if len(sweep.directions) > 1 else 1]
    found = [_best_seed(sweep, trial) for trial in best]
    due = [one for one in found if one.outcome.left and Path(one.outcome.left, LEFT).exists()]
    kept = {one.outcome.left for one in due}
    for trial in trials:
        for outcome in _outcomes(trial):
            if outcome.left and outcome.left not in kept:
                Path(outcome.left, LEFT).unlink(missing_ok=True)
    return due


def _best_seed(sweep: Sweep, trial: FrozenTrial) -> Due:
    params = clean_params(sweep.space, trial)
    seeds = known_seeds(sweep.study, trial.number) if sweep.repeats > 1 else {}
    if not seeds:
        return Due(trial.number, params, 0, as_outcome(trial.user_attrs[RESULT]))
    repeat = best_seed(sweep, seeds)
    return Due(trial.number, params, repeat, seeds[repeat])


def _outcomes(trial: FrozenTrial) -> Iterator[Outcome]:
    """What stands in a trial's attributes of itself and of its seeds."""
    for value in trial.user_attrs.values():
        if isinstance(value, dict) and "run_id" in value:
            yield as_outcome(value)


def record_portraits(due: list[Due], crew: TrialCrew, pool: WorkerPool) -> None:
    """Record one after another; what fails is said, and tried again when the same command is."""
    for number, one in enumerate(due, 1):
        function, payload = crew.portrait_job(one.number, one.params, one.outcome, one.repeat)
        pool.submit(_free_worker(pool), Job(-number, function, payload))
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
