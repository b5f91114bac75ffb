"""Finds the next configuration to train: one that is possible and untried."""

import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice

import numpy as np
from optuna.study import Study
from optuna.trial import Trial, TrialState

from kerasweep.search.arms import Arms, ArmSampler
from kerasweep.search.ledger import REJECTED, recover, tried
from kerasweep.search.owner import OWNER, this_owner
from kerasweep.search.samplers import build_sampler, derived_seed, drawn
from kerasweep.search.stops import Ending, budget_reason, counted, done_text, total_reason
from kerasweep.search.study import sweep_lock
from kerasweep.search.sweep import Sweep
from kerasweep.space.axis import Params, Space, signature

MAX_ASKS, MAX_DRAWS = 20, 1000


@dataclass(frozen=True)
class Proposal:
    """A trial that is ready to be trained."""

    trial: Trial
    params: Params


@dataclass(frozen=True)
class NothingLeft:
    """No configuration can be proposed."""

    reason: str  # for the user


def take_first(possible: Iterable[Params]) -> Params | None:
    """Returns the first configuration, None if there is none."""
    return next(iter(possible), None)


def ask(
    sweep: Sweep,
    under_way: int,
    hours: float,
    pick: Callable[[Iterable[Params]], Params | None] = take_first,
) -> Proposal | Ending | None:
    """Returns the next trial.

    Counts and proposes under the sweep's lock, so that two drivers together do not exceed the total. When
    the total is reached, trials of drivers that died meanwhile are retried first.

    Args:
        sweep: The sweep to continue.
        under_way: How many trials this driver trains now.
        hours: How long the sweep has been at work.
        pick: See `propose`.

    Returns:
        An `Ending` if there is no further trial, None if `pick` takes none now.
    """
    with sweep_lock(sweep.journal):
        trials = sweep.study.get_trials(deepcopy=False)
        total = total_reason(trials, sweep.total, under_way)
        if total is not None and recover(sweep.study):
            trials = sweep.study.get_trials(deepcopy=False)
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
            only_waiting=total is not None,
            most=max(1, sweep.total - counted(trials)),
            pick=pick,
        )
    if isinstance(proposal, NothingLeft):
        return Ending(f"{done_text(trials, sweep.total, under_way)}: {proposal.reason}", is_whole=True)
    return proposal or (Ending(total, is_whole=True) if total is not None else None)


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
    done = tried(study, space)
    reason = None
    for _ in range(MAX_ASKS):
        if (in_order or only_waiting) and not _has_waiting(study):
            break
        trial = study.ask()
        suggested = _suggest(space, trial)
        if isinstance(suggested, str):
            reason = suggested
        elif (reason := _objection(suggested, done, refusal)) is None:
            return _claim(trial, suggested)
        trial.set_user_attr(REJECTED, reason)
        study.tell(trial, state=TrialState.FAIL)
    if only_waiting:
        return None
    new_seed = derived_seed(seed, len(study.get_trials(deepcopy=False)))

    def is_possible(params: Params) -> bool:
        return _objection(params, done, refusal) is None

    if in_order:
        left = islice(filter(is_possible, space.configurations()), most)
        first = next(left, None)
        params = None if first is None else pick(chain([first], left))
        if first is not None and params is None:
            return None
    else:
        params = _draw(space, new_seed, is_possible)
    if params is None and space.is_finite:
        return NothingLeft(f"all {len(done)} configurations have been tried")
    if params is None:
        return NothingLeft(
            f"{MAX_ASKS} suggestions and {MAX_DRAWS:,} random draws in a row were refused or tried already; "
            f"the last reason: {str(reason).rstrip('.')}"
        )
    study.enqueue_trial(params)
    trial = study.ask()
    return _claim(trial, space.suggest(trial))


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
    if only_waiting or _has_waiting(study):
        waiting = propose(study, space, refusal, seed, in_order, only_waiting=True)
        if only_waiting or waiting is not None:
            return waiting
    done = tried(study, space)
    due = arms.due(study.get_trials(deepcopy=False))

    def is_possible(params: Params) -> bool:
        return _objection(params, done, refusal) is None

    while due:
        arm = pick(due)
        if arm is None:
            return None
        left = None
        if space.is_finite:
            own = (params for params in space.configurations() if arms.of(params) == arms.of(arm))
            left = list(filter(is_possible, own))
        if left is None or left:
            found = _propose_in_arm(study, space, is_possible, arm, left, seed, in_order)
            if found is not None:
                return found
        due = [other for other in due if other != arm]
    return NothingLeft("each combination has tried all its nuisance values")


def _propose_in_arm(
    study: Study,
    space: Space,
    is_possible: Callable[[Params], bool],
    arm: Params,
    left: list[Params] | None,
    seed: int,
    in_order: bool,
) -> Proposal | None:
    """Returns a trial of this arm, None if MAX_ASKS suggestions are impossible and none is left.

    Args:
        study: Its sampler suggests the nuisance values.
        space: All axes.
        is_possible: Whether a configuration is untried and can be trained.
        arm: The values of the compared axes.
        left: The arm's possible configurations, None for an infinite space.
        seed: Seeds the draw after MAX_ASKS suggestions.
        in_order: Whether to take the first possible one (a grid).
    """
    for _ in range(0 if in_order else MAX_ASKS):
        study.enqueue_trial(arm)
        trial = study.ask()
        suggested = _suggest(space, trial)
        if not isinstance(suggested, str) and is_possible(suggested):
            return _claim(trial, suggested)
        trial.set_user_attr(REJECTED, suggested if isinstance(suggested, str) else "it was tried or refused")
        study.tell(trial, state=TrialState.FAIL)
    if not left:
        return None
    new_seed = derived_seed(seed, len(study.get_trials(deepcopy=False)))
    params = left[0] if in_order else left[int(np.random.default_rng(new_seed).integers(len(left)))]
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


def _draw(space: Space, seed: int, is_possible: Callable[[Params], bool]) -> Params | None:
    """Draws a possible configuration at random; None if there is none, or none within MAX_DRAWS."""
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


def _claim(trial: Trial, params: Params) -> Proposal:
    trial.set_user_attr(OWNER, this_owner())
    return Proposal(trial, params)
