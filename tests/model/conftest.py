"""Small networks, and a precision policy that is set back."""

from collections.abc import Callable, Iterator
from typing import Any

import keras
import pytest

from src.config.model import InitializerConf, ModelConf, RegularizerConf
from src.model.build import build_model


@pytest.fixture
def build() -> Callable[..., keras.Model]:
    """Builds a network of 8x8 grey images and ten classes, with what the test says otherwise."""

    def build_small(model: ModelConf | None = None, **changes: Any) -> keras.Model:
        arguments: dict[str, Any] = {
            "model": model or ModelConf("cnn", filters=[4, 6]),
            "initializer": InitializerConf("he_normal"),
            "regularizer": RegularizerConf("none"),
            "input_shape": (8, 8, 1),
            "num_classes": 10,
            "seed": 0,
        }
        return build_model(**(arguments | changes))

    return build_small


@pytest.fixture(params=["mixed_float16", "mixed_bfloat16"])
def half_precision(request: pytest.FixtureRequest) -> Iterator[str]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy(before)
