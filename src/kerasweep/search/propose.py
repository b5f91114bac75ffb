"""Finds the next configuration to train: one that is possible and that no trial has had."""

import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain, islice

import numpy as np
from optuna.study import Study
from optuna.trial import Trial, TrialState

from kerasweep.search.ledger import OWNER, REJECTED, this_owner, tried
from kerasweep.search.samplers import derived_seed, drawn
from kerasweep.space.axis import Params, Space, signature

MAX_ASKS, MAX_DRAWS = 20, 1000


@dataclass(frozen=True)
class Proposal:
    trial: Trial
    params: Params


@dataclass(frozen=True)
class NothingLeft:
    """No configuration can be proposed. reason: the sentence for the user."""

    reason: str


def take_first(possible: Iterable[Params]) -> Params | None:
    """The first one, None where there is none."""
    return next(iter(possible), None)


def propose(
    study: Study,
    space: Space,
    refusal: Callable[[Mapping[str, object]], str | None],
    seed: int,
    in_order: bool,
    only_waiting: bool = False,
    most: int | None = None,
    pick: Callable[[Iterable[Params]], Params | None] = take_first,
) -> Proposal | NothingLeft | None:
    """The next trial, with the sweep's lock held.

    refusal: why a configuration cannot be trained, None where it can. in_order: take the finite
    space in order (a grid) instead of asking the sampler. A suggestion that was tried already or
    is refused is told FAIL and marked `rejected`; after MAX_ASKS of them an untried configuration
    is drawn with the seed, from an endless space at most MAX_DRAWS times: constraints may leave
    little of it. only_waiting: none but enqueued trials; None where there is none left. pick: takes one
    of a grid's next configurations, in order, of which it sees at most `most`; None where it takes none
    of them now.
    """
    done = tried(study, space)
    reason = None
    for _ in range(MAX_ASKS):
        if (in_order or only_waiting) and not _has_waiting(study):
            break
        trial = study.ask()
        params = _suggest(space, trial)
        if isinstance(params, str):
            reason = params
        elif (reason := _objection(params, done, refusal)) is None:
            return _own(trial, params)
        trial.set_user_attr(REJECTED, reason)
        study.tell(trial, state=TrialState.FAIL)
    if only_waiting:
        return None
    new_seed = derived_seed(seed, len(study.get_trials(deepcopy=False)))

    def is_possible(params: Params) -> bool:
        return _objection(params, done, refusal) is None

    if in_order:
        left = islice(filter(is_possible, space.configurations()), most)
        one = next(left, None)
        other = None if one is None else pick(chain([one], left))
        if one is not None and other is None:
            return None
    else:
        other = _another(space, new_seed, is_possible)
    if other is None and space.is_finite:
        return NothingLeft(f"all {len(done)} configurations have been tried")
    if other is None:
        asked = f"{MAX_ASKS} suggestions in a row and {MAX_DRAWS:,} drawn at random could not be trained"
        return NothingLeft(f"{asked}; the last suggestion: {str(reason).rstrip('.')}")
    study.enqueue_trial(other)
    trial = study.ask()
    return _own(trial, space.suggest(trial))


def _suggest(space: Space, trial: Trial) -> Params | str:
    """The trial's configuration, or why it is none: a user may enqueue values that are not of the space."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Fixed parameter")
        try:
            return space.suggest(trial)
        except (ValueError, UserWarning) as error:
            return f"it is not of this space: {error}"


def _another(space: Space, seed: int, is_possible: Callable[[Params], bool]) -> Params | None:
    """A configuration that no sampler chose, None where none is possible (or is found in MAX_DRAWS)."""
    if not space.is_finite:
        return next(filter(is_possible, islice(drawn(space, seed), MAX_DRAWS)), None)
    listed = list(filter(is_possible, space.configurations()))
    return listed[int(np.random.default_rng(seed).integers(len(listed)))] if listed else None


def _has_waiting(study: Study) -> bool:
    return bool(study.get_trials(deepcopy=False, states=(TrialState.WAITING,)))


def _objection(
    params: Params, done: set[tuple[tuple[str, str], ...]], refusal: Callable[[Params], str | None]
) -> str | None:
    return "it was tried already" if signature(params) in done else refusal(params)


def _own(trial: Trial, params: Params) -> Proposal:
    trial.set_user_attr(OWNER, this_owner())
    return Proposal(trial, params)
