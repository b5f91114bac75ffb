"""Drives a sweep: asks Optuna for trials, gives them to workers, and passes each result to Optuna at once."""

from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field

from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial

from kerasweep.errors import RefusedError, StorageError, SweepStopped, TrackingError
from kerasweep.results import Outcome, State
from kerasweep.search.ledger import fail_and_retry, note_progress, note_repeat, recover, settle
from kerasweep.search.owner import leased
from kerasweep.search.propose import Proposal
from kerasweep.search.pruners import PrunedTrial, PrunerInput
from kerasweep.search.stops import Ending, Hours, StopRequest
from kerasweep.search.study import sweep_lock
from kerasweep.search.sweep import Sweep
from kerasweep.sweep.protocols import Pool, TrialRuns
from kerasweep.sweep.repeats import RepeatedTrial
from kerasweep.sweep.trial_queue import TrialQueue
from kerasweep.sweep.view import View
from kerasweep.workers.pool import Event
from kerasweep.workers.worker import Finished, Job, Recorded, Report

TICK_SECONDS = 0.5


@dataclass(frozen=True)
class _Task:
    """A job that trains one repeat of a trial."""

    trial: RepeatedTrial
    repeat: int
    run_id: str  # the run that the job fills
    worker: int
    pruned: PrunedTrial
    refusals: list[str] = field(default_factory=list)  # why MLflow refused some entries


def recover_trials(sweep: Sweep) -> list[FrozenTrial]:
    """Retries the trials of drivers that died and returns them; `SweepRecord.reconcile` closes their runs."""
    with sweep_lock(sweep.journal):
        return recover(sweep.study)


class Driver:
    """Keeps every worker of a pool busy with the trials of a sweep.

    Only the thread that calls `run` uses Optuna and MLflow.

    Args:
        sweep: The sweep to continue.
        pool: Runs the jobs.
        runs: Makes the jobs and records the trials.
        view: Shows the sweep to the user.
        stop: Checked before each new trial.
    """

    def __init__(self, sweep: Sweep, pool: Pool, runs: TrialRuns, view: View, stop: StopRequest) -> None:
        self.sweep = sweep
        self.pool = pool
        self.runs = runs
        self.view = view
        self.stop = stop
        self._tasks: dict[int, _Task] = {}
        self._settled: deque[tuple[Proposal, Outcome]] = deque()
        self._jobs = 0
        self._hours = Hours(sweep.study, sweep.journal, sweep.hours_before)
        self._queue = TrialQueue(sweep, runs)

    def run(self) -> Ending:
        """Trains until no trial remains or the budget is spent, and returns the reason.

        An error or interrupt ends the sweep; the next start retries the trials under way.

        Raises:
            SweepStopped: The user asked to stop, and the running trials have ended.
            StorageError: A job could not write to its disk.
            TrackingError: MLflow cannot be used.
            TrainingError: Workers cannot be started, or the process that they are forked from has ended.
        """
        with leased(self.sweep.study):
            try:
                self._train()
            finally:
                self._abandon()
                with suppress(TrackingError):
                    self.runs.write_all()
                self._hours.note()
        if self.stop.is_set:
            self.stop.announce()
            raise SweepStopped("the sweep was stopped")
        assert self._queue.ending is not None
        return self._queue.ending

    def _train(self) -> None:
        while True:
            self.stop.announce()
            self._fill()
            self._close_settled()
            if not self._queue.under_way and self._is_end:
                return
            event = self.pool.next_event(TICK_SECONDS)
            if event is not None:
                self._handle(*event)
            else:
                self._queue.ask_again()
            self._write_due()
            self.view.refresh()
            self._hours.note_sometimes()

    def _fill(self) -> None:
        """Gives every free worker a repeat to train, while there are any."""
        for worker in self.pool.free():
            trial = self._next_trial(worker)
            if trial is not None:
                self._start(worker, trial)
            elif self._is_end:
                return

    def _next_trial(self, worker: int) -> RepeatedTrial | None:
        while True:
            trial = self._queue.next_for(worker, self._hours.used(), self.stop.is_set)
            if trial is None or not trial.is_over:
                return trial
            self._settle(trial)

    @property
    def _is_end(self) -> bool:
        """Whether no new trial will begin."""
        return self._queue.ending is not None or self.stop.is_set

    def _start(self, worker: int, trial: RepeatedTrial) -> None:
        repeat = trial.start(worker)
        self._queue.begin_job(worker, trial, repeat)
        ref = trial.ref
        if self.sweep.repeats > 1:
            ref = self.runs.open_repeat(trial.proposal, trial.ref, repeat)
        self._jobs += 1
        self._tasks[self._jobs] = _Task(trial, repeat, ref.run_id, worker, self._pruned(trial, repeat))
        function, payload = self.runs.job(
            trial.proposal, ref, self.sweep.pruner_input is not PrunerInput.NOTHING
        )
        self.pool.submit(worker, Job(self._jobs, function, payload))
        params = self.sweep.params_of(trial.proposal.params, repeat)
        self.view.started(worker, trial.number, repeat, params)

    def _pruned(self, trial: RepeatedTrial, repeat: int) -> PrunedTrial:
        """Returns the link to the pruner, which compares the epochs of the first repeat only."""
        kind = self.sweep.pruner_input if repeat == 0 else PrunerInput.NOTHING
        warmup = self.runs.warmup_epochs(trial.proposal)
        return PrunedTrial(trial.proposal.trial, kind, self.sweep.directions[0], warmup)

    def _handle(self, worker: int, event: Event) -> None:
        task = self._tasks[event.job]
        if isinstance(event, Recorded):
            try:
                self.runs.record(event.run_id, event.entry)
            except RefusedError as error:  # MLflow forbids a name, or the user deleted the run
                task.refusals.append(str(error))
        elif isinstance(event, Report):
            stops = task.pruned.report(event.epoch, event.value) or task.trial.ended is not None
            self.view.epoch(worker, event.epoch, task.pruned.best)
            if self.sweep.keeps_checkpoints:
                note_progress(task.trial.proposal.trial, task.repeat, event.epoch)
            if event.waits:
                self.pool.answer(worker, stops)
        elif isinstance(event, Finished):
            self._end_task(event.job, event.result)
        else:
            self._queue.forget_worker(worker)
            failed = Outcome(State.FAILED, task.run_id, reason=event.reason, is_poor=event.exceeded_limit)
            self._end_task(event.job, failed)

    def _write_due(self) -> None:
        """Writes entries that have waited long enough; a refused entry fails its repeat."""
        refused = self.runs.write_due()
        for task in self._tasks.values():
            runs = {task.run_id, task.trial.ref.run_id}
            task.refusals.extend(refused[run_id] for run_id in runs if run_id in refused)

    def _end_task(self, job: int, outcome: Outcome) -> None:
        if outcome.state == State.LOST:
            raise StorageError(outcome.reason or "a trial was lost")  # _abandon enqueues it again
        task = self._tasks.pop(job)
        trial = task.trial
        error = self._write(task)
        self._queue.end_job(task.worker, trial, task.repeat, outcome.state == State.COMPLETE)
        self.view.idle(task.worker)
        if task.refusals and outcome.state in (State.COMPLETE, State.PRUNED):
            outcome = Outcome(State.FAILED, task.run_id, reason=task.refusals[0])
        if self.sweep.repeats > 1:
            note_repeat(trial.proposal.trial, task.repeat, outcome)
            with suppress(RefusedError):  # the user deleted the run
                self.runs.close_repeat(outcome)
        trial.end(task.repeat, outcome)
        if self._report_repeat(trial, task.repeat, outcome):
            trial.drop()
        if trial.is_over:
            self._settle(trial)
        if error is not None:
            raise error

    def _write(self, task: _Task) -> TrackingError | None:
        """Writes a job's entries. Returns an error of MLflow, to be raised once the trial is settled."""
        try:
            self.runs.write(task.run_id)
        except RefusedError as error:
            task.refusals.append(str(error))
        except TrackingError as error:
            return error
        return None

    def _report_repeat(self, trial: RepeatedTrial, repeat: int, outcome: Outcome) -> bool:
        """Reports a repeat's value to a pruner that compares repeats; returns whether it drops the trial."""
        compares_repeats = self.sweep.pruner_input is PrunerInput.REPEATS
        if not compares_repeats or outcome.state != State.COMPLETE or trial.ended is not None:
            return False
        trial.proposal.trial.report(outcome.values[0], repeat)
        return trial.has_repeats and bool(trial.proposal.trial.should_prune())

    def _settle(self, trial: RepeatedTrial) -> None:
        outcome = trial.result()
        try:
            settle(self.sweep.study, trial.proposal.trial, outcome)
        except UpdateFinishedTrialError:  # a driver on another host assumed that this one was dead
            with suppress(RefusedError):
                self.runs.cancel(trial.ref.run_id)
        else:
            self._settled.append((trial.proposal, outcome))
        self._queue.remove(trial)

    def _close_settled(self) -> None:
        """Closes the runs of settled trials, after free workers have got their next ones."""
        while self._settled:
            proposal, outcome = self._settled.popleft()
            with suppress(RefusedError):  # the user deleted the run
                self.runs.close_trial(proposal, outcome)
            params = self.sweep.shown_params(proposal.params)
            self.view.settled(proposal.trial.number, params, outcome)

    def _abandon(self) -> None:
        """Enqueues the trials under way again, and closes their runs.

        If that fails, on a full disk perhaps, the next start does it.
        """
        with suppress(TrackingError):
            self._close_settled()
        runs = {task.run_id for task in self._tasks.values()}
        for trial in self._queue.under_way:
            if self._enqueue_again(trial) and trial.opened is not None:
                runs.add(trial.ref.run_id)
        for run_id in sorted(runs):
            with suppress(TrackingError):
                self.runs.cancel(run_id)

    def _enqueue_again(self, trial: RepeatedTrial) -> bool:
        """Enqueues a trial again; returns False if its result is written, so that its run keeps it."""
        with suppress(OSError, ValueError), sweep_lock(self.sweep.journal):
            return fail_and_retry(self.sweep.study, trial.number, blamed=False)
        return True
