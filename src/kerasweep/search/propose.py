"""Finds the next configuration to train: one that is possible and untried."""

import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from typing import Any

import numpy as np
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from kerasweep.search.arms import Arms, ArmSampler
from kerasweep.search.ledger import REJECTED, disown, fail, has_waiting, recover, tried
from kerasweep.search.owner import OWNER, owner_text, this_owner
from kerasweep.search.samplers import build_sampler, derived_seed, drawn
from kerasweep.search.stops import Ending, budget_reason, counted, done_text, total_reason
from kerasweep.search.storage import LockLostError, under_lock
from kerasweep.search.sweep import Sweep
from kerasweep.space.axis import Params, Space, signature

MAX_ASKS, MAX_DRAWS = 20, 1000
Objection = Callable[[Params], str | None]  # why a configuration should not be trained, None if it should


@dataclass(frozen=True)
class Proposal:
    """A trial that is ready to be trained."""

    trial: Trial
    params: Params


@dataclass(frozen=True)
class NothingLeft:
    """No configuration can be proposed."""

    reason: str  # for the user


@dataclass(frozen=True)
class Elsewhere:
    """Only trials of other drivers are left. If these die, their trials come again."""

    owners: tuple[tuple[tuple[str, Any], ...], ...]  # of their trials
    text: str  # for the user
    ended: int  # how many trials had ended: until one more has, there is nothing new to propose


def take_first(possible: Iterable[Params]) -> Params | None:
    """Returns the first configuration, None if there is none."""
    return next(iter(possible), None)


def ask(
    sweep: Sweep,
    under_way: Collection[int],
    hours: float,
    pick: Callable[[Iterable[Params]], Params | None] = take_first,
    waiting: Elsewhere | None = None,
) -> Proposal | Ending | Elsewhere | None:
    """Returns the next trial.

    Counts and proposes under the sweep's lock, so that two drivers together do not exceed the total. When
    the total is reached, trials of drivers that died meanwhile are retried first.

    Args:
        sweep: The sweep to continue.
        under_way: The numbers of the trials that this driver trains now.
        hours: How long the sweep has been at work.
        pick: See `propose`.
        waiting: The last answer, if that was `Elsewhere`.

    Returns:
        An `Ending` if there is no further trial, `Elsewhere` if one may come again, None if `pick` takes none
        now.
    """
    while True:
        try:
            return _ask(sweep, len(under_way), hours, pick, waiting)
        except LockLostError:  # the database was restarted, perhaps after a trial was proposed
            under_lock(sweep.lock, partial(disown, sweep.study, under_way))


def _ask(
    sweep: Sweep,
    under_way: int,
    hours: float,
    pick: Callable[[Iterable[Params]], Params | None],
    waiting: Elsewhere | None,
) -> Proposal | Ending | Elsewhere | None:
    with sweep.lock():
        trials = sweep.study.get_trials(deepcopy=False)
        total = total_reason(trials, sweep.total, under_way)
        is_known = waiting is not None and waiting.ended == _ended(trials)
        if (total is not None or is_known) and recover(sweep.study):
            trials = sweep.study.get_trials(deepcopy=False)
            total, is_known = total_reason(trials, sweep.total, under_way), False
        over = budget_reason(trials, sweep.directions, sweep.budget, hours)
        if over is not None:
            return Ending(total or over, is_whole=total is not None)
        sampler = build_sampler(sweep.sampler, len(trials))
        sweep.study.sampler = ArmSampler(sampler, sweep.arms) if sweep.arms is not None else sampler
        propose_now = partial(_propose_in_arms, arms=sweep.arms) if sweep.arms is not None else propose
        proposal = propose_now(
            sweep.study,
            sweep.space,
            sweep.refusal,
            seed=sweep.sampler.seed,
            in_order=sweep.sampler.name == "grid",
            only_waiting=total is not None or is_known,
            most=max(1, sweep.total - counted(trials)),
            pick=pick,
        )
    if isinstance(proposal, Proposal) or (proposal is None and total is None and not is_known):
        return proposal
    elsewhere = _elsewhere(sweep.study)
    if elsewhere is not None:
        return elsewhere
    if is_known and total is None:  # the other drivers have gone meanwhile
        return None
    if isinstance(proposal, NothingLeft):
        return Ending(f"{done_text(trials, sweep.total, under_way)}: {proposal.reason}", is_whole=True)
    assert total is not None
    return Ending(total, is_whole=True)


def _ended(trials: Iterable[FrozenTrial]) -> int:
    """Returns how many trials have ended, rejected ones aside."""
    return sum(trial.state.is_finished() and REJECTED not in trial.user_attrs for trial in trials)


def _elsewhere(study: Study) -> Elsewhere | None:
    """Returns who trains the trials of other drivers, None if there are none."""
    me = this_owner()
    running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    owners = [trial.user_attrs[OWNER] for trial in running if trial.user_attrs.get(OWNER, me) != me]
    if not owners:
        return None
    count = "a trial" if len(owners) == 1 else f"{len(owners)} trials"
    named = dict.fromkeys(owner_text(study, owner) for owner in owners)
    unique = sorted({tuple(sorted(owner.items())) for owner in owners}, key=str)
    text = f"waiting for {count} of {' and '.join(named)}"
    return Elsewhere(tuple(unique), text, _ended(study.get_trials(deepcopy=False)))


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
    """Returns the next trial; call it with the sweep's lock held.

    A suggestion that was tried already or is refused is recorded as failed and `rejected`. After MAX_ASKS
    rejections an untried configuration is drawn at random. An infinite space is drawn from at most MAX_DRAWS
    times, since constraints may refuse most of it.

    Args:
        study: The study to ask.
        space: The axes that are suggested.
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
    objection = _objection(study, space, refusal)
    answer = _suggested(study, space, objection, only_waiting=in_order or only_waiting)
    if isinstance(answer, Proposal):
        return answer
    if only_waiting:
        return None
    new_seed = derived_seed(seed, len(study.get_trials(deepcopy=False)))
    if in_order:
        left = islice(_without_objection(space.configurations(), objection), most)
        first = next(left, None)
        params = None if first is None else pick(chain([first], left))
        if first is not None and params is None:
            return None
    else:
        params = _draw(space, new_seed, objection)
    if params is None and space.is_finite:
        return NothingLeft(f"all {len(tried(study, space))} configurations have been tried")
    if params is None:
        return NothingLeft(
            f"{MAX_ASKS} suggestions and {MAX_DRAWS:,} random draws in a row were refused or tried already; "
            f"the last reason: {str(answer).rstrip('.')}"
        )
    return _enqueued(study, space, params)


def _propose_in_arms(
    study: Study,
    space: Space,
    refusal: Callable[[Mapping[str, object]], str | None],
    seed: int,
    in_order: bool,
    only_waiting: bool,
    most: int,
    pick: Callable[[Iterable[Params]], Params | None],
    arms: Arms,
) -> Proposal | NothingLeft | None:
    """Returns the next trial of an arm that lacks trials; otherwise as `propose`."""
    objection = _objection(study, space, refusal)
    waiting = _suggested(study, space, objection, only_waiting=True)
    if isinstance(waiting, Proposal):
        return waiting
    if only_waiting:
        return None
    due = arms.due(study.get_trials(deepcopy=False))
    while due:
        arm = pick(due)
        if arm is None:
            return None
        new_seed = derived_seed(seed, len(study.get_trials(deepcopy=False)))
        spare = _completed(space.within(arms.keys, arm), arm, new_seed, objection, in_order)
        if spare is not None:  # else no suggestion could be possible
            answer = None if in_order else _suggested(study, space, objection, arm)
            return answer if isinstance(answer, Proposal) else _enqueued(study, space, spare)
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


def _suggested(
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
        objection: See `_objection`.
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


def _enqueued(study: Study, space: Space, params: Params) -> Proposal:
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


def _objection(
    study: Study, space: Space, refusal: Callable[[Mapping[str, object]], str | None]
) -> Objection:
    """Returns a function that says why a configuration should not be trained, by the trials so far."""
    done = tried(study, space)

    def objection(params: Params) -> str | None:
        return "it was tried already" if signature(params) in done else refusal(params)

    return objection


def _claim(trial: Trial, params: Params) -> Proposal:
    trial.set_user_attr(OWNER, this_owner())
    return Proposal(trial, params)
