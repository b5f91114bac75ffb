"""Joins a network under training with the data it reads."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from omegaconf import DictConfig, OmegaConf

from kerasweep.config.schemas import RUN_GROUPS
from kerasweep.data.prepare import Part, Prepared
from kerasweep.data.scaling import fit_scaling
from kerasweep.model.shapes import count_parameters
from kerasweep.training.runtime import start_tensorflow
from kerasweep.trial.begin_program import begin_program, stock_network, weights_in_graph
from kerasweep.trial.class_weights import class_weights
from kerasweep.trial.epoch_metrics import EpochMetrics, build_epoch_metrics
from kerasweep.trial.frozen_backbone import frozen_backbone, trains_on_features

if TYPE_CHECKING:
    from kerasweep.training.features import FrozenBackbone
    from kerasweep.training.fit import FitResult
    from kerasweep.training.program import Program


WEIGHTS_DIGITS = 16


def build_network(cfg: DictConfig, prepared: Prepared) -> "Network":
    """Returns a network with fresh weights, in a new program or in that of an earlier network."""
    start_tensorflow()
    from kerasweep.training.runtime import set_determinism, set_precision

    set_determinism(cfg.training.deterministic)
    set_precision(cfg.training.precision)
    frozen = None
    if cfg.model.architecture == "backbone":
        prepared = replace(prepared, scaling=fit_scaling("none", ()))  # the backbone has its own
        frozen = frozen_backbone(cfg, prepared) if trains_on_features(cfg) else None
    graph, program = begin_program(cfg, prepared, frozen)
    weights = class_weights(cfg.training.class_weight, prepared.train.labels, prepared.class_names)
    program.begin(cfg.optimizer, cfg.augment, cfg.training.label_smoothing, weights)
    epoch_metrics = build_epoch_metrics(cfg, prepared.num_classes)
    return Network(cfg, prepared, graph, program, epoch_metrics, frozen)


def parameters_of(cfg: DictConfig, prepared: Prepared) -> int:
    """Returns the number of parameters, computed without a network if it is one of our blocks."""
    if cfg.model.architecture == "cnn":
        return count_parameters(cfg.model, prepared.input_shape, prepared.num_classes)
    if cfg.model.architecture == "custom":
        return build_network(cfg, prepared).parameters
    start_tensorflow()
    return int(stock_network(cfg, prepared).count_params())


class Network:
    """A network at the start of its training; build it with `build_network`.

    The next network of the same graph reuses this one's program and overwrites its weights.

    Args:
        cfg: The configuration.
        prepared: The data.
        graph: The key of the program; None if no other network reuses it.
        program: The program, with fresh weights.
        epoch_metrics: What it measures after each epoch besides loss and accuracy; None for nothing.
        frozen: The backbone whose outputs the network reads in place of images; None if it reads images.
    """

    def __init__(
        self,
        cfg: DictConfig,
        prepared: Prepared,
        graph: str | None,
        program: "Program",
        epoch_metrics: EpochMetrics | None,
        frozen: "FrozenBackbone | None" = None,
    ) -> None:
        self.cfg = cfg
        self.prepared = prepared
        self.graph = graph
        self.program = program
        self.epoch_metrics = epoch_metrics
        self.model = program.model
        self.frozen = frozen
        self._traces_before = program.traces

    @property
    def parameters(self) -> int:
        """The number of values in the saved model, without the counters of the warm-up."""
        weights = (weight for weight in self.model.weights if weight.name != "updates")
        below = 0 if self.frozen is None else self.frozen.parameters
        return below + sum(int(np.prod(weight.shape)) for weight in weights)

    @property
    def traces(self) -> int:
        """The number of train functions that were traced for this network."""
        return self.program.traces - self._traces_before

    def fit(
        self,
        report: Callable[[int, dict[str, float]], bool],
        folder: Path,
        resume_from: Path | None = None,
    ) -> "FitResult":
        from kerasweep.training.fit import fit
        from kerasweep.training.own_callbacks import make_callbacks

        cfg = self.cfg
        return fit(
            self.model,
            self.run_epoch,
            self.steps_per_epoch,
            cfg.training,
            cfg.schedule,
            cfg.optimizer.learning_rate,
            cfg.objective,
            report,
            folder,
            resume_from,
            self._fingerprint(),
            self.twin,
            make_callbacks(cfg.training.callbacks),
        )

    def fit_all(
        self,
        epochs: int,
        rate: Callable[[int], float],
        report: Callable[[int, dict[str, float]], bool],
        folder: Path | None,
    ) -> int:
        """Trains without validation, see `training.fit_all`."""
        from kerasweep.training.fit_all import fit_all
        from kerasweep.training.own_callbacks import make_callbacks

        return fit_all(
            self.model,
            self.train_steps,
            self.steps_per_epoch,
            epochs,
            rate,
            report,
            folder,
            self._fingerprint(),
            make_callbacks(self.cfg.training.callbacks),
        )

    @property
    def steps_per_epoch(self) -> int:
        """The number of batches per epoch, including a smaller last one."""
        return -(-len(self.prepared.train) // self.cfg.training.batch_size)

    def run_epoch(self, epoch: int, rates: Sequence[float]) -> dict[str, float]:
        """Trains one epoch, from 0, and evaluates the network on the validation part and its halves."""
        trained = self.train_steps(epoch, rates)
        validated = self.evaluate(self.prepared.validation, self.prepared.half)
        return trained | {f"val_{name}": value for name, value in validated.items()}

    def train_steps(self, epoch: int, rates: Sequence[float]) -> dict[str, float]:
        """Trains the first steps of an epoch, from 0: one step per learning rate.

        In the first epoch in which its backbone trains the optimizer begins anew.
        """
        from kerasweep.data.feeds import epoch_order

        feed, training = self._feed(self.prepared.train), self.cfg.training
        order = epoch_order(len(feed), training.seed, epoch + 1, training.shuffle)
        is_frozen = training.unfreeze_at is not None and epoch + 1 < training.unfreeze_at
        if epoch + 1 == training.unfreeze_at:
            self.program.begin_optimizer(self.cfg.optimizer)
        return self.program.train(
            feed,
            self.prepared.scaling,
            order,
            training.batch_size,
            training.seed,
            epoch + 1,
            rates,
            is_frozen,
        )

    def _feed(self, part: Part) -> Any:
        from kerasweep.data.feeds import feed_of

        return feed_of(part if self.frozen is None else self.frozen.part(part))

    def evaluate(self, part: Part, half: np.ndarray | None = None) -> dict[str, float]:
        """Measures loss, accuracy and the epoch metrics of a part.

        Args:
            part: The images.
            half: bool (n,), which of them belong to the first half; then each metric also has its halves, see
                config/metrics.py.
        """
        batches: list[np.ndarray] | None = None if self.epoch_metrics is None else []
        read = (self._feed(part), self.prepared.scaling, self.cfg.training.batch_size, half)
        measured = self.program.evaluate(*read, batches)
        if self.epoch_metrics is None or not batches:
            return measured
        return measured | self.epoch_metrics.measure(part.labels, np.concatenate(batches), half)

    def probabilities(self, part: Part) -> Any:
        batch_size = self.cfg.training.batch_size
        return self.program.probabilities(self._feed(part), self.prepared.scaling, batch_size)

    def costs(self) -> dict[str, float]:
        """Measures what an objective names besides the training: flops and latency_ms."""
        names = {objective.metric for objective in self.cfg.objective}
        costs = {}
        if "flops" in names:
            from kerasweep.training.cost import count_flops

            costs["flops"] = float(count_flops(self.whole()))
        if "latency_ms" in names:
            image = self.prepared.validation.take(np.zeros(1, np.int64))
            if self.frozen is None:
                costs["latency_ms"] = self.program.latency_ms(image, self.prepared.scaling)
            else:
                from kerasweep.training.cost import latency_ms

                costs["latency_ms"] = latency_ms(self.whole(), image)
        return costs

    def weights_digest(self) -> str:
        """Returns 16 hex digits, equal for equal bits of all weights."""
        digest = hashlib.sha256()
        for array in self.model.get_weights():
            digest.update(f"{array.dtype} {array.shape}".encode())
            digest.update(array.tobytes())
        return digest.hexdigest()[:WEIGHTS_DIGITS]

    def twin(self) -> Any:
        """Returns the model to save, see `plain_twin`."""
        from kerasweep.model.twin import plain_twin

        return plain_twin(self.whole(), self.stock, self.prepared.scaling)

    def whole(self) -> Any:
        """Returns the network from images to probabilities; where only its head is trained, a copy."""
        if self.frozen is None:
            return self.model
        from kerasweep.model.backbone import build_head, join
        from kerasweep.model.parts import StockParts
        from kerasweep.model.twin import copy_weights

        cfg = self.cfg
        parts = StockParts(cfg.initializer, cfg.regularizer, cfg.training.seed)
        # Keras would link the head of the program, which other networks reuse, to this backbone for good.
        head = build_head(cfg.model, parts, self.frozen.dimension, self.prepared.num_classes)
        copy_weights(self.model, head)
        return join(self.frozen.extractor, head)

    def stock(self) -> Any:
        """Returns the same network made of Keras's layers, with arbitrary weights."""
        return stock_network(self.cfg, self.prepared)

    def _fingerprint(self) -> str:
        """Returns a hash of all that the training depends on: a checkpoint of another one does not fit."""
        names = (*RUN_GROUPS, "objective")
        groups = [OmegaConf.to_yaml(self.cfg[name], resolve=True, sort_keys=True) for name in names]
        weights = weights_in_graph(self.cfg)
        parts = [*groups, self.prepared.digest, *([weights] if weights else [])]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()
