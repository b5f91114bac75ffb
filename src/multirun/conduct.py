"""Conducts a sweep from its command line to its summary."""

from collections.abc import Callable, Mapping
from typing import Any

from hydra.types import HydraContext
from omegaconf import DictConfig, open_dict

from src.config.keys import RUN_GROUPS, all_keys
from src.errors import ConfigError
from src.multirun.composer import Composer, choices_of
from src.multirun.launch import JobLauncher
from src.multirun.legacy import read_legacy
from src.multirun.plan import Plan
from src.multirun.question import Question, read_question
from src.outcome import Outcome
from src.sweep import summary
from src.sweep.driver import Sweep, begin, drive
from src.sweep.propose import Proposal
from src.sweep.record import SweepRecord
from src.sweep.study import sweep_lock
from src.tracking.names import short_names
from src.tracking.query import find_runs
from src.tracking.runs import open_tracker
from src.trial.artifacts import record_data, record_images

DEFAULT_JOBS = "mlruns/jobs"


def conduct(
    context: HydraContext, config: DictConfig, arguments: list[str], legacy_keys: Mapping[str, Any]
) -> float | None:
    """Run the sweep that the arguments describe; returns the best value of its first objective."""
    legacy = read_legacy(legacy_keys)
    question = read_question(context, config, arguments, legacy)
    master = question.master
    _check_axes(question)
    composer = Composer(context, master, question.fixed, question.space)
    plan = Plan(question, composer)
    tracker = open_tracker(master.tracking)
    sweep = open_sweep(plan)
    names = short_names([axis.key for axis in question.space.axes], all_keys())
    with sweep_lock(sweep.journal):
        record = SweepRecord(tracker, plan.base, sweep, plan.study, names, choices_of(master))
    if plan.data is not None and not record.is_resumed:
        record_data(plan.base, record.parent, tracker, plan.data)
        record_images(plan.base, record.parent, tracker, plan.data)
    summary.print_header(sweep, plan.study, master, legacy.notes, plan.left_out())
    begin(sweep)
    record.reconcile()
    _use_job_folder(master, sweep.name)
    launcher = JobLauncher(context, master, tracker)

    def train(proposal: Proposal) -> Outcome:
        params = proposal.params
        cfg, overrides = composer.compose(params), composer.overrides(params)
        ref = record.start_trial(
            proposal.trial.number, params, cfg, composer.choices(params), question.space.overrides(params)
        )
        finished = False
        try:
            outcome = launcher.train(ref, _pruning(proposal, len(sweep.directions)), overrides)
            finished = True
            return outcome
        finally:
            if not finished:
                tracker.finish(ref.run_id, "cancelled", "the sweep was stopped")

    def close(proposal: Proposal, outcome: Outcome) -> None:
        record.close_trial(outcome)
        summary.print_trial(sweep, proposal, outcome)

    reason, ended = "the sweep was stopped", False
    try:
        reason = drive(sweep, train, close)
        ended = True
    finally:
        record.close("complete" if ended else "cancelled", reason)
        if not ended:
            summary.print_stopped(sweep)
    summary.print_end(sweep, record, reason)
    return summary.best_value(sweep)


def open_sweep(plan: Plan) -> Sweep:
    """The sweep's study; the next generation where MLflow has trials of it that its journal lacks.

    Such a journal was deleted or emptied: going on with it would record every trial twice under
    one parent. (MLflow is read first: another driver's trial is in the journal before it is there.)
    """
    sweep = plan.sweep(plan.base.study.fresh)
    while find_runs(plan.base.tracking, {"sweep": sweep.name, "kind": "trial"}):
        if sweep.study.get_trials(deepcopy=False):
            break
        sweep = plan.sweep(fresh=True)
    return sweep


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
        master.hydra.overrides.hydra.append(f"hydra.sweep.dir='{folder}'")


def _pruning(proposal: Proposal, objectives: int) -> Callable[[int, float], bool]:
    """Report epochs to Optuna's pruner, which hears one objective only."""
    if objectives > 1:
        return lambda epoch, best: False

    def report(epoch: int, best: float) -> bool:
        proposal.trial.report(best, epoch)
        return proposal.trial.should_prune()

    return report
