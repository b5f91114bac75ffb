"""Reads and digests the data sets of a sweep, with which later starts and workers compare their own."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from omegaconf import DictConfig

from kerasweep.data.prepare import Prepared
from kerasweep.data.sources import SOURCE_KEYS, source_key
from kerasweep.errors import ConfigError, DataError
from kerasweep.multirun.composer import EXPERIMENT, Composer
from kerasweep.multirun.experiments import experiments_change_data
from kerasweep.search.sweep import ONLY
from kerasweep.space.rows import Params
from kerasweep.space.space import Space

MAX_SOURCES = 10


@dataclass(frozen=True)
class SweepData:
    """The data of a sweep's trials."""

    shared: Prepared | None  # None if a key of `data` is an axis
    digests: Mapping[str, str]  # of each data set, by `source_key`
    # Whether the data set comes with its own validation images, if there is only one.
    has_own_validation: bool = False
    # The group `data` of each data set.
    configs: Sequence[DictConfig] = field(default_factory=tuple)
    is_only: bool = True  # whether all trials have the same data set, however they split it

    @property
    def saved(self) -> Mapping[str, str]:
        """The digests by their names in the journal: the only data set may lie elsewhere on each machine."""
        return {ONLY: next(iter(self.digests.values()))} if self.is_only else self.digests


def read_sweep_data(
    base: DictConfig, space: Space, composer: Composer, read: Callable[[DictConfig], Prepared]
) -> SweepData:
    """Reads the data set that the trials share, or each data set that the axes choose.

    Where axes choose, data that cannot be read is left out: the configurations with it are refused. Of more
    than MAX_SOURCES data sets none is read.

    Args:
        base: The configuration that the trials share.
        space: The axes.
        composer: Composes a configuration.
        read: Reads the data of a configuration.

    Raises:
        DataError: The data that all trials share cannot be read.
    """
    groups = ["data", *([EXPERIMENT] if experiments_change_data(space, composer) else [])]
    axes = [axis for axis in space.axes if axis.name.partition(".")[0] in groups]
    choosing = [axis for axis in axes if axis.name in groups or axis.name.split(".")[1] in SOURCE_KEYS]
    if not choosing:
        prepared = read(base)
        digests = {source_key(base.data): prepared.digest}
        return SweepData(None if axes else prepared, digests, prepared.has_own_validation, [base.data])
    listed = space.only({axis.key for axis in choosing if axis.values() is not None})
    if listed.max_size > MAX_SOURCES:  # a search would read all before its first trial
        return SweepData(None, {}, is_only=False)
    return _chosen_data(listed.configurations(), composer, read)


def _chosen_data(
    choices: Iterable[Params], composer: Composer, read: Callable[[DictConfig], Prepared]
) -> SweepData:
    digests: dict[str, str] = {}
    configs: list[DictConfig] = []
    for params in choices:
        try:
            cfg = composer.compose(params)
            digests[source_key(cfg.data)] = read(cfg).digest
        except (ConfigError, DataError):
            continue
        configs.append(cfg.data)
    return SweepData(None, digests, configs=configs, is_only=False)
