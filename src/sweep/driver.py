"""Asks Optuna, has the trial trained, tells Optuna the result, until a reason to stop comes up."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from src.outcome import Outcome
from src.sweep.ledger import counts, lose, recover, settle
from src.sweep.propose import NothingLeft, Proposal, propose
from src.sweep.samplers import build_sampler
from src.sweep.space.axis import Space
from src.sweep.study import mend_journal, sweep_lock

HOURS_USED = "hours_used"


@dataclass(frozen=True)
class Sweep:
    """A search that is ready to go.

    journal: its file; the lock lies beside it. total: how many trials there are to be in the end.
    refusal: why a configuration cannot be trained, None where it can.
    """

    name: str
    study: Study
    space: Space
    journal: Path
    total: int
    sampler: DictConfig
    budget: DictConfig
    refusal: Callable[[Mapping[str, object]], str | None]

    @property
    def directions(self) -> tuple[str, ...]:
        return tuple(direction.name.lower() for direction in self.study.directions)


def begin(sweep: Sweep) -> list[FrozenTrial]:
    """Bring the study in order after whatever ended it last. Returns the trials that were lost.

    The runs of MLflow follow: see SweepRecord.reconcile.
    """
    with sweep_lock(sweep.journal):
        return recover(sweep.study)


def drive(
    sweep: Sweep,
    train: Callable[[Proposal], Outcome],
    close: Callable[[Proposal, Outcome], None],
) -> str:
    """Train trials one after another until the total, and say why it stopped.

    train: trains one proposal and returns its outcome; what it raises ends the sweep, and the
    trial is enqueued again. close: called after Optuna knows the outcome.
    """
    started, spent = time.monotonic(), float(sweep.study.user_attrs.get(HOURS_USED, 0.0))
    while True:
        hours = spent + (time.monotonic() - started) / 3600
        proposal = _next(sweep, hours)
        if isinstance(proposal, str):
            return proposal
        if isinstance(proposal, NothingLeft):
            return f"{proposal.reason}, {sweep.total} were asked for"
        outcome = _train_or_lose(sweep.study, proposal, train)
        settle(sweep.study, proposal.trial, outcome)
        sweep.study.set_user_attr(HOURS_USED, spent + (time.monotonic() - started) / 3600)
        close(proposal, outcome)


def stop_reason(sweep: Sweep, hours: float) -> str | None:
    """Why no further trial is to be started, or None. hours: spent on this sweep so far."""
    trials = sweep.study.get_trials(deepcopy=False)
    counted = [t for t in trials if counts(t) and t.state is not TrialState.WAITING]
    waiting = any(t.state is TrialState.WAITING for t in trials)
    if len(counted) >= sweep.total and not waiting:
        under_way = any(not t.state.is_finished() for t in counted)
        return f"all {sweep.total} trials are done{' or under way elsewhere' if under_way else ''}"
    budget = sweep.budget
    if budget.hours is not None and hours >= budget.hours:
        return f"the budget of {budget.hours:g} hours is spent"
    if len(sweep.directions) > 1:
        return None
    values = [t.value for t in trials if t.state is TrialState.COMPLETE and t.value is not None]
    sign = 1 if sweep.directions[0] == "maximize" else -1
    if budget.target is not None and any(sign * value >= sign * budget.target for value in values):
        return f"the target of {budget.target:g} is reached"
    if budget.patience is not None and _since_best([sign * value for value in values]) >= budget.patience:
        return f"{budget.patience} trials in a row brought no improvement"
    return None


def _since_best(values: list[float]) -> int:
    """How many values came after the first best one."""
    return len(values) - 1 - values.index(max(values)) if values else 0


def _next(sweep: Sweep, hours: float) -> Proposal | NothingLeft | str:
    """The next trial, or why there is none: counted and asked under one lock, so that a total is total."""
    with sweep_lock(sweep.journal):
        mend_journal(sweep.journal)
        reason = stop_reason(sweep, hours)
        if reason is not None:
            return reason
        sweep.study.sampler = build_sampler(sweep.sampler, len(sweep.study.get_trials(deepcopy=False)))
        return propose(
            sweep.study,
            sweep.space,
            sweep.refusal,
            seed=sweep.sampler.seed,
            in_order=sweep.sampler.name == "grid",
        )


def _train_or_lose(study: Study, proposal: Proposal, train: Callable[[Proposal], Outcome]) -> Outcome:
    finished = False
    try:
        outcome = train(proposal)
        finished = True
        return outcome
    finally:
        if not finished:
            lose(study, proposal.trial, blamed=False)
