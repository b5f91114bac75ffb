"""Hydra's launchers `workers` and `ray`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from kerasweep.config.data import open_mapping


@dataclass
class WorkersLauncherConf:
    _target_: str = "hydra_plugins.kerasweep.launcher.WorkersLauncher"


@dataclass
class RayLauncherConf:
    _target_: str = "hydra_plugins.kerasweep.launcher.RayLauncher"
    address: str | None = None  # of the cluster's head, or auto; None: $RAY_ADDRESS, or this machine alone
    runtime_env: Any = field(default_factory=open_mapping)  # Ray's, such as env_vars or working_dir


class WorkersLauncher(Launcher):
    """Selects kerasweep's worker processes, which stay warm from trial to trial, in a config.

    It launches nothing: the sweeper `kerasweep` starts the workers, without batches. Other sweepers cannot
    use this launcher.
    """

    def __init__(self, **keys: Any) -> None:
        """Takes the keys of the config, which only the sweeper reads."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.config = config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from kerasweep.commands.command_line import run_command
        from kerasweep.errors import ConfigError

        def refuse() -> Sequence[JobReturn]:
            raise ConfigError(
                "hydra/launcher=workers and ray serve hydra/sweeper=kerasweep alone. "
                "Use that sweeper, or hydra/launcher=basic."
            )

        return run_command(refuse)


class RayLauncher(WorkersLauncher):
    """Selects workers on a Ray cluster in a config, as `WorkersLauncher` does those on this machine."""


store = ConfigStore.instance()
store.store(group="hydra/launcher", name="workers", node=WorkersLauncherConf, provider="kerasweep")
store.store(group="hydra/launcher", name="ray", node=RayLauncherConf, provider="kerasweep")
