"""Shows a sampler the ended trials of other sweeps, which never become trials of its own."""

from collections.abc import Collection, Mapping

from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState, create_trial

from kerasweep.search.ledger import RESULT, is_poor
from kerasweep.search.study_view import ViewSampler
from kerasweep.space.axis import Axis
from kerasweep.space.rows import Params, params_of
from kerasweep.space.space import Space

# CMA-ES begins where the best tenth of the known trials are, of which there must be one.
MIN_FOR_CMAES = 10
# Before all numbers of a study's own trials; Optuna skips trials with smaller numbers.
NUMBER = -1


class LearnedTrialsSampler(ViewSampler):
    """Wraps a sampler and shows it the trials of other sweeps before those of its study.

    Args:
        sampler: The sampler that suggests.
        learned: Trials of `as_learned`.
    """

    def __init__(self, sampler: BaseSampler, learned: Collection[FrozenTrial]) -> None:
        super().__init__(sampler)
        self._learned = learned

    def shown(self, study: Study, trial: FrozenTrial) -> list[FrozenTrial]:
        return [*self._learned, *study._get_trials(deepcopy=False)]


def is_informative(trial: FrozenTrial) -> bool:
    """Returns whether a sampler can learn from a trial: it is complete, pruned or poor."""
    return trial.state in (TrialState.COMPLETE, TrialState.PRUNED) or is_poor(trial)


def needed_axes(sampler: str, space: Space) -> list[Axis]:
    """Returns the axes of which a sampler needs the values of each trial that it learns from.

    TPE learns from the values that a trial has. CMA-ES looks at numeric axes that always apply, and other
    samplers of Optuna search only axes that all their trials have.
    """
    if sampler == "tpe":
        return []
    names = {axis.name for axis in space.axes}
    always = [axis for axis in space.axes if not names & axis.conditions.keys()]
    drawn = {axis.key for axis in space.drawn}
    return (
        [axis for axis in always if axis.is_numeric and axis.key in drawn] if sampler == "cmaes" else always
    )


def shared_params(space: Space, trial: FrozenTrial) -> Params | None:
    """Returns the values of a trial of another sweep on the axes of this space; None if one lies outside."""
    given = {
        member.lstrip("+"): value
        for key, distribution in trial.distributions.items()
        for member, value in params_of(key, Axis(key, distribution).snap(trial.params[key])).items()
    }
    own = {axis.name for axis in space.axes}
    params: Params = {}
    for axis in space.axes:
        is_known = all(key in given for key in axis.conditions if key in own)
        if axis.name not in given or (is_known and not space.applies(axis, params)):
            continue
        values = axis.equal_values(given[axis.name])
        if not values:
            return None
        params[axis.key] = values[0]
    joined = [axis for axis in space.joint if params.keys() & set(axis.members)]
    return params if all(axis.has(axis.value_in(params)) for axis in joined) else None


def as_learned(space: Space, sampler: str, trial: FrozenTrial, params: Params) -> FrozenTrial:
    """Returns a trial as the sampler of this space sees it.

    Args:
        space: The space of the sweep that learns.
        sampler: The name of its sampler.
        trial: An informative trial of another sweep.
        params: Its `shared_params`.
    """
    needed = {axis.key for axis in needed_axes(sampler, space)} if sampler == "cmaes" else params.keys()
    kept = {key: value for key, value in params.items() if key in needed}
    recorded, distributions = space.recorded(kept)
    attributes: Mapping[str, object] = {RESULT: trial.user_attrs[RESULT]} if is_poor(trial) else {}
    learned = create_trial(
        state=trial.state,
        values=trial.values,
        params=recorded,
        distributions=distributions,
        user_attrs=dict(attributes),
        intermediate_values=trial.intermediate_values,
    )
    learned.number = NUMBER
    return learned
