"""One search: its study, its space, and how far it is to go."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig
from optuna.study import Study

from kerasweep.search.pruners import NOTHING
from kerasweep.space.axis import Params, Space


def unknown_graph(params: Params) -> None:
    """Of a training that shares nothing, as far as is known."""


@dataclass(frozen=True)
class Sweep:
    """A search that is ready to go.

    journal: its file; the lock lies beside it. total: how many trials there are to be in the end.
    refusal: why a configuration cannot be trained, None where it can. repeats: seeds a trial.
    pruner_hears: see kerasweep.search.pruners; epochs are those of the first seed only. graph_of: what the
    trainings share that can follow one another in a worker without a trace, None where that is not known.
    keeps_checkpoints: whether a trial that died goes on from its last epoch. notes: what the user should
    know before it starts.
    """

    name: str
    study: Study
    space: Space
    journal: Path
    total: int
    sampler: DictConfig
    budget: DictConfig
    refusal: Callable[[Mapping[str, object]], str | None]
    repeats: int = 1
    pruner_hears: str = NOTHING
    graph_of: Callable[[Params], str | None] = unknown_graph
    keeps_checkpoints: bool = False
    notes: tuple[str, ...] = ()

    @property
    def directions(self) -> tuple[str, ...]:
        return tuple(direction.name.lower() for direction in self.study.directions)
