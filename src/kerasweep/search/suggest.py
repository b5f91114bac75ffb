"""Finds a study's next trial: one that waits, or a suggestion of its sampler that can be trained."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from optuna.study import Study
from optuna.trial import FrozenTrial, Trial

from kerasweep.search.draft import FIXED, begin_trial, draft_trial
from kerasweep.search.ledger import REJECTED, RETRY_OF, fail, has_waiting
from kerasweep.search.owner import OWNER, this_owner
from kerasweep.search.tally import Tally
from kerasweep.space.rows import Params
from kerasweep.space.space import Space
from kerasweep.terminal import say

MAX_ASKS = 20
Objection = Callable[[Params], str | None]  # why a configuration should not be trained, None if it should


@dataclass(frozen=True)
class Proposal:
    """A trial that is ready to be trained."""

    trial: Trial
    params: Params


def objection_of(tally: Tally, refusal: Callable[[Mapping[str, object]], str | None]) -> Objection:
    """Returns a function that says why a configuration should not be trained, by the trials so far."""

    def objection(params: Params) -> str | None:
        return "it was tried already" if tally.has_tried(params) else refusal(params)

    return objection


def waiting_trial(study: Study, space: Space, objection: Objection) -> Proposal | None:
    """Returns the first enqueued trial that can be trained, None if there is none.

    An enqueued trial with an objection is recorded as failed and `rejected`, and its reason is printed.
    """
    while has_waiting(study):
        trial = study.ask()
        record = study.get_trials(deepcopy=False)[trial.number]
        reason = _why_outside(space, record)
        if reason is None:
            params = space.suggest(trial)
            reason = objection(params)
            if reason is None:
                trial.set_user_attr(OWNER, this_owner())
                return Proposal(trial, params)
        trial.set_user_attr(REJECTED, reason)
        fail(study, trial.number)
        if RETRY_OF not in record.user_attrs:  # else its equal is trained by another driver
            say(f"note: trial {trial.number}, which was enqueued, is not trained: {reason.rstrip('.')}.")
    return None


def suggested_trial(
    study: Study, space: Space, objection: Objection, arm: Params | None = None
) -> Proposal | str:
    """Asks the sampler at most MAX_ASKS times; a suggestion with an objection leaves no trial behind.

    Args:
        study: The study. No trial may wait.
        space: The axes that are suggested.
        objection: See `objection_of`.
        arm: Values that the sampler must keep.

    Returns:
        A trial without an objection; else the last objection.
    """
    reason: str | None = ""
    for _ in range(MAX_ASKS):
        trial, draft = draft_trial(study, space.recorded(arm or {})[0])
        params = space.suggest(trial)
        reason = objection(params)
        if reason is None:
            owner = {OWNER: this_owner()}
            begun = begin_trial(study, draft.params, draft.distributions, owner, draft.system_attrs)
            return Proposal(begun, params)
    return str(reason)


def chosen_trial(study: Study, space: Space, params: Params) -> Proposal:
    """Returns a new trial of this configuration."""
    recorded, distributions = space.recorded(params)
    return Proposal(begin_trial(study, recorded, distributions, {OWNER: this_owner()}, {}), params)


def _why_outside(space: Space, trial: FrozenTrial) -> str | None:
    """Returns which enqueued value the space does not have, None if it has all."""
    axes = {axis.key: axis for axis in space.drawn}
    for key, value in trial.system_attrs.get(FIXED, {}).items():
        if key not in axes:
            return f"{key} is no axis of this sweep. Enqueue values of {', '.join(axes)}"
        if not axes[key].has(value):
            return f"{key} has no value {value!r}. Enqueue one of its values: {axes[key].describe()}"
    return None
