"""Restores trials that the storage lacks from their runs: a journal was deleted, emptied, or is older."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from kerasweep.errors import ConfigError
from kerasweep.multirun.plan import Plan
from kerasweep.results import RETURNED, WEIGHTS, Outcome, State
from kerasweep.search.recorded_trials import RecordedTrial, add_results, add_trials, unfinished
from kerasweep.search.storage import under_lock
from kerasweep.search.sweep import Sweep
from kerasweep.space.axis import Axis
from kerasweep.space.rows import Params, Value
from kerasweep.terminal import say
from kerasweep.tracking.location import is_local
from kerasweep.tracking.reader import find_runs
from kerasweep.tracking.run_record import RunRecord
from kerasweep.tracking.tags import INPUTS, RunKind, tag_text

Runs = Mapping[int, Sequence[RunRecord]]  # the runs of each trial: its own, and those of its repeats


def restore_trials(plan: Plan, sweep: Sweep, fresh: bool) -> Sweep:
    """Adds the trials that have a run and are not in the storage.

    Else they would be trained again, and recorded twice below one parent. Only runs in a local database are
    used: on a server, the runs of a sweep with the same name may be those of another user.

    Args:
        plan: The sweep's plan.
        sweep: The sweep, with its folder of jobs.
        fresh: Whether the user wants a new generation: then nothing is restored into it.

    Returns:
        The sweep; a later generation if the storage has no trial, and the runs do not record all of each, or
        were trained with other data, code or settings.

    Raises:
        ConfigError: The storage has some trials, and the runs do not record the others.
    """
    while (newest := _newest(plan, sweep)) is not None:  # read first: a trial is stored before it has a run
        is_empty = not sweep.study.get_trials(deepcopy=False)
        may_restore = is_local(plan.base.tracking.uri) and not (is_empty and fresh)
        if may_restore and under_lock(sweep.lock, partial(_restore, plan, sweep, newest)):
            return sweep
        if not is_empty:
            if not may_restore:
                return sweep
            raise ConfigError(
                f"MLflow has trials of {sweep.name} that its storage lacks: it is older. Restore it, or "
                "begin anew with study.fresh=true."
            )
        name, sweep = sweep.name, plan.open_sweep(fresh=True)
        say(f"note: MLflow has runs of {name} without stored trials; these stay, and {sweep.name} begins")
    return sweep


def _newest(plan: Plan, sweep: Sweep) -> int | None:
    """Returns the number of the trial whose run was opened last, None if no trial has a run."""
    runs = find_runs(plan.base.tracking, {"sweep": sweep.name, "kind": _kind(plan)}, max_runs=1)
    return int(runs[0].tags["trial"]) if runs else None


def _kind(plan: Plan) -> RunKind:
    return RunKind.TRIAL if plan.arms is None else RunKind.TUNING


def _restore(plan: Plan, sweep: Sweep, newest: int) -> bool:
    """Restores trials up to this number; returns whether nothing is missing now. The lock is held."""
    stored = len(sweep.study.get_trials(deepcopy=False))
    interrupted = unfinished(sweep.study)
    if newest < stored and not interrupted:
        return True
    runs = _runs(plan, sweep)
    ended = {number: _recorded_trial(plan, sweep, runs.get(number, ())) for number in interrupted}
    add_results(sweep, {number: trial for number, trial in ended.items() if trial is not None})
    numbers = range(stored, max([newest, *runs]) + 1)
    if not numbers:
        return True
    parents = find_runs(plan.base.tracking, {"sweep": sweep.name, "kind": RunKind.STUDY})
    if not parents or parents[0].tags.get(INPUTS) != plan.inputs:
        return False
    trials = [_recorded_trial(plan, sweep, runs.get(number, ())) for number in numbers]
    recorded = [trial for trial in trials if trial is not None]
    if len(recorded) < len(trials):
        return False
    add_trials(sweep, recorded)
    _say_restored(sweep, recorded)
    return True


def _runs(plan: Plan, sweep: Sweep) -> Runs:
    found: dict[int, list[RunRecord]] = {}
    kinds = (_kind(plan), RunKind.REPEAT) if plan.arms is None else (_kind(plan),)
    for kind in kinds:
        for run in find_runs(plan.base.tracking, {"sweep": sweep.name, "kind": kind}):
            if run.tags.get("trial", "").isdigit():
                found.setdefault(int(run.tags["trial"]), []).append(run)
    return found


def _say_restored(sweep: Sweep, trials: Sequence[RecordedTrial]) -> None:
    count = sum(trial.outcome is not None for trial in trials)
    if count:
        say(f"note: the storage lacked trials of {sweep.name}: {count} are taken from their runs in MLflow")


def _recorded_trial(plan: Plan, sweep: Sweep, runs: Sequence[RunRecord]) -> RecordedTrial | None:
    """Returns what these runs record of their trial; None if they do not record all of it.

    A trial that was interrupted and trained again has the run of each attempt; the newest comes first.
    """
    own = next((run for run in runs if run.tags["kind"] != RunKind.REPEAT), None)
    if own is None:
        return RecordedTrial()
    complete = {
        int(run.tags["repeat"]): _outcome(sweep, run)
        for run in runs
        if run.tags["kind"] == RunKind.REPEAT and run.tags.get("state") == State.COMPLETE
    }
    has_ended = own.tags.get("state") in RETURNED
    if not (has_ended or complete):
        return RecordedTrial()
    if len(plan.directions) > 1 or sweep.by_repeat:
        return None
    params = _params(sweep, own.tags, plan.short_names())
    if params is None:
        return None
    if any(not outcome.values for outcome in complete.values()):
        return None
    seeds = tuple(complete[repeat].values[0] for repeat in sorted(complete))
    if has_ended and own.tags["state"] == State.COMPLETE and "objective" not in own.metrics:
        return None
    return RecordedTrial(params, _outcome(sweep, own, seeds) if has_ended else None, complete)


def _outcome(sweep: Sweep, run: RunRecord, seeds: tuple[float, ...] = ()) -> Outcome:
    """Returns the outcome that a run records."""
    objective, epoch = run.metrics.get("objective"), run.metrics.get("best_epoch")
    folder = Path(run.tags["trial"], *([f"seed-{run.tags['repeat']}"] if "repeat" in run.tags else []))
    has_weights = (sweep.jobs / folder / WEIGHTS).exists()
    return Outcome(
        run.tags["state"],
        run.run_id,
        () if objective is None else (objective,),
        run.metrics,
        None if epoch is None else int(epoch),
        run.metrics.get("seconds", 0.0),
        run.tags.get("reason"),
        seeds=seeds,
        weights=str(folder / WEIGHTS) if has_weights else None,
    )


def _params(sweep: Sweep, tags: Mapping[str, str], names: Mapping[str, str]) -> Params | None:
    """Returns the configuration that a run's tags name, None if they do not."""
    params: Params = {}
    for axis in sweep.space.drawn:
        if sweep.space.applies(axis, params):
            values = _values(axis, {key: tags[names[key]] for key in axis.members if names[key] in tags})
            if not values:
                return None
            params |= axis.params_of(values[0])
    return params


def _values(axis: Axis, texts: Mapping[str, str]) -> list[Value]:
    """Returns the value of an axis whose members have these texts, if there is one."""
    if axis.is_joint:  # a run has tags of the keys that a point leaves out, too
        rows = {value: axis.params_of(value) for value in axis.values() or []}
        fitting = [
            value
            for value, row in rows.items()
            if all(texts.get(key) == tag_text(value) for key, value in row.items())
        ]
        return sorted(fitting, key=lambda value: len(rows[value]), reverse=True)
    text = texts.get(axis.key, "")
    values = axis.values()
    if values is not None and not isinstance(values, range):
        return [value for value in values if tag_text(value) == text]
    try:
        return [float(text) if values is None else int(text)]
    except ValueError:
        return []
