"""Every option composes and passes the check; a misspelt key fails before anything runs."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import ConfigCompositionException
from omegaconf import DictConfig

from kerasweep.config import check, hydra_setup, register
from kerasweep.config.folders import config_folder
from kerasweep.errors import ConfigError

ROOT = Path(__file__).parents[2]
FOLDERS = [folder for folder in sorted((ROOT / "conf").iterdir()) if folder.is_dir()] + [
    ROOT / "sweeps/study"
]
OPTIONS = [
    (folder.name, file.stem)
    for folder in FOLDERS
    for file in sorted(folder.glob("*.yaml"))
    if "???" not in file.read_text()
]
WITH = {"pruner=threshold": ["pruner.lower=0.5"], "pruner=wilcoxon": ["study.repeats=4"]}
NEEDS = {
    "data=npz": "data.path",
    "data=image_folder": "data.path",
    "data=custom": "data.target",
    "model=custom": "model.target",
}


@pytest.fixture(scope="module", autouse=True)
def hydra() -> Iterator[None]:
    register()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hydra_setup, "_finds_studies", hydra_setup.finds_studies())
        hydra_setup.add_studies()
        with initialize_config_dir(config_folder("conf"), version_base="1.3"):
            yield


def train(*overrides: str) -> DictConfig:
    return compose("train", overrides=list(overrides))


@pytest.mark.parametrize(("group", "option"), OPTIONS)
def test_option_composes_and_passes_the_check(group: str, option: str) -> None:
    chosen = f"{group}={option}"
    check(train(chosen, *WITH.get(chosen, [])))


def test_every_group_has_options() -> None:
    assert len(OPTIONS) > 45
    assert {group for group, _ in OPTIONS} >= {"data", "model", "optimizer", "sampler", "study", "debug"}


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
    with pytest.raises(ConfigError) as refused:
        check(train(option))
    messages = {
        "data=image_folder": "data=image_folder needs data.path, a folder with one subfolder per class, "
        "as in data.path=photos.",
        "data=npz": "data=npz needs data.path, a NumPy archive with images and labels, "
        "as in data.path=images.npz.",
    }
    otherwise = f"{key} has no value. Give it one, as in {key}=VALUE."
    assert str(refused.value) == messages.get(option, otherwise)
    check(train(option, f"{key}=package.module"))


@pytest.mark.parametrize("name", ["predict", "compare"])
def test_other_commands_compose(name: str) -> None:
    assert compose(name).tracking.experiment == "kerasweep"


MISSPELT = [
    "model.kernel_sise=3",
    "data.limits=3",
    "training.early_stopping.patienc=3",
    "optimizer.momentum=0.5",
    "schedule.patience=2",
    "initializer.stddev=0.1",
    "optimiser=sgd",
    "optimizer=sdg",
    "data=mnsit",
    "study=quick",
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
def test_misspelt_key_or_wrong_type_fails_at_composition(override: str) -> None:
    with pytest.raises(ConfigCompositionException):
        train(override)


@pytest.mark.parametrize(
    "overrides", [["model.kwargs.width=3"], ["data.kwargs.a.b=3"], ["tracking.tags.course=ml"]]
)
def test_open_mappings_take_any_key(overrides: Sequence[str]) -> None:
    check(train(*overrides))
