"""Keeps the data that a process has read, for the next trial of the same configuration."""

from collections import OrderedDict

from omegaconf import OmegaConf

from kerasweep.config.data import DataConf
from kerasweep.data.prepare import Prepared, prepare
from kerasweep.data.sources import load

MAX_KEPT = 2
_kept: OrderedDict[str, Prepared] = OrderedDict()


def read_and_keep(cfg: DataConf) -> Prepared:
    """Load and prepare the data of a configuration; the last MAX_KEPT are kept in memory.

    Raises DataError and ConfigError as `load` and `prepare` do.
    """
    key = OmegaConf.to_yaml(cfg, resolve=True)
    if key not in _kept:
        _kept[key] = prepare(cfg, load(cfg))
    _kept.move_to_end(key)
    while len(_kept) > MAX_KEPT:
        _kept.popitem(last=False)
    return _kept[key]
