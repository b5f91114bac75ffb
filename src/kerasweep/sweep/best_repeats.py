"""Finds the best trials of a sweep that are not fully recorded, and deletes the weights of all others."""

import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from optuna.trial import FrozenTrial, TrialState

from kerasweep.results import WEIGHTS, Outcome
from kerasweep.search.ledger import RESULT, as_outcome, attempts, clean_params, completed_repeats
from kerasweep.search.owner import OWNER
from kerasweep.search.sweep import Sweep
from kerasweep.space.rows import Params
from kerasweep.sweep.adopted_trials import ADOPTED
from kerasweep.sweep.best_trials import MAX_FRONT, best_repeat, best_trials
from kerasweep.sweep.weight_files import found, is_within


@dataclass(frozen=True)
class Winner:
    """The best repeat of one of the best trials."""

    number: int  # the trial's
    params: Params
    repeat: int
    outcome: Outcome  # names the file with its weights, an absolute path
    may_delete: bool = True  # whether that file lies in the sweep's folder
    host: str | None = None  # the other machine that keeps the weights, None if they are here, or lost
    adopted_from: str | None = None  # the sweep that trained it, None for this one


def due_winners(sweep: Sweep) -> list[Winner]:
    """Returns the best repeats with saved weights, whose model, figures or test score may be missing.

    While another driver trains, nothing is due: that driver records the winner.
    """
    if is_training(sweep):
        return []
    return [winner for winner in _winners(sweep) if _has_weights(winner.outcome)]


def lost_winners(sweep: Sweep) -> list[Winner]:
    """Returns the winners without saved weights: parts that their runs lack cannot be recorded any more.

    Where a seed is an axis, or where the trial was adopted, a loser may have become the best. Else another
    machine has the file, or someone removed it.
    """
    if is_training(sweep):
        return []
    without = [winner for winner in _winners(sweep) if not _has_weights(winner.outcome)]
    return [
        winner
        for winner in without
        if sweep.has_repeated_axis or winner.outcome.weights is not None or winner.adopted_from is not None
    ]


def delete_other_weights(sweep: Sweep, due: Sequence[Winner], is_end: bool = True) -> None:
    """Deletes the weights of all trials except the best ones; while a driver trains, none.

    Weights of a trial that waits for its other repeats are kept: it may become the best. Weights that no
    trial names are deleted, too, in a folder that is named after the sweep: no other one has jobs there.

    Args:
        sweep: The sweep.
        due: The result of `due_winners`: their weights are kept.
        is_end: Whether the sweep is finished. If not, and a seed is an axis, all weights are kept: seeds to
            come may change which trial wins.
    """
    trials = sweep.study.get_trials(deepcopy=False)
    if is_training(sweep) or (sweep.has_repeated_axis and not is_end):
        return
    waiting = [trial.number for trial in trials if trial.state is TrialState.WAITING]
    done = [outcome for number in waiting for outcome in completed_repeats(sweep.study, number).values()]
    # Another driver may have ended its training since `due_winners`, so there may be new winners.
    winners = [winner.outcome for winner in (*due, *_winners(sweep))]
    kept = {found(outcome, sweep.jobs).weights for outcome in (*winners, *done)}
    for trial in trials:
        for outcome in _outcomes(trial):
            file = found(outcome, sweep.jobs).weights
            if file and file not in kept and is_within(Path(file), sweep.jobs):
                Path(file).unlink(missing_ok=True)
    for unnamed in sweep.jobs.rglob(f"{WEIGHTS}*") if sweep.jobs.name == sweep.name else ():
        if str(unnamed) not in kept:
            unnamed.unlink(missing_ok=True)


def is_training(sweep: Sweep) -> bool:
    """Whether a driver still trains a trial."""
    return bool(sweep.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)))


def _winners(sweep: Sweep) -> list[Winner]:
    best = best_trials(sweep)[: MAX_FRONT if len(sweep.directions) > 1 else 1]
    return [_best_repeat(sweep, trial) for trial in best]


def _has_weights(outcome: Outcome) -> bool:
    return outcome.weights is not None and Path(outcome.weights).exists()


def _best_repeat(sweep: Sweep, trial: FrozenTrial) -> Winner:
    params = clean_params(sweep.space, trial)
    outcomes = completed_repeats(sweep.study, trial.number) if sweep.repeats > 1 else {}
    repeat = best_repeat(sweep, outcomes) if outcomes else 0
    outcome = outcomes[repeat] if outcomes else as_outcome(trial.user_attrs[RESULT])
    outcome = found(outcome, sweep.jobs)
    may_delete = outcome.weights is not None and is_within(Path(outcome.weights), sweep.jobs)
    host, adopted_from = _other_host(sweep, trial, outcome), trial.user_attrs.get(ADOPTED)
    return Winner(trial.number, params, repeat, outcome, may_delete, host, adopted_from)


def _other_host(sweep: Sweep, trial: FrozenTrial, outcome: Outcome) -> str | None:
    """Returns the machine that trained an outcome, if its job's folder is there and not here."""
    if outcome.weights is None or Path(outcome.weights).parent.exists():
        return None
    for attempt in attempts(sweep.study, trial.number):
        if any(trained.run_id == outcome.run_id for trained in _outcomes(attempt)):
            host = attempt.user_attrs.get(OWNER, {}).get("host")
            return None if host == socket.gethostname() else host
    return None


def _outcomes(trial: FrozenTrial) -> Iterator[Outcome]:
    """Yields the stored outcomes of a trial and of its repeats."""
    for value in trial.user_attrs.values():
        if isinstance(value, dict) and "run_id" in value:
            yield as_outcome(value)
