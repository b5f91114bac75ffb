"""Hydra's launchers `workers` and `ray`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hydra._internal.core_plugins.basic_launcher import BasicLauncher
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

    The sweeper `kerasweep` starts the workers itself. Another sweeper's jobs are trained one after another in
    this process, as by `hydra/launcher=basic`.
    """

    def __init__(self, **keys: Any) -> None:
        """Takes the keys of the config, which only the sweeper reads."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self._launcher = BasicLauncher()
        self._launcher.setup(hydra_context=hydra_context, task_function=task_function, config=config)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        return self._launcher.launch(job_overrides, initial_job_idx)


class RayLauncher(WorkersLauncher):
    """Selects workers on a Ray cluster in a config, as `WorkersLauncher` does those on this machine."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from kerasweep.commands.command_line import run_command
        from kerasweep.errors import ConfigError

        def refuse() -> Sequence[JobReturn]:
            raise ConfigError(
                "hydra/launcher=ray serves hydra/sweeper=kerasweep alone. Use that sweeper, or "
                "hydra/launcher=basic."
            )

        return run_command(refuse)


store = ConfigStore.instance()
store.store(group="hydra/launcher", name="workers", node=WorkersLauncherConf, provider="kerasweep")
store.store(group="hydra/launcher", name="ray", node=RayLauncherConf, provider="kerasweep")
