"""Trains an open sweep to its end, records its best models, and closes its run however it ends."""

from contextlib import ExitStack, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from hydra.types import HydraContext

from kerasweep.config.search import TrialConf
from kerasweep.errors import StorageError, SweepStopped, TrackingError, disk_advice
from kerasweep.multirun.batches import BatchPool, batch_size, start_workers, uses_ray, uses_workers
from kerasweep.multirun.plan import Plan
from kerasweep.multirun.record_winners import note_lost_weights, record_winners
from kerasweep.multirun.start_ray import start_ray
from kerasweep.multirun.trial_runs import BatchTrialRuns, WorkerTrialRuns
from kerasweep.results import State
from kerasweep.search.stops import Ending, StopRequest, done_text
from kerasweep.search.storage import under_lock
from kerasweep.search.sweep import Sweep, unknown_graph
from kerasweep.search.tally import tally_of
from kerasweep.sweep import summary
from kerasweep.sweep.best_repeats import delete_other_weights, due_winners, lost_winners
from kerasweep.sweep.best_trials import best_value
from kerasweep.sweep.driver import Driver
from kerasweep.sweep.progress import Progress, finished_trials
from kerasweep.sweep.reconcile import reconcile
from kerasweep.sweep.recording import SweepRecord
from kerasweep.sweep.replaced_runs import with_current_run
from kerasweep.sweep.view import View, open_view
from kerasweep.terminal import say
from kerasweep.tracking.reader import list_artifacts
from kerasweep.tracking.spool import Spool
from kerasweep.tracking.tags import objective_text
from kerasweep.trial.artifacts import record_images
from kerasweep.workers.pool import WorkerPool

if TYPE_CHECKING:
    from kerasweep.workers.ray_pool import RayPool


@dataclass(frozen=True)
class OpenSweep:
    """An open sweep and the services that train and record it."""

    context: HydraContext
    plan: Plan
    sweep: Sweep
    record: SweepRecord
    workers: WorkerPool | None  # on this machine; None where another Hydra launcher trains, or Ray
    stop: StopRequest  # set by Ctrl-C and SIGTERM


def trials_left(sweep: Sweep) -> int:
    """Returns how many trials need training: the rest of the total, or the unfinished ones if more."""
    unfinished = sum(not trial.state.is_finished() for trial in sweep.study.get_trials(deepcopy=False))
    return max(sweep.total - len(finished_trials(sweep.study)), unfinished)


def drive(opened: OpenSweep) -> Ending:
    """Trains a sweep to its end and returns why it ended. The sweep's run is closed after an error, too.

    Raises:
        KeyboardInterrupt: The user stopped the sweep.
        StorageError: The disk is full or cannot be written.
        TrackingError: MLflow cannot be used.
        TrainingError: Workers cannot be started, or the process that they are forked from has ended.
    """
    sweep, record = opened.sweep, opened.record
    ending, ended = Ending("the sweep was stopped", is_whole=False), False
    try:
        ending = _train(opened)
        ended = True
    except OSError as error:
        again = summary.same_command(opened.plan.base.study)
        raise StorageError(
            f"The sweep cannot write {error.filename or sweep.storage.folder}: {error.strerror or error}. "
            f"To go on from here, {disk_advice(error)}, and start {again}."
        ) from error
    finally:
        with suppress(StorageError, TrackingError) if not ended else nullcontext():
            record.close(State.COMPLETE if ended else State.CANCELLED, ending)
        if not ended:
            with suppress(StorageError):  # the database is away
                summary.print_stopped(sweep, opened.plan.base.study)
    return ending


def _train(opened: OpenSweep) -> Ending:
    """Trains a sweep to its end and records its winners, also if the user stops it."""
    record = opened.record
    try:
        ending = _run(opened)
    except SweepStopped:
        if record.tracker.outage() is None:
            _record_winners(opened, is_end=False)
            _note_best(opened)
        raise KeyboardInterrupt from None
    reconcile(record)  # closes the runs of a driver that died meanwhile
    _record_winners(opened, is_end=True)
    _note_best(opened)
    return ending


def _note_best(opened: OpenSweep) -> None:
    """Records the best value as a metric of the sweep's run, such as `best_val_accuracy`, by trials."""
    best, record = best_value(opened.sweep), opened.record
    if best is not None:
        metric = opened.plan.base.objective[0].metric
        done = len(finished_trials(opened.sweep.study))
        record.tracker.log_epoch(record.parent, done, {f"best_{metric}": best})


def _run(opened: OpenSweep) -> Ending:
    plan, sweep, record = opened.plan, opened.sweep, opened.record
    target, master = plan.base.trial.target, plan.question.master
    if trials_left(sweep) == 0 and not opened.stop.is_set:
        return Ending(done_text(tally_of(sweep.study, sweep.space), sweep.total, under_way=0), is_whole=True)
    has_workers = uses_workers(master) or uses_ray(master)
    trial_runs: WorkerTrialRuns
    with ExitStack() as stack:
        pool: WorkerPool | RayPool | BatchPool
        if has_workers:
            trial_runs = WorkerTrialRuns(plan.composer, record, sweep.repeats, target)
            pool = opened.workers or _start_pool(opened)
            if opened.workers is None:
                stack.callback(pool.stop)
        else:
            sweep = replace(sweep, graph_of=unknown_graph)  # only workers keep graphs
            trial_runs = BatchTrialRuns(plan.composer, record, sweep.repeats, target, plan.base.pruner)
            size = batch_size(master, plan.base, max(1, trials_left(sweep) * sweep.repeats))
            pool = BatchPool(opened.context, master, record.tracker, Spool(sweep.spool), target, size)
        # Another launcher also prints lines, and reports a trial only when its batch has ended.
        view = View(Progress.read(sweep))
        if has_workers:
            view = open_view(sweep, objective_text(plan.base), len(pool), plan.base.training.epochs)
        with view, record.tracker.without_waiting():
            return Driver(sweep, pool, trial_runs, view, opened.stop).run()


def _start_pool(opened: OpenSweep) -> "WorkerPool | RayPool":
    """Starts workers on the Ray cluster; on this machine, if trials came since the sweep was opened."""
    plan, master = opened.plan, opened.plan.question.master
    if uses_ray(master):
        return start_ray(opened.context, master, plan.base, plan.data)
    return start_workers(opened.context, master, plan.base, opened.sweep.repeats)


def _record_winners(opened: OpenSweep, is_end: bool) -> None:
    """Records the models that the user wants, tests the winner at the end, and meanwhile draws some images.

    Starts a worker if none runs: the sweep was complete already, or another launcher trained it. Waits for
    another driver that records the same sweep; then nothing remains to be recorded.
    """
    plan, sweep = opened.plan, opened.sweep
    if sweep.arms is not None:
        return
    under_lock(partial(sweep.storage.winner_lock, sweep.name), partial(_record_due, opened, is_end))
    if is_end and plan.base.trial.target == TrialConf.target:
        winners = [with_current_run(opened.record, winner) for winner in lost_winners(sweep)]
        note_lost_weights(winners, plan.base.tracking, sweep.has_repeated_axis)


def _record_due(opened: OpenSweep, is_end: bool) -> None:
    """Records what the winners still lack; call it with the lock of the winners held."""
    plan, sweep, master = opened.plan, opened.sweep, opened.plan.question.master
    trial_runs = WorkerTrialRuns(plan.composer, opened.record, sweep.repeats, plan.base.trial.target)
    with ExitStack() as stack:
        due = [with_current_run(opened.record, winner) for winner in due_winners(sweep)]
        delete_other_weights(sweep, due, is_end)
        if plan.base.tracking.models == "none" and not is_end:
            due = []
        if due:
            action = "testing {}" if plan.base.tracking.models == "none" else "recording the model of {}"
            say(action.format("the best trial" if len(due) == 1 else f"the best {len(due)} trials"))
        pool = opened.workers
        if due and pool is None:
            pool = start_workers(opened.context, master, plan.base, 1)
            stack.callback(pool.stop)
        record_winners(due, trial_runs, pool, lambda: _show_data(opened), is_end)


def _show_data(opened: OpenSweep) -> None:
    """Records some training images in the sweep's run, unless an earlier start has done so."""
    plan, record, data = opened.plan, opened.record, opened.plan.data.shared
    if data is not None and not list_artifacts(plan.base.tracking, record.parent, "figures"):
        record_images(plan.base, record.parent, record.tracker, data)
