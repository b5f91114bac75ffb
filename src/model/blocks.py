"""The blocks of a network: convolutions with normalization and activation, then downsampling and dropout."""

from collections.abc import Iterator
from typing import Any

import keras

from src.config.model import InitializerConf, ModelConf, RegularizerConf
from src.model.normalization import build_normalization
from src.model.parts import build_initializer, build_regularizer

_POOLINGS = {"max": keras.layers.MaxPooling2D, "average": keras.layers.AveragePooling2D}


class Stack:
    """Adds layers on top of a tensor; each takes the next seed.

    plain: stock Keras layers only, as saved models hold them.
    """

    def __init__(
        self,
        inputs: Any,
        model: ModelConf,
        initializer: InitializerConf,
        regularizer: RegularizerConf,
        seeds: Iterator[int],
        plain: bool,
    ) -> None:
        self.top = inputs
        self.model = model
        self.initializer = initializer
        self.regularizer = regularizer
        self.seeds = seeds
        self.plain = plain

    def add(self, layer: Any) -> None:
        if layer is not None:
            self.top = layer(self.top)

    def block(self, number: int, filters: int) -> None:
        """`convs_per_block` convolutions, then downsampling and dropout. number: from 1."""
        model = self.model
        for index in range(1, model.convs_per_block + 1):
            is_strided = model.downsampling == "stride" and index == model.convs_per_block
            self.convolution(f"block{number}_conv{index}", filters, 2 if is_strided else 1)
        if model.downsampling in _POOLINGS:
            self.add(_POOLINGS[model.downsampling](2, name=f"block{number}_pool"))
        self.dropout(f"block{number}_dropout", model.dropout)

    def convolution(self, name: str, filters: int, strides: int) -> None:
        """Conv2D, normalization and activation in the configured order."""
        model = self.model
        normalization = build_normalization(model.normalization, f"{name}_norm", self.plain)
        is_first = model.normalization.position == "before_activation"
        is_inside = not model.separate_activation and (normalization is None or not is_first)
        has_center = normalization is not None and is_first and model.normalization.center
        self.add(
            keras.layers.Conv2D(
                filters,
                model.kernel_size,
                strides=strides,
                padding=model.padding,
                activation=model.activation if is_inside else None,
                use_bias=not has_center,
                kernel_initializer=build_initializer(self.initializer, next(self.seeds)),
                kernel_regularizer=build_regularizer(self.regularizer, "conv"),
                name=name,
            )
        )
        activation = None if is_inside else keras.layers.Activation(model.activation, name=f"{name}_activation")
        for layer in (normalization, activation) if is_first else (activation, normalization):
            self.add(layer)

    def dense(self, name: str, units: int, activation: str) -> None:
        dtype = "float32" if activation == "softmax" else None
        self.add(
            keras.layers.Dense(
                units,
                activation=activation,
                kernel_initializer=build_initializer(self.initializer, next(self.seeds)),
                kernel_regularizer=build_regularizer(self.regularizer, "dense"),
                name=name,
                dtype=dtype,
            )
        )

    def dropout(self, name: str, rate: float) -> None:
        seed = next(self.seeds)
        if rate > 0:
            self.add(keras.layers.Dropout(rate, seed=seed, name=name))
