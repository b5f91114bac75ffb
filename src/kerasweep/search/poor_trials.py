"""Shows a sampler the configurations that cannot be trained as poor ones, so that it moves away from them."""

from collections.abc import Callable, Container, Sequence
from copy import deepcopy as copy_deeply
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState, create_trial

from kerasweep.results import sign_of


class PoorTrialsSampler(BaseSampler):
    """A sampler that another one informs: it sees poor trials as complete, and worse than every complete one.

    Optuna's samplers do not look at failed trials, so they return to a region in which the loss diverges. A
    complete trial with a poor value is what all of them understand: TPE, CMA-ES and NSGA-II. In the storage
    the trial stays failed.

    Args:
        sampler: The sampler that suggests.
        is_poor: Whether a failed trial shows that its configuration is poor.
    """

    def __init__(self, sampler: BaseSampler, is_poor: Callable[[FrozenTrial], bool]) -> None:
        self._sampler = sampler
        self._is_poor = is_poor

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
        trials = study.get_trials(deepcopy=False)
        return _StudyView(study, shown_as_poor(trials, self._is_poor, [way.name for way in study.directions]))


class _StudyView(Study):
    """A study with other trials, for samplers, which read them with `_get_trials`."""

    def __init__(self, study: Study, trials: list[FrozenTrial]) -> None:
        self.__dict__.update(vars(study))
        self._shown = trials

    def _get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None, use_cache: bool = False
    ) -> list[FrozenTrial]:
        chosen = [trial for trial in self._shown if states is None or trial.state in states]
        return copy_deeply(chosen) if deepcopy else chosen


def shown_as_poor(
    trials: list[FrozenTrial], is_poor: Callable[[FrozenTrial], bool], directions: list[str]
) -> list[FrozenTrial]:
    """Returns the trials, poor ones as complete: worse than all complete ones by the range of their values.

    Args:
        trials: All trials of a study.
        is_poor: Whether a failed trial shows that its configuration is poor.
        directions: `maximize` or `minimize` per objective, in any case.
    """
    if not any(map(is_poor, trials)):
        return trials
    signs = np.array([sign_of(direction.lower()) for direction in directions])
    complete = [trial.values for trial in trials if trial.state is TrialState.COMPLETE]
    scores = signs * np.array(complete or [[0.0] * len(signs)])
    lowest, highest = scores.min(axis=0), scores.max(axis=0)
    values = signs * (lowest - np.where(highest > lowest, highest - lowest, 1.0))
    return [_complete(trial, values.tolist()) if is_poor(trial) else trial for trial in trials]


def _complete(trial: FrozenTrial, values: list[float]) -> FrozenTrial:
    shown = create_trial(
        state=TrialState.COMPLETE,
        values=values,
        params=trial.params,
        distributions=trial.distributions,
        system_attrs=trial.system_attrs,
    )
    shown.number, shown._trial_id = trial.number, trial._trial_id
    return shown
