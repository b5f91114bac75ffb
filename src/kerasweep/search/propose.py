"""Finds the next configuration to train: one that is possible and untried."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice

import numpy as np
from optuna.study import Study

from kerasweep.search.arms import Arms
from kerasweep.search.samplers import derived_seed, drawn
from kerasweep.search.suggest import (
    MAX_ASKS,
    Objection,
    Proposal,
    chosen_trial,
    objection_of,
    suggested_trial,
    waiting_trial,
)
from kerasweep.search.tally import Tally
from kerasweep.space.rows import Params
from kerasweep.space.space import Space

MAX_DRAWS = 1000


@dataclass(frozen=True)
class NothingLeft:
    """No configuration can be proposed."""

    reason: str  # for the user


def take_first(possible: Iterable[Params]) -> Params | None:
    """Returns the first configuration, None if there is none."""
    return next(iter(possible), None)


def propose(
    study: Study,
    tally: Tally,
    refusal: Callable[[Mapping[str, object]], str | None],
    seed: int,
    in_order: bool,
    only_waiting: bool = False,
    most: int | None = None,
    pick: Callable[[Iterable[Params]], Params | None] = take_first,
) -> Proposal | NothingLeft | None:
    """Returns the next trial; call it with the sweep's lock held.

    A suggestion that was tried already or is refused becomes no trial. After MAX_ASKS of these an untried
    configuration is drawn at random. An infinite space is drawn from at most MAX_DRAWS times, since
    constraints may refuse most of it.

    Args:
        study: The study to ask.
        tally: Of the study, as it is now.
        refusal: Returns why a configuration cannot be trained, None if it can.
        seed: Seeds the random draw.
        in_order: Whether to list the finite space in order (a grid) instead of asking the sampler.
        only_waiting: Whether to take enqueued trials only.
        most: How many of a grid's next configurations `pick` sees at most.
        pick: Takes one of a grid's next configurations, or None to take none now.

    Returns:
        The proposal; `NothingLeft` if no configuration is left; None if `pick` takes none, or with
        `only_waiting` if no trial waits.
    """
    space, objection = tally.space, objection_of(tally, refusal)
    waiting = waiting_trial(study, space, objection)
    if waiting is not None or only_waiting:
        return waiting
    if in_order:
        left = islice(_without_objection(space.configurations(), objection), most)
        first = next(left, None)
        params = None if first is None else pick(chain([first], left))
        if first is not None and params is None:
            return None
        return _all_tried(tally) if params is None else chosen_trial(study, space, params)
    answer = suggested_trial(study, space, objection)
    if isinstance(answer, Proposal):
        return answer
    params = _draw(space, derived_seed(seed, len(study.get_trials(deepcopy=False))), objection)
    if params is not None:
        return chosen_trial(study, space, params)
    if space.is_finite:
        return _all_tried(tally)
    return NothingLeft(
        f"{MAX_ASKS} suggestions and {MAX_DRAWS:,} random draws in a row were refused or tried already; "
        f"the last reason: {answer.rstrip('.')}"
    )


def _all_tried(tally: Tally) -> NothingLeft:
    return NothingLeft(f"all {tally.configurations} configurations have been tried")


def propose_in_arms(
    study: Study,
    tally: Tally,
    refusal: Callable[[Mapping[str, object]], str | None],
    seed: int,
    in_order: bool,
    only_waiting: bool,
    most: int,
    pick: Callable[[Iterable[Params]], Params | None],
    arms: Arms,
) -> Proposal | NothingLeft | None:
    """Returns the next trial of an arm that lacks trials; otherwise as `propose`."""
    space, objection = tally.space, objection_of(tally, refusal)
    waiting = waiting_trial(study, space, objection)
    if waiting is not None or only_waiting:
        return waiting
    due = arms.due(study.get_trials(deepcopy=False))
    while due:
        arm = pick(due)
        if arm is None:
            return None
        new_seed = derived_seed(seed, len(study.get_trials(deepcopy=False)))
        spare = _completed(space.within(arms.keys, arm), arm, new_seed, objection, in_order)
        if spare is not None:  # else no suggestion could be possible
            answer = None if in_order else suggested_trial(study, space, objection, arm)
            return answer if isinstance(answer, Proposal) else chosen_trial(study, space, spare)
        due = [other for other in due if other != arm]
    if space.is_finite:
        return NothingLeft("each combination has tried all its nuisance values")
    return NothingLeft(f"{MAX_DRAWS:,} random draws found no further nuisance values that can be trained")


def _completed(rest: Space, arm: Params, seed: int, objection: Objection, in_order: bool) -> Params | None:
    """Returns a possible configuration of the arm: the first one in order, or a random one."""

    def of_whole(params: Params) -> str | None:
        return objection({**arm, **params})

    if in_order:
        params = take_first(_without_objection(rest.configurations(), of_whole))
    else:
        params = _draw(rest, seed, of_whole)
    return None if params is None else {**arm, **params}


def _draw(space: Space, seed: int, objection: Objection) -> Params | None:
    """Draws a possible configuration at random; None if there is none, or none within MAX_DRAWS."""
    if not space.is_finite:
        return take_first(_without_objection(islice(drawn(space, seed), MAX_DRAWS), objection))
    listed = list(space.configurations())
    shuffled = (listed[place] for place in np.random.default_rng(seed).permutation(len(listed)))
    return take_first(_without_objection(shuffled, objection))


def _without_objection(configurations: Iterable[Params], objection: Objection) -> Iterator[Params]:
    """Yields the configurations that can be trained, each checked when it is due: a check takes time."""
    return (params for params in configurations if objection(params) is None)
