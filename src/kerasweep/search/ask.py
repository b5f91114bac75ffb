"""Gives a driver its next trial, such that all drivers of a sweep together keep to its total."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from optuna.study import Study
from optuna.trial import TrialState

from kerasweep.search.arms import ArmSampler
from kerasweep.search.ledger import disown, recover
from kerasweep.search.owner import OWNER, owner_text, this_owner
from kerasweep.search.propose import NothingLeft, propose, propose_in_arms, take_first
from kerasweep.search.samplers import build_sampler
from kerasweep.search.stops import Ending, budget_reason, done_text, total_reason
from kerasweep.search.storage import LockLostError, under_lock
from kerasweep.search.suggest import Proposal
from kerasweep.search.sweep import Sweep
from kerasweep.search.tally import tally_of
from kerasweep.space.rows import Params
from kerasweep.space.space import Space


@dataclass(frozen=True)
class Elsewhere:
    """Only trials of other drivers are left. If their drivers die, this one retries these trials."""

    owners: tuple[tuple[tuple[str, Any], ...], ...]  # of their trials
    text: str  # for the user
    ended: int  # how many trials had ended: until one more has, there is nothing new to propose


def ask(
    sweep: Sweep,
    under_way: Collection[int],
    hours: float,
    pick: Callable[[Iterable[Params]], Params | None] = take_first,
    waiting: Elsewhere | None = None,
) -> Proposal | Ending | Elsewhere | None:
    """Returns the next trial.

    Counts and proposes under the sweep's lock, so that two drivers together do not exceed the total. When
    the total is reached, trials of drivers that died meanwhile are retried first; at any other end they are
    enqueued for the next start.

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
        tally = tally_of(sweep.study, sweep.space)
        total = total_reason(tally, sweep.total, under_way)
        nothing_has_ended = waiting is not None and waiting.ended == tally.ended
        if (total is not None or nothing_has_ended) and recover(sweep.study):
            tally = tally_of(sweep.study, sweep.space)
            total, nothing_has_ended = total_reason(tally, sweep.total, under_way), False
        over = budget_reason(tally.trials, sweep.directions, sweep.budget, hours)
        if over is not None:
            recover(sweep.study)
            return Ending(total or over, is_whole=total is not None)
        sampler = build_sampler(sweep.sampler, len(tally.trials), sweep.learned, sweep.space.priors)
        sweep.study.sampler = ArmSampler(sampler, sweep.arms) if sweep.arms is not None else sampler
        propose_now = partial(propose_in_arms, arms=sweep.arms) if sweep.arms is not None else propose
        proposal = propose_now(
            sweep.study,
            tally,
            sweep.refusal,
            seed=sweep.sampler.seed,
            in_order=sweep.sampler.name == "grid",
            only_waiting=total is not None or nothing_has_ended,
            most=max(1, sweep.total - tally.begun),
            pick=pick,
        )
    if isinstance(proposal, Proposal) or (proposal is None and total is None and not nothing_has_ended):
        return proposal
    elsewhere = _elsewhere(sweep.study, sweep.space)
    if elsewhere is not None:
        return elsewhere
    if nothing_has_ended and total is None:  # the other drivers have gone meanwhile
        return None
    if isinstance(proposal, NothingLeft):
        return Ending(f"{done_text(tally, sweep.total, under_way)}: {proposal.reason}", is_whole=True)
    assert total is not None
    return Ending(total, is_whole=True)


def _elsewhere(study: Study, space: Space) -> Elsewhere | None:
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
    return Elsewhere(tuple(unique), text, tally_of(study, space).ended)
