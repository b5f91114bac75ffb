"""Runs hydra-optuna-sweeper over the same grid; each trial is a run in MLflow."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import hydra
import keras
import mlflow
from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf
from task import AXES, arguments, fit, grid, network, write

DATA, OUTPUT = arguments()
FOUND = []


@dataclass
class Config:
    kernel_size: int = 3
    batch_size: int = 32
    regularizer: str = "none"
    initializer: str = "glorot_uniform"
    seed: int = 0


ConfigStore.instance().store("config", Config)


@hydra.main(config_path=None, config_name="config", version_base="1.2")
def train(cfg):
    keras.backend.clear_session()
    keras.utils.set_random_seed(cfg.seed)
    with mlflow.start_run():
        mlflow.log_params(OmegaConf.to_container(cfg))
        model = network(cfg.kernel_size, cfg.regularizer, cfg.initializer, filters=DATA["filters"])
        values = fit(model, DATA, cfg.batch_size)
        for epoch, value in enumerate(values, 1):
            mlflow.log_metric("val_accuracy", value, step=epoch)
    FOUND.append(max(values))
    return max(values)


def main():
    trials = len(list(grid(DATA)))
    sys.argv = [
        sys.argv[0],
        "--multirun",
        "hydra/sweeper=optuna",
        "hydra/sweeper/sampler=grid",
        "hydra.sweeper.direction=maximize",
        "hydra.sweeper.n_jobs=1",
        f"hydra.sweeper.n_trials={trials}",
        *(f"{axis}={','.join(map(str, DATA[axis]))}" for axis in AXES),
    ]
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{Path.cwd()}/mlflow.db"
    train()
    write(OUTPUT, FOUND)


main()
