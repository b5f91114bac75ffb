"""What makes two trainings the same graph, so that one can follow the other in it without a trace."""

import json
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from kerasweep.config.data import AugmentConf
from kerasweep.config.model import ModelConf
from kerasweep.config.training import OPTIMIZERS, OptimizerConf, TrainingConf

if TYPE_CHECKING:
    import keras

FUNCTIONS = ("Lambda", "function", "__lambda__")
RATES = ("dropout", "dense_dropout")
ADJUSTABLE = ("learning_rate", "weight_decay")


def graph_key(
    model: ModelConf,
    optimizer: OptimizerConf,
    training: TrainingConf,
    augment: AugmentConf,
    labels: str,
    input_shape: tuple[int, int, int],
    num_classes: int,
    network: str | None = None,
) -> str:
    """Everything that a traced train function holds as a constant, and the kernels that it may use.

    Where a rate is not 0 there is a Dropout layer; which rate it has does not matter. network: the
    structure of a custom one.
    """
    described = _plain(model)
    described |= {rate: described[rate] > 0 for rate in RATES}
    parts = {
        "model": described,
        "network": network,
        "optimizer": _fixed_numbers(optimizer),
        "augment": _plain(augment),
        "training": [training.precision, training.deterministic, training.jit_compile],
        "data": [labels, list(input_shape), num_classes],
    }
    return json.dumps(parts, sort_keys=True)


def _fixed_numbers(cfg: OptimizerConf) -> dict[str, Any]:
    """The fields that are constants of an optimizer's graph: all but those that `adjust` sets."""
    fields = ("name", "clipnorm", *OPTIMIZERS[cfg.name])
    return {field: getattr(cfg, field) for field in fields if field not in ADJUSTABLE}


def structure(network: "keras.Model") -> str | None:
    """The configuration of a user's network; None where it holds what a configuration does not tell.

    That is code of others: layers, functions, and the body of a Lambda.
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
    """Module and name of all that was serialized in a configuration."""
    if isinstance(config, dict):
        if "class_name" in config:
            yield config.get("module"), str(config["class_name"])
        config = list(config.values())
    if isinstance(config, (list, tuple)):
        for part in config:
            yield from _classes(part)


def _plain(cfg: Any) -> dict[str, Any]:
    found: Any = OmegaConf.to_container(OmegaConf.create(cfg), resolve=True)
    return dict(found)
