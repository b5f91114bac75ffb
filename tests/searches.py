"""Fixtures for sweeps over numbers, in which a plain function replaces training; everything else is real."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf
from optuna.pruners import NopPruner

from kerasweep.config.search import BudgetConf, CmaEsConf, NSGAIIConf, QMCConf, SamplerConf, TPEConf
from kerasweep.results import Outcome
from kerasweep.search.journal import JournalFolder
from kerasweep.search.stops import StopRequest
from kerasweep.search.storage import Storage
from kerasweep.search.sweep import Sweep
from kerasweep.space.parse import axis_of_entry, make_space
from kerasweep.space.rows import Params
from kerasweep.space.space import Space
from kerasweep.sweep.driver import Driver
from kerasweep.sweep.progress import Progress
from kerasweep.sweep.view import View
from tests.sweep.stand_ins import Notes, OnePlace

GROUPS = {"regularizer": ["none", "l1", "l2"]}
SAMPLERS: dict[str, SamplerConf] = {
    "grid": SamplerConf("grid"),
    "random": SamplerConf("random"),
    "tpe": TPEConf("tpe", n_startup_trials=4),
    "qmc": QMCConf("qmc"),
    "cmaes": CmaEsConf("cmaes", n_startup_trials=2),
    "nsga2": NSGAIIConf("nsga2", population_size=4),
}


def number(params: Mapping[str, Any]) -> Outcome:
    """Returns a complete trial whose value is the sum of its numbers."""
    numeric = [value for value in params.values() if isinstance(value, (int, float))]
    return Outcome("complete", "run", values=(float(sum(numeric)),))


def make_sweep(
    storage: Storage,
    space: Space,
    total: int = 5,
    sampler: str = "random",
    directions: tuple[str, ...] = ("maximize",),
    refusal: Callable[[Mapping[str, Any]], str | None] = lambda params: None,
    seed: int = 0,
    **budget: Any,
) -> Sweep:
    """Opens the sweep of a storage, as each start of the command does."""
    study = storage.open("s-0", directions)
    study.pruner = NopPruner()
    cfg = OmegaConf.merge(OmegaConf.structured(SAMPLERS[sampler]), {"seed": seed})
    limits = OmegaConf.structured(BudgetConf(**budget))
    return Sweep("s-0", study, space, storage, storage.folder, total, cfg, limits, refusal)


def make_numbers(entries: Mapping[str, Any], fixed: Params | None = None) -> Space:
    """Returns the space of the entries of a study's `space`. fixed: the values of other keys."""
    axes = [axis_of_entry(key, entry, lambda key: GROUPS.get(key, [])) for key, entry in entries.items()]
    return make_space(axes, (fixed or {}).get)


@pytest.fixture
def space_of() -> Callable[..., Space]:
    """Returns `make_numbers`."""
    return make_numbers


@pytest.fixture
def sweep_of(tmp_path: Path) -> Callable[..., Sweep]:
    """Returns a function that opens the sweep of some entries in this test's journal, see `make_sweep`."""

    def open_sweep(entries: Mapping[str, Any], *arguments: Any, **options: Any) -> Sweep:
        return make_sweep(JournalFolder(tmp_path), make_numbers(entries), *arguments, **options)

    return open_sweep


@pytest.fixture
def search() -> Callable[..., tuple[str, list[Params]]]:
    """Returns a function that runs a sweep to its end and returns why it ended and what it trained."""

    def run(
        sweep: Sweep,
        train: Callable[[Mapping[str, Any]], Outcome] = number,
        on_close: Callable[[Outcome], None] = lambda outcome: None,
    ) -> tuple[str, list[Params]]:
        notes = Notes(on_close)
        driver = Driver(sweep, OnePlace(train), notes, View(Progress.read(sweep)), StopRequest())
        return driver.run().reason, notes.trained

    return run
