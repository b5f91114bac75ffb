"""Shows samplers the configurations that cannot be trained as poor ones, so that they search elsewhere."""

import copy
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from kerasweep.results import sign_of
from kerasweep.search.study_view import StudyView


class PoorTrialsSampler(BaseSampler):
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
        self._sampler = sampler
        self._is_poor = is_poor
        self._min_complete = min_complete

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._sampler.infer_relative_search_space(self._view(study), trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._sampler.sample_relative(self._view(study), trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._sampler.sample_independent(self._view(study), trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self._sampler.before_trial(self._view(study), trial)

    def after_trial(
        self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        self._sampler.after_trial(self._view(study), trial, state, values)

    def reseed_rng(self) -> None:
        self._sampler.reseed_rng()

    def _view(self, study: Study) -> Study:
        trials = study._get_trials(deepcopy=False)
        if sum(trial.state is TrialState.COMPLETE for trial in trials) >= self._min_complete:
            trials = show_poor(trials, self._is_poor, [direction.name for direction in study.directions])
        return StudyView(study, trials)


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
