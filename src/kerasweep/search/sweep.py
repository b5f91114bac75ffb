"""A sweep: its study, its space, and when it ends."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig
from optuna.study import Study

from kerasweep.search.pruners import NOTHING
from kerasweep.space.axis import Params, Space


def unknown_graph(params: Params) -> None:
    """The graph of a training that is not known to share one."""


@dataclass(frozen=True)
class Sweep:
    """A search that is ready to start."""

    name: str
    study: Study
    space: Space
    journal: Path  # the sweep's lock lies beside it
    total: int  # how many trials there are in the end, earlier starts included
    sampler: DictConfig
    budget: DictConfig
    refusal: Callable[[Mapping[str, object]], str | None]  # why a configuration cannot be trained
    repeats: int = 1  # seeds a trial
    pruner_hears: str = NOTHING  # see kerasweep.search.pruners; epochs are those of the first repeat only
    # Trainings of one graph can follow each other in a worker without a trace. None: the graph is not known.
    graph_of: Callable[[Params], str | None] = unknown_graph
    keeps_checkpoints: bool = False  # whether a trial resumes from its last epoch after a crash
    notes: tuple[str, ...] = ()  # for the user, before the sweep starts

    @property
    def directions(self) -> tuple[str, ...]:
        """Optuna's direction of each objective, in lower case."""
        return tuple(direction.name.lower() for direction in self.study.directions)
