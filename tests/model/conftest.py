"""Fixtures for small networks and for half precision."""

from collections.abc import Callable, Iterator

import keras
import pytest

from kerasweep.config.model import InitializerConf, ModelConf, RegularizerConf
from kerasweep.model.network import build_model
from kerasweep.model.parts import AdjustableParts, StockParts


@pytest.fixture(scope="session")
def build() -> Callable[..., keras.Model]:
    """Returns a function that builds a network, by default for 8x8 gray images and ten classes.

    With the function's argument `plain` the parts are Keras's own; else adjustable, as in training.
    """

    def build_small(
        model: ModelConf | None = None,
        initializer: InitializerConf | None = None,
        regularizer: RegularizerConf | None = None,
        input_shape: tuple[int, int, int] = (8, 8, 1),
        num_classes: int = 10,
        seed: int = 0,
        plain: bool = False,
    ) -> keras.Model:
        model = model or ModelConf("cnn", filters=[4, 6])
        initializer = initializer or InitializerConf("he_normal")
        regularizer = regularizer or RegularizerConf("none")
        if plain:
            stock = StockParts(initializer, regularizer, seed)
            return build_model(model, stock, input_shape, num_classes)
        parts = AdjustableParts()
        network = build_model(model, parts, input_shape, num_classes)
        if model.architecture != "custom":
            parts.begin(network, model, initializer, regularizer, seed)
        return network

    return build_small


@pytest.fixture(params=["mixed_float16", "mixed_bfloat16"])
def half_precision(request: pytest.FixtureRequest) -> Iterator[str]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy(before)
