"""Lists the trials of a sweep with their results."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from optuna.trial import FrozenTrial

from kerasweep.results import State
from kerasweep.search.ledger import RESULT, clean_params, counts
from kerasweep.search.sweep import Sweep


@dataclass(frozen=True)
class TrialRow:
    """A trial of a sweep."""

    number: int
    state: str  # complete, pruned, failed, running or waiting
    values: tuple[float, ...]  # one per objective; empty for a failed trial
    params: Mapping[str, Any]  # the value of each axis by its short name, as in MLflow's tags
    overrides: tuple[str, ...]  # the same as on the command line
    seconds: float | None  # of training
    run_id: str | None  # MLflow's
    reason: str | None  # why it was pruned or failed


def trial_rows(sweep: Sweep, short_names: Mapping[str, str]) -> list[TrialRow]:
    """Returns the trials that count towards the total, by number.

    Args:
        sweep: The sweep.
        short_names: An axis's key -> its tag.
    """
    trials = sweep.study.get_trials(deepcopy=False)
    return [_row(sweep, short_names, trial) for trial in trials if counts(trial)]


def _row(sweep: Sweep, short_names: Mapping[str, str], trial: FrozenTrial) -> TrialRow:
    result, params = trial.user_attrs.get(RESULT, {}), clean_params(sweep.space, trial)
    name = trial.state.name
    return TrialRow(
        number=trial.number,
        state=str(State.of_optuna(name)) if trial.state.is_finished() else name.lower(),
        values=tuple(result.get("values") or trial.values or ()),
        params={short_names.get(key, key): value for key, value in sweep.shown_params(params).items()},
        overrides=tuple(sweep.space.overrides(params)),
        seconds=result.get("seconds"),
        run_id=result.get("run_id"),
        reason=result.get("reason"),
    )
