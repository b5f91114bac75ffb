"""What the layers of a network begin with: seeds, initializers, penalties, dropout, normalization."""

from dataclasses import dataclass
from typing import Any, Protocol

import keras
import numpy as np

from kerasweep.config.model import InitializerConf, NormalizationConf, RegularizerConf
from kerasweep.model.normalization import build_normalization

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


def penalties(cfg: RegularizerConf, kind: str) -> tuple[float, float]:
    """The factors of l1 and l2 on the kernels of a kind, `conv` or `dense`.

    l1_l2 adds both penalties, each with the whole strength.
    """
    if cfg.name == "none" or cfg.on not in (kind, "both"):
        return 0.0, 0.0
    strength = float(cfg.strength or 0.0)
    return strength * (cfg.name in ("l1", "l1_l2")), strength * (cfg.name in ("l2", "l1_l2"))


class Parts(Protocol):
    """Makes the layers, or arguments of layers, in which networks of the same shape differ."""

    def kernel(self, kind: str, position: int, name: str) -> dict[str, Any]:
        """Keyword arguments of a layer with a kernel. kind: conv or dense; position: from 0, over both."""
        ...

    def dropout(self, kind: str, rate: float, position: int, name: str) -> list[keras.Layer]:
        """A Dropout layer with a seed of its own; no layer where the rate is 0.

        kind: `dropout` or `dense_dropout`, the key of ModelConf.
        """
        ...

    def normalization(self, cfg: NormalizationConf, name: str) -> list[keras.Layer]:
        """The layer that normalizes; no layer for cfg.kind=none."""
        ...


@dataclass(frozen=True)
class StockParts:
    """Keras's own parts with the numbers of one configuration, as saved models hold them."""

    initializer: InitializerConf
    regularizer: RegularizerConf
    seed: int

    def kernel(self, kind: str, position: int, name: str) -> dict[str, Any]:
        l1, l2 = penalties(self.regularizer, kind)
        seed = layer_seed(self.seed, "kernel", position)
        return {
            "kernel_initializer": build_initializer(self.initializer, seed),
            "kernel_regularizer": keras.regularizers.L1L2(l1=l1, l2=l2) if l1 or l2 else None,
        }

    def dropout(self, kind: str, rate: float, position: int, name: str) -> list[keras.Layer]:
        if rate == 0:
            return []
        return [keras.layers.Dropout(rate, seed=layer_seed(self.seed, "dropout", position), name=name)]

    def normalization(self, cfg: NormalizationConf, name: str) -> list[keras.Layer]:
        return build_normalization(cfg, name, plain=True)
