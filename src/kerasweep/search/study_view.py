"""Shows a sampler or a pruner other trials than those of its study."""

import copy
from collections.abc import Container

from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState


class StudyView(Study):
    """A study with other trials, for samplers and pruners, which all read them with `_get_trials`."""

    def __init__(self, study: Study, trials: list[FrozenTrial]) -> None:
        # Hyperband gives samplers a study that hides its attributes.
        self.__dict__.update(object.__getattribute__(study, "__dict__"))
        self._trials = trials

    def _get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None, use_cache: bool = False
    ) -> list[FrozenTrial]:
        chosen = [trial for trial in self._trials if states is None or trial.state in states]
        return copy.deepcopy(chosen) if deepcopy else chosen
