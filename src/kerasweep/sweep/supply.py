"""Finds the next trial for each worker: a seed of one under way, or a new one that Optuna proposes."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial

from kerasweep.errors import RefusedError
from kerasweep.search.ledger import known_seeds
from kerasweep.search.propose import Proposal, ask
from kerasweep.search.pruners import SEEDS
from kerasweep.search.stops import Ending, Hours
from kerasweep.search.sweep import Sweep
from kerasweep.sweep.protocols import Crew
from kerasweep.sweep.repeats import Trial
from kerasweep.workers.affinity import GraphAffinity


class Supply:
    """The trials under way, and those to come.

    settle: called with a trial of which an attempt before has trained every seed. under_way: trials that
    have been opened and not settled. ending: why there is no new trial, None as long as there are.
    """

    def __init__(self, sweep: Sweep, crew: Crew, hours: Hours, settle: Callable[[Trial], None]) -> None:
        self.under_way: list[Trial] = []
        self.ending: Ending | None = None
        self._sweep = sweep
        self._crew = crew
        self._hours = hours
        self._settle = settle
        self._affinity = GraphAffinity(sweep.graph_of, sweep.repeats)
        self._waiting: set[int] = set()

    def trial_for(self, worker: int, is_stopped: bool) -> Trial | None:
        """The trial of which a free worker trains the next seed; None where there is none for it now.

        Its own, else a new one; where there are no new ones any more, or is_stopped, any with seeds left.
        """
        if worker in self._waiting:
            return None
        trial = self._with_seeds(worker)
        if trial is None and not is_stopped:
            trial = self._new_trial(worker)
        if trial is None and (is_stopped or self.ending is not None):
            return self._with_seeds()
        if trial is None:
            self._waiting.add(worker)  # until something ends, or for a tick: asking takes the sweep's lock
        return trial

    def ask_again(self) -> None:
        """Have workers that wait ask again, since a job has ended or a while has passed."""
        self._waiting.clear()

    def began(self, worker: int, trial: Trial) -> None:
        """A worker trains a seed of it."""
        self._affinity.begin(worker, trial.proposal.params)

    def ended(self, worker: int, trial: Trial, is_complete: bool) -> None:
        """The worker's seed has ended."""
        self._affinity.end(worker, trial.proposal.params, is_complete)
        self.ask_again()

    def died(self, worker: int) -> None:
        """The worker's process has ended, with the graphs that it held."""
        self._affinity.forget(worker)

    def _with_seeds(self, worker: int | None = None) -> Trial | None:
        """A trial under way that has seeds to train. worker: the one that began it; None: any.

        Seeds of one trial share a graph, so that one worker trains them without another trace; and a
        pruner of seeds can only drop what was not begun.
        """
        able = (trial for trial in self.under_way if trial.has_seeds and worker in (None, trial.worker))
        return next(able, None)

    def _new_trial(self, worker: int) -> Trial | None:
        while True:
            proposal = self._next(worker)
            if proposal is None:
                return None
            trial = self._open(proposal)
            if trial.has_seeds:
                return trial
            self._settle(trial)

    def _next(self, worker: int) -> Proposal | None:
        pick = partial(self._affinity.pick, worker)
        found = ask(self._sweep, len(self.under_way), self._hours.used(), pick)
        self.ending = found if isinstance(found, Ending) else None
        return None if isinstance(found, Ending) else found

    def _open(self, proposal: Proposal) -> Trial:
        """Open a trial's run; it is kept track of first, so that no error leaves it behind."""
        trial = Trial(proposal, self._sweep.repeats)
        self.under_way.append(trial)
        trial.ref = self._crew.open_trial(proposal)
        if self._sweep.repeats > 1:
            trial.know(known_seeds(self._sweep.study, trial.number))
        for seed, outcome in sorted(trial.done.items()):
            with suppress(RefusedError):  # the user deleted the run
                self._crew.adopt_seed(trial.ref, outcome)
            if self._sweep.pruner_hears == SEEDS:
                proposal.trial.report(outcome.values[0], seed)
        return trial
