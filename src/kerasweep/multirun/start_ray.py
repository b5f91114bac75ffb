"""Starts kerasweep's workers on a Ray cluster, and sends them the data if the user wants that."""

import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf

from kerasweep.config.data import DataConf
from kerasweep.config.search import TrialConf
from kerasweep.data.prepare import load_arrays
from kerasweep.errors import ConfigError
from kerasweep.multirun.batches import PREPARE, limits_of, uses_ray, worker_setup
from kerasweep.multirun.sweep_data import MAX_SOURCES, SweepData
from kerasweep.tracking.location import is_local
from kerasweep.training.onednn import set_onednn

if TYPE_CHECKING:
    from kerasweep.workers.ray_pool import RayPool


def check_ship(master: DictConfig) -> None:
    """Raises ConfigError if data.ship sends the data to workers that read it where the driver does."""
    if master.data.ship and not uses_ray(master):
        raise ConfigError(
            "data.ship=true sends the data to the nodes of a Ray cluster. Add hydra/launcher=ray, or leave "
            "data.ship out."
        )


def start_ray(context: HydraContext, master: DictConfig, cfg: DictConfig, data: SweepData) -> "RayPool":
    """Connects to the Ray cluster of the launcher, or starts one, and starts workers on it.

    Args:
        context: Hydra's context.
        master: The composed sweep with Hydra's node.
        cfg: The same without it, for the warm-up.
        data: The data of the trials.

    Raises:
        ConfigError: Ray is not installed, or there are too many data sets to send.
        TrainingError: There is no such cluster, or no room in its object store for the data.
    """
    if find_spec("ray") is None:
        raise ConfigError("hydra/launcher=ray needs Ray: pip install 'kerasweep[ray]'.")
    from kerasweep.workers import ray_cluster, ray_pool

    if cfg.data.ship and not data.configs:
        raise ConfigError(
            f"data.ship=true sends up to {MAX_SOURCES} data sets, but the axes choose more. Leave it out, "
            "and give each node the data, or sweep fewer."
        )
    if cfg.trial.target == TrialConf.target:
        set_onednn()
    launcher = master.hydra.launcher
    runtime_env: Any = OmegaConf.to_container(launcher.runtime_env, resolve=True)
    if isinstance(variables := runtime_env.get("env_vars"), dict):  # Hydra has read NAME=1 as a number
        runtime_env["env_vars"] = {name: str(value) for name, value in variables.items()}
    brings_folder = "working_dir" in runtime_env
    if brings_folder:
        _check_models(cfg)
        _check_jobs(master)
        # The nodes have no use for it, and it may be large.
        runtime_env["excludes"] = [*_excludes(runtime_env), "/mlruns/"]
    ray_cluster.connect(launcher.address, runtime_env)
    share = ray_pool.Share(cfg.trial.cpus, cfg.trial.gpus)
    setup = ray_pool.WorkerConfig(
        folder=None if brings_folder else os.getcwd(),
        variables=ray_cluster.variables_for(share, os.environ),
        python_path=ray_cluster.modules_path(),
        prepare=PREPARE,
        shared=worker_setup(context, cfg),
        limits=limits_of(cfg),
        data=[
            ray_cluster.send(data_cfg, load_arrays(cast(DataConf, data_cfg)))
            for data_cfg in data.configs
            if data_cfg.ship
        ],
    )
    max_workers = None if cfg.workers == "auto" else int(cfg.workers)
    return ray_pool.RayPool(setup, share, max_workers)


def _excludes(runtime_env: Mapping[str, Any]) -> list[str]:
    """Returns what the copy of the folder leaves out. Raises ConfigError for anything but a list."""
    excludes = runtime_env.get("excludes") or []
    if not isinstance(excludes, list):
        raise ConfigError(
            f"hydra.launcher.runtime_env.excludes needs a list, but got {excludes}. "
            "Write it as in 'hydra.launcher.runtime_env.excludes=[photos]'."
        )
    return excludes


def _check_models(cfg: DictConfig) -> None:
    """Raises ConfigError if nodes without the project's folder are to write models into its database."""
    if cfg.tracking.models == "all" and is_local(cfg.tracking.uri):
        raise ConfigError(
            "tracking.models=all lets workers record models, but with runtime_env.working_dir they cannot "
            "reach the local database. Name an MLflow server with tracking.uri, or use tracking.models=best."
        )


def _check_jobs(master: DictConfig) -> None:
    """Raises ConfigError if the folder of jobs does not lie in the folder that nodes get a copy of."""
    if os.path.isabs(master.hydra.sweep.dir) or ".." in Path(master.hydra.sweep.dir).parts:
        raise ConfigError(
            f"hydra.sweep.dir must lie in this folder with runtime_env.working_dir, but got "
            f"{master.hydra.sweep.dir}. Write it as in hydra.sweep.dir=mlruns/jobs/mine."
        )
