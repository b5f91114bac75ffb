"""A user's function provides data."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf

from kerasweep.config.data import DataConf
from kerasweep.data.custom import load_custom
from kerasweep.errors import ConfigError, DataError

MODULE = """
import numpy as np
from kerasweep.data.arrays import make_arrays

def pairs(count=4):
    images = np.arange(count * 4, dtype=np.uint8).reshape(count, 2, 2)
    labels = np.arange(count).reshape(-1, 1) % 2
    return (images, labels), (images[:2], labels[:2])

def arrays():
    return make_arrays(*pairs(), ["a", "b"], "mine")

def three():
    train, test = pairs()
    return train, (train[0][1:], train[1][1:]), test

def arrays_of_three():
    train, own, test = three()
    return make_arrays(train, test, ["a", "b"], "mine", own)

def one():
    return np.zeros(3)

def needy(folder):
    return pairs()

def scaled():
    (images, labels), test = pairs()
    return (images / 255, labels), test
"""


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "custom_data_of_test.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("custom_data_of_test", None)


def conf(function: str, **kwargs: Any) -> DataConf:
    return DataConf(
        source="custom", target=f"custom_data_of_test:{function}", kwargs=OmegaConf.create(kwargs)
    )


def test_takes_pairs_as_keras_gives_them_and_passes_kwargs() -> None:
    arrays = load_custom(conf("pairs", count=6))
    assert arrays.train_images.shape == (6, 2, 2, 1)
    assert arrays.train_labels.tolist() == [0, 1, 0, 1, 0, 1]
    assert arrays.class_names == ("0", "1")


@pytest.mark.parametrize("function", ["three", "arrays_of_three"])
def test_takes_a_validation_part(function: str) -> None:
    arrays = load_custom(conf(function))
    assert arrays.validation is not None
    assert (arrays.validation[0].shape, arrays.validation[1].tolist()) == ((3, 2, 2, 1), [1, 0, 1])
    assert (len(arrays.train_labels), len(arrays.test_labels)) == (4, 2)


def test_takes_arrays_with_names() -> None:
    arrays = load_custom(conf("arrays"))
    assert arrays.class_names == ("a", "b")
    assert np.array_equal(arrays.test_images, load_custom(conf("pairs")).test_images)


@pytest.mark.parametrize(
    ("function", "kwargs", "said"),
    [
        ("pairs", {"amount": 3}, r"data.kwargs \(amount\), which it does not take: .* It takes \(count=4\)"),
        ("needy", {}, r"data.kwargs \(empty\), which it does not take: missing .* 'folder'"),
    ],
)
def test_names_kwargs_that_the_function_does_not_take(
    function: str, kwargs: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        load_custom(conf(function, **kwargs))


@pytest.mark.parametrize(
    ("function", "error", "said"),
    [
        ("one", DataError, "or three pairs with (x_val, y_val) in the middle, but it returned ndarray"),
        ("scaled", DataError, "data.target=custom_data_of_test:scaled must give pixels as whole numbers"),
        ("absent", ConfigError, "custom_data_of_test has no absent"),
    ],
)
def test_refuses_with_a_sentence(function: str, error: type[Exception], said: str) -> None:
    with pytest.raises(error) as refused:
        load_custom(conf(function))
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (
            "def make(:\n",
            "raised SyntaxError: invalid syntax (broken_data_0.py, line 1). Correct the module.",
        ),
        ("import no_such_module\n", "raised ModuleNotFoundError: No module named 'no_such_module' ("),
    ],
)
def test_a_module_that_cannot_be_imported_is_named(
    code: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"broken_data_{int('import' in code)}"
    (tmp_path / f"{name}.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(DataError) as refused:
        load_custom(DataConf(source="custom", target=f"{name}:make"))
    assert str(refused.value).startswith(f"The import of data.target={name}:make ") and said in str(
        refused.value
    )
