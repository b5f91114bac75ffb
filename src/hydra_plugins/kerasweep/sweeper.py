"""Hydra's sweeper `kerasweep`, which runs `--multirun`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from kerasweep.config.data import open_mapping


@dataclass
class KerasweepSweeperConf:
    """Accepts the keys of hydra-optuna-sweeper, so that a file for that sweeper composes.

    `_recursive_` is off, since Hydra would make an Optuna sampler of the `_target_` in `sampler`.
    """

    defaults: list[Any] = field(default_factory=lambda: ["_self_", {"sampler": None}])
    _target_: str = "hydra_plugins.kerasweep.sweeper.KerasweepSweeper"
    _recursive_: bool = False
    params: Any = field(default_factory=open_mapping)
    n_trials: int | None = None
    direction: Any = None
    study_name: str | None = None
    storage: Any = None
    sampler: Any = None
    n_jobs: int | None = None
    max_failure_rate: float | None = None
    custom_search_space: str | None = None
    search_space: Any = None


@dataclass
class OptunaSweeperConf(KerasweepSweeperConf):
    """The config of `override hydra/sweeper: optuna` if hydra-optuna-sweeper is not installed."""

    defaults: list[Any] = field(default_factory=lambda: ["_self_", {"sampler": "tpe"}])


class KerasweepSweeper(Sweeper):
    """Searches with Optuna, trains in workers or with another Hydra launcher, and records in MLflow."""

    def __init__(self, **keys: Any) -> None:
        self.keys: Mapping[str, Any] = {key: value for key, value in keys.items() if value is not None}
        self.hydra_context: HydraContext | None = None
        self.config: DictConfig | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context = hydra_context
        self.config = config

    def sweep(self, arguments: list[str]) -> Any:
        from kerasweep.commands.answer import give
        from kerasweep.commands.command_line import run_command
        from kerasweep.multirun.conduct import conduct

        assert self.hydra_context is not None and self.config is not None
        context, config = self.hydra_context, self.config
        best = run_command(lambda: conduct(context, config, arguments, self.keys, give))
        if best is None:
            raise SystemExit(1)
        return best


store = ConfigStore.instance()
store.store(group="hydra/sweeper", name="kerasweep", node=KerasweepSweeperConf, provider="kerasweep")
if find_spec("hydra_plugins.hydra_optuna_sweeper") is None:
    store.store(group="hydra/sweeper", name="optuna", node=OptunaSweeperConf, provider="kerasweep")
    for name in ("tpe", "random", "cmaes", "nsgaii", "qmc", "grid"):
        store.store(
            group="hydra/sweeper/sampler",
            name=name,
            node=DictConfig({"name": name}, flags={"struct": False}),
            provider="kerasweep",
        )
