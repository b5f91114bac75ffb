"""Initializers, regularizers and activations, as Keras objects."""

from collections.abc import Callable, Iterator

import keras
import numpy as np

from src.config.model import InitializerConf, RegularizerConf
from src.errors import ConfigError

_SEEDED = {
    "glorot_uniform": keras.initializers.GlorotUniform,
    "glorot_normal": keras.initializers.GlorotNormal,
    "he_uniform": keras.initializers.HeUniform,
    "he_normal": keras.initializers.HeNormal,
    "lecun_normal": keras.initializers.LecunNormal,
}


def layer_seeds(seed: int) -> Iterator[int]:
    """One seed a layer: the layer at position i gets the first 32-bit word of SeedSequence([seed, i]).

    So the weights of a layer depend on the run's seed and its own position, not on what was
    built before in this process.
    """
    position = 0
    while True:
        yield int(np.random.SeedSequence([seed, position]).generate_state(1)[0])
        position += 1


def build_initializer(cfg: InitializerConf, seed: int) -> keras.initializers.Initializer:
    """The kernel initializer of one layer. Raises ConfigError for an unknown name."""
    if cfg.name == "zeros":
        return keras.initializers.Zeros()
    if cfg.name == "constant":
        return keras.initializers.Constant(cfg.value)  # type: ignore[attr-defined]
    if cfg.name == "random_normal":
        return keras.initializers.RandomNormal(stddev=cfg.stddev, seed=seed)  # type: ignore[attr-defined]
    if cfg.name not in _SEEDED:
        raise ConfigError(f"initializer.name must be one of Keras's that conf/initializer has, but got {cfg.name}.")
    return _SEEDED[cfg.name](seed=seed)


def build_regularizer(cfg: RegularizerConf, kind: str) -> keras.regularizers.Regularizer | None:
    """The kernel regularizer for a layer of the kind `conv` or `dense`, None where it has none."""
    if cfg.name == "none" or cfg.on not in (kind, "both"):
        return None
    strength = cfg.strength
    makers: dict[str, Callable[[], keras.regularizers.Regularizer]] = {
        "l1": lambda: keras.regularizers.L1(strength),
        "l2": lambda: keras.regularizers.L2(strength),
        "l1_l2": lambda: keras.regularizers.L1L2(strength, strength),
    }
    return makers[cfg.name]()
