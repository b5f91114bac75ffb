"""Says what a sweep would train and what it would cost, and records nothing."""

from collections import Counter
from collections.abc import Sequence
from itertools import islice

from rich.table import Table

from kerasweep.config.search import TrialConf
from kerasweep.errors import ConfigError
from kerasweep.multirun.estimate import Estimate, become_worker, build_all, time_all
from kerasweep.multirun.plan import Plan
from kerasweep.search.propose import MAX_DRAWS
from kerasweep.search.samplers import drawn, sample
from kerasweep.space.axis import Params
from kerasweep.terminal import duration_text, params_text, say, show
from kerasweep.workers import machine as cores

MAX_LISTED, SAMPLED = 200, 20


def dry_run(plan: Plan, workers: int) -> None:
    """Print what each configuration, or a sample of them, would cost, and the whole sweep.

    Raises ConfigError where none of them can be trained.
    """
    configurations, is_sample = shown_configurations(plan)
    kind = "a sample of" if is_sample else "all"
    say(f"dry run: {kind} {len(configurations)} configurations are built and some timed; nothing is recorded")
    for note in plan.notes():
        say(f"note: {note}")
    start = become_worker(plan, workers)
    estimates = build_all(plan, configurations)
    estimates = time_all(plan, estimates)
    if all(estimate.reason for estimate in estimates):
        raise ConfigError(f"No configuration can be trained. The first one: {estimates[0].reason}")
    _print_table(estimates, plan.base.study.repeats)
    _print_bill(plan, estimates, workers, start, is_sample)


def shown_configurations(plan: Plan) -> tuple[list[Params], bool]:
    """All configurations, or a sample where there are too many; one that is possible among it, if any is."""
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


def _print_table(estimates: Sequence[Estimate], repeats: int) -> None:
    """A row a configuration; reasons are numbered and follow, since many share one."""
    reasons = Counter(estimate.reason for estimate in estimates if estimate.reason is not None)
    numbers = {reason: number for number, reason in enumerate(reasons, 1)}
    table = Table()
    table.add_column("configuration", overflow="fold")
    for column in ("parameters", "FLOPs", "seconds"):
        table.add_column(column, justify="right")
    for estimate in estimates:
        text = params_text(estimate.params) or "as given"
        if estimate.reason is not None:
            table.add_row(text, "-", "-", f"invalid [{numbers[estimate.reason]}]")
            continue
        mark = "" if estimate.is_probed else "~"
        seconds = f"{mark}{short_seconds(estimate.seconds * repeats)}"
        table.add_row(text, f"{estimate.parameters:,}", short_number(estimate.flops), seconds)
    show(table)
    for reason, count in reasons.items():
        say(f"[{numbers[reason]}] {count} × {reason}")
    a_trial = f"a trial of {repeats} seeds" if repeats > 1 else "a trial"
    say(
        f"FLOPs: of one image's way forward. seconds: of {a_trial}, by a few real steps of its like; "
        "~ where reckoned from those of others by layers and FLOPs."
    )


def short_seconds(seconds: float) -> str:
    """With one decimal, or two where there is less than a second."""
    return f"{seconds:,.1f}" if seconds >= 1 else f"{seconds:.2f}"


def short_number(number: int) -> str:
    """Two digits or more, with a unit: 1234567 as 1.2 M."""
    for unit, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return str(number)


def _print_bill(
    plan: Plan, estimates: Sequence[Estimate], workers: int, start: float, is_sample: bool
) -> None:
    """start: the seconds until a worker is ready."""
    cfg = plan.base
    possible = [estimate for estimate in estimates if estimate.reason is None]
    say(f"{len(possible)} of these {len(estimates)} configurations can be trained")
    asked = plan.total()
    trials = asked if is_sample else min(asked, len(possible))
    trained = possible[:trials] if cfg.sampler.name == "grid" and not is_sample else possible
    mean = sum(estimate.seconds for estimate in trained) / len(trained)
    repeats = cfg.study.repeats
    graphs = {one.graph: one.start for one in trained if one.graph is not None}
    traces = sum(graphs.values())
    seconds = start + traces + -(-trials * repeats // workers) * mean
    only = f" ({asked} were asked for)" if trials < asked else ""
    seeds = f" of {repeats} seeds" if repeats > 1 else ""
    each = short_seconds(mean * repeats)
    say(
        f"the sweep: {trials} trial{'s' if trials > 1 else ''}{seeds}{only}, {each} s each, "
        f"about {duration_text(seconds)} with {_workers_text(workers)}"
    )
    graph = f"graph{'s' if len(graphs) > 1 else ''}"
    traced = f"{traces:.1f} s to trace {len(graphs)} {graph} + " if graphs else ""
    trainings = f"{trials * repeats} trainings / {workers} × {short_seconds(mean)} s"
    say(
        f"  = {start:.0f} s to start + {traced}{trainings}: "
        "each worker trains one at a time, bound by its share of the processor. "
        "Opening MLflow, and what else runs on this machine, comes on top."
    )
    _print_limits(plan, possible, seconds)


def _workers_text(workers: int) -> str:
    own = "1 worker" if workers == 1 else f"{workers} workers"
    if cores.count_gpus():
        return own
    usable = cores.usable_cores()
    threads = max(1, usable // workers)
    return (
        f"{own} of {threads} thread{'s' if threads > 1 else ''} on {usable} core{'s' if usable > 1 else ''}"
    )


def _print_limits(plan: Plan, possible: Sequence[Estimate], seconds: float) -> None:
    """What may change the bill: a pruner, the time budget, a time limit, a training function of one's own."""
    cfg = plan.base
    if cfg.pruner.name != "none":
        say(f"pruner={cfg.pruner.name} will end some of them sooner")
    if cfg.budget.hours is not None:
        share = cfg.budget.hours * 3600 / seconds
        found = "is enough" if share >= 1 else f"ends it after about {share:.0%} of that"
        say(f"budget.hours={cfg.budget.hours:g} {found}")
    limit = cfg.trial.timeout_seconds
    slow = sum(estimate.seconds > limit for estimate in possible) if limit is not None else 0
    if slow:
        say(f"trial.timeout_seconds={limit:g} would end {slow} of these configurations")
    if cfg.trial.target != TrialConf.target:
        say(f"trial.target={cfg.trial.target} trains otherwise: the seconds are not its own")
