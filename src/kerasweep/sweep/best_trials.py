"""Ranks the complete trials of a sweep, and the repeats of a trial."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from kerasweep.config.schemas import REPEATED_KEYS
from kerasweep.results import DECIMALS, Outcome, sign_of
from kerasweep.search.ledger import clean_params
from kerasweep.search.sweep import Sweep
from kerasweep.space.rows import Params
from kerasweep.space.space import signature

MAX_FRONT = 20


def best_trials(sweep: Sweep) -> list[FrozenTrial]:
    """Returns the complete trials, the best first; with several objectives, the Pareto front.

    Where a seed or a split is an axis, trials that differ in it alone are repeats: they stand together, by
    their mean. In a grid, a configuration with fewer repeats than others comes last.
    """
    if len(sweep.directions) > 1:
        return sweep.study.best_trials
    return [trial for repeats in ranked_configurations(sweep) for trial in repeats]


def best_value(sweep: Sweep) -> float | None:
    """Returns the first objective of the best configuration, None if no trial is complete.

    Its mean where a seed or a split is an axis; with several objectives, the best one of the Pareto front.
    """
    if len(sweep.directions) > 1:
        sign = sign_of(sweep.directions[0])
        values = [trial.values[0] for trial in sweep.study.best_trials]
        return max(values, key=lambda value: sign * value, default=None)
    ranked = ranked_configurations(sweep)
    return mean_of(ranked[0]) if ranked else None


def ranked_configurations(sweep: Sweep) -> list[list[FrozenTrial]]:
    """Returns the complete trials of each configuration, the best configuration and its best trial first."""
    sign = -sign_of(sweep.directions[0])
    configurations: dict[Any, list[FrozenTrial]] = {}
    for trial in sweep.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        name = signature(compared_params(sweep, trial)) if sweep.has_repeated_axis else trial.number
        configurations.setdefault(name, []).append(trial)
    most = most_repeats(sweep, configurations.values())

    # Rounded: a mean's last digit depends on the order of its values.
    def rank(trial: FrozenTrial) -> tuple[float, int]:
        return round(sign * trial.values[0], DECIMALS), trial.number

    def rank_of_mean(repeats: list[FrozenTrial]) -> tuple[bool, float, int]:
        first = min(trial.number for trial in repeats)
        return len(repeats) < most, round(sign * mean_of(repeats), DECIMALS), first

    return sorted((sorted(repeats, key=rank) for repeats in configurations.values()), key=rank_of_mean)


def most_repeats(sweep: Sweep, configurations: Iterable[Sequence[FrozenTrial]]) -> int:
    """Returns how many repeats a configuration needs to win; 0 where a sampler draws them by chance."""
    return max(map(len, configurations), default=0) if sweep.sampler.name == "grid" else 0


def mean_of(repeats: Sequence[FrozenTrial]) -> float:
    """Returns the mean of the first objective."""
    return statistics.fmean(trial.values[0] for trial in repeats)


def compared_params(sweep: Sweep, trial: FrozenTrial) -> Params:
    """Returns a trial's configuration without seeds and splits."""
    params = clean_params(sweep.space, trial)
    return {key: value for key, value in params.items() if key.lstrip("+") not in REPEATED_KEYS}


def best_repeat(sweep: Sweep, outcomes: Mapping[int, Outcome]) -> int:
    """Returns the repeat with the best first objective, the first among equals."""
    sign = sign_of(sweep.directions[0])
    return max(sorted(outcomes), key=lambda repeat: sign * outcomes[repeat].values[0])
