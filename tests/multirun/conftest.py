"""Fixtures that compose like `python -m src.train -m ARGUMENTS`, up to the call of the sweeper."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hydra import initialize_config_dir
from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig

from kerasweep.config import hydra_setup, register
from kerasweep.config.folders import config_folder
from kerasweep.multirun.composer import make_composer
from kerasweep.multirun.other_sweepers import translate_keys
from kerasweep.multirun.plan import Plan, make_plan
from kerasweep.multirun.question import Question, read_question


@contextmanager
def with_studies() -> Iterator[None]:
    """Makes Hydra find studies inside the block, as src.train does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hydra_setup, "_finds_studies", hydra_setup.finds_studies())
        hydra_setup.add_studies()
        yield


@pytest.fixture(scope="session")
def context() -> HydraContext:
    register()
    with with_studies(), initialize_config_dir(config_folder("conf"), version_base="1.3"):
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        return HydraContext(config_loader=hydra.config_loader, callbacks=Callbacks())


@pytest.fixture
def compose(context: HydraContext) -> Callable[[list[str]], DictConfig]:
    def compose_multirun(arguments: list[str]) -> DictConfig:
        return context.config_loader.load_configuration("train", arguments, run_mode=RunMode.MULTIRUN)

    return compose_multirun


@pytest.fixture
def ask(context: HydraContext, compose: Callable[[list[str]], DictConfig]) -> Callable[..., Question]:
    """Returns a function that reads the question of a command line and of keys of `hydra.sweeper`."""

    def read(*arguments: str, **sweeper_keys: Any) -> Question:
        return read_question(context, compose(list(arguments)), list(arguments), translate_keys(sweeper_keys))

    return read


@pytest.fixture
def plan(context: HydraContext, compose: Callable[[list[str]], DictConfig]) -> Callable[..., Plan]:
    """Returns a function that makes the plan of a command line."""

    def make(*arguments: str) -> Plan:
        question = read_question(context, compose(list(arguments)), list(arguments), translate_keys({}))
        return make_plan(question, make_composer(context, question.master, question.fixed, question.space))

    return make
