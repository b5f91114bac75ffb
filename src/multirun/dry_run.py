"""Says what a sweep would train and what it would cost, and records nothing."""

import os
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
from omegaconf import DictConfig
from rich.table import Table
from scipy.optimize import nnls

from src.data.prepare import Prepared
from src.errors import ConfigError
from src.multirun.plan import Plan
from src.sweep import cores
from src.sweep.samplers import sample
from src.sweep.space.axis import Params
from src.terminal import duration_text, params_text, say, show
from src.training.start import start_tensorflow

MOST_LISTED, SAMPLED, MOST_PROBES = 200, 20, 6


@dataclass(frozen=True)
class Estimate:
    """One configuration. reason: why it cannot be trained, None where it can.

    flops: of one image. batch_size, steps: of an epoch. seconds: of a whole trial.
    """

    params: Params
    reason: str | None = None
    parameters: int = 0
    flops: int = 0
    batch_size: int = 0
    steps: int = 0
    seconds: float = 0.0
    is_probed: bool = False


def dry_run(plan: Plan, workers: int) -> None:
    """Print what each configuration, or a sample of them, would cost, and the whole sweep.

    Raises ConfigError where none of them can be trained.
    """
    _be_a_worker(workers)
    configurations, is_sample = _configurations(plan)
    estimates = [_build(plan, params) for params in configurations]
    if all(estimate.reason for estimate in estimates):
        raise ConfigError(f"No configuration can be trained. The first one: {estimates[0].reason}")
    estimates = _time(plan, estimates)
    show(_table(estimates))
    for reason, count in Counter(each.reason for each in estimates if each.reason).items():
        say(f"left out: {count} × {reason}")
    _print_bill(plan, estimates, workers, is_sample)


def _be_a_worker(workers: int) -> None:
    """Import TensorFlow with the threads that one of so many workers has."""
    os.environ.update(cores.worker_variables(workers, cores.count_gpus(), cores.usable_cores())(0))
    start_tensorflow()


def _configurations(plan: Plan) -> tuple[list[Params], bool]:
    """All configurations, or a sample where there are too many."""
    if plan.space.is_finite:
        listed = list(islice(plan.space.configurations(), MOST_LISTED + 1))
        if len(listed) <= MOST_LISTED:
            return listed, False
    return sample(plan.base.sampler, plan.space, plan.directions, SAMPLED), True


def _build(plan: Plan, params: Params) -> Estimate:
    reason = plan.refusal(params)
    if reason is not None:
        return Estimate(params, reason)
    cfg = plan.composer.compose(params)
    data = plan.data_of(cfg)
    try:
        parameters, flops = _measure(cfg, data)
    except Exception as error:  # a user's own network may raise anything
        return Estimate(params, f"it cannot be built: {type(error).__name__}: {error}")
    batch_size = int(cfg.training.batch_size)
    steps = -(-len(data.train.labels) // batch_size)
    return Estimate(params, None, parameters, flops, batch_size, steps)


def _measure(cfg: DictConfig, data: Prepared) -> tuple[int, int]:
    from src.training.cost import count_flops
    from src.trial.network import Network

    network = Network(cfg, data)
    return network.parameters, count_flops(network.model)


def _time(plan: Plan, estimates: Sequence[Estimate]) -> list[Estimate]:
    """Time a few configurations that differ in their cost; the others follow from these.

    A step costs something by itself and something for each operation: both are fitted to the
    probes, neither below 0.
    """
    possible = [estimate for estimate in estimates if estimate.reason is None]
    costs = {(estimate.flops, estimate.batch_size): estimate for estimate in possible}
    ordered = sorted(costs, key=lambda cost: cost[0] * cost[1])
    picked = {ordered[index] for index in np.linspace(0, len(ordered) - 1, MOST_PROBES).round().astype(int)}
    probes = {cost: _probe(plan, costs[cost]) for cost in sorted(picked)}
    work = np.array([[1.0, flops * batch_size] for flops, batch_size in probes])
    (base, rate), _ = nnls(work, np.array([one.step for one in probes.values()]))
    start = float(np.mean([one.start for one in probes.values()]))
    validation = float(np.mean([one.validation for one in probes.values()]))

    def timed(estimate: Estimate) -> Estimate:
        if estimate.reason is not None:
            return estimate
        probed = probes.get((estimate.flops, estimate.batch_size))
        step = probed.step if probed else base + rate * estimate.flops * estimate.batch_size
        epochs = int(plan.composer.compose(estimate.params).training.epochs)
        one_epoch = estimate.steps * step + (probed.validation if probed else validation)
        seconds = (probed.start if probed else start) + epochs * one_epoch
        return replace(estimate, seconds=seconds * plan.base.study.repeats, is_probed=probed is not None)

    return [timed(estimate) for estimate in estimates]


def _probe(plan: Plan, estimate: Estimate) -> Any:
    from src.training.cost import probe
    from src.trial.network import Network

    cfg = plan.composer.compose(estimate.params)
    began = time.perf_counter()
    network = Network(cfg, plan.data_of(cfg))
    built = time.perf_counter() - began
    measured = probe(network.model, network.batches(1), lambda: network.evaluate(network.prepared.validation))
    return replace(measured, start=measured.start + built)


def _table(estimates: Sequence[Estimate]) -> Table:
    table = Table()
    table.add_column("configuration", overflow="fold")
    for column in ("parameters", "FLOPs an image", "seconds a trial"):
        table.add_column(column, justify="right")
    for estimate in estimates:
        if estimate.reason is not None:
            table.add_row(params_text(estimate.params), "-", "-", "left out")
            continue
        mark = "" if estimate.is_probed else "~"
        table.add_row(
            params_text(estimate.params),
            f"{estimate.parameters:,}",
            _short(estimate.flops),
            f"{mark}{estimate.seconds:.1f}",
        )
    return table


def _short(number: int) -> str:
    """1234567 as 1.2 M."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return str(number)


def _print_bill(plan: Plan, estimates: Sequence[Estimate], workers: int, is_sample: bool) -> None:
    possible = [estimate for estimate in estimates if estimate.reason is None]
    left_out = len(estimates) - len(possible)
    mean = sum(estimate.seconds for estimate in possible) / len(possible)
    total = plan.total()
    kind = "a sample of" if is_sample else "all"
    say(f"{kind} {len(estimates)} configurations: {len(possible)} can be trained, {left_out} cannot")
    repeats = plan.base.study.repeats
    seeds = f" of {repeats} seeds" if repeats > 1 else ""
    say(
        f"the sweep: {total} trials{seeds}, {mean:.1f} s each, about {duration_text(total * mean / workers)} "
        f"with {workers} worker{'s' if workers > 1 else ''}, beside a few seconds to start"
    )
    if plan.base.pruner.name != "none":
        say(f"pruner={plan.base.pruner.name} will end some of them sooner")
    if plan.base.budget.hours is not None:
        say(f"budget.hours={plan.base.budget.hours:g} ends it then at the latest")
    say("probed by a few real steps, ~ reckoned from these; nothing was recorded")
