"""Conducts a sweep from its command line to its summary."""

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from hydra.core.override_parser.types import Quote, QuotedString
from hydra.types import HydraContext
from omegaconf import DictConfig, open_dict

from kerasweep.config.schemas import RUN_GROUPS
from kerasweep.errors import ConfigError
from kerasweep.multirun.batches import batch_size, count_workers, start_workers, uses_workers
from kerasweep.multirun.composer import choices_of, make_composer
from kerasweep.multirun.conclude import announce_winner, conclude, ends_with_page
from kerasweep.multirun.drive import OpenSweep, drive, trials_left
from kerasweep.multirun.freeze_configs import freeze
from kerasweep.multirun.other_sweepers import translate_keys
from kerasweep.multirun.plan import Plan, make_plan
from kerasweep.multirun.question import Question, read_question
from kerasweep.search.stops import StopRequest
from kerasweep.search.study import sweep_lock
from kerasweep.search.sweep import Sweep
from kerasweep.sweep import summary
from kerasweep.sweep.driver import recover_trials
from kerasweep.sweep.progress import finished_trials
from kerasweep.sweep.recording import SweepRecord
from kerasweep.tracking.client import import_mlflow
from kerasweep.tracking.location import default_uri, resolve_uri
from kerasweep.tracking.reader import find_runs
from kerasweep.tracking.writer import Tracker, open_tracker
from kerasweep.trial.artifacts import record_data
from kerasweep.workers.pool import WorkerPool
from kerasweep.workers.signals import release_interrupts
from kerasweep.workers.template import has_template

DEFAULT_JOBS = "mlruns/jobs"


def conduct(
    context: HydraContext, config: DictConfig, arguments: list[str], sweeper_keys: Mapping[str, Any]
) -> float | None:
    """Runs the sweep that the arguments describe.

    Args:
        context: Hydra's context.
        config: The composed sweep with Hydra's node.
        arguments: The overrides of the command line.
        sweeper_keys: Keys of `hydra.sweeper` from files for hydra-optuna-sweeper.

    Returns:
        The best value of the first objective, None if no trial is complete.

    Raises:
        KerasweepError: A mistake that the user can correct.
        SystemExit: The end of a dry run.
    """
    translation = translate_keys(sweeper_keys)
    freeze(context)
    question = read_question(context, config, arguments, translation)
    _check_axes(question)
    composer = make_composer(context, question.master, question.fixed, question.space)
    release_interrupts()  # all config files are read
    plan = make_plan(question, composer)
    plan.check_claim()
    if plan.base.study.dry_run:
        from kerasweep.multirun.dry_run import dry_run

        dry_run(plan, _width(plan))
        raise SystemExit(0)
    stop = StopRequest()
    tracking = plan.base.tracking
    # Nothing is written before a server has answered; the local database is opened while workers start.
    tracker = None if resolve_uri(tracking.uri) == default_uri() else open_tracker(tracking)
    fresh = plan.base.study.fresh
    with ExitStack() as stack:
        stack.enter_context(stop.listening())  # from here on there may be a run to close
        if has_template():
            # Meanwhile it imports TensorFlow: workers fork off it without waiting.
            import_mlflow(resolve_uri(tracking.uri))
        is_new = plan.is_new(fresh)
        workers = _start_workers(context, plan, plan.total(), stack) if is_new else None
        sweep = plan.open_sweep(fresh)
        if not is_new:
            workers = _start_workers(context, plan, trials_left(sweep), stack)
        tracker = tracker or open_tracker(tracking)
        sweep = with_its_runs(plan, sweep)
        _use_job_folder(question.master, sweep.name)
        record = _open_record(plan, sweep, tracker)
        data_text = f"{plan.base.data.source}, {plan.data.describe()}" if plan.data is not None else None
        summary.print_header(
            sweep, plan.study, question.master, translation.notes, plan.left_out(), data_text
        )
        recover_trials(sweep)
        record.reconcile()
        reason = drive(OpenSweep(context, plan, sweep, record, workers, stop))
    summary.print_end(sweep, record, reason)
    if ends_with_page(plan.base) and finished_trials(sweep.study):
        conclude(plan.base, sweep.name)
    elif summary.best_trials(sweep):
        announce_winner(plan.base, sweep.name)
    return summary.best_value(sweep)


def _width(plan: Plan) -> int:
    """Returns how many trainings of a new sweep run at the same time."""
    master, jobs = plan.question.master, plan.total() * plan.base.study.repeats
    return count_workers(plan.base, jobs) if uses_workers(master) else batch_size(master, plan.base, jobs)


def _start_workers(context: HydraContext, plan: Plan, trials: int, stack: ExitStack) -> WorkerPool | None:
    """Starts workers early: they import TensorFlow while this process opens Optuna and MLflow."""
    master = plan.question.master
    if trials < 1 or not uses_workers(master):
        return None
    workers = start_workers(context, master, plan.base, trials * plan.base.study.repeats)
    stack.callback(workers.stop)
    return workers


def _open_record(plan: Plan, sweep: Sweep, tracker: Tracker) -> SweepRecord:
    names, choices = plan.short_names(), choices_of(plan.question.master)
    with sweep_lock(sweep.journal):
        record = SweepRecord.open(tracker, plan.base, sweep, plan.study, names, choices)
    if plan.data is not None and not record.is_resumed:
        record_data(plan.base, record.parent, tracker, plan.data)
    return record


def with_its_runs(plan: Plan, sweep: Sweep) -> Sweep:
    """Returns the sweep, or its next generation if MLflow has trials that its journal lacks.

    Such a journal was deleted or emptied: continuing it would record every trial twice under one parent.
    """
    while not _has_trials(sweep) and find_runs(
        plan.base.tracking, {"sweep": sweep.name, "kind": "trial"}, max_runs=1
    ):
        if _has_trials(sweep):  # another driver began meanwhile: it asks for a trial before it opens a run
            break
        sweep = plan.open_sweep(fresh=True)
    return sweep


def _has_trials(sweep: Sweep) -> bool:
    return bool(sweep.study.get_trials(deepcopy=False))


def _check_axes(question: Question) -> None:
    """Raises ConfigError for an axis that does not define a run, such as tracking.uri."""
    for axis in question.space.axes:
        root = axis.key.lstrip("+").partition(".")[0].partition("@")[0]
        if root not in RUN_GROUPS:
            raise ConfigError(
                f"{axis.key} cannot be swept: it does not define a run. "
                f"Sweep keys of {', '.join(RUN_GROUPS)}."
            )


def _use_job_folder(master: DictConfig, sweep: str) -> None:
    """Moves the jobs into a folder named after the sweep, unless the user set hydra.sweep.dir."""
    if master.hydra.sweep.dir != DEFAULT_JOBS:
        return
    folder = f"{DEFAULT_JOBS}/{sweep}"
    with open_dict(master):
        master.hydra.sweep.dir = folder
        text = QuotedString(folder, Quote.single).with_quotes()
        master.hydra.overrides.hydra.append(f"hydra.sweep.dir={text}")
