"""Which models are to be recorded at the end of a sweep: of its best trial and seed, or of its front."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from optuna.trial import FrozenTrial, TrialState

from kerasweep.results import LEFT, Outcome
from kerasweep.search.ledger import RESULT, as_outcome, clean_params, known_seeds
from kerasweep.search.sweep import Sweep
from kerasweep.space.axis import Params
from kerasweep.sweep.summary import MAX_FRONT, best_seed, best_trials


@dataclass(frozen=True)
class Due:
    """A seed of a best trial that left its weights, for a model to be made of them."""

    number: int
    params: Params
    repeat: int
    outcome: Outcome


def due_portraits(sweep: Sweep, jobs: Path | None = None) -> list[Due]:
    """What is to be recorded of the best trials, unless another driver still trains: then that one does.

    What trials left that are not among the best is removed, and what lies in the sweep's own folder of
    jobs although no trial names it: its driver died before that. The seeds of a trial that waits to be
    trained to its end are kept: it may be the best.
    """
    trials = sweep.study.get_trials(deepcopy=False)
    if any(trial.state is TrialState.RUNNING for trial in trials):
        return []
    best = best_trials(sweep)[: MAX_FRONT if len(sweep.directions) > 1 else 1]
    found = [_best_seed(sweep, trial) for trial in best]
    due = [one for one in found if one.outcome.left and Path(one.outcome.left).exists()]
    waiting = [trial.number for trial in trials if trial.state is TrialState.WAITING]
    seeds = [seed for number in waiting for seed in known_seeds(sweep.study, number).values()]
    kept = {outcome.left for outcome in (*(one.outcome for one in due), *seeds)}
    for trial in trials:
        for outcome in _outcomes(trial):
            if outcome.left and outcome.left not in kept:
                Path(outcome.left).unlink(missing_ok=True)
    for file in jobs.rglob(f"{LEFT}*") if jobs is not None else ():
        if str(file.absolute()) not in kept:
            file.unlink(missing_ok=True)
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
