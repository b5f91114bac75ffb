"""Shows a sampler or a pruner other trials than those of its study."""

import copy
from collections.abc import Container, Sequence
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState


class StudyView(Study):
    """A study with other trials, for samplers and pruners, which all read them with `_get_trials`."""

    def __init__(self, study: Study, trials: list[FrozenTrial]) -> None:
        # Hyperband gives samplers a study that hides its attributes.
        self.__dict__.update(object.__getattribute__(study, "__dict__"))
        self._trials = trials

    def stop(self) -> None:
        """Does nothing: a sampler that has tried all it knows does not end the sweep, which counts itself."""

    def _get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None, use_cache: bool = False
    ) -> list[FrozenTrial]:
        chosen = [trial for trial in self._trials if states is None or trial.state in states]
        return copy.deepcopy(chosen) if deepcopy else chosen


class ViewSampler(BaseSampler):
    """Wraps a sampler and shows it a view of the study. A subclass says which trials the view has.

    Args:
        sampler: The sampler that suggests.
    """

    def __init__(self, sampler: BaseSampler) -> None:
        self._sampler = sampler
        self._last: tuple[int, Study] | None = None  # the trial that was suggested for last, with its view

    def shown(self, study: Study, trial: FrozenTrial) -> list[FrozenTrial]:
        """Returns the trials that the sampler sees when it suggests for this one."""
        raise NotImplementedError

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._sampler.infer_relative_search_space(self._view(study, trial), trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._sampler.sample_relative(self._view(study, trial), trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        view = self._view(study, trial)
        return self._sampler.sample_independent(view, trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self._last = None  # drafts of several arms have the number of the same next trial
        self._sampler.before_trial(self._view(study, trial), trial)

    def after_trial(
        self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        self._sampler.after_trial(StudyView(study, self.shown(study, trial)), trial, state, values)

    def reseed_rng(self) -> None:
        self._sampler.reseed_rng()

    def _view(self, study: Study, trial: FrozenTrial) -> Study:
        """Returns one view for all suggestions of a trial: to read all trials for each takes long."""
        if self._last is None or self._last[0] != trial.number:
            self._last = trial.number, StudyView(study, self.shown(study, trial))
        return self._last[1]
