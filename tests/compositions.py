"""Composes configurations as commands do."""

import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest
from hydra import initialize_config_dir
from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig

from kerasweep.config import hydra_setup, register
from kerasweep.config.composition import compose_once
from kerasweep.config.folders import config_folder
from kerasweep.multirun.composer import make_composer, without_hydra
from kerasweep.multirun.make_plan import make_plan
from kerasweep.multirun.other_sweepers import translate_keys
from kerasweep.multirun.plan import Plan
from kerasweep.multirun.question import read_question


def write_files(folder: Path, files: Mapping[str, str]) -> Path:
    """Writes config files, by their path below the folder, and returns the folder."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@contextmanager
def with_studies() -> Iterator[None]:
    """Makes Hydra find studies inside the block, as src.train does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hydra_setup, "_finds_studies", hydra_setup.finds_studies())
        hydra_setup.add_studies()
        yield


@cache
def train_context() -> HydraContext:
    """Returns the context of `python -m src.train`."""
    register()
    compose_once()
    with with_studies(), initialize_config_dir(config_folder("conf"), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
    return HydraContext(config_loader=loader, callbacks=Callbacks())


def compose_multirun(*arguments: str) -> DictConfig:
    """Returns the configuration of `python -m src.train -m ARGUMENTS` with Hydra's node."""
    return train_context().config_loader.load_configuration("train", list(arguments), RunMode.MULTIRUN)


def plan_of(*arguments: str) -> Plan:
    """Returns the plan of `python -m src.train -m ARGUMENTS`."""
    context, config = train_context(), compose_multirun(*arguments)
    question = read_question(context, config, list(arguments), translate_keys({}))
    return make_plan(question, make_composer(context, question.master, question.fixed, question.searched))


def compose_train(*overrides: str) -> DictConfig:
    """Returns the configuration of `python -m src.train OVERRIDES`."""
    composed: DictConfig = pickle.loads(_composed(overrides))
    return composed


@cache
def _composed(overrides: tuple[str, ...]) -> bytes:
    loader = train_context().config_loader
    cfg = loader.load_configuration("train", list(overrides), RunMode.RUN, from_shell=False)
    return pickle.dumps(without_hydra(cfg))
