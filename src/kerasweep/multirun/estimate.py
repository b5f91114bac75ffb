"""Estimates what configurations cost: parameters, operations, and seconds from a few real training steps."""

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from kerasweep.errors import ConfigError
from kerasweep.multirun.plan import Plan
from kerasweep.space.rows import Params
from kerasweep.trial.network import Network, build_network
from kerasweep.trial.run import warm_up
from kerasweep.workers import machine

if TYPE_CHECKING:
    from kerasweep.training.cost import Probe

MAX_EVALUATED = 512


@dataclass(frozen=True)
class Cost:
    """The cost of training one configuration with one seed."""

    params: Params
    reason: str | None = None  # why it cannot be trained, None if it can
    parameters: int = 0
    flops: int = 0  # of the forward pass of one image
    batch_size: int = 0
    steps: int = 0  # per epoch
    validation_images: int = 0
    epochs: int = 0
    graph: str | None = None  # configurations of one graph are traced once; None: each is traced
    trace_seconds: float = 0.0
    seconds: float = 0.0  # of the training, with the trace where each is traced

    @property
    def work(self) -> int:
        """The operations of the forward pass of a batch."""
        return self.flops * self.batch_size


def become_worker(plan: Plan, workers: int) -> float:
    """Imports TensorFlow with as many threads as each worker has; returns the seconds that this takes."""
    began = time.perf_counter()
    os.environ.update(machine.worker_variables(workers, machine.count_gpus(), machine.usable_cores())(0))
    warm_up(plan.base)
    return time.perf_counter() - began


def estimate_costs(plan: Plan, configurations: Iterable[Params]) -> list[Cost]:
    """Builds every configuration and times those of the least, the middle and the most operations per batch.

    The seconds of the others are interpolated between these.

    Raises:
        ConfigError: None of the timed configurations can be trained.
    """
    flops_by_graph: dict[str, int] = {}  # by graph: the profiler takes longer than a network of a known graph
    costs = [_build(plan, params, flops_by_graph) for params in configurations]
    possible = [index for index, cost in enumerate(costs) if cost.reason is None]
    unlike = {(costs[index].graph or index, costs[index].work): index for index in possible}
    ordered = sorted(unlike.values(), key=lambda index: costs[index].work)
    probes: dict[int, Probe] = {}
    for index in dict.fromkeys(ordered[:1] + ordered[len(ordered) // 2 :][:1] + ordered[-1:]):
        try:
            probes[costs[index].work] = _probe(plan, costs[index].params)
        except Exception as error:  # a user's own network may raise anything
            reason = f"it cannot be trained: {type(error).__name__}: {error}"
            costs[index] = replace(costs[index], reason=reason)
    if not probes:
        first = next(cost.reason for cost in costs if cost.reason is not None)
        raise ConfigError(f"No configuration can be trained. The first one: {first}")
    return [_timed(cost, probes) if cost.reason is None else cost for cost in costs]


def _build(plan: Plan, params: Params, flops_by_graph: dict[str, int]) -> Cost:
    reason = plan.refusal(params)
    if reason is not None:
        return Cost(params, reason)
    cfg = plan.composer.compose(params)
    data = plan.data_of(cfg)
    try:
        network = build_network(cfg, data)
        count = _flops_of(network, flops_by_graph)
    except Exception as error:  # a user's own network may raise anything
        return Cost(params, f"it cannot be built: {type(error).__name__}: {error}")
    return Cost(
        params,
        parameters=network.parameters,
        flops=count,
        batch_size=int(cfg.training.batch_size),
        steps=network.steps_per_epoch,
        validation_images=len(data.validation),
        epochs=int(cfg.training.epochs),
        graph=network.graph,
    )


def _flops_of(network: Network, flops_by_graph: dict[str, int]) -> int:
    from kerasweep.training.cost import count_flops

    if network.graph is None:
        return count_flops(network.stock())
    if network.graph not in flops_by_graph:
        flops_by_graph[network.graph] = count_flops(network.stock())
    return flops_by_graph[network.graph]


def _probe(plan: Plan, params: Params) -> "Probe":
    from kerasweep.training.cost import probe

    cfg = plan.composer.compose(params)
    cfg.training.reuse_programs = False  # the trace is part of what is timed
    began = time.perf_counter()
    network = build_network(cfg, plan.data_of(cfg))
    built = time.perf_counter() - began
    images = network.prepared.validation.first(MAX_EVALUATED)
    measured = probe(
        lambda steps: network.train_steps(0, [cfg.optimizer.learning_rate] * steps),
        lambda: network.evaluate(images),
        network.steps_per_epoch,
        len(images),
    )
    return replace(measured, start=measured.start + built)


def _timed(cost: Cost, probes: "dict[int, Probe]") -> Cost:
    """Returns the cost with its seconds, interpolated between probes that are sorted by their work."""

    def at_work(values: Iterable[float]) -> float:
        return float(np.interp(cost.work, list(probes), list(values)))

    trace = at_work(probe.start for probe in probes.values())
    step = at_work(probe.step for probe in probes.values())
    image = at_work(probe.image for probe in probes.values())
    training = cost.epochs * (cost.steps * step + cost.validation_images * image)
    return replace(cost, trace_seconds=trace, seconds=training + (trace if cost.graph is None else 0.0))
