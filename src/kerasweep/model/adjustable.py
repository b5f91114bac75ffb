"""Parts of a network whose numbers are variables, so that other numbers need no other graph."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasweep.config.model import InitializerConf, ModelConf, NormalizationConf, RegularizerConf
from kerasweep.model.normalization import build_normalization
from kerasweep.model.parts import build_initializer, layer_seed, penalties


class AdjustablePenalty(keras.regularizers.Regularizer):
    """l1 · sum |w| + l2 · sum w², as Keras's L1L2 with variables for its two factors.

    A factor of 0 adds a zero to the loss and to each gradient, which changes no bit of them.
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
        # keras.random.dropout asks Python whether the rate is 0; else this is the same.
        seed = tf.cast(tf.math.floormod(self.seed_generator.next(), tf.int32.max - 1), tf.int32)
        return tf.nn.experimental.stateless_dropout(inputs, rate, seed=seed)


class AdjustableParts:
    """Makes the parts of a network, and gives them their numbers each time that a training begins.

    Normalization is computed by fused kernels.
    """

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

    def begin(
        self,
        network: keras.Model,
        model: ModelConf,
        initializer: InitializerConf,
        regularizer: RegularizerConf,
        seed: int,
    ) -> None:
        """Make a network of these parts what one of StockParts is when it has been built.

        Kernels are drawn anew; everything else that the network holds is as it was at the first call.
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
