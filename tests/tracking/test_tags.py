"""A short name means the same key in every sweep, and values look as on the command line."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from kerasweep.config.schemas import run_keys
from kerasweep.errors import ConfigError
from kerasweep.tracking.tags import (
    OF_EVERY_RUN,
    RESERVED,
    check_user_tags,
    claim_tag,
    flatten,
    run_params,
    run_tags,
    short_names,
    tag_text,
)
from tests.compositions import compose_train


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


@pytest.mark.parametrize(
    "name", ["trial", "sweep", "repeat", "untuned", "split", "score", "optimizer", "width"]
)
def test_a_tag_of_our_own_is_refused_for_a_user(name: str) -> None:
    with pytest.raises(ConfigError, match=f"^tracking.tags.{name} would replace the tag {name}, which"):
        check_user_tags(OmegaConf.create({"owner": "me", name: "x"}), ["width"])
    check_user_tags(OmegaConf.create({"owner": "me", "my": {name: "x"}}), ["width"])


@pytest.mark.parametrize("tags", [None, "me"])
def test_tags_are_a_mapping(tags: Any) -> None:
    with pytest.raises(ConfigError, match="^tracking.tags must name tags, but got "):
        check_user_tags(tags)


def test_every_run_has_the_tags_that_are_refused() -> None:
    assert set(run_tags(compose_train(), {})) == set(OF_EVERY_RUN)


def test_params_may_refer_to_other_parts_of_the_configuration() -> None:
    cfg = compose_train("training.seed=${sampler.seed}", "sampler.seed=7")
    assert run_params(cfg)["training.seed"] == "7"


def test_a_claim_is_known_by_its_comparisons() -> None:
    claim = OmegaConf.create({"text": "so", "comparisons": [{"of": {"a": 1}, "than": {"a": 2}}]})
    same = OmegaConf.create({"comparisons": [{"than": {"a": 2}, "of": {"a": 1}}], "text": "in other words"})
    other = OmegaConf.create({"text": "so", "comparisons": [{"of": {"a": 1}, "than": {"a": 3}}]})
    assert claim_tag(claim) == claim_tag(same) != claim_tag(other)
    assert claim_tag(None) == "none"
