"""Fixtures that compose like `python -m src.train -m ARGUMENTS`, up to the call of the sweeper."""

from collections.abc import Callable
from typing import Any

import pytest
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig

from kerasweep.multirun.composer import make_composer
from kerasweep.multirun.other_sweepers import translate_keys
from kerasweep.multirun.plan import Plan, make_plan
from kerasweep.multirun.question import Question, read_question
from tests.compositions import train_context


@pytest.fixture
def context() -> HydraContext:
    return train_context()


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
