"""What the configurations of a sweep would cost: parameters, operations, and seconds by a few real steps."""

import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from omegaconf import DictConfig, OmegaConf
from scipy.optimize import nnls

from kerasweep.multirun.plan import Plan
from kerasweep.space.axis import Params
from kerasweep.trial.network import Network
from kerasweep.trial.run import warm_up
from kerasweep.workers import machine as cores

if TYPE_CHECKING:
    from kerasweep.training.cost import Probe

MAX_PROBES, MAX_PROBE_SECONDS, MAX_EVALUATED = 8, 30.0, 512


@dataclass(frozen=True)
class Estimate:
    """One configuration and one seed of it.

    reason: why it cannot be trained, None where it can. flops: of one image. steps,
    validation_images: of an epoch. kind: what configurations of the same cost a step share. graph: what
    those share that need no trace of their own, None where each is traced. start: the seconds of a
    trace; seconds: of the training, with a trace where each is traced.
    """

    params: Params
    reason: str | None = None
    parameters: int = 0
    flops: int = 0
    layers: int = 0
    batch_size: int = 0
    steps: int = 0
    validation_images: int = 0
    epochs: int = 0
    kind: str = ""
    graph: str | None = None
    start: float = 0.0
    seconds: float = 0.0
    is_probed: bool = False

    @property
    def work(self) -> int:
        """The operations of a batch's way forward."""
        return self.flops * self.batch_size

    def timed(self, probe: "Probe", is_probed: bool) -> "Estimate":
        """With the seconds that follow from a probe."""
        an_epoch = self.steps * probe.step + self.validation_images * probe.image
        seconds = self.epochs * an_epoch + (probe.start if self.graph is None else 0.0)
        return replace(self, start=probe.start, seconds=seconds, is_probed=is_probed)


def become_worker(plan: Plan, workers: int) -> float:
    """Import TensorFlow with the threads that one of so many workers has; the seconds that this takes."""
    began = time.perf_counter()
    os.environ.update(cores.worker_variables(workers, cores.count_gpus(), cores.usable_cores())(0))
    warm_up(plan.base)
    return time.perf_counter() - began


def build_all(plan: Plan, configurations: Iterable[Params]) -> list[Estimate]:
    """Compose and build each; what cannot be built gets the reason."""
    return [_build(plan, params) for params in configurations]


def _build(plan: Plan, params: Params) -> Estimate:
    from kerasweep.training.cost import count_flops

    reason = plan.refusal(params)
    if reason is not None:
        return Estimate(params, reason)
    cfg = plan.composer.compose(params)
    data = plan.data_of(cfg)
    try:
        network = Network(cfg, data)
        flops = count_flops(network.stock())
    except Exception as error:  # a user's own network may raise anything
        return Estimate(params, f"it cannot be built: {type(error).__name__}: {error}")
    batch_size = int(cfg.training.batch_size)
    return Estimate(
        params,
        parameters=network.parameters,
        flops=flops,
        layers=len(network.model.layers),
        batch_size=batch_size,
        steps=network.steps_per_epoch,
        validation_images=len(data.validation),
        epochs=int(cfg.training.epochs),
        kind=_kind(cfg),
        graph=network.graph,
    )


def _kind(cfg: DictConfig) -> str:
    keys = ["model", "data", "augment", "optimizer.name"]
    training = ["training.batch_size", "training.precision", "training.deterministic"]
    return OmegaConf.to_yaml(OmegaConf.create({key: OmegaConf.select(cfg, key) for key in keys + training}))


def time_all(plan: Plan, estimates: Sequence[Estimate]) -> list[Estimate]:
    """Time a few configurations that differ in their cost; the others follow from these.

    Whatever is raised by a configuration that is timed becomes its reason.
    """
    possible = [estimate for estimate in estimates if estimate.reason is None]
    probes: dict[str, Probe] = {}
    reasons: dict[str, str] = {}
    began = time.perf_counter()
    for estimate in _spread(possible):
        if probes and time.perf_counter() - began > MAX_PROBE_SECONDS:
            break
        try:
            probes[estimate.kind] = _probe(plan, estimate.params)
        except Exception as error:  # a user's own network may raise anything
            reasons[estimate.kind] = f"it cannot be trained: {type(error).__name__}: {error}"
    if not probes:
        return [replace(each, reason=each.reason or reasons.get(each.kind)) for each in estimates]
    guess = _guess([(each, probes[each.kind]) for each in possible if each.kind in probes])

    def timed(estimate: Estimate) -> Estimate:
        if estimate.reason is not None or estimate.kind in reasons:
            return replace(estimate, reason=estimate.reason or reasons[estimate.kind])
        found = probes.get(estimate.kind)
        return estimate.timed(found or guess(estimate), is_probed=found is not None)

    return [timed(estimate) for estimate in estimates]


def _spread(estimates: Iterable[Estimate]) -> list[Estimate]:
    """At most MAX_PROBES of different kinds from the least work to the most; these two come first."""
    kinds = {estimate.kind: estimate for estimate in estimates}
    ordered = sorted(kinds.values(), key=lambda estimate: estimate.work)
    count = min(MAX_PROBES, len(ordered))
    picked = [ordered[round(index)] for index in np.linspace(0, len(ordered) - 1, count)]
    return [*picked[:1], *picked[:0:-1]]


def _probe(plan: Plan, params: Params) -> "Probe":
    from kerasweep.training.cost import probe

    cfg = plan.composer.compose(params)
    cfg.training.reuse_programs = False  # a network that has been timed before is traced once more
    began = time.perf_counter()
    network = Network(cfg, plan.data_of(cfg))
    built = time.perf_counter() - began
    images = network.prepared.validation.first(MAX_EVALUATED)
    measured = probe(
        lambda steps: network.train_steps(0, [cfg.optimizer.learning_rate] * steps),
        lambda: network.evaluate(images),
        network.steps_per_epoch,
        len(images),
    )
    return replace(measured, start=measured.start + built)


def _guess(probed: Sequence[tuple[Estimate, "Probe"]]) -> Callable[[Estimate], "Probe"]:
    """What a probe of another configuration would give: its start by its layers, else by the operations."""
    from kerasweep.training.cost import Probe

    work, layers = [one.work for one, _ in probed], [one.layers for one, _ in probed]
    start = _line(layers, [probe.start for _, probe in probed])
    step = _line(work, [probe.step for _, probe in probed])
    image = _line([one.flops for one, _ in probed], [probe.image for _, probe in probed])
    return lambda one: Probe(start(one.layers), step(one.work), image(one.flops))


def _line(x: Sequence[int], y: Sequence[float]) -> Callable[[int], float]:
    """The line through the points with the least squares whose height at 0 and slope are not below 0."""
    most = max(*x, 1)
    table = np.array([[1.0, value / most] for value in x])
    (base, slope), _ = nnls(table, np.array(y))
    return lambda value: float(base + slope * value / most)
