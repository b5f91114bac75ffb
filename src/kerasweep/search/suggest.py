"""Asks a study for a trial that can be trained, and rejects its other suggestions."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from optuna.study import Study
from optuna.trial import Trial

from kerasweep.search.ledger import REJECTED, fail, has_waiting
from kerasweep.search.owner import OWNER, this_owner
from kerasweep.search.tally import Tally
from kerasweep.space.axis import Params, Space

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


def suggested_trial(
    study: Study,
    space: Space,
    objection: Objection,
    arm: Params | None = None,
    only_waiting: bool = False,
) -> Proposal | str | None:
    """Asks the study at most MAX_ASKS times. A suggestion with an objection is recorded as rejected.

    Args:
        study: Gives waiting trials first, then what its sampler suggests.
        space: The axes that are suggested.
        objection: See `objection_of`.
        arm: Values that the sampler must keep.
        only_waiting: Whether to take waiting trials only.

    Returns:
        The first trial without an objection; else the last objection, None if there was no suggestion.
    """
    reason = None
    for _ in range(MAX_ASKS):
        if only_waiting and not has_waiting(study):
            break
        if arm is not None:
            study.enqueue_trial(arm)
        trial = study.ask()
        suggested = _suggest(space, trial)
        reason = suggested if isinstance(suggested, str) else objection(suggested)
        if reason is None and not isinstance(suggested, str):
            return _claim(trial, suggested)
        trial.set_user_attr(REJECTED, reason)
        fail(study, trial.number)
    return reason


def enqueued_trial(study: Study, space: Space, params: Params) -> Proposal:
    """Returns a new trial of this configuration. No other trial may wait."""
    study.enqueue_trial(params)
    trial = study.ask()
    return _claim(trial, space.suggest(trial))


def _suggest(space: Space, trial: Trial) -> Params | str:
    """Returns the trial's configuration, or why it has none: a user may enqueue values outside the space."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Fixed parameter")
        try:
            return space.suggest(trial)
        except (ValueError, UserWarning) as error:
            return f"it is outside the space: {error}"


def _claim(trial: Trial, params: Params) -> Proposal:
    trial.set_user_attr(OWNER, this_owner())
    return Proposal(trial, params)
