"""A sweep is found by its definition, and changes of its data, code and settings are noticed."""

from collections.abc import Callable
from pathlib import Path

import pytest

from kerasweep.errors import ConfigError, DataError
from kerasweep.search.journal import open_study
from kerasweep.search.study import (
    check_and_save_digests,
    check_and_save_settings,
    check_and_save_sources,
    save_first_choices,
    sweep_hash,
    sweep_name,
)


def test_hash_does_not_depend_on_the_order_of_keys() -> None:
    assert sweep_hash({"a": 1, "b": {"c": 2, "d": 3}}) == sweep_hash({"b": {"d": 3, "c": 2}, "a": 1})
    assert sweep_hash({"a": 1}) != sweep_hash({"a": 2})
    assert sweep_hash({"a": 1}) != sweep_hash({"a": "1"})
    assert len(sweep_hash({})) == 8


def test_fresh_opens_the_next_generation_and_the_newest_continues() -> None:
    names: list[str] = []
    for fresh in (False, False, True, False, True, False):
        names.append(sweep_name(names, "s", "12345678", fresh))
    assert [name.removeprefix("s-12345678") for name in names] == ["", "", "-2", "-2", "-3", "-3"]


def test_tenth_generation_is_newer_than_the_ninth() -> None:
    names = [f"s-12345678-{generation}" for generation in (9, 10)]
    assert sweep_name(names, "s", "12345678", False) == "s-12345678-10"
    assert sweep_name(names, "s", "12345678", True) == "s-12345678-11"


@pytest.mark.parametrize("other", ["s-12345678-x", "s-123456789", "s-87654321-2", "t-12345678-2"])
def test_other_studies_are_no_generation(other: str) -> None:
    assert sweep_name([other], "s", "12345678", False) == "s-12345678"


def test_brackets_in_a_name_are_no_pattern() -> None:
    names = ["s[1]-12345678-3", "s1-12345678-7"]
    assert sweep_name(names, "s[1]", "12345678", False) == "s[1]-12345678-3"


def test_changed_data_are_refused(tmp_path: Path) -> None:
    study = open_study(tmp_path / "s.journal", "s", ["maximize"])
    check_and_save_digests(study, {"one": "0000", "other": "cccc"})
    check_and_save_digests(study, {"one": "aaaa", "other": "cccc"})  # no trial has been asked for yet
    study.ask()
    study = open_study(tmp_path / "s.journal", "s", ["maximize"])
    check_and_save_digests(study, {"other": "cccc", "one": "aaaa"})
    check_and_save_digests(study, {"third": "dddd"})
    with pytest.raises(DataError, match="its digest was aaaa, now it is bbbb. Restore the data, or begin"):
        check_and_save_digests(study, {"other": "cccc", "one": "bbbb"})
    with pytest.raises(DataError, match="its digest was dddd, now it is eeee"):
        check_and_save_digests(study, {"third": "eeee"})


def test_changed_data_of_an_older_study_are_refused(tmp_path: Path) -> None:
    study = open_study(tmp_path / "s.journal", "s", ["maximize"])
    study.set_user_attr("data_digest", "aaaa")  # as older versions saved it
    study.ask()
    with pytest.raises(DataError, match="its digest was aaaa, now it is bbbb"):
        check_and_save_digests(study, {"one": "bbbb"})
    check_and_save_digests(study, {"one": "aaaa"})


@pytest.mark.parametrize(
    ("check", "said"),
    [
        (check_and_save_sources, "The code of model=b has"),
        (check_and_save_settings, "The settings of model=b have"),
    ],
)
def test_a_digest_that_changes_or_is_gone_is_refused(
    check: Callable[..., None], said: str, tmp_path: Path
) -> None:
    study = open_study(tmp_path / "s.journal", "s", ["maximize"])
    check(study, {"model=a": "0", "model=b": "1"})
    check(study, {"model=a": "0", "model=b": "2"})  # no trial yet
    study.ask()
    check(study, {"model=a": "0", "model=b": "2", "model=c": "3"})  # an older version did not save the third
    for digests in ({"model=a": "0", "model=b": "9", "model=c": "3"}, {"model=a": "0", "model=c": "3"}):
        with pytest.raises(ConfigError) as refused:
            check(study, digests)
        assert str(refused.value).startswith(said)


def test_a_study_remembers_its_first_settings(tmp_path: Path) -> None:
    def begun(sampler: str, pruner: str) -> dict[str, str]:
        study = open_study(tmp_path / "s.journal", "s", ["maximize"])
        return dict(save_first_choices(study, {"sampler": sampler, "pruner": pruner}))

    assert begun("random", "asha") == {"sampler": "random", "pruner": "asha"}
    assert begun("tpe", "none") == {"sampler": "tpe", "pruner": "none"}  # no trial has been asked for yet
    open_study(tmp_path / "s.journal", "s", ["maximize"]).ask()
    for _ in range(2):
        assert begun("tpe", "wilcoxon") == {"sampler": "tpe", "pruner": "none"}


def test_a_study_of_an_older_version_has_no_first_settings(tmp_path: Path) -> None:
    study = open_study(tmp_path / "s.journal", "s", ["maximize"])
    study.ask()
    assert (
        save_first_choices(study, {"sampler": "tpe"})
        == save_first_choices(study, {"sampler": "random"})
        == {}
    )


def test_changed_code_of_a_target_is_refused_once_there_are_trials(tmp_path: Path) -> None:
    study = open_study(tmp_path / "s.journal", "s", ["maximize"])
    check_and_save_sources(study, {"model.target=nets:small": "1"})
    check_and_save_sources(study, {"model.target=nets:small": "2"})  # no trial belongs to the old code
    study.ask()
    check_and_save_sources(study, {"model.target=nets:small": "2", "model.target=nets:large": "7"})
    with pytest.raises(ConfigError) as refused:
        check_and_save_sources(study, {"model.target=nets:small": "2", "model.target=nets:large": "8"})
    assert str(refused.value) == (
        "The code of model.target=nets:large has changed since s began, and its trials are of the old code. "
        "Restore the file to go on with these, or begin anew with study.fresh=true."
    )


def test_digests_of_older_versions_are_known(tmp_path: Path) -> None:
    """They depend on the version of Python."""
    study = open_study(tmp_path / "s.journal", "s", ["maximize"])
    check_and_save_sources(study, {"model.target=nets:small": "old"})
    study.ask()
    now = {"model.target=nets:small": "new"}
    with pytest.raises(ConfigError, match="has changed since"):
        check_and_save_sources(study, now, lambda: {"model.target=nets:small": "other"})
    check_and_save_sources(study, now, lambda: {"model.target=nets:small": "old"})
    check_and_save_sources(study, now)
