"""Opens a sweep with its run, its workers and its study."""

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial

from hydra.types import HydraContext
from omegaconf import DictConfig

from kerasweep.multirun.batches import start_workers, uses_workers
from kerasweep.multirun.composer import choices_of
from kerasweep.multirun.drive import OpenSweep, trials_left
from kerasweep.multirun.job_folder import with_job_folder
from kerasweep.multirun.learn_from import with_learned_trials
from kerasweep.multirun.plan import Plan
from kerasweep.multirun.restore import restore_trials
from kerasweep.multirun.similar_sweeps import adopt_from_similar_sweeps
from kerasweep.multirun.start_with import enqueue_first, first_configurations
from kerasweep.multirun.trial_runs import WorkerTrialRuns
from kerasweep.search.stops import StopRequest
from kerasweep.search.storage import under_lock
from kerasweep.search.sweep import Sweep
from kerasweep.sweep import summary
from kerasweep.sweep.driver import recover_trials
from kerasweep.sweep.rebuild_runs import rebuild_runs
from kerasweep.sweep.reconcile import reconcile
from kerasweep.sweep.recording import SweepRecord
from kerasweep.tracking.tags import INPUTS, NUISANCE, TUNING, TUNING_NOTES, UNTUNED, ZIPPED, zips_text
from kerasweep.tracking.writer import Tracker, open_tracker
from kerasweep.trial.artifacts import record_data
from kerasweep.workers.pool import WorkerPool


class SweepOpener:
    """Opens the sweeps of a command, which share its workers.

    Args:
        context: Hydra's context.
        master: The composed sweep with Hydra's node.
        notes: Sentences for the user on keys of other sweepers.
        stop: Set by Ctrl-C and SIGTERM.
        stack: Stops the workers at its end.
        tracker: Writes to MLflow, None to open it once the workers start.
    """

    def __init__(
        self,
        context: HydraContext,
        master: DictConfig,
        notes: Sequence[str],
        stop: StopRequest,
        stack: ExitStack,
        tracker: Tracker | None,
    ) -> None:
        self._context = context
        self._master = master
        self._notes = notes
        self._stop = stop
        self._stack = stack
        self._tracker = tracker
        self._workers: WorkerPool | None = None
        self._jobs: str = master.hydra.sweep.dir  # as the command names it

    def open(self, plan: Plan, fresh: bool, later: int = 0) -> OpenSweep:
        """Opens a plan's sweep and its run, prints its header, and retries the trials of dead drivers.

        Args:
            plan: The sweep.
            fresh: Whether to begin its next generation.
            later: The number of trainings of a second sweep, for the same workers.
        """
        is_new, repeats = plan.is_new(fresh), plan.base.study.repeats
        if is_new:
            self._start_workers(plan.base, plan.total() * repeats, later)
        sweep = plan.open_sweep(fresh)
        if not is_new:
            self._start_workers(plan.base, trials_left(sweep) * repeats, later)
        self._tracker = self._tracker or open_tracker(plan.base.tracking)
        sweep = with_job_folder(sweep, self._master, self._jobs)
        restored = restore_trials(plan, sweep, fresh)
        if restored.name != sweep.name:  # a new generation begins
            restored = with_job_folder(restored, self._master, self._jobs)
        sweep = restored
        adopt_from_similar_sweeps(plan, sweep, fresh)
        sweep = with_learned_trials(plan, sweep)
        under_lock(sweep.lock, partial(enqueue_first, sweep, first_configurations(plan)))
        record = _open_record(plan, sweep, self._tracker)
        data = plan.data.shared
        data_text = f"{plan.base.data.source}, {data.describe()}" if data is not None else None
        notes = (*self._notes, *(data.notes if data is not None else ()))
        summary.print_header(sweep, plan.study, plan.base, notes, plan.left_out(), data_text)
        recover_trials(sweep)
        reconcile(record)
        repeats, target = plan.base.study.repeats, plan.base.trial.target
        rebuild_runs(record, WorkerTrialRuns(plan.composer, record, repeats, target))
        return OpenSweep(self._context, plan, sweep, record, self._workers, self._stop)

    def _start_workers(self, cfg: DictConfig, trainings: int, later: int) -> None:
        """Starts workers early: they import TensorFlow while this process opens Optuna and MLflow."""
        if self._workers is None and trainings > 0 and uses_workers(self._master):
            self._workers = start_workers(self._context, self._master, cfg, trainings + later)
            self._stack.callback(self._workers.stop)


def _open_record(plan: Plan, sweep: Sweep, tracker: Tracker) -> SweepRecord:
    names, choices = plan.short_names(), choices_of(plan.question.master)
    compared = list(plan.compared_names().values())
    more = {INPUTS: plan.inputs}
    if plan.tuned_by is not None:
        nuisance = [name for name in names.values() if name not in compared]
        notes = {TUNING_NOTES: "\n".join(plan.tuned_by.notes)} if plan.tuned_by.notes else {}
        more |= {TUNING: plan.tuned_by.sweep, NUISANCE: ",".join(nuisance), **notes}
        more |= {UNTUNED: str(plan.tuned_by.untuned)} if plan.tuned_by.untuned else {}
    zips = [axis.members for axis in plan.question.space.joint if axis.is_zip]
    if zips:
        more[ZIPPED] = zips_text([names[key] for key in keys] for keys in zips)
    if plan.sources:
        more["sources"] = " ".join(f"{name}:{digest}" for name, digest in plan.sources.items())
    axes = list(names.values()) if plan.arms is not None else compared
    given = (tracker, plan.base, sweep, plan.study, names, choices, axes, more)
    record = under_lock(sweep.lock, partial(SweepRecord.open, *given))
    if plan.data.shared is not None and not record.is_resumed:
        record_data(plan.base, record.parent, tracker, plan.data.shared)
    return record
