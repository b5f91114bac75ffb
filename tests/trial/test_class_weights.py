"""Class weights equal scikit-learn's, and name classes by number or name."""

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from kerasweep.errors import ConfigError
from kerasweep.trial.class_weights import class_weights

LABELS = np.array([0, 0, 0, 0, 1, 2, 2])
NAMES = ("cat", "dog", "7")


def test_balanced_weights_are_scikit_learns() -> None:
    expected = compute_class_weight("balanced", classes=np.arange(3), y=LABELS)
    np.testing.assert_allclose(class_weights("balanced", LABELS, NAMES), expected, rtol=1e-6)


def test_a_class_without_images_is_balanced_too() -> None:
    assert np.isfinite(class_weights("balanced", LABELS, (*NAMES, "rare"))).all()


@pytest.mark.parametrize(
    ("given", "expected"),
    [({1: 2.5}, [1, 2.5, 1]), ({"dog": 2, 0: 0}, [0, 2, 1]), ({7: 3}, [1, 1, 3]), ({}, [1, 1, 1])],
)
def test_classes_are_named_by_number_or_name(given: dict[object, float], expected: list[float]) -> None:
    assert class_weights(given, LABELS, NAMES).tolist() == expected


def test_names_that_are_numbers_are_names_alone() -> None:
    assert class_weights({2: 5, 3: 7}, LABELS, ("1", "2", "3")).tolist() == [1, 5, 7]
    with pytest.raises(ConfigError) as error:
        class_weights({0: 1.0}, LABELS, ("1", "2", "3"))
    assert str(error.value) == (
        "training.class_weight names the class 0, but the classes are 1, 2, 3. Give one of these."
    )


def test_a_class_that_is_named_twice_is_refused() -> None:
    with pytest.raises(ConfigError) as error:
        class_weights({"dog": 2, 1: 3}, LABELS, NAMES)
    assert str(error.value) == "training.class_weight names the class dog twice, as dog and 1. Name it once."


def test_no_weights_are_none() -> None:
    assert class_weights(None, LABELS, NAMES) is None


@pytest.mark.parametrize("key", [3, "bird", -1])
def test_unknown_class_is_refused(key: object) -> None:
    with pytest.raises(ConfigError) as error:
        class_weights({key: 1.0}, LABELS, NAMES)
    assert str(error.value) == (
        f"training.class_weight names the class {key}, but the classes are cat, dog, 7. Give numbers from 0 "
        "to 2, or names."
    )
