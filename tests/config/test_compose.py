"""Every option composes and passes the check; a misspelt key fails before anything runs."""

from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import ConfigCompositionException
from omegaconf import DictConfig, OmegaConf

from kerasweep.config import check, register
from kerasweep.config.folders import config_folder
from kerasweep.errors import ConfigError
from tests.compositions import compose_train

FOLDERS = [folder for folder in sorted((Path(__file__).parents[2] / "conf").iterdir()) if folder.is_dir()]
OPTIONS = {
    folder.name: [
        f"{folder.name}={file.stem}"
        for file in sorted(folder.glob("*.yaml"))
        if "???" not in file.read_text()
    ]
    for folder in FOLDERS
}
ACROSS = ("debug", "experiment")  # they set keys of other groups, so a combination could hide a mistake
COMBINATIONS = [
    [option for option in row if option is not None]
    for row in zip_longest(*(options for group, options in OPTIONS.items() if group not in ACROSS))
] + [[option] for group in ACROSS for option in OPTIONS[group]]
WITH = {
    "pruner=threshold": ["pruner.lower=0.5"],
    "pruner=wilcoxon": ["study.repeats=4"],
    "storage=rdb": ["storage.url=sqlite:///trials.db"],
}
NEEDS = {
    "data=npz": "data.path",
    "data=image_folder": "data.path",
    "data=table": "data.path",
    "data=hugging_face": "data.path",
    "data=custom": "data.target",
    "model=custom": "model.target",
    "optimizer=custom": "optimizer.target",
    "sampler=custom": "sampler.target",
    "pruner=custom": "pruner.target",
}


def overridden(override: str) -> DictConfig:
    """Applies an override to a composed configuration as the last step of Hydra's composition does."""
    cfg = compose_train()
    ConfigLoaderImpl._apply_overrides_to_config(OverridesParser.create().parse_overrides([override]), cfg)
    return cfg


@pytest.mark.parametrize("chosen", COMBINATIONS, ids=" ".join)
def test_options_compose_and_pass_the_check(chosen: Sequence[str]) -> None:
    """Studies are composed in tests/multirun/test_studies.py."""
    check(compose_train(*chosen, *(override for option in chosen for override in WITH.get(option, []))))


def test_every_group_has_options() -> None:
    assert sum(map(len, OPTIONS.values())) > 45
    assert OPTIONS.keys() >= {"data", "model", "optimizer", "sampler", "debug"}
    assert {option for chosen in COMBINATIONS for option in chosen} == set().union(*OPTIONS.values())


def test_key_without_a_default_is_asked_for() -> None:
    left_out = {
        f"{folder.name}={file.stem}"
        for folder in FOLDERS
        for file in folder.glob("*.yaml")
        if "???" in file.read_text()
    }
    assert left_out == set(NEEDS)


@pytest.mark.parametrize(("option", "key"), NEEDS.items())
def test_option_without_its_value_is_refused(option: str, key: str) -> None:
    cfg = compose_train(option)
    with pytest.raises(ConfigError) as refused:
        check(cfg)
    messages = {
        "data=image_folder": "data=image_folder needs data.path, a folder with one subfolder per class, "
        "as in data.path=photos.",
        "data=table": "data=table needs data.path, a CSV or Parquet file with paths and labels, "
        "as in data.path=labels.csv.",
        "data=hugging_face": "data=hugging_face needs data.path, a folder that datasets.save_to_disk wrote, "
        "as in data.path=beans.",
        "data=npz": "data=npz needs data.path, a NumPy archive with images and labels, "
        "as in data.path=images.npz.",
    }
    otherwise = f"{key} has no value. Give it one, as in {key}=VALUE."
    assert str(refused.value) == messages.get(option, otherwise)
    OmegaConf.update(cfg, key, "package.module")
    check(cfg)


@pytest.mark.parametrize("name", ["predict", "compare"])
def test_other_commands_compose(name: str) -> None:
    register()
    with initialize_config_dir(config_folder("conf"), version_base="1.3"):
        assert compose(name).tracking.experiment == "kerasweep"


MISSPELT = [
    "model.kernel_sise=3",
    "data.limits=3",
    "training.early_stopping.patienc=3",
    "optimizer.momentum=0.5",
    "schedule.patience=2",
    "initializer.stddev=0.1",
    "optimiser=sgd",
    "regularizer.strenght=1e-4",
    "modle.dropout=0.5",
]
WRONG_TYPE = [
    "model.kernel_size=wide",
    "model.kernel_size=2.5",
    "model.filters=16",
    "model.filters=[16,wide]",
    "model.dropout=much",
    "training.shuffle=maybe",
    "training.epochs=null",
    "data.limit=[3]",
    "model.normalization=batch",
    "objective=[{metrics:val_loss}]",
    "study.trials=many",
]


@pytest.mark.parametrize("override", MISSPELT + WRONG_TYPE)
def test_misspelt_key_or_wrong_type_is_refused_when_overrides_are_applied(override: str) -> None:
    with pytest.raises(ConfigCompositionException):
        overridden(override)


@pytest.mark.parametrize(
    "override",
    ["optimizer=sdg", "data=mnsit", "study=quick", "model.kernel_sise=3", "model.kernel_size=wide"],
)
def test_mistake_fails_at_composition(override: str) -> None:
    with pytest.raises(ConfigCompositionException):
        compose_train(override)


@pytest.mark.parametrize("override", ["model.kwargs.width=3", "data.kwargs.a.b=3", "tracking.tags.course=ml"])
def test_open_mappings_take_any_key(override: str) -> None:
    check(compose_train(override, "trial.target=mine:train"))
