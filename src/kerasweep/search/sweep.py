"""Holds what defines a running sweep: its study, its space, and when it ends."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from omegaconf import DictConfig
from optuna.study import Study
from optuna.trial import FrozenTrial

from kerasweep.config.schemas import REPEATED_KEYS
from kerasweep.search.arms import Arms
from kerasweep.search.pruners import PrunerInput
from kerasweep.search.storage import Storage
from kerasweep.search.study import DATA_DIGESTS
from kerasweep.space.rows import Params, Value
from kerasweep.space.space import Signature, Space, signature
from kerasweep.terminal import value_text
from kerasweep.tracking.tags import tag_text

# The name of the only data set in the study.
ONLY = ""


def unknown_graph(params: Params) -> None:
    """Returns None: the graph of the training is unknown."""


@dataclass(frozen=True)
class Sweep:
    """A search that is ready to start."""

    name: str
    study: Study
    space: Space
    storage: Storage  # of the study
    jobs: Path  # the folder of its jobs, an absolute path
    total: int  # the number of trials at the end, including those of earlier starts
    sampler: DictConfig
    budget: DictConfig
    refusal: Callable[[Mapping[str, object]], str | None]  # why a configuration cannot be trained
    repeats: int = 1  # seeds per trial
    resamples: bool = False  # whether each repeat has its own split of training and validation images
    is_cross_fitted: bool = True  # whether values are cross-fitted, see TrialRef
    draws_odd: bool = True  # how the validation images are halved, see TrialRef
    code: Mapping[str, str] = field(default_factory=dict)  # the digests of the user's code, by target
    data_digests: Mapping[str, str] = field(default_factory=dict)  # of the trials' data, by `source_key`
    arms: Arms | None = None  # the arms whose nuisance axes this sweep tunes; None for a comparison
    tuned: frozenset[str] = frozenset()  # the keys of nuisance axes that an earlier sweep tuned
    # The configurations of a tuned combination's repeats, by that of the first: each repeat has a tuning of
    # its own. They start again after the last.
    by_repeat: Mapping[Signature, tuple[Params, ...]] = field(default_factory=dict)
    hours_before: float = 0.0  # of the budget, which the sweep that tuned the nuisance axes has used
    pruner_input: PrunerInput = PrunerInput.NOTHING  # only the epochs of the first repeat count
    # The key of a configuration's graph, None if unknown. A worker traces a graph once for all its trainings.
    graph_of: Callable[[Params], str | None] = unknown_graph
    keeps_checkpoints: bool = False  # whether a trial resumes from its last epoch after a crash
    learned: tuple[FrozenTrial, ...] = ()  # of other sweeps, which only the sampler sees
    notes: tuple[str, ...] = ()  # for the user, before the sweep starts

    @property
    def spool(self) -> Path:
        """The folder of results that MLflow has not taken yet."""
        return self.storage.spool(self.name)

    def lock(self) -> AbstractContextManager[None]:
        """Holds the sweep's lock."""
        return self.storage.lock(self.name)

    def params_of(self, params: Params, repeat: int) -> Params:
        """Returns the configuration of one repeat of a trial."""
        configurations = self.by_repeat.get(signature(params), (params,))
        return configurations[repeat % len(configurations)]

    def shown_params(self, params: Params) -> Params:
        """Returns a trial's configuration for people: values that differ between its repeats are listed.

        `-` stands for an axis that does not apply.
        """
        repeats = [self.params_of(params, repeat) for repeat in range(self.repeats)]
        keys = dict.fromkeys(key for configuration in repeats for key in configuration)
        return {key: _listed([configuration.get(key, "-") for configuration in repeats]) for key in keys}

    def digest_of(self, source: str) -> str | None:
        """Returns the digest of a data set, None if it is unknown. source: its name, see `source_key`.

        The study's is that of the driver which began the sweep: another one may read other images.
        """
        if source not in self.data_digests:
            return None
        saved = self.study.user_attrs.get(DATA_DIGESTS, {})
        return str(saved.get(ONLY, saved.get(source, self.data_digests[source])))

    @property
    def has_repeated_axis(self) -> bool:
        """Whether a seed or a split is an axis: trials that differ in it alone are repeats."""
        return any(axis.name in REPEATED_KEYS for axis in self.space.axes)

    @property
    def directions(self) -> tuple[str, ...]:
        """Optuna's direction of each objective, in lower case."""
        return tuple(direction.name.lower() for direction in self.study.directions)


def _listed(values: Sequence[Value]) -> Value:
    """Returns the value that all repeats share, else all values, fractions with four digits."""
    if len(set(values)) == 1:
        return values[0]
    return ",".join(value_text(value) if isinstance(value, float) else tag_text(value) for value in values)
