"""Ends trials: passes their results to Optuna, closes their runs and shows them."""

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from optuna.exceptions import UpdateFinishedTrialError

from kerasweep.errors import RefusedError, TrackingError
from kerasweep.results import Outcome, State
from kerasweep.search.ledger import MAX_RETRIES, lose, note_spooled, settle
from kerasweep.search.storage import under_lock
from kerasweep.search.suggest import Proposal
from kerasweep.search.sweep import Sweep
from kerasweep.sweep.protocols import TrialRuns
from kerasweep.sweep.repeats import RepeatedTrial
from kerasweep.sweep.view import View
from kerasweep.tracking.entries import Entry, Text

T = TypeVar("T")


class TrialEnds:
    """Ends the trials of a driver. Runs are closed, and trials shown, once the driver has time for it.

    Args:
        sweep: The sweep.
        runs: Records the trials.
        view: Shows them to the user.
    """

    def __init__(self, sweep: Sweep, runs: TrialRuns, view: View) -> None:
        self._sweep = sweep
        self._runs = runs
        self._view = view
        self._hidden: deque[tuple[Proposal, Outcome]] = deque()  # trials that the view does not show yet
        self._open_runs: deque[Outcome] = deque()  # of trials and repeats that have ended

    def unless_taken(self, trial: RepeatedTrial, change: Callable[..., T], *arguments: Any) -> T | None:
        """Changes an Optuna trial, unless another driver, which takes this one for dead, has ended it."""
        if not trial.is_taken:
            try:
                return change(*arguments)
            except UpdateFinishedTrialError:
                trial.is_taken = True
                self._view.say(
                    f"note: trial {trial.number} is trained again by another driver: it does not count here"
                )
        return None

    def record(self, run_id: str, entry: Entry, refusals: list[str]) -> None:
        """Records an entry in a run; adds the reason to `refusals` if MLflow refuses it."""
        try:
            self._runs.record(run_id, entry)
        except RefusedError as error:  # MLflow forbids a name, or the user deleted the run
            refusals.append(str(error))

    def write(self, trial: RepeatedTrial, outcome: Outcome, run_id: str, refusals: list[str]) -> None:
        """Writes what a run still lacks before its result is saved, to MLflow or to the disk."""
        if outcome.traceback:
            self.record(run_id, Text(outcome.traceback, "traceback.txt"), refusals)
        try:
            trial.is_spooled = self._runs.write(run_id) or trial.is_spooled
        except RefusedError as error:
            refusals.append(str(error))

    def end(self, trial: RepeatedTrial) -> None:
        """Ends a trial that trains no more: it has a result, or is trained again if its machine has gone."""
        if trial.lost_for is not None and trial.ended is None:
            self._retry(trial, trial.lost_for)
        else:
            self._settle(trial)

    def _settle(self, trial: RepeatedTrial) -> None:
        if not trial.is_taken:
            outcome = trial.result()
            if self._sweep.repeats > 1:  # else its only job has written it
                self.write(trial, outcome, trial.ref.run_id, [])
            self.note_spooled(trial)
            self.unless_taken(trial, settle, self._sweep.study, trial.proposal.trial, outcome)
        if trial.is_taken:
            with suppress(TrackingError):
                self._runs.cancel(trial.ref.run_id, "another driver trains it again")
        else:
            self._hidden.append((trial.proposal, outcome))
            self._open_runs.append(outcome)

    def _retry(self, trial: RepeatedTrial, reason: str) -> None:
        """Enqueues a trial again whose machine has gone; it keeps its complete repeats. Or it has failed."""
        self.note_spooled(trial)
        is_retried = under_lock(self._sweep.lock, partial(lose, self._sweep.study, trial.number))
        if is_retried:
            self._view.say(f"note: trial {trial.number} is trained again: {reason}")
            with suppress(TrackingError):
                self._runs.cancel(trial.ref.run_id, reason)
        else:
            outcome = Outcome(
                State.FAILED, trial.ref.run_id, reason=f"{reason}, in {MAX_RETRIES + 1} attempts"
            )
            self._hidden.append((trial.proposal, outcome))
            self._open_runs.append(outcome)

    def note_spooled(self, trial: RepeatedTrial) -> None:
        """Notes in a trial that MLflow lacks results of it, which are kept on this machine."""
        if trial.is_spooled:
            self.unless_taken(trial, note_spooled, trial.proposal.trial, self._sweep.storage.place())

    def show(self) -> None:
        """Shows settled trials, after free workers have got their next ones."""
        while self._hidden:
            proposal, outcome = self._hidden.popleft()
            self._runs.forget(proposal)
            self._view.settled(proposal.trial.number, self._sweep.shown_params(proposal.params), outcome)
            progress = self._view.progress
            if progress.best is not None and not self._sweep.has_repeated_axis:  # else a mean is the best
                self._runs.note_best(progress.done, progress.best.values[0])

    def add_run(self, outcome: Outcome) -> None:
        """Notes that a repeat has ended: `close_runs` closes its run."""
        self._open_runs.append(outcome)

    def close_runs(self) -> None:
        """Closes the runs of trials and repeats that have ended.

        Raises:
            UnreachableError: MLflow is away; the rest is closed by a later call.
            TrackingError: MLflow cannot be used.
        """
        while self._open_runs:
            with suppress(RefusedError):  # the user deleted the run
                self._runs.close(self._open_runs[0])
            self._open_runs.popleft()
