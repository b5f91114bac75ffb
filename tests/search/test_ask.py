"""Several drivers share a sweep's total, and wait for each other's trials."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from optuna.trial import TrialState

from kerasweep.results import Outcome
from kerasweep.search import owner
from kerasweep.search.ask import Elsewhere, ask
from kerasweep.search.ledger import settle
from kerasweep.search.owner import LEASE_SECONDS, OWNER, renew_lease, this_owner
from kerasweep.search.stops import Ending
from kerasweep.search.suggest import Proposal
from kerasweep.search.sweep import Sweep


def test_waiting_for_the_last_trial_of_another_driver_writes_nothing(sweep_of: Callable[..., Sweep]) -> None:
    """The space has fewer configurations than the total, so only a sampler that is asked in vain knows."""
    sweep = sweep_of({"a": "1,2"}, total=9, sampler="random")
    first, second = ask(sweep, (), 0.0), ask(sweep, {0}, 0.0)
    assert isinstance(first, Proposal) and isinstance(second, Proposal)
    settle(sweep.study, first.trial, Outcome("complete", "run", (1.0,)))
    there = {**this_owner(), "host": "pod-a"}
    second.trial.set_user_attr(OWNER, there)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("socket.gethostname", lambda: "pod-a")
        renew_lease(sweep.study)
    waiting = ask(sweep, (), 0.0)
    assert isinstance(waiting, Elsewhere)
    count = len(sweep.study.trials)
    for _ in range(3):
        waiting = ask(sweep, (), 0.0, waiting=waiting)
        assert isinstance(waiting, Elsewhere) and len(sweep.study.trials) == count
    with pytest.MonkeyPatch.context() as patch:  # its lease ends
        later = time.time() + LEASE_SECONDS + 1
        patch.setattr("time.time", lambda: later)
        patch.setattr(owner, "WATCHED_SECONDS", 0.0)
        again = ask(sweep, (), 0.0, waiting=waiting)
    assert isinstance(again, Proposal) and again.params == second.params
    settle(sweep.study, again.trial, Outcome("complete", "run", (1.0,)))
    assert isinstance(ask(sweep, (), 0.0, waiting=waiting), Ending)


def test_a_budget_that_ends_a_sweep_leaves_no_trial_of_a_dead_driver(
    sweep_of: Callable[..., Sweep], dead_owner: dict[str, Any]
) -> None:
    """Its run would stay open, and the best trial so far would have no model."""
    sweep = sweep_of({"a": "1,2,3"}, total=3, hours=1.0)
    lost = ask(sweep, (), 0.0)
    assert isinstance(lost, Proposal)
    lost.trial.set_user_attr(OWNER, dead_owner)
    ending = ask(sweep, (), 2.0)
    assert isinstance(ending, Ending) and not ending.is_whole
    assert [trial.state for trial in sweep.study.trials] == [TrialState.FAIL, TrialState.WAITING]
