"""Interpolations are resolved as a whole, and only where they are."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from kerasweep.config.interpolations import has_interpolations, resolve_values
from kerasweep.errors import ConfigError
from tests.compositions import compose_multirun


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"a": 1, "b": {"c": [1, 2]}}, False),
        ({"a": 1, "b": {"c": [1, "${a}"]}}, True),
        ({"a": "${b}", "b": None}, True),
        ({"a": "${b}${b}", "b": "x"}, True),
    ],
)
def test_finds_interpolations(content: dict[str, object], expected: bool) -> None:
    assert has_interpolations(OmegaConf.create(content)) is expected


def test_values_of_parts_are_plain_afterwards() -> None:
    cfg = OmegaConf.create({"model": {"a": "${model.b}", "b": 2}, "tracking": {"tags": {"t": "${model.b}"}}})
    resolve_values(cfg)
    assert OmegaConf.to_container(cfg, resolve=False) == {
        "model": {"a": 2, "b": 2},
        "tracking": {"tags": {"t": 2}},
    }


def test_says_which_key_cannot_be_resolved() -> None:
    cfg = OmegaConf.create({"model": {"a": "${model.c}"}})
    with pytest.raises(
        ConfigError, match=r"model.a cannot be resolved: Interpolation key 'model.c' not found"
    ):
        resolve_values(cfg)


def test_an_experiment_may_set_the_folders_of_jobs(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    text = "# @package _global_\nhydra: {sweep: {dir: a, subdir: b}, run: {dir: c}}\n"
    (tmp_path / "experiment" / "mine.yaml").write_text(text)
    cfg = compose_multirun(f"hydra.searchpath=[{tmp_path}]", "experiment=mine")
    assert (cfg.hydra.sweep.dir, cfg.hydra.sweep.subdir, cfg.hydra.run.dir) == ("a", "b", "c")
