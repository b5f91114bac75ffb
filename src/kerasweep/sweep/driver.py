"""Drives a sweep: asks Optuna for trials, gives them to workers, and passes each result to Optuna at once."""

from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from optuna.trial import FrozenTrial

from kerasweep.errors import RefusedError, StorageError, SweepStopped, TrackingError, UnreachableError
from kerasweep.results import Outcome, State
from kerasweep.search.ask import Elsewhere
from kerasweep.search.ledger import (
    fail_and_retry,
    note_progress,
    note_repeat,
    note_stopping,
    recover,
)
from kerasweep.search.owner import leased
from kerasweep.search.pruners import PrunedTrial, PrunerInput
from kerasweep.search.stops import Ending, Hours, StopRequest
from kerasweep.search.storage import under_lock
from kerasweep.search.sweep import Sweep
from kerasweep.sweep.protocols import Pool, TrialRuns
from kerasweep.sweep.repeats import RepeatedTrial
from kerasweep.sweep.trial_ends import TrialEnds
from kerasweep.sweep.trial_queue import TrialQueue
from kerasweep.sweep.view import View
from kerasweep.sweep.weight_files import stored
from kerasweep.workers.pool import Event, JobLost
from kerasweep.workers.worker import Finished, Job, Recorded, Report

TICK_SECONDS = 0.5
AWAY = "the trials under way go on, others wait until it answers; until then results are kept in {}"


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
    """Retries the trials of drivers that died and returns them; `reconcile` closes their runs."""
    return under_lock(sweep.lock, partial(recover, sweep.study))


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
        self._ends = TrialEnds(sweep, runs, view)
        self._outage: str | None = None  # why MLflow is away, as the user was told
        self._awaited: Elsewhere | None = None  # the other drivers, as the user was told
        self._failure: TrackingError | None = None  # why MLflow cannot be used any more
        self._jobs = 0
        self._hours = Hours(sweep.study, sweep.lock, sweep.hours_before)
        self._queue = TrialQueue(sweep, runs)

    def run(self) -> Ending:
        """Trains until no trial remains or the budget is spent, and returns the reason.

        If only trials of other drivers are left, waits for these, and trains them if their drivers die.

        An error or interrupt ends the sweep; the next start retries the trials under way. While MLflow is
        away, the trials under way go on, and no other trial begins.

        Raises:
            SweepStopped: The user asked to stop, and the running trials have ended.
            StorageError: A job could not write to its disk.
            OSError: The results of a trial cannot be written.
            TrackingError: MLflow cannot be used; the trials under way have ended.
            TrainingError: Workers cannot be started, or the process that they are forked from has ended.
        """
        with leased(self.sweep.study):
            try:
                self._train()
            finally:
                with suppress(TrackingError, OSError, StorageError):
                    self.runs.write_all()  # first: the storage may be away
                self._abandon()
                self._hours.note()
        if self.stop.is_set:
            self.stop.announce()
            raise SweepStopped("the sweep was stopped")
        assert self._queue.ending is not None
        return self._queue.ending

    def _train(self) -> None:
        while True:
            self._note_stop()
            self._note_outage()
            self._fill()
            self._note_others()
            self._ends.show()
            self._close_runs()
            if not self._tasks and self._failure is not None:
                raise self._failure
            if self._may_end:
                return
            event = self.pool.next_event(TICK_SECONDS)
            if event is not None:
                self._handle(*event)
            else:
                self._queue.ask_again()
            self._write_due()
            self.view.refresh()
            self._hours.note_sometimes()

    def _note_stop(self) -> None:
        """Tells the user what the first signal does, and notes it in the trials under way."""
        if self.stop.announce():
            for trial in self._queue.under_way:
                self._ends.unless_taken(trial, note_stopping, trial.proposal.trial)

    @property
    def _may_end(self) -> bool:
        """Whether all trials have ended and MLflow can close their runs; after a stop, it need not."""
        return self._is_end and not self._has_work and (self._outage is None or self.stop.is_set)

    @property
    def _has_work(self) -> bool:
        """Whether a trial that has begun is not settled. After a stop no run is opened."""
        under_way = self._queue.under_way
        return any(trial.opened is not None or not self.stop.is_set for trial in under_way)

    def _fill(self) -> None:
        """Gives every free worker a repeat to train, while there are any and their runs can be opened."""
        if self._outage is not None or self._failure is not None:
            return
        try:
            for worker in self.pool.free():
                trial = self._next_trial(worker)
                if trial is not None:
                    self._start(worker, trial)
                elif self._is_end or self._queue.elsewhere is not None:
                    return
        except RefusedError:
            raise
        except UnreachableError:
            self._note_outage()
        except TrackingError as error:
            self._failure = error

    def _note_outage(self) -> None:
        """Tells the user when MLflow goes away, and when it is back."""
        try:
            outage = self.runs.outage()
        except TrackingError as error:
            self._failure = error
            return
        if outage is not None and self._outage is None:
            self.view.say(f"note: {outage}; {AWAY.format(self.sweep.spool)}")
        elif outage is None and self._outage is not None:
            self.view.say("note: MLflow answers again")
        self._outage = outage

    def _note_others(self) -> None:
        """Tells the user for which drivers this one waits, which has no trial of its own left."""
        elsewhere = self._queue.elsewhere
        if elsewhere is None or self._tasks:
            return
        if self._awaited is None or elsewhere.owners != self._awaited.owners:
            self.view.say(f"note: {elsewhere.text}")
            self._awaited = elsewhere

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
        ref, repeat = trial.ref, trial.next_repeat
        if self.sweep.repeats > 1:
            ref = self.runs.open_repeat(trial.proposal, trial.ref, repeat)
        trial.start(worker)
        self._queue.begin_job(worker, trial, repeat)
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
            self._ends.record(event.run_id, event.entry, task.refusals)
        elif isinstance(event, Report):
            trial = task.trial
            stops = bool(self._ends.unless_taken(trial, task.pruned.report, event.epoch, event.value))
            self.view.epoch(worker, event.epoch, task.pruned.best)
            if self.sweep.keeps_checkpoints:
                self._ends.unless_taken(trial, note_progress, trial.proposal.trial, task.repeat, event.epoch)
            stops = stops or trial.ended is not None or trial.is_taken
            if event.waits:
                self.pool.answer(worker, stops)
        elif isinstance(event, Finished):
            self._end_task(event.job, event.result)
        elif isinstance(event, JobLost):
            self._lose_task(event)
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
        outcome = stored(outcome, self.sweep.jobs)
        task = self._tasks.pop(job)
        trial = task.trial
        self._ends.write(trial, outcome, task.run_id, task.refusals)
        self._queue.end_job(task.worker, trial, task.repeat, outcome.state == State.COMPLETE)
        self.view.idle(task.worker)
        if task.refusals and outcome.state in (State.COMPLETE, State.PRUNED):
            outcome = Outcome(State.FAILED, task.run_id, reason=task.refusals[0])
        if self.sweep.repeats > 1:
            self._ends.note_spooled(trial)  # first: else another machine might close its run without them
            self._ends.unless_taken(trial, note_repeat, trial.proposal.trial, task.repeat, outcome)
            self._ends.add_run(outcome)
        trial.end(task.repeat, outcome)
        if self._ends.unless_taken(trial, self._report_repeat, trial, task.repeat, outcome):
            trial.drop()
        if trial.is_over:
            self._settle(trial)

    def _lose_task(self, event: JobLost) -> None:
        task = self._tasks.pop(event.job)
        trial = task.trial
        self._queue.end_job(task.worker, trial, task.repeat, is_complete=False)
        self._queue.forget_worker(task.worker)
        self.view.idle(task.worker)
        if self.sweep.repeats > 1:
            with suppress(TrackingError):
                self.runs.cancel(task.run_id, event.reason)
        trial.lose(task.repeat, event.reason)
        if trial.is_over:
            self._settle(trial)

    def _report_repeat(self, trial: RepeatedTrial, repeat: int, outcome: Outcome) -> bool:
        """Reports a repeat's value to a pruner that compares repeats; returns whether it drops the trial."""
        compares_repeats = self.sweep.pruner_input is PrunerInput.REPEATS
        if not compares_repeats or outcome.state != State.COMPLETE or trial.ended is not None:
            return False
        trial.proposal.trial.report(outcome.values[0], repeat)
        return trial.has_repeats and bool(trial.proposal.trial.should_prune())

    def _settle(self, trial: RepeatedTrial) -> None:
        self._ends.end(trial)
        self._queue.remove(trial)

    def _close_runs(self) -> None:
        """Closes the runs of trials and repeats that have ended; later, while MLflow is away."""
        if self._outage is not None or self._failure is not None:
            return
        try:
            self._ends.close_runs()
        except UnreachableError:
            self._note_outage()
        except TrackingError as error:
            self._failure = error

    def _abandon(self) -> None:
        """Enqueues the trials under way again, and closes their runs.

        If that fails, on a full disk perhaps, the next start does it.
        """
        self._ends.show()
        with suppress(StorageError):
            self._close_runs()
        runs = {task.run_id for task in self._tasks.values()}
        for trial in self._queue.under_way:
            if self._enqueue_again(trial) and trial.opened is not None:
                runs.add(trial.ref.run_id)
        for run_id in sorted(runs):
            with suppress(TrackingError, OSError, StorageError):
                self.runs.cancel(run_id, "the sweep was stopped")

    def _enqueue_again(self, trial: RepeatedTrial) -> bool:
        """Enqueues a trial again; returns False if its result is, or may be, written: its run stays open."""
        with suppress(OSError, ValueError, StorageError), self.sweep.lock():
            self._ends.note_spooled(trial)
            return fail_and_retry(self.sweep.study, trial.number, blamed=False)
        return not trial.is_over
