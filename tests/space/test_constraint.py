"""Constraints allow configurations, are undecided for null, and refuse other syntax."""

from typing import Any

import pytest

from kerasweep.errors import ConfigError
from kerasweep.space.constraint import read_constraints

VALUES: dict[str, Any] = {
    "optimizer": "sgd",
    "optimizer.momentum": 0.9,
    "training.batch_size": 64,
    "model.kernel_size": 5,
    "model.filters": [16, 32],
    "regularizer.strength": None,
    "training.shuffle": True,
}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("training.batch_size <= 64", True),
        ("training.batch_size * model.kernel_size <= 300", False),
        ("16 < training.batch_size < 128", True),
        ("16 < training.batch_size < 64", False),
        ("optimizer != 'sgd' or optimizer.momentum < 0.95", True),
        ("optimizer != 'sgd' or optimizer.momentum < 0.5", False),
        ("optimizer in ['adam', 'adamw']", False),
        ("optimizer not in ('adam', 'adamw')", True),
        ("not training.shuffle", False),
        ("training.shuffle and model.kernel_size == 5", True),
        ("model.filters == [16, 32]", True),
        ("16 in model.filters", True),
        ("training.batch_size % 48 == 16 and training.batch_size // 3 == 21", True),
        ("training.batch_size / 2 - 1 == 31 and -model.kernel_size + 5 == 0", True),
        ("regularizer.strength < 1e-3", True),
        ("2 * regularizer.strength > 5", True),
        ("regularizer.strength == null", True),
        ("regularizer.strength != null", False),
        ("regularizer.strength < 1e-3 and training.batch_size < 10", False),
        ("training.batch_size < 10 and regularizer.strength < 1e-3", False),
        ("regularizer.strength < 1e-3 or training.batch_size < 10", True),
        ("regularizer.strength < 1e-3 and training.batch_size < 100", True),
        ("not (regularizer.strength < 1e-3) and optimizer == 'adam'", False),
        ("optimizer == 'sgd' and false", False),
        ("optimizer == 'adam' or true", True),
    ],
)
def test_constraint_holds(text: str, holds: bool) -> None:
    (constraint,) = read_constraints([text])
    assert constraint.holds(VALUES.__getitem__) is holds


def test_constraint_has_the_keys_that_it_names() -> None:
    (constraint,) = read_constraints(["optimizer == 'sgd' or training.batch_size * 2 in [8, null, true]"])
    assert constraint.keys == {"optimizer", "training.batch_size"}
    (below,) = read_constraints(["optimizer.momentum < 0.5"])
    assert below.concerns("optimizer") and below.concerns("optimizer.momentum")
    assert not below.concerns("opt") and not below.concerns("optimizer.momentum.x")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("training.batch_size <=", "invalid syntax"),
        ("", "invalid syntax"),
        ("1 < 2", "it names no key"),
        ("print(optimizer)", "print(optimizer) is not allowed"),
        ("optimizer.__class__()", "optimizer.__class__() is not allowed"),
        ("model.filters[0] > 1", "model.filters[0] is not allowed"),
        ("model.kernel_size ** 9 > 1", "Pow is not allowed"),
        ("'a'.upper == optimizer", "'a'.upper is not a key"),
        ("[x for x in model.filters]", "[x for x in model.filters] is not allowed"),
        ("optimizer is null", "Is is not allowed"),
        ("lambda: optimizer", "lambda: optimizer is not allowed"),
        ("model.kernel_size = 3", "invalid syntax"),
    ],
)
def test_other_syntax_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read_constraints(["optimizer == 'sgd'", text])
    assert str(refused.value).startswith(f"study.constraints: {text!r} cannot be read: {reason}")
    assert "Write what must hold, as in" in str(refused.value)


@pytest.mark.parametrize(
    "text", ["optimizer < 3", "3 in training.batch_size", "1 / (model.kernel_size - 5) > 0"]
)
def test_values_that_cannot_be_compared_are_named(text: str) -> None:
    (constraint,) = read_constraints([text])
    with pytest.raises(ConfigError) as refused:
        constraint.holds(VALUES.__getitem__)
    assert str(refused.value).startswith(f"study.constraints: {text!r} fails with ")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("'a' * 99999999999 != optimizer", "* takes numbers, but got 'a'"),
        ("99999999999 * optimizer != 'a'", "* takes numbers, but got 'sgd'"),
        ("[0] * 99999999999 != model.filters", "* takes numbers, but got [0]"),
        ("model.filters * model.kernel_size != 1", "* takes numbers, but got [16, 32]"),
        ("'%99999999999d' % training.batch_size != optimizer", "% takes numbers, but got '%99999999999d'"),
    ],
)
def test_texts_and_lists_are_not_multiplied(text: str, reason: str) -> None:
    (constraint,) = read_constraints([text])
    with pytest.raises(ConfigError) as refused:
        constraint.holds(VALUES.__getitem__)
    assert str(refused.value).startswith(f"study.constraints: {text!r} fails with ")
    assert str(refused.value).endswith(f": {reason}.")


@pytest.mark.parametrize(
    "text",
    [
        "training.batch_size" + " * 9999999999999" * 500 + " > 1",
        "training.shuffle * training.batch_size == 64",
        "optimizer + 'x' == 'sgdx' and model.filters + [64] == [16, 32, 64]",
    ],
)
def test_calculations_with_numbers_are_allowed(text: str) -> None:
    (constraint,) = read_constraints([text])
    assert constraint.holds(VALUES.__getitem__) is True
