"""Conducts a sweep from its command line to its summary."""

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from hydra.types import HydraContext
from omegaconf import DictConfig

from kerasweep.config.schemas import RUN_GROUPS, SHIP
from kerasweep.errors import ConfigError
from kerasweep.multirun.batches import batch_size, count_workers, uses_ray, uses_workers
from kerasweep.multirun.composer import EXPERIMENT, make_composer
from kerasweep.multirun.conclude import announce_winner, conclude, ends_with_page
from kerasweep.multirun.drive import OpenSweep, drive
from kerasweep.multirun.freeze_configs import freeze
from kerasweep.multirun.learn_from import check_learn_from
from kerasweep.multirun.make_plan import make_plan
from kerasweep.multirun.open_sweeps import SweepOpener
from kerasweep.multirun.other_sweepers import translate_keys
from kerasweep.multirun.plan import Plan, TunedBy
from kerasweep.multirun.question import Question, read_question
from kerasweep.multirun.result import Take, end_of
from kerasweep.multirun.start_ray import check_ship
from kerasweep.multirun.start_with import first_configurations
from kerasweep.multirun.tuning import comparison_plan, examples, tuned_combinations, tuning_notes, tuning_plan
from kerasweep.search.arms import best_of_arms
from kerasweep.search.stops import HOURS_USED, Ending, StopRequest
from kerasweep.sweep import summary
from kerasweep.sweep.best_trials import best_trials, best_value
from kerasweep.sweep.progress import finished_trials
from kerasweep.sweep.summary_of_tuning import border_notes, print_tuned
from kerasweep.terminal import say
from kerasweep.tracking.client import import_mlflow
from kerasweep.tracking.location import default_uri, resolve_uri
from kerasweep.tracking.writer import open_tracker
from kerasweep.workers.signals import release_interrupts
from kerasweep.workers.template import has_template

TOO_FEW_HOURS = "the combinations are not compared: {} goes on with a larger budget.hours"
NOT_TUNED = (
    "nothing can be compared: no combination has a complete trial in each of its tunings; the reasons are in "
    "the tag `reason` of each run"
)


def conduct(
    context: HydraContext,
    config: DictConfig,
    arguments: list[str],
    sweeper_keys: Mapping[str, Any],
    take: Take | None = None,
) -> float | None:
    """Runs the sweep that the arguments describe.

    Args:
        context: Hydra's context.
        config: The composed sweep with Hydra's node.
        arguments: The overrides of the command line.
        sweeper_keys: Keys of `hydra.sweeper` from files for hydra-optuna-sweeper.
        take: Receives the SweepEnd, or the DryRun. None: nobody asked.

    Returns:
        The first objective of the best configuration, its mean where a seed or a split is an axis; with
        several objectives, the best one of the Pareto front. If the budget ends a tuning, that of the tuning.
        None if no trial is complete.

    Raises:
        KerasweepError: A mistake that the user can correct.
        SystemExit: The end of a dry run.
    """
    translation = translate_keys(sweeper_keys)
    freeze(context)
    question = read_question(context, config, arguments, translation)
    _check_axes(question)
    _check_limits(question.master)
    check_ship(question.master)
    composer = make_composer(context, question.master, question.fixed, question.searched)
    release_interrupts()  # all config files are read
    plan = make_plan(question, composer)
    first_configurations(plan)  # checks them before anything is recorded
    check_learn_from(plan)
    tuning = tuning_plan(plan) if question.nuisance.axes else None
    combinations = examples(plan) if tuning is not None else []
    shown = plan if tuning is None else comparison_plan(plan, combinations)
    shown.check_claim()
    if plan.base.study.dry_run:
        from kerasweep.multirun.dry_run import dry_run

        planned = dry_run(shown, _width(shown), tuning)
        if take is not None:
            take(planned)
        raise SystemExit(0)
    if tuning is None:
        plan.total()  # of a large grid this takes a while, in which Ctrl-C ends the command
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
        opener = SweepOpener(context, question.master, translation.notes, stop, stack, tracker)
        if tuning is not None:
            best, compared = _tune(opener, plan, tuning, len(combinations), take)
            if compared is None:
                return best
            plan, fresh = compared, False
        opened = opener.open(plan, fresh)
        ending = drive(opened)
    _summarize(opened, ending)
    if take is not None:
        take(end_of(opened, ending))
    return best_value(opened.sweep)


def _tune(
    opener: SweepOpener, plan: Plan, tuning: Plan, combinations: int, take: Take | None
) -> tuple[float | None, Plan | None]:
    """Tunes the nuisance axes of each combination.

    Args:
        opener: Opens the sweep.
        plan: The plan of the whole study.
        tuning: The plan of its tuning.
        combinations: Their number.
        take: Receives the end of the tuning, which is that of the command if nothing is compared.

    Returns:
        The best objective of the tuning, None if no combination can be compared; and the plan of the
        comparison, None if there is none, or if the budget ended the tuning.
    """
    assert tuning.arms is not None
    opened = opener.open(tuning, plan.base.study.fresh, later=combinations * plan.base.study.repeats)
    sweep, ending = opened.sweep, drive(opened)
    best = best_of_arms(sweep.study, sweep.space, tuning.arms)
    print_tuned(sweep, best, ending.reason)
    notes = (*border_notes(sweep, best), *tuning_notes(plan))
    for note in notes:
        say(f"note: {note}")
    value = best_value(sweep)
    if take is not None:
        take(end_of(opened, ending))
    too_few_hours = TOO_FEW_HOURS.format(summary.same_command(plan.base.study))
    if not ending.is_whole:
        say(too_few_hours)
        return value, None
    tuned = tuned_combinations(tuning, best)
    if not tuned:
        say(NOT_TUNED)
        return None, None
    used = float(sweep.study.user_attrs.get(HOURS_USED, 0.0))
    tuned_by = TunedBy(sweep.name, notes, combinations - len(tuned), used)
    compared, hours = comparison_plan(plan, tuned, tuned_by), plan.base.budget.hours
    if hours is not None and used >= hours and not compared.is_begun():
        say(too_few_hours)
        return value, None
    return value, compared


def _summarize(opened: OpenSweep, ending: Ending) -> None:
    """Prints the end of a sweep, first its winner and verdict; makes the page of a claim or of repeats."""
    cfg, sweep = opened.plan.base, opened.sweep
    summary.print_end(sweep, ending.reason)
    if ends_with_page(cfg) and finished_trials(sweep.study):
        conclude(cfg, sweep.name)
    elif best_trials(sweep):
        announce_winner(cfg, sweep.name)
    summary.print_best(sweep, opened.record)
    summary.print_commands(opened.record)


def _width(plan: Plan) -> int:
    """Returns how many trainings of a new sweep run at the same time."""
    master, jobs = plan.question.master, plan.total() * plan.base.study.repeats
    if uses_workers(master) or uses_ray(master):
        return count_workers(plan.base, jobs)
    return batch_size(master, plan.base, jobs)


def _check_axes(question: Question) -> None:
    """Raises ConfigError for an axis that does not define a run, such as tracking.uri."""
    for axis in question.searched.axes:
        root = axis.key.lstrip("+").partition(".")[0].partition("@")[0]
        if root not in (*RUN_GROUPS, EXPERIMENT) or axis.name == SHIP:
            raise ConfigError(
                f"{axis.key} cannot be swept: it does not define a run. "
                f"Sweep keys of {', '.join(RUN_GROUPS)}."
            )


def _check_limits(master: DictConfig) -> None:
    """Raises ConfigError for limits that only kerasweep's workers keep."""
    for key in ("timeout_seconds", "memory_mb"):
        if master.trial[key] is not None and not (uses_workers(master) or uses_ray(master)):
            raise ConfigError(
                f"trial.{key}={master.trial[key]:g} needs kerasweep's workers: another launcher does not "
                "keep it. Leave hydra/launcher out, or the limit."
            )
