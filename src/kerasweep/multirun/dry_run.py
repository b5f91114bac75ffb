"""Prints which trials a sweep would train and what they would cost, and records nothing."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from rich.table import Table

from kerasweep.config.search import TrialConf
from kerasweep.multirun.estimate import Cost, become_worker, estimate_costs
from kerasweep.multirun.plan import Plan
from kerasweep.search.propose import MAX_DRAWS
from kerasweep.search.samplers import drawn, sample
from kerasweep.space.rows import Params
from kerasweep.terminal import duration_text, params_text, say, show

MAX_LISTED, SAMPLED = 200, 20


@dataclass(frozen=True)
class PlannedConfiguration:
    """A configuration that a sweep would train."""

    params: Mapping[str, Any]  # the value of each axis by its key
    overrides: tuple[str, ...]  # the same as on the command line
    reason: str | None  # why it cannot be trained, None if it can
    parameters: int | None  # of the network
    flops: int | None  # of the forward pass of one image
    seconds: float | None  # of a trial with all its seeds


@dataclass(frozen=True)
class DryRun:
    """The trials that a sweep would train, and their cost."""

    study: str
    configurations: tuple[PlannedConfiguration, ...]
    is_sample: bool  # whether these are a sample of a larger space
    trials: int  # of the sweep
    repeats: int  # seeds of a trial
    tuning_trials: int  # of the nuisance axes, before the sweep
    workers: int  # how many trainings run at the same time
    seconds: float  # of the whole sweep


def dry_run(plan: Plan, workers: int, tuning: Plan | None = None) -> DryRun:
    """Prints and returns the cost of each configuration, or of a sample of them, and of the whole sweep.

    Args:
        plan: The sweep.
        workers: How many trainings run at the same time.
        tuning: The sweep that tunes nuisance axes before it.

    Raises:
        ConfigError: None of the configurations can be trained.
    """
    configurations, is_sample = shown_configurations(plan)
    kind = "a sample of" if is_sample else "all"
    say(f"dry run: {kind} {len(configurations)} configurations are built and some timed; nothing is recorded")
    for note in plan.notes():
        say(f"note: {note}")
    start_seconds = become_worker(plan, workers)
    costs = estimate_costs(plan, configurations)
    repeats = plan.base.study.repeats
    _print_table(costs, repeats)
    trials, seconds = _print_sweep(plan, costs, workers, start_seconds, is_sample, tuning)
    return DryRun(
        study=plan.study,
        configurations=tuple(_planned(plan, cost, repeats) for cost in costs),
        is_sample=is_sample,
        trials=trials,
        repeats=repeats,
        tuning_trials=0 if tuning is None else tuning.total(),
        workers=workers,
        seconds=seconds,
    )


def _planned(plan: Plan, cost: Cost, repeats: int) -> PlannedConfiguration:
    given = (cost.params, tuple(plan.space.overrides(cost.params)), cost.reason)
    if cost.reason is not None:
        return PlannedConfiguration(*given, None, None, None)
    return PlannedConfiguration(*given, cost.parameters, cost.flops, cost.seconds * repeats)


def shown_configurations(plan: Plan) -> tuple[list[Params], bool]:
    """Returns the configurations to show, and whether they are a sample, as in a large space.

    A sample in which none can be trained gets one more configuration that can, if one is found.
    """
    if plan.space.is_finite:
        listed = list(islice(plan.space.configurations(), MAX_LISTED + 1))
        if len(listed) <= MAX_LISTED:
            return listed, False
    sampler = plan.base.sampler
    sampled = sample(sampler, plan.space, plan.directions, SAMPLED)
    if all(map(plan.refusal, sampled)):
        others = islice(drawn(plan.space, sampler.seed), MAX_DRAWS)
        sampled += islice((params for params in others if plan.refusal(params) is None), 1)
    return sampled, True


def _print_table(costs: Sequence[Cost], repeats: int) -> None:
    """Prints a row for each configuration. The reasons are numbered and follow, as many rows share one."""
    reasons = Counter(cost.reason for cost in costs if cost.reason is not None)
    numbers = {reason: number for number, reason in enumerate(reasons, 1)}
    table = Table()
    table.add_column("configuration", overflow="fold")
    for column in ("parameters", "FLOPs", "seconds"):
        table.add_column(column, justify="right")
    for cost in costs:
        text = params_text(cost.params) or "as given"
        if cost.reason is not None:
            table.add_row(text, "-", "-", f"invalid [{numbers[cost.reason]}]")
        else:
            seconds = short_seconds(cost.seconds * repeats)
            table.add_row(text, f"{cost.parameters:,}", short_number(cost.flops), seconds)
    show(table)
    for reason, count in reasons.items():
        say(f"[{numbers[reason]}] {count} × {reason}")
    a_trial = f"a trial of {repeats} seeds" if repeats > 1 else "a trial"
    say(
        f"FLOPs: of the forward pass of one image. seconds: of {a_trial}, estimated from a few real steps of "
        "the configurations with the least, the middle and the most FLOPs per batch."
    )


def _range(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low} to {high}"


def short_seconds(seconds: float) -> str:
    """Returns the seconds with one decimal, or two below one second."""
    return f"{seconds:,.1f}" if seconds >= 1 else f"{seconds:.2f}"


def short_number(number: int) -> str:
    """Returns a number with one decimal and a unit, such as 1.2 M for 1234567."""
    for unit, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return str(number)


def _print_sweep(
    plan: Plan,
    costs: Sequence[Cost],
    workers: int,
    start_seconds: float,
    is_sample: bool,
    tuning: Plan | None,
) -> tuple[int, float]:
    """Prints and returns the number of trials and the seconds of the sweep.

    Args:
        plan: The sweep.
        costs: Of its configurations.
        workers: How many trainings run at the same time.
        start_seconds: Until a worker is ready.
        is_sample: Whether there are more configurations.
        tuning: The sweep before it, if any.
    """
    cfg, repeats = plan.base, plan.base.study.repeats
    possible = [cost for cost in costs if cost.reason is None]
    say(f"{len(possible)} of these {len(costs)} configurations can be trained")
    asked = plan.total()
    trials = asked if is_sample else min(asked, len(possible))
    trained = possible[:trials] if cfg.sampler.name == "grid" and not is_sample else possible
    mean = sum(cost.seconds for cost in trained) / len(trained)
    graphs = {cost.graph: cost.trace_seconds for cost in trained if cost.graph is not None}
    trace_seconds = sum(graphs.values())
    trainings = trials * repeats + (tuning.total() if tuning is not None else 0)
    seconds = start_seconds + trace_seconds + -(-trainings // workers) * mean
    if tuning is not None and tuning.arms is not None:
        for params, reason in tuning.left_out():
            say(f"left out: {params_text(params)}: {reason}")
        tunings = len(tuning.arms.listed) // len(tuning.arms.by_combination([]))
        say(
            f"first, the tuning: {tuning.total()} trials, {_range(tuning.arms.trials)} of each combination"
            f"{f' for each of {tunings} repeats' if tunings > 1 else ''}, with sampler "
            f"{tuning.base.sampler.name}"
        )
    say(
        f"the sweep: {trials} trial{'s' if trials > 1 else ''}{f' of {repeats} seeds' if repeats > 1 else ''}"
        f"{f' ({asked} were asked for)' if trials < asked else ''}, {short_seconds(mean * repeats)} s each, "
        f"about {duration_text(seconds)} with {workers} worker{'s' if workers > 1 else ''}"
    )
    traced = f"{trace_seconds:.1f} s to trace {len(graphs)} graph{'s' if len(graphs) > 1 else ''} + "
    say(
        f"  = {start_seconds:.0f} s to start + {traced if graphs else ''}"
        f"{trainings} trainings / {workers} × {short_seconds(mean)} s; "
        "a pruner, a busy machine and MLflow's start change it"
    )
    if cfg.budget.hours is not None:
        share = cfg.budget.hours * 3600 / seconds
        effect = "is enough" if share >= 1 else f"ends it after about {share:.0%} of that"
        say(f"budget.hours={cfg.budget.hours:g} {effect}")
    if cfg.trial.target != TrialConf.target:
        say(f"trial.target={cfg.trial.target} is not timed: the seconds are those of the built-in training")
    return trials, seconds
