"""Hydra's launcher `workers`."""

from collections.abc import Sequence
from dataclasses import dataclass

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


@dataclass
class WorkersLauncherConf:
    _target_: str = "hydra_plugins.kerasweep.launcher.WorkersLauncher"


class WorkersLauncher(Launcher):
    """Selects kerasweep's worker processes, which stay warm from trial to trial, in a config.

    It launches nothing: the sweeper `kerasweep` starts the workers, without batches. Other sweepers cannot
    use this launcher.
    """

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.config = config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from kerasweep.commands.command_line import run_command
        from kerasweep.errors import ConfigError

        def refuse() -> Sequence[JobReturn]:
            raise ConfigError(
                "hydra/launcher=workers serves hydra/sweeper=kerasweep alone. "
                "Use that sweeper, or hydra/launcher=basic."
            )

        return run_command(refuse)


ConfigStore.instance().store(
    group="hydra/launcher", name="workers", node=WorkersLauncherConf, provider="kerasweep"
)
