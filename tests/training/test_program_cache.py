"""The cache keeps the programs used last; networks with unknown code never share a program."""

from collections.abc import Callable
from typing import Any

import keras
import pytest
import tensorflow as tf

from kerasweep.config.data import AugmentConf
from kerasweep.config.training import AdamConf, TrainingConf
from kerasweep.training.program import Program
from kerasweep.training.program_cache import ProgramCache, structure


def tiny(filters: int) -> Program:

    model = keras.Sequential(
        [keras.Input((4, 4, 1)), keras.layers.Conv2D(filters, 3), keras.layers.Flatten()]
    )
    return Program(model, None, AdamConf("adam"), "sparse", TrainingConf(), AugmentConf(), jit_compile=False)


def test_cache_keeps_the_programs_used_last() -> None:
    kept = ProgramCache(max_programs=2)
    made = {name: kept.add(name, lambda: tiny(1)) for name in "ab"}
    assert kept.get("a") is made["a"]
    kept.add("c", lambda: tiny(1))
    assert kept.get("b") is None and kept.get("a") is made["a"] and len(kept) == 2


def test_cache_is_bounded_by_memory_and_keeps_the_newest() -> None:
    megabyte = 3 * 2**20 / 4 / 10  # 10 weights a filter; 9 MiB with Adam's slots
    kept = ProgramCache(max_programs=9, max_memory_mb=2.5)
    for name in "abc":
        kept.add(name, lambda: tiny(int(megabyte / 9)))
    assert [name for name in "abc" if kept.get(name)] == ["b", "c"]
    kept.add("huge", lambda: tiny(int(megabyte)))
    assert [name for name in ("a", "b", "c", "huge") if kept.get(name)] == ["huge"]


def foreign(x: Any) -> Any:
    return x


@pytest.mark.parametrize(
    "layer",
    [
        lambda: keras.layers.Lambda(foreign),
        lambda: keras.layers.Activation(foreign),
        lambda: keras.layers.Dense(3, kernel_initializer=lambda shape, dtype=None: tf.zeros(shape)),
        lambda: type("Own", (keras.layers.Layer,), {"call": lambda self, x: x})(),
    ],
)
def test_networks_with_foreign_code_are_never_equal(layer: Callable[[], Any]) -> None:
    inputs = keras.Input((4,))
    assert structure(keras.Sequential([inputs, keras.layers.Dense(3)])) is not None
    assert structure(keras.Sequential([inputs, layer()])) is None


def test_structure_distinguishes_networks() -> None:
    def described(units: int, seed: int) -> str | None:
        keras.backend.clear_session()
        start = keras.initializers.GlorotUniform(seed)
        return structure(
            keras.Sequential([keras.Input((4,)), keras.layers.Dense(units, kernel_initializer=start)])
        )

    assert described(3, 0) == described(3, 0)
    assert described(3, 0) != described(4, 0)
