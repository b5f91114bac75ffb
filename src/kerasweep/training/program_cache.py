"""Keeps compiled programs for later trials of the same graph, which then need no trace."""

import gc
import json
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from kerasweep.config.data import AugmentConf
from kerasweep.config.model import NetworkConf
from kerasweep.config.training import OPTIMIZERS, OptimizerConf, TrainingConf

if TYPE_CHECKING:
    import keras

    from kerasweep.training.program import Program

MAX_PROGRAMS = 8
MAX_MEMORY_MB = 1024.0
FUNCTIONS = ("Lambda", "function", "__lambda__")
RATES = ("dropout", "dense_dropout")
ADJUSTABLE = ("learning_rate", "weight_decay")
KERAS_OPTIMIZERS = "keras.optimizers:"


def graph_key(
    model: NetworkConf,
    optimizer: OptimizerConf,
    training: TrainingConf,
    augment: AugmentConf,
    labels: str,
    input_shape: tuple[int, int, int],
    num_classes: int,
    network: str | None = None,
) -> str:
    """Describes everything that a traced train function holds as a constant, and the kernels it may use.

    A dropout rate is left out, but not whether it is 0: then there is no Dropout layer. The numbers of the
    augmentation likewise.

    Args:
        model: The architecture.
        optimizer: Its learning rate and weight decay do not matter.
        training: Precision, determinism and XLA matter, the loss, and whether labels are smoothed, classes
            weighted, and a backbone unfrozen.
        augment: The augmentation of training batches, done in the graph.
        labels: `sparse` or `one_hot`.
        input_shape: The shape of one image, (height, width, channels).
        num_classes: The units of the output layer.
        network: The `structure` of a custom network, or the weights of a backbone.

    Returns:
        JSON, equal for trainings that can share a program.
    """
    architecture = _plain(model)
    architecture |= {rate: architecture[rate] > 0 for rate in RATES}
    unfreezes = training.unfreeze_at is not None
    parts = {
        "model": architecture,
        "network": network,
        "optimizer": _fixed_numbers(optimizer),
        "augment": {name: value > 0 for name, value in _plain(augment).items()},
        "training": [training.precision, training.deterministic, training.jit_compile, unfreezes],
        "loss": [training.loss, training.label_smoothing > 0, training.class_weight is not None],
        "data": [labels, list(input_shape), num_classes],
    }
    return json.dumps(parts, sort_keys=True)


def _fixed_numbers(cfg: OptimizerConf) -> dict[str, Any]:
    """Returns the fields that are constants in an optimizer's graph: all that `adjust` does not set.

    A function of the user's may build another optimizer for another learning rate.
    """
    if cfg.name == "custom":
        fields = _plain(cfg)
        is_known = fields["target"].startswith(KERAS_OPTIMIZERS)
        return {name: value for name, value in fields.items() if name != "learning_rate" or not is_known}
    names = ("name", "clipnorm", *OPTIMIZERS[cfg.name])
    return {name: getattr(cfg, name) for name in names if name not in ADJUSTABLE}


def structure(network: "keras.Model") -> str | None:
    """Serializes a user's network, to compare it with another.

    Returns:
        Its configuration as JSON; None if it holds code that a configuration does not show: layers and
        functions from outside Keras, or a Lambda.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a lambda could not be loaded without its code
            config = network.get_config()
    except NotImplementedError:
        return None
    classes = [*_classes(config), (type(network).__module__, type(network).__name__)]
    is_known = all(
        (module or "keras").partition(".")[0] in ("keras", "builtins") and name not in FUNCTIONS
        for module, name in classes
    )
    return json.dumps(config, sort_keys=True, default=str) if is_known else None


def _classes(config: Any) -> Iterator[tuple[str | None, str]]:
    """Yields module and name of every object serialized in a configuration."""
    if isinstance(config, dict):
        if "class_name" in config:
            yield config.get("module"), str(config["class_name"])
        config = list(config.values())
    if isinstance(config, (list, tuple)):
        for part in config:
            yield from _classes(part)


def _plain(cfg: Any) -> dict[str, Any]:
    container: Any = OmegaConf.to_container(OmegaConf.create(cfg), resolve=True)
    return dict(container)


class ProgramCache:
    """Keeps the most recently used programs, by `graph_key`.

    Args:
        max_programs: How many are kept.
        max_memory_mb: How many MiB their variables may take together. The newest program stays in any case.
    """

    def __init__(self, max_programs: int = MAX_PROGRAMS, max_memory_mb: float = MAX_MEMORY_MB) -> None:
        self.max_programs = max_programs
        self.max_memory_mb = max_memory_mb
        self._programs: OrderedDict[str, Program] = OrderedDict()

    def __len__(self) -> int:
        return len(self._programs)

    def get(self, key: str) -> "Program | None":
        """Returns the program of a graph; None if there is none."""
        if key in self._programs:
            self._programs.move_to_end(key)
        return self._programs.get(key)

    def add(self, key: str, make: "Callable[[], Program]") -> "Program":
        """Makes a program and keeps it; older ones are dropped first, so that their memory is free."""
        while len(self._programs) >= self.max_programs:
            self._drop_oldest()
        program = self._programs[key] = make()
        while len(self._programs) > 1 and self._memory_mb() > self.max_memory_mb:
            self._drop_oldest()
        return program

    def clear(self) -> None:
        """Drops all programs."""
        self._programs.clear()
        gc.collect()

    def _memory_mb(self) -> float:
        return sum(program.variables_mb for program in self._programs.values())

    def _drop_oldest(self) -> None:
        self._programs.popitem(last=False)
        gc.collect()  # a network, its functions and their graphs refer to each other


PROGRAMS = ProgramCache()
