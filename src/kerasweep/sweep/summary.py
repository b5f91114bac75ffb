"""Prints a sweep's header, and at its end the best trials with the next commands."""

import statistics
from collections import Counter
from collections.abc import Sequence

from omegaconf import DictConfig
from optuna.trial import FrozenTrial, TrialState
from rich.table import Table

from kerasweep.config.passwords import without_password
from kerasweep.config.schemas import REPEATED_KEYS
from kerasweep.results import RETURNED, Outcome, State, sign_of
from kerasweep.search.importance import importance
from kerasweep.search.ledger import RESULT, as_outcome, clean_params, completed_repeats
from kerasweep.search.sweep import Sweep
from kerasweep.space.rows import Params
from kerasweep.sweep.best_trials import (
    MAX_FRONT,
    best_repeat,
    best_trials,
    compared_params,
    mean_of,
    most_repeats,
    ranked_configurations,
)
from kerasweep.sweep.borders import border_text, may_be_wider
from kerasweep.sweep.progress import finished_trials
from kerasweep.sweep.recording import SweepRecord
from kerasweep.sweep.replaced_runs import current_run
from kerasweep.terminal import next_commands, params_text, say, show, value_text
from kerasweep.tracking.tags import objective_text

MAX_NAMED = 5
MAX_BEST = 5
TRY_AGAIN = (
    "Failed trials count as tried. After you have removed the cause, study.fresh=true trains them again."
)


def print_header(
    sweep: Sweep,
    study: str,
    cfg: DictConfig,
    notes: Sequence[str],
    left_out: Sequence[tuple[Params, str]],
    data_text: str | None = None,
) -> None:
    """Prints the axes, the impossible configurations, and the progress so far.

    Args:
        sweep: The sweep.
        study: The study's name.
        cfg: The composed sweep.
        notes: Sentences for the user.
        left_out: The impossible configurations with their reasons.
        data_text: One line on the data set, None if the trials have different ones.
    """
    say(f"sweep {sweep.name}: {sweep.total} trials, sampler {cfg.sampler.name}")
    if cfg.study.question:
        say(f"question: {cfg.study.question}")
    if data_text is not None:
        say(f"data: {data_text}")
    say(f"objective: {objective_text(cfg)}")
    for axis in sweep.space.drawn:
        say(f"  {axis.key}: {'tuned' if sweep.tuned.issuperset(axis.members) else axis.describe()}")
    for note in (*notes, *sweep.notes):
        say(f"note: {note}")
    if left_out:
        say(f"left out: {len(left_out)} impossible configurations")
    for params, reason in left_out[:MAX_NAMED]:
        say(f"  {params_text(params)}: {reason}")
    if len(left_out) > MAX_NAMED:
        say(f"  … and {len(left_out) - MAX_NAMED} more")
    done = len(finished_trials(sweep.study))
    if done > sweep.total:
        say(f"{done} trials are there already, more than the {sweep.total} that were asked for")
    elif done:
        say(f"continuing: {done} of {sweep.total} trials are there already")


def outcome_text(outcome: Outcome) -> str:
    """Returns a trial's values, the mean of its seeds, or on one line why it was pruned or failed."""
    values = " ".join(value_text(value) for value in outcome.values)
    if outcome.seeds:
        values = f"mean of {len(outcome.seeds)} seeds {values}"
    if outcome.state == State.COMPLETE:
        return values
    text = " ".join((outcome.reason or "").split())
    reason = f"{outcome.state}: {text}" if text else str(outcome.state)
    return f"{reason}, {values}" if outcome.seeds else reason


def same_command(study: DictConfig) -> str:
    """Returns the words for the command that continues a sweep; study.fresh=true would begin another."""
    return "the same command without study.fresh=true" if study.fresh else "the same command"


def print_stopped(sweep: Sweep, study: DictConfig) -> None:
    """Prints the progress of a sweep that ended before its total."""
    done = len(finished_trials(sweep.study))
    say(f"{done} of {sweep.total} trials are done; {same_command(study)} goes on from here")


def print_end(sweep: Sweep, reason: str) -> None:
    """Prints why a sweep ended, and how its trials did."""
    say(f"finished: {reason}")
    tally = _tally(sweep)
    say(tally or "no trial was trained")
    if tally and not best_trials(sweep):
        say("No trial is complete: the reasons are in the tag `reason` of each run.")
        if all(trial.state is TrialState.FAIL for trial in finished_trials(sweep.study)):
            say(TRY_AGAIN)


def print_best(sweep: Sweep, record: SweepRecord) -> None:
    """Prints the best trials, the importance of axes, and notes on best values at a border."""
    best = best_trials(sweep)
    if not best:
        return
    _show_best(sweep, best, objective_text(record.cfg))
    _note_lacking_repeats(sweep)
    _print_importance(sweep)
    _warn_of_borders(sweep, best[0])


def _tally(sweep: Sweep) -> str:
    ends = Counter(State.of_optuna(trial.state.name) for trial in finished_trials(sweep.study))
    return ", ".join(f"{ends[end]} {end}" for end in RETURNED if ends[end])


def _show_best(sweep: Sweep, best: Sequence[FrozenTrial], objective: str) -> None:
    """Prints a table of the best trials and, below a line, the best that were dropped after fewer seeds."""
    is_front, has_seeds = len(sweep.directions) > 1, sweep.repeats > 1
    heading = "best trade-offs (Pareto front)" if is_front else "best trials"
    heading += ", by the mean over their seeds" if sweep.has_repeated_axis and not is_front else ""
    say(f"{heading}, mean ± standard deviation of the seeds:" if has_seeds else f"{heading}:")
    table = Table()
    seeds = ("seeds",) if has_seeds else ()
    for column in ("trial", *objective.split(", "), *seeds, "seconds", "configuration"):
        table.add_column(column, overflow="fold")
    for trial in best[: MAX_FRONT if is_front else MAX_BEST]:
        table.add_row(*_row(sweep, trial))
    table.add_section()
    for trial in _dropped_trials(sweep)[:MAX_BEST]:
        table.add_row(*_row(sweep, trial))
    show(table)


def _note_lacking_repeats(sweep: Sweep) -> None:
    """Names the configuration that would win if it had the repeats that others have."""
    if len(sweep.directions) > 1 or not sweep.has_repeated_axis:
        return
    ranked, sign = ranked_configurations(sweep), sign_of(sweep.directions[0])
    most = most_repeats(sweep, ranked)
    lacking = [repeats for repeats in ranked if len(repeats) < most]
    if lacking and sign * mean_of(lacking[0]) > sign * mean_of(ranked[0]):
        say(
            f"note: {params_text(compared_params(sweep, lacking[0][0]))} has the better mean "
            f"{value_text(mean_of(lacking[0]))}, but {len(lacking[0])} values where others have {most}, "
            "so it ranks after them."
        )


def _dropped_trials(sweep: Sweep) -> list[FrozenTrial]:
    """Returns the trials that were pruned after some of their seeds, the best mean first."""
    sign = -sign_of(sweep.directions[0])
    pruned = sweep.study.get_trials(deepcopy=False, states=(TrialState.PRUNED,))
    dropped = [trial for trial in pruned if trial.user_attrs.get(RESULT, {}).get("seeds")]
    return sorted(dropped, key=lambda trial: sign * trial.user_attrs[RESULT]["values"][0])


def _row(sweep: Sweep, trial: FrozenTrial) -> list[str]:
    result = trial.user_attrs.get(RESULT, {})
    seeds = result.get("seeds", [])
    values = [value_text(value) for value in result.get("values") or trial.values]
    if len(seeds) > 1:
        values[0] += f" ± {statistics.stdev(seeds):.2g}"
    is_dropped = trial.state is TrialState.PRUNED
    count = f"{len(seeds)} of {sweep.repeats}, dropped" if is_dropped else str(len(seeds))
    seconds = f"{result['seconds']:.1f}" if result else "-"
    params = params_text(sweep.shown_params(clean_params(sweep.space, trial)))
    return [str(trial.number), *values, *([count] if sweep.repeats > 1 else []), seconds, params]


def _print_importance(sweep: Sweep) -> None:
    # Repeats know their noise: the report has an analysis of variance. Tuned values follow from the others.
    is_search = len(sweep.directions) == 1 and sweep.repeats == 1 and not sweep.tuned
    result = importance(sweep.study) if is_search else None
    if result is None:
        return
    say(
        f"parameter importance (PED-ANOVA: how the best {result.top} differ from all {result.trials} "
        "complete trials):"
    )
    widest = max(map(len, result.shares))
    for key, share in result.shares.items():
        noise = "" if key in result.beyond_noise else "  not told from noise"
        say(f"  {key:{widest}}  {share:4.0%}{noise}")


def _warn_of_borders(sweep: Sweep, best: FrozenTrial) -> None:
    params = clean_params(sweep.space, best)
    for axis in sweep.space.drawn:
        is_chosen = axis.key in params and axis.key not in sweep.tuned and axis.name not in REPEATED_KEYS
        if is_chosen and may_be_wider(sweep, axis, params):
            say(f"note: {border_text(axis, params[axis.key])}.")


def print_commands(record: SweepRecord) -> None:
    """Prints the next commands, unless no trial is complete."""
    best = best_trials(record.sweep)
    if not best:
        return
    tracker, name = record.tracker, record.sweep.name
    best_run = run_of_model(record, best[0])
    run_id = best_run if record.keeps_model(best_run) else None
    uri, experiment = without_password(tracker.uri), tracker.experiment_id
    for line in next_commands(uri, tracker.is_default, name, run_id, experiment=experiment):
        say(line)


def run_of_model(record: SweepRecord, best: FrozenTrial) -> str:
    """Returns the run with the best trial's model: the trial's, or that of its best repeat."""
    sweep = record.sweep
    outcomes = completed_repeats(sweep.study, best.number) if sweep.repeats > 1 else {}
    repeat = best_repeat(sweep, outcomes) if outcomes else 0
    outcome = outcomes[repeat] if outcomes else as_outcome(best.user_attrs[RESULT])
    return current_run(record, best.number, repeat, outcome.run_id)
