"""Fixtures that compose like `python -m src.train -m ARGUMENTS`, up to the call of the sweeper."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra.types import HydraContext
from omegaconf import DictConfig

from kerasweep.multirun.conduct import conduct
from kerasweep.multirun.other_sweepers import translate_keys
from kerasweep.multirun.plan import Plan
from kerasweep.multirun.question import Question, read_question
from tests.compositions import compose_multirun, plan_of, train_context

INSTANT = ("trial.target=benchmarks.targets:instant", "hydra/launcher=basic")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Changes to a new folder, where a sweep keeps its files."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def context() -> HydraContext:
    return train_context()


@pytest.fixture
def compose() -> Callable[[list[str]], DictConfig]:
    return lambda arguments: compose_multirun(*arguments)


@pytest.fixture
def ask(context: HydraContext) -> Callable[..., Question]:
    """Returns a function that reads the question of a command line and of keys of `hydra.sweeper`."""

    def read(*arguments: str, **sweeper_keys: Any) -> Question:
        config = compose_multirun(*arguments)
        return read_question(context, config, list(arguments), translate_keys(sweeper_keys))

    return read


@pytest.fixture
def run(
    folder: Path,
    context: HydraContext,
    compose: Callable[[list[str]], DictConfig],
    copy_database: Callable[[Path], Path],
) -> Callable[..., float | None]:
    """Returns a function that runs a sweep of instant trials in this process, and returns its best value."""
    copy_database(folder)

    def run(*arguments: str) -> float | None:
        given = [*arguments, *INSTANT]
        return conduct(context, compose(given), given, {})

    return run


@pytest.fixture
def plan() -> Callable[..., Plan]:
    """Returns a function that makes the plan of a command line."""
    return plan_of
