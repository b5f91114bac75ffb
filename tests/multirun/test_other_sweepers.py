"""Files for hydra-optuna-sweeper are read, and unused keys are named."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf

from kerasweep.config.hydra_setup import answer_for_optuna_sweeper
from kerasweep.errors import ConfigError
from kerasweep.multirun.other_sweepers import SUCCESSORS, Translation, translate_keys


def test_unset_keys_give_no_notes() -> None:
    keys = {
        "params": {},
        "n_trials": None,
        "direction": None,
        "n_jobs": 1,
        "storage": None,
        "search_space": {},
    }
    assert translate_keys({}) == translate_keys(keys) == Translation({}, (), ())


@pytest.mark.parametrize(
    ("keys", "overrides"),
    [
        ({"n_trials": 20}, ("study.trials=20",)),
        ({"study_name": "my study"}, ("study.name='my study'",)),
        ({"study_name": "it's"}, (r"study.name='it\'s'",)),
        ({"sampler": {"name": "tpe"}}, ("sampler=tpe",)),
        ({"sampler": {"name": "nsgaii"}}, ("sampler=nsga2",)),
        (
            {"sampler": {"_target_": "optuna.samplers.TPESampler", "seed": 7}},
            ("sampler=tpe", "sampler.seed=7"),
        ),
        ({"sampler": {"_target_": "optuna.samplers.NSGAIISampler"}}, ("sampler=nsga2",)),
        ({"sampler": {"_target_": "optuna.samplers.CmaEsSampler"}}, ("sampler=cmaes",)),
        ({"sampler": {"_target_": "optuna.samplers.RandomSampler"}}, ("sampler=random",)),
        ({"sampler": {"_target_": "optuna.samplers.GridSampler"}}, ("sampler=grid",)),
        ({"sampler": {"_target_": "optuna.samplers.BruteForceSampler"}}, ("sampler=grid",)),
        ({"sampler": {"name": "tpe", "_target_": "optuna.samplers.CmaEsSampler"}}, ("sampler=cmaes",)),
        ({"direction": "maximize"}, ()),
        ({"direction": "minimize"}, ("objective=[{metric:val_loss,direction:minimize}]",)),
    ],
)
def test_key_is_translated(keys: dict[str, Any], overrides: tuple[str, ...]) -> None:
    assert translate_keys(keys).overrides == overrides
    assert (
        translate_keys({key: OmegaConf.create({"k": value}).k for key, value in keys.items()}).overrides
        == overrides
    )


def test_params_are_axes() -> None:
    params = {"model.kernel_size": "choice(3,5)"}
    assert translate_keys({"params": OmegaConf.create(params)}).axes == params


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("storage", "sqlite:///optuna.db"),
        ("n_jobs", 4),
        ("max_failure_rate", 0.5),
        ("custom_search_space", "package.configure"),
        ("search_space", {"x": {"type": "int"}}),
    ],
)
def test_key_with_a_successor_is_noted(key: str, value: Any) -> None:
    translation = translate_keys({key: value})
    assert translation.notes == (f"hydra.sweeper.{key}={value} is not used: {SUCCESSORS[key]}.",)
    assert translation.overrides == ()


def test_a_sampler_without_a_successor_is_noted() -> None:
    translation = translate_keys({"sampler": {"_target_": "optuna.samplers.NSGAIIISampler", "seed": 7}})
    assert translation.overrides == ("sampler.seed=7",)
    assert translation.notes == (
        "hydra.sweeper.sampler=optuna.samplers.NSGAIIISampler is not used: choose one with sampler=NAME, of "
        "grid, random, tpe, qmc, cmaes, nsga2, custom.",
    )


SWEEPER = """
hydra:
  sweeper:
    {target}
    storage: null
    study_name: null
    n_jobs: 1
    direction: maximize
    n_trials: 20
    sampler: {sampler}
    params:
      training.batch_size: choice(32, 64, 128)
"""
TARGET = "_target_: hydra_plugins.hydra_optuna_sweeper.optuna_sweeper.OptunaSweeper"
TPE = "{_target_: optuna.samplers.TPESampler, seed: 1234, n_startup_trials: 10}"


@pytest.mark.parametrize(
    ("defaults", "target", "sampler"),
    [
        ([], TARGET, TPE),
        (["override /hydra/sweeper: optuna"], TARGET, TPE),
        (["override /hydra/sweeper: optuna"], "", TPE),
        (["override /hydra/sweeper: optuna", "override /hydra/sweeper/sampler: tpe"], "", "{seed: 1234}"),
        (["override /hydra/sweeper/sampler: tpe"], "", "{seed: 1234}"),
    ],
)
def test_an_experiment_for_hydra_optuna_sweeper_is_swept(
    context: HydraContext,
    compose: Callable[[list[str]], DictConfig],
    tmp_path: Path,
    defaults: list[str],
    target: str,
    sampler: str,
) -> None:
    (tmp_path / "experiment").mkdir()
    head = "".join(f"  - {line}\n" for line in defaults)
    content = f"# @package _global_\ndefaults:\n{head}  - _self_\n" + SWEEPER.format(
        target=target, sampler=sampler
    )
    (tmp_path / "experiment/older.yaml").write_text(content)
    config = compose([f"hydra.searchpath=[{tmp_path}]", "experiment=older"])
    answer_for_optuna_sweeper()
    sweeper: Any = Plugins.instance().instantiate_sweeper(
        hydra_context=context, task_function=print, config=config
    )
    assert isinstance(sweeper, Sweeper) and type(sweeper).__name__ == "KerasweepSweeper"
    translation = translate_keys(sweeper.keys)
    assert translation.axes == {"training.batch_size": "choice(32, 64, 128)"}
    assert translation.overrides == ("study.trials=20", "sampler=tpe", "sampler.seed=1234")


def test_several_directions_are_refused() -> None:
    with pytest.raises(ConfigError) as refused:
        translate_keys({"direction": OmegaConf.create(["maximize", "minimize"])})
    assert str(refused.value) == (
        "hydra.sweeper.direction=['maximize', 'minimize'] does not say which metrics are meant. "
        "Name them, as in "
        "objective=[{metric:val_accuracy,direction:maximize},{metric:parameters,direction:minimize}]."
    )


@pytest.mark.parametrize("params", ["choice(3,5)", ["model.kernel_size=choice(3,5)"]], ids=str)
def test_params_that_name_no_keys_are_refused(params: Any) -> None:
    with pytest.raises(ConfigError) as refused:
        translate_keys({"params": OmegaConf.create({"k": params}).k})
    assert str(refused.value) == (
        f"hydra.sweeper.params must name keys and their values, but got {params}. "
        'Write it as in {model.kernel_size: "choice(3, 5)"}.'
    )
