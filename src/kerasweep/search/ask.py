"""Asks for a sweep's next trial: counted and proposed under one lock, so that a total is total."""

from collections.abc import Callable, Iterable

from kerasweep.search.ledger import recover
from kerasweep.search.propose import NothingLeft, Proposal, propose, take_first
from kerasweep.search.samplers import build_sampler
from kerasweep.search.stops import Ending, budget_reason, counted, total_reason
from kerasweep.search.study import sweep_lock
from kerasweep.search.sweep import Sweep
from kerasweep.space.axis import Params


def ask(
    sweep: Sweep,
    under_way: int,
    hours: float,
    pick: Callable[[Iterable[Params]], Params | None] = take_first,
) -> Proposal | Ending | None:
    """The next trial, or why there is none any more; None where `pick` takes none now.

    under_way: trials that this driver trains now. hours: that the sweep has taken so far. pick: see
    `propose`. Where the total is reached, what a driver left that has died meanwhile comes first.
    """
    with sweep_lock(sweep.journal):
        trials = sweep.study.get_trials(deepcopy=False)
        total = total_reason(trials, sweep.total, under_way)
        if total is not None and recover(sweep.study):
            trials = sweep.study.get_trials(deepcopy=False)
        over = budget_reason(trials, sweep.directions, sweep.budget, hours)
        if over is not None:
            return Ending(total or over, is_whole=total is not None)
        sweep.study.sampler = build_sampler(sweep.sampler, len(trials))
        proposal = propose(
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
        return Ending(f"{proposal.reason}, {sweep.total} were asked for", is_whole=True)
    return proposal or (Ending(total, is_whole=True) if total is not None else None)
