"""Conducts a sweep from its command line to its summary."""

from collections.abc import Mapping
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Quote, QuotedString
from hydra.types import HydraContext
from omegaconf import DictConfig, open_dict

from kerasweep.config.keys import RUN_GROUPS
from kerasweep.errors import ConfigError, StorageError, SweepStopped, TrackingError
from kerasweep.multirun.batches import BatchPool, batch_size, count_workers, start_workers, uses_workers
from kerasweep.multirun.claim_sides import check_sides
from kerasweep.multirun.composer import Composer, choices_of
from kerasweep.multirun.conclude import announce_winner, conclude, is_evidence
from kerasweep.multirun.crew import BatchCrew, TrialCrew
from kerasweep.multirun.other_sweepers import read_legacy
from kerasweep.multirun.plan import Plan
from kerasweep.multirun.portray import record_portraits
from kerasweep.multirun.question import Question, read_question
from kerasweep.results import State
from kerasweep.search.stops import Ending, StopRequest
from kerasweep.search.study import portrait_lock, sweep_lock
from kerasweep.search.sweep import Sweep, unknown_graph
from kerasweep.sweep import summary
from kerasweep.sweep.driver import Driver, begin
from kerasweep.sweep.portraits import due_portraits
from kerasweep.sweep.progress import finished_trials
from kerasweep.sweep.recording import SweepRecord
from kerasweep.sweep.view import View, open_view
from kerasweep.terminal import say
from kerasweep.tracking.client import import_mlflow
from kerasweep.tracking.location import default_uri, resolve_uri
from kerasweep.tracking.reader import find_runs, list_artifacts
from kerasweep.tracking.tags import objective_text
from kerasweep.tracking.writer import Tracker, open_tracker
from kerasweep.trial.artifacts import record_data, record_images
from kerasweep.workers.pool import WorkerPool
from kerasweep.workers.signals import release_interrupts
from kerasweep.workers.template import has_template

DEFAULT_JOBS = "mlruns/jobs"


def conduct(
    context: HydraContext, config: DictConfig, arguments: list[str], legacy_keys: Mapping[str, Any]
) -> float | None:
    """Run the sweep that the arguments describe; returns the best value of its first objective."""
    legacy = read_legacy(legacy_keys)
    question = read_question(context, config, arguments, legacy)
    _check_axes(question)
    composer = Composer(context, question.master, question.fixed, question.space)
    release_interrupts()  # no config file is read any more
    plan = Plan(question, composer)
    check_sides(plan)
    if plan.base.study.dry_run:
        from kerasweep.multirun.dry_run import dry_run

        dry_run(plan, _width(plan))
        raise SystemExit(0)
    stop = StopRequest()
    tracking = plan.base.tracking
    # Nothing is written before a server has answered; our own database is opened beside the workers.
    tracker = None if resolve_uri(tracking.uri) == default_uri() else open_tracker(tracking)
    fresh = plan.base.study.fresh
    with ExitStack() as stack:
        stack.enter_context(stop.listening())  # from here on there may be a run to close
        if has_template():
            # Meanwhile it imports TensorFlow: workers fork off it without waiting.
            import_mlflow(resolve_uri(tracking.uri))
        is_new = plan.is_new(fresh)
        workers = _start_workers(context, plan, plan.total(), stack) if is_new else None
        sweep = plan.sweep(fresh)
        if not is_new:
            workers = _start_workers(context, plan, _trials_left(sweep), stack)
        tracker = tracker or open_tracker(tracking)
        sweep = with_its_runs(plan, sweep)
        _use_job_folder(question.master, sweep.name)
        record = _open_record(plan, sweep, tracker)
        images = f"{plan.base.data.source}, {plan.data.describe()}" if plan.data is not None else None
        summary.print_header(sweep, plan.study, question.master, legacy.notes, plan.left_out(), images)
        begin(sweep)
        record.reconcile()
        reason = _drive(Ensemble(context, plan, sweep, record, workers, stop))
    summary.print_end(sweep, record, reason)
    if is_evidence(plan.base) and finished_trials(sweep.study):
        conclude(plan.base, sweep.name)
    elif summary.best_trials(sweep):
        announce_winner(plan.base, sweep.name)
    return summary.best_value(sweep)


def _width(plan: Plan) -> int:
    """How many trainings of a new sweep run side by side."""
    master, jobs = plan.question.master, plan.total() * plan.base.study.repeats
    return count_workers(plan.base, jobs) if uses_workers(master) else batch_size(master, plan.base, jobs)


@dataclass(frozen=True)
class Ensemble:
    """A sweep with all that it needs to be driven. workers: None where a foreign launcher trains."""

    context: HydraContext
    plan: Plan
    sweep: Sweep
    record: SweepRecord
    workers: WorkerPool | None
    stop: StopRequest


def _start_workers(context: HydraContext, plan: Plan, trials: int, stack: ExitStack) -> WorkerPool | None:
    """Start them early: TensorFlow is imported there while Optuna and MLflow are opened here."""
    master = plan.question.master
    if trials < 1 or not uses_workers(master):
        return None
    workers = start_workers(context, master, plan.base, trials * plan.base.study.repeats)
    stack.callback(workers.stop)
    return workers


def _trials_left(sweep: Sweep) -> int:
    """How many trials are still to be trained: up to the total, and all that wait or died."""
    unfinished = sum(not trial.state.is_finished() for trial in sweep.study.get_trials(deepcopy=False))
    return max(sweep.total - len(finished_trials(sweep.study)), unfinished)


def _open_record(plan: Plan, sweep: Sweep, tracker: Tracker) -> SweepRecord:
    names = plan.short_names()
    with sweep_lock(sweep.journal):
        record = SweepRecord(tracker, plan.base, sweep, plan.study, names, choices_of(plan.question.master))
    if plan.data is not None and not record.is_resumed:
        record_data(plan.base, record.parent, tracker, plan.data)
    return record


def _drive(ensemble: Ensemble) -> str:
    """Train to the end; whatever ends it early closes the parent run and says how to go on."""
    sweep, record = ensemble.sweep, ensemble.record
    ending, ended = Ending("the sweep was stopped", is_whole=False), False
    try:
        ending = _run(ensemble)
        record.reconcile()  # the runs of a driver that died meanwhile
        _portray(ensemble, is_end=True)
        _note_best(ensemble)
        ended = True
    except SweepStopped:
        _portray(ensemble, is_end=False)
        _note_best(ensemble)
        raise KeyboardInterrupt from None
    except OSError as error:
        raise StorageError(
            f"The sweep cannot write: {error.strerror or error}. Free some space on the disk of "
            f"{error.filename or sweep.journal.parent}; the same command goes on from here."
        ) from error
    finally:
        with suppress(TrackingError) if not ended else nullcontext():
            record.close(State.COMPLETE if ended else State.CANCELLED, ending)
        if not ended:
            summary.print_stopped(sweep)
    return ending.reason


def _note_best(ensemble: Ensemble) -> None:
    """Have the sweep's own run tell what its best trial came to, as in `best_val_accuracy`."""
    best, record = summary.best_value(ensemble.sweep), ensemble.record
    if best is not None:
        metric = ensemble.plan.base.objective[0].metric
        record.tracker.log_metrics(record.parent, {f"best_{metric}": best})


def _run(ensemble: Ensemble) -> Ending:
    plan, sweep, record = ensemble.plan, ensemble.sweep, ensemble.record
    target, master = plan.base.trial.target, plan.question.master
    crew: TrialCrew
    pool: WorkerPool | BatchPool
    if ensemble.workers is not None:
        crew, pool = TrialCrew(plan.composer, record, sweep.repeats, target), ensemble.workers
    else:
        sweep = replace(sweep, graph_of=unknown_graph)  # where it trains is not ours to say
        crew = BatchCrew(plan.composer, record, sweep.repeats, target, plan.base.pruner)
        size = batch_size(master, plan.base, max(1, _trials_left(sweep) * sweep.repeats))
        pool = BatchPool(ensemble.context, master, record.tracker, target, size)
    objective = objective_text(plan.base)
    # A foreign launcher prints lines of its own, and tells of a trial when its batch has ended.
    is_quiet = ensemble.workers is not None
    view = open_view(sweep, objective, len(pool), plan.base.training.epochs) if is_quiet else View(sweep)
    with view:
        return Driver(sweep, pool, crew, view, ensemble.stop).run()


def _portray(ensemble: Ensemble, is_end: bool) -> None:
    """Record the models that are asked for, test the winner at the end, and meanwhile draw some images.

    For a sweep that was complete already, or trained by a foreign launcher, a worker is started. Another
    driver that is at it is waited for: then nothing is left to do.
    """
    plan, sweep = ensemble.plan, ensemble.sweep
    master = plan.question.master
    jobs = Path(master.hydra.sweep.dir)
    crew = TrialCrew(plan.composer, ensemble.record, sweep.repeats, plan.base.trial.target)
    with ExitStack() as stack:
        stack.enter_context(portrait_lock(sweep.journal))
        due = due_portraits(sweep, jobs if jobs.name == sweep.name else None)
        if plan.base.tracking.models == "none" and not is_end:
            due = []
        if due:
            what = "testing {}" if plan.base.tracking.models == "none" else "recording the model of {}"
            say(what.format("the best trial" if len(due) == 1 else f"the best {len(due)} trials"))
        pool = ensemble.workers
        if due and pool is None:
            pool = start_workers(ensemble.context, master, plan.base, 1)
            stack.callback(pool.stop)
        record_portraits(due, crew, pool, lambda: _show_data(ensemble), is_end)


def _show_data(ensemble: Ensemble) -> None:
    """Draw some training images into the parent's run, where an earlier start has not."""
    plan, record = ensemble.plan, ensemble.record
    if plan.data is not None and not list_artifacts(plan.base.tracking, record.parent, "figures"):
        record_images(plan.base, record.parent, record.tracker, plan.data)


def with_its_runs(plan: Plan, sweep: Sweep) -> Sweep:
    """The sweep, or its next generation where MLflow has trials of it that its journal lacks.

    Such a journal was deleted or emptied: going on with it would record every trial twice under
    one parent.
    """
    while not _has_trials(sweep) and find_runs(
        plan.base.tracking, {"sweep": sweep.name, "kind": "trial"}, most=1
    ):
        if _has_trials(sweep):  # another driver began meanwhile: the journal has its trial first
            break
        sweep = plan.sweep(fresh=True)
    return sweep


def _has_trials(sweep: Sweep) -> bool:
    return bool(sweep.study.get_trials(deepcopy=False))


def _check_axes(question: Question) -> None:
    for axis in question.space.axes:
        root = axis.key.lstrip("+").partition(".")[0].partition("@")[0]
        if root not in RUN_GROUPS:
            raise ConfigError(
                f"{axis.key} cannot be swept: it does not define a run. "
                f"Sweep keys of {', '.join(RUN_GROUPS)}."
            )


def _use_job_folder(master: DictConfig, sweep: str) -> None:
    """Put jobs into a folder of the sweep's own, unless hydra.sweep.dir says otherwise."""
    if master.hydra.sweep.dir != DEFAULT_JOBS:
        return
    folder = f"{DEFAULT_JOBS}/{sweep}"
    with open_dict(master):
        master.hydra.sweep.dir = folder
        text = QuotedString(folder, Quote.single).with_quotes()
        master.hydra.overrides.hydra.append(f"hydra.sweep.dir={text}")
