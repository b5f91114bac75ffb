"""A short name means the same key in every sweep, and values look as on the command line."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasweep.config.schemas import run_keys
from kerasweep.tracking.tags import RESERVED, flatten, short_names, tag_text


@pytest.mark.parametrize(
    ("key", "short"),
    [
        ("model.kernel_size", "kernel_size"),
        ("training.batch_size", "batch_size"),
        ("regularizer", "regularizer"),
        ("regularizer.strength", "strength"),
        ("model.normalization.kind", "normalization.kind"),
        ("model.normalization.momentum", "normalization.momentum"),
        ("optimizer.momentum", "optimizer.momentum"),
        ("data.seed", "data.seed"),
        ("training.seed", "training.seed"),
        ("model.kwargs.width", "width"),
        ("+model.kwargs.width", "width"),
        ("model.kwargs.batch_size", "kwargs.batch_size"),
        ("model.kwargs.optimizer", "kwargs.optimizer"),
        ("model.kwargs.dataset", "kwargs.dataset"),
        ("model.kwargs.normalization", "kwargs.normalization"),
        ("model.kwargs.threads", "kwargs.threads"),
        ("model.kwargs.onednn", "kwargs.onednn"),
        ("model.kwargs.restored_epochs", "kwargs.restored_epochs"),
    ],
)
def test_short_name_grows_until_it_is_unique(key: str, short: str) -> None:
    assert short_names([key], run_keys()) == {key: short}


def test_two_open_keys_of_one_name_keep_their_groups() -> None:
    keys = ["model.kwargs.width", "data.kwargs.width"]
    assert short_names(keys, run_keys()) == {key: key for key in keys}


@given(st.lists(st.sampled_from(run_keys()), unique=True))
def test_short_names_are_distinct_and_never_reserved(keys: list[str]) -> None:
    names = short_names(keys, run_keys())
    assert len(set(names.values())) == len(keys)
    assert not set(names.values()) & RESERVED
    assert all(key == name or key.endswith(f".{name}") for key, name in names.items())


def test_keys_come_from_every_option_of_a_group() -> None:
    expected = {"optimizer", "optimizer.momentum", "optimizer.beta_1", "schedule.warmup_epochs"}
    assert expected | {"model.normalization.kind", "training.early_stopping.patience"} <= set(run_keys())


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (5, "5"),
        (0.001, "0.001"),
        (1e-6, "1e-06"),
        ("he_normal", "he_normal"),
        ([32, 64], "[32,64]"),
        ((32, 64), "[32,64]"),
        ([], "[]"),
        ([[1], "a"], "[[1],a]"),
        (None, "null"),
        (True, "true"),
        (False, "false"),
        ("", ""),
    ],
)
def test_values_read_as_they_are_typed(value: Any, text: str) -> None:
    assert tag_text(value) == text


def test_flatten_joins_keys_with_dots_and_leaves_empty_mappings_out() -> None:
    config = {"model": {"kernel_size": 3, "normalization": {"kind": "batch"}, "kwargs": {}}, "limit": None}
    expected = {"model.kernel_size": "3", "model.normalization.kind": "batch", "limit": "null"}
    assert flatten(config) == expected
