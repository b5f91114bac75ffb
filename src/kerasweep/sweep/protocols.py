"""Declares what a driver calls: the pool of workers and the runs of trials."""

from typing import Any, Protocol

from kerasweep.results import Outcome, TrialRef
from kerasweep.search.suggest import Proposal
from kerasweep.tracking.entries import Entry
from kerasweep.workers.pool import Event
from kerasweep.workers.worker import Job


class Pool(Protocol):
    """Runs jobs: a WorkerPool, or another launcher of Hydra's in batches."""

    def free(self) -> list[int]: ...  # the workers without a job
    def submit(self, worker: int, job: Job) -> None: ...
    def answer(self, worker: int, stops: bool) -> None: ...  # whether the reporting job must stop
    def next_event(self, timeout: float) -> tuple[int, Event] | None: ...  # None after `timeout` seconds


class TrialRuns(Protocol):
    """Opens, fills and closes the runs of trials, and makes the jobs that train them.

    Recorded entries may be written later. `write_due` returns the runs of which MLflow refused entries, with
    the reasons; `write` and `write_all` keep on disk what MLflow cannot take now. `outage` returns why no run
    can be opened or closed now, None if they can, and raises TrackingError if they never can. `job` returns
    the function (`module:name`) and the payload of a job; with `waits`, each report of an epoch waits for the
    pruner's answer. `adopt_repeat` puts a repeat that an earlier driver trained below the trial's new run,
    and returns the same as `write`. The schedule warms up until the end of `warmup_epochs`.
    """

    def open_trial(self, proposal: Proposal) -> TrialRef: ...
    def open_repeat(self, proposal: Proposal, ref: TrialRef, repeat: int) -> TrialRef: ...
    def job(self, proposal: Proposal, ref: TrialRef, waits: bool) -> tuple[str, Any]: ...
    def warmup_epochs(self, proposal: Proposal) -> int: ...
    def record(self, run_id: str, entry: Entry) -> None: ...
    def write_due(self) -> dict[str, str]: ...
    def write(self, run_id: str) -> bool: ...  # whether entries are kept on disk
    def write_all(self) -> None: ...
    def outage(self) -> str | None: ...
    def adopt_repeat(self, proposal: Proposal, ref: TrialRef, repeat: int, outcome: Outcome) -> bool: ...
    def close(self, outcome: Outcome) -> None: ...  # the run of a trial or of a repeat
    def forget(self, proposal: Proposal) -> None: ...  # a trial that has ended
    def note_best(self, trials: int, value: float) -> None: ...  # after this number of trials has ended
    def cancel(self, run_id: str, reason: str) -> None: ...
