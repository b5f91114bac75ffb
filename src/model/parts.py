"""What every layer with weights needs: its seed, its kernel's initializer and regularizer."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from src.config.model import InitializerConf, RegularizerConf

_BY_FAN = {
    "glorot_uniform": keras.initializers.GlorotUniform,
    "glorot_normal": keras.initializers.GlorotNormal,
    "he_uniform": keras.initializers.HeUniform,
    "he_normal": keras.initializers.HeNormal,
    "lecun_normal": keras.initializers.LecunNormal,
}

# The first number of a seed's spawn key; the second is the layer's position among its kind.
_KINDS = {"kernel": 0, "dropout": 1}


def layer_seed(seed: int, kind: str, position: int) -> int:
    """The seed of one layer, 0 <= seed < 2**32.

    It is the first word of `numpy.random.SeedSequence(seed, spawn_key=(kind, position))`, where
    kind is 0 for kernels and 1 for dropout, and position counts from 0 the layers of that kind
    from the input on. So networks that differ in normalization, pooling, dropout, or activation
    start from the same weights, whatever the process has built before.
    """
    sequence = np.random.SeedSequence(seed, spawn_key=(_KINDS[kind], position))
    return int(sequence.generate_state(1)[0])


def build_initializer(cfg: Any, seed: int) -> keras.initializers.Initializer:
    """Keras's kernel initializer of that name. cfg: an InitializerConf or one of its children."""
    if cfg.name == "zeros":
        return keras.initializers.Zeros()
    if cfg.name == "constant":
        return keras.initializers.Constant(cfg.value)
    if cfg.name == "random_normal":
        return keras.initializers.RandomNormal(stddev=cfg.stddev, seed=seed)
    return _BY_FAN[cfg.name](seed=seed)


def build_regularizer(cfg: RegularizerConf, kind: str) -> keras.regularizers.Regularizer | None:
    """The penalty on the kernels of a kind, `conv` or `dense`; None where there is none.

    l1_l2 adds both penalties, each with the whole strength.
    """
    if cfg.name == "none" or cfg.on not in (kind, "both"):
        return None
    l1 = cfg.strength if cfg.name in ("l1", "l1_l2") else 0.0
    l2 = cfg.strength if cfg.name in ("l2", "l1_l2") else 0.0
    return keras.regularizers.L1L2(l1=l1, l2=l2)


@dataclass(frozen=True)
class Kernels:
    """How the kernels of a network begin and what keeps them small."""

    initializer: InitializerConf
    regularizer: RegularizerConf
    seed: int

    def arguments(self, kind: str, position: int) -> dict[str, Any]:
        """Keyword arguments of a layer. kind: conv or dense; position: from 0, over both kinds."""
        return {
            "kernel_initializer": build_initializer(
                self.initializer, layer_seed(self.seed, "kernel", position)
            ),
            "kernel_regularizer": build_regularizer(self.regularizer, kind),
        }


def dropout(rate: float, seed: int, position: int, name: str) -> list[keras.Layer]:
    """A Dropout layer with a seed of its own; no layer where the rate is 0."""
    if rate == 0:
        return []
    return [keras.layers.Dropout(rate, seed=layer_seed(seed, "dropout", position), name=name)]
