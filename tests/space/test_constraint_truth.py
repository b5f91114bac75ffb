"""A constraint that can never hold, or never fail, is known without trying each configuration."""

from itertools import product

import pytest

from kerasweep.space.constraint import read_constraints
from kerasweep.space.constraint_truth import Interval, Possible, possible_truths

VALUES: dict[str, Possible] = {
    "kernel": (3, 5),
    "rate": Interval(1e-4, 0.1),
    "batch": Interval(16, 128),
    "name": ("sgd", "adam"),
    "absent": (None,),
    "unknown": None,
}


@pytest.mark.parametrize(
    ("text", "truths"),
    [
        ("kernel < 9", {True}),
        ("kernel < 5", {True, False}),
        ("kernel >= 9", {False}),
        ("rate > 1", {False}),
        ("rate <= 0.1", {True}),
        ("rate < 0.1", {True, False}),
        ("batch * kernel <= 640", {True}),
        ("batch * kernel <= 639", {True, False}),
        ("batch * kernel < 48", {False}),
        ("batch - 200 < 0", {True}),
        ("-batch < 0", {True, False}),
        ("batch / kernel > 50", {False}),
        ("1 / rate > 5", {True}),
        ("1 / (batch - 20) > 5", {True, False}),
        ("batch % 16 == 0", {True, False}),
        ("0 < rate < 1", {True}),
        ("name == 'rmsprop'", {False}),
        ("name in ['sgd', 'adam']", {True}),
        ("name != 'sgd' or rate > 1", {True, False}),
        ("name == 'rmsprop' or kernel < 9", {True}),
        ("name == 'rmsprop' and unknown > 1", {False}),
        ("not kernel < 9", {False}),
        ("absent < 3", {True, False}),
        ("absent == null", {True}),
        ("unknown < 3", {True, False}),
        ("kernel < name", {True, False}),
        ("kernel == 3", {True, False}),
        ("batch == 5", {False}),
        ("batch != 5", {True}),
    ],
)
def test_truths_of_a_constraint(text: str, truths: set[bool]) -> None:
    (constraint,) = read_constraints([text])
    assert possible_truths(constraint, VALUES.__getitem__) == truths


@pytest.mark.parametrize(
    "text", ["a * b - a < {}", "a / b >= {} or b == 2", "not (a + b) * a > {}", "-a <= {} < b"]
)
@pytest.mark.parametrize("limit", [-4, -1, 0, 1, 3, 12])
def test_no_configuration_has_another_truth(text: str, limit: int) -> None:
    (constraint,) = read_constraints([text.format(limit)])
    axes = {"a": (-3, 1, 2), "b": (1, 2, 5)}
    listed = possible_truths(constraint, axes.__getitem__)
    ranges = {key: Interval(min(values), max(values)) for key, values in axes.items()}
    tried = {constraint.holds({"a": a, "b": b}.__getitem__) for a, b in product(*axes.values())}
    assert tried <= listed <= possible_truths(constraint, ranges.__getitem__)
