"""Makes the parts in which networks of one shape differ: initializers, penalties, dropout, normalization.

StockParts are Keras's own, for saved models. AdjustableParts hold their numbers in variables, so that a
training with other numbers needs no new graph.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf

from kerasweep.config.model import InitializerConf, ModelConf, NormalizationConf, RegularizerConf
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
    """Returns the seed of one layer, the first word of numpy.random.SeedSequence.

    So networks that differ in normalization, pooling, dropout or activation start from the same weights,
    whatever the process has built before.

    Args:
        seed: The run's seed.
        kind: `kernel` (0 in the sequence's spawn_key) or `dropout` (1).
        position: The second number of the spawn_key: layers of this kind, from 0 and from the input on.

    Returns:
        0 <= seed < 2**32.
    """
    sequence = np.random.SeedSequence(seed, spawn_key=(_KINDS[kind], position))
    return int(sequence.generate_state(1)[0])


def build_initializer(cfg: Any, seed: int) -> keras.initializers.Initializer:
    """Returns Keras's kernel initializer. cfg: an InitializerConf or one of its subclasses."""
    if cfg.name == "zeros":
        return keras.initializers.Zeros()
    if cfg.name == "constant":
        return keras.initializers.Constant(cfg.value)
    if cfg.name == "random_normal":
        return keras.initializers.RandomNormal(stddev=cfg.stddev, seed=seed)
    return _BY_FAN[cfg.name](seed=seed)


def penalties(cfg: RegularizerConf, kind: str) -> tuple[float, float]:
    """Returns the factors of l1 and l2 on the kernels of a kind, `conv` or `dense`.

    l1_l2 adds both penalties, each with the full strength.
    """
    if cfg.name == "none" or cfg.on not in (kind, "both"):
        return 0.0, 0.0
    strength = float(cfg.strength or 0.0)
    return strength * (cfg.name in ("l1", "l1_l2")), strength * (cfg.name in ("l2", "l1_l2"))


class Parts(Protocol):
    """Makes the layers, or arguments of layers, in which networks of one shape differ."""

    def kernel(self, kind: str, position: int, name: str) -> dict[str, Any]:
        """Returns a layer's keyword arguments. kind: conv or dense; position: from 0, over both kinds."""
        ...

    def dropout(self, kind: str, rate: float, position: int, name: str) -> list[keras.Layer]:
        """Returns a Dropout layer with its own seed; no layer for rate 0.

        kind: `dropout` or `dense_dropout`, the key of ModelConf.
        """
        ...

    def normalization(self, cfg: NormalizationConf, name: str) -> list[keras.Layer]:
        """Returns a normalization layer; no layer for cfg.kind=none."""
        ...

    def in_inference(self, base: keras.Model) -> Callable[[Any], Any]:
        """Returns a function that calls a backbone with training=False."""
        ...


@dataclass(frozen=True)
class StockParts:
    """Keras's own parts with the numbers of one configuration, for saved models."""

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

    def in_inference(self, base: keras.Model) -> Callable[[Any], Any]:
        return lambda pixels: base(pixels, training=False)


class AdjustablePenalty(keras.regularizers.Regularizer):
    """Keras's L1L2 with variables for its factors: l1 · sum |w| + l2 · sum w².

    A factor of 0 adds zeros to the loss and the gradients, which changes no bit of them.
    """

    def __init__(self) -> None:
        self.l1, self.l2 = tf.Variable(0.0, trainable=False), tf.Variable(0.0, trainable=False)

    def __call__(self, weights: Any) -> Any:
        l1, l2 = tf.convert_to_tensor(self.l1), tf.convert_to_tensor(self.l2)

        @tf.custom_gradient  # type: ignore[untyped-decorator]
        def penalty(weights: Any) -> Any:
            def gradient(upstream: Any) -> Any:
                return upstream * (l1 * tf.sign(weights) + l2 * (2.0 * weights))

            absolute, squares = tf.reduce_sum(tf.abs(weights)), tf.reduce_sum(tf.square(weights))
            return l1 * absolute + l2 * squares, gradient

        return penalty(tf.convert_to_tensor(weights))

    def adjust(self, l1: float, l2: float) -> None:
        self.l1.assign(l1)
        self.l2.assign(l2)

    def get_config(self) -> dict[str, float]:
        return {"l1": float(self.l1), "l2": float(self.l2)}


class AdjustableDropout(keras.layers.Dropout):
    """Keras's Dropout with a variable for its rate."""

    def __init__(self, rate: tf.Variable, name: str) -> None:
        super().__init__(0.5, seed=0, name=name)
        self.adjustable_rate = rate

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training:
            return inputs
        rate = tf.cast(self.adjustable_rate, inputs.dtype)
        # As keras.random.dropout, which compares the rate with 0 in Python and so takes no variable.
        seed = tf.cast(tf.math.floormod(self.seed_generator.next(), tf.int32.max - 1), tf.int32)
        return tf.nn.experimental.stateless_dropout(inputs, rate, seed=seed)


class InInference(keras.layers.Layer):
    """A backbone that is never in training mode, whatever the network around it is.

    A functional network gives its own `training` to all inner calls, also to those built with training=False
    (Keras 3.15).
    """

    def __init__(self, base: keras.Model) -> None:
        super().__init__(name="backbone")
        self.base = base

    def call(self, inputs: Any) -> Any:
        return self.base(inputs, training=False)


class AdjustableParts:
    """Parts with variables for their numbers, which `begin` sets; normalization has fused kernels."""

    def __init__(self) -> None:
        self._penalties = {"conv": AdjustablePenalty(), "dense": AdjustablePenalty()}
        self._rates = {kind: tf.Variable(0.0, trainable=False) for kind in ("dropout", "dense_dropout")}
        self._kernels: dict[str, int] = {}
        self._dropouts: dict[str, int] = {}
        self._as_built: dict[str, np.ndarray] = {}

    def kernel(self, kind: str, position: int, name: str) -> dict[str, Any]:
        self._kernels[name] = position
        return {"kernel_initializer": "zeros", "kernel_regularizer": self._penalties[kind]}

    def dropout(self, kind: str, rate: float, position: int, name: str) -> list[keras.Layer]:
        if rate == 0:
            return []
        self._dropouts[name] = position
        return [AdjustableDropout(self._rates[kind], name)]

    def normalization(self, cfg: NormalizationConf, name: str) -> list[keras.Layer]:
        return build_normalization(cfg, name, plain=False)

    def in_inference(self, base: keras.Model) -> Callable[[Any], Any]:
        return InInference(base)

    def begin(
        self,
        network: keras.Model,
        model: ModelConf,
        initializer: InitializerConf,
        regularizer: RegularizerConf,
        seed: int,
    ) -> None:
        """Resets a network of these parts to what StockParts of this configuration would build.

        Kernels are drawn again; every other variable gets its value at the first call.

        Args:
            network: Built with these parts.
            model: Its dropout rates are assigned; the rest must be what the network was built from.
            initializer: Draws the kernels.
            regularizer: Gives the factors of the penalties.
            seed: Seeds kernels and dropout, see `layer_seed`.
        """
        kernels = {network.get_layer(name).kernel.path: number for name, number in self._kernels.items()}
        others = [variable for variable in network.variables if variable.path not in kernels]
        self._as_built = self._as_built or {variable.path: variable.numpy() for variable in others}
        for variable in others:
            variable.assign(self._as_built[variable.path])
        for variable in network.variables:
            if variable.path in kernels:
                fresh = build_initializer(initializer, layer_seed(seed, "kernel", kernels[variable.path]))
                variable.assign(fresh(variable.shape, dtype=variable.dtype))
        for name, number in self._dropouts.items():
            network.get_layer(name).seed_generator.state.assign([layer_seed(seed, "dropout", number), 0])
        for kind, penalty in self._penalties.items():
            penalty.adjust(*penalties(regularizer, kind))
        self._rates["dropout"].assign(model.dropout)
        self._rates["dense_dropout"].assign(model.dense_dropout)
