"""Shows samplers the configurations that cannot be trained as poor ones, so that they search elsewhere."""

import copy
import sys
from collections.abc import Callable

import numpy as np
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from kerasweep.results import sign_of
from kerasweep.search.study_view import ViewSampler


class PoorTrialsSampler(ViewSampler):
    """Wraps a sampler and shows it poor trials as complete ones, worse than every complete trial.

    Optuna's samplers do not look at failed trials, so they return to a region in which the loss diverges. A
    complete trial with a poor value is what TPE, CMA-ES and NSGA-II understand. In the storage the trial
    stays failed.

    Args:
        sampler: The sampler that suggests.
        is_poor: Whether a failed trial shows that its configuration is poor.
        min_complete: Poor trials stay hidden until this many trials are complete: CMA-ES would begin in the
            middle of a space that it knows nothing good of, and NSGA-II would breed from poor parents.
    """

    def __init__(
        self, sampler: BaseSampler, is_poor: Callable[[FrozenTrial], bool], min_complete: int
    ) -> None:
        super().__init__(sampler)
        self._is_poor = is_poor
        self._min_complete = min_complete

    def shown(self, study: Study, trial: FrozenTrial) -> list[FrozenTrial]:
        trials = study._get_trials(deepcopy=False)
        if sum(trial.state is TrialState.COMPLETE for trial in trials) < self._min_complete:
            return trials
        return show_poor(trials, self._is_poor, [direction.name for direction in study.directions])


def show_poor(
    trials: list[FrozenTrial], is_poor: Callable[[FrozenTrial], bool], directions: list[str]
) -> list[FrozenTrial]:
    """Returns the trials, poor ones as complete: worse than all complete ones by the range of their values.

    Args:
        trials: All trials of a study; they are not changed.
        is_poor: Whether a failed trial shows that its configuration is poor.
        directions: `MAXIMIZE` or `MINIMIZE` per objective.
    """
    if not any(map(is_poor, trials)):
        return trials
    signs = np.array([sign_of(direction.lower()) for direction in directions])
    complete = [trial.values for trial in trials if trial.state is TrialState.COMPLETE]
    scores = signs * np.array(complete or [[0.0] * len(signs)])
    lowest, highest = scores.min(axis=0), scores.max(axis=0)
    with np.errstate(over="ignore", invalid="ignore"):  # values may be as large as a float can be
        worst = lowest - np.where(highest > lowest, highest - lowest, 1.0)
    values = (signs * np.clip(worst, -sys.float_info.max, sys.float_info.max)).tolist()
    return [_as_complete(trial, values) if is_poor(trial) else trial for trial in trials]


def _as_complete(trial: FrozenTrial, values: list[float]) -> FrozenTrial:
    shown = copy.copy(trial)
    shown.state, shown.values = TrialState.COMPLETE, values
    return shown
