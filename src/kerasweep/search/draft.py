"""Asks a sampler for configurations before a trial exists: Optuna's trials cannot be deleted."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from kerasweep.search.study_view import StudyView

DRAFT_ID = -1
FIXED = "fixed_params"  # Optuna's attribute of a trial with given values


class _DraftStorage:
    """A study's storage with one more trial, which it does not store; everything else reaches the storage."""

    def __init__(self, storage: BaseStorage, draft: FrozenTrial) -> None:
        self._storage = storage
        self._draft = draft

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def get_trial(self, trial_id: int) -> FrozenTrial:
        return self._draft if trial_id == DRAFT_ID else self._storage.get_trial(trial_id)

    def get_trial_system_attrs(self, trial_id: int) -> dict[str, Any]:
        return self.get_trial(trial_id).system_attrs

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        assert trial_id == DRAFT_ID  # samplers write into the trial that they suggest for
        self._draft.system_attrs[key] = value

    def set_trial_param(self, trial_id: int, name: str, value: float, distribution: BaseDistribution) -> None:
        """Stores nothing: `Trial` writes each value into the draft, too."""


def draft_trial(study: Study, fixed: Mapping[str, Any]) -> tuple[Trial, FrozenTrial]:
    """Returns a trial that the study's sampler suggests for as if it were the study's next one.

    Args:
        study: The study; it gets no trial.
        fixed: Values that the sampler must keep.

    Returns:
        The trial, and its record, which has the values and what the sampler noted after they are suggested.
    """
    trials = study._get_trials(deepcopy=False)
    draft = FrozenTrial(
        number=len(trials),
        state=TrialState.RUNNING,
        value=None,
        datetime_start=datetime.now(),
        datetime_complete=None,
        params={},
        distributions={},
        user_attrs={},
        system_attrs={FIXED: dict(fixed)} if fixed else {},
        intermediate_values={},
        trial_id=DRAFT_ID,
    )
    view = StudyView(study, trials)
    view._storage = cast(BaseStorage, _DraftStorage(study._storage, draft))
    return Trial(view, DRAFT_ID), draft


def begin_trial(
    study: Study,
    params: Mapping[str, Any],
    distributions: Mapping[str, BaseDistribution],
    user_attrs: Mapping[str, Any],
    system_attrs: Mapping[str, Any],
) -> Trial:
    """Creates a running trial with its values and attributes in one step: none is ever without them."""
    template = FrozenTrial(
        number=-1,
        state=TrialState.RUNNING,
        value=None,
        datetime_start=datetime.now(),
        datetime_complete=None,
        params=dict(params),
        distributions=dict(distributions),
        user_attrs=dict(user_attrs),
        system_attrs=dict(system_attrs),
        intermediate_values={},
        trial_id=-1,
    )
    return Trial(study, study._storage.create_new_trial(study._study_id, template_trial=template))
