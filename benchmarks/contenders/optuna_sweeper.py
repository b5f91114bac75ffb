"""Runs hydra-optuna-sweeper over the same grid; each trial is a run in MLflow: THIS.py TASK OUTPUT JOBS.

Several jobs train in as many processes of hydra-joblib-launcher, with one thread each.
"""

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import hydra
from hydra.core.config_store import ConfigStore
from task import AXES, ONE_THREAD, build, fit, grid, read_task


@dataclass
class Config:
    task: str = ""
    found: str = ""
    kernel_size: int = 3
    downsampling: str = "max"
    batch_size: int = 32
    dropout: float = 0.0
    regularizer: str = "none"
    initializer: str = "glorot_uniform"
    seed: int = 0


ConfigStore.instance().store("config", Config)


@hydra.main(config_path=None, config_name="config", version_base="1.2")
def train(cfg):
    import keras
    import mlflow

    data = read_task(cfg.task)
    trial = {axis: cfg[axis] for axis in AXES}
    keras.backend.clear_session()
    keras.utils.set_random_seed(cfg.seed)
    with mlflow.start_run():
        mlflow.log_params(trial)
        values = fit(build(data, trial), data, cfg.batch_size)
        for epoch, value in enumerate(values, 1):
            mlflow.log_metric("val_accuracy", value, step=epoch)
    with open(cfg.found, "a") as file:
        file.write(f"{json.dumps(max(values))}\n")
    return max(values)


def main():
    task, output, jobs = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve(), int(sys.argv[3])
    data, lines = read_task(task), output.with_suffix(".lines")
    sys.argv = [
        sys.argv[0],
        "--multirun",
        "hydra/sweeper=optuna",
        "hydra/sweeper/sampler=grid",
        "hydra.sweeper.direction=maximize",
        f"hydra.sweeper.n_jobs={jobs}",
        f"hydra.sweeper.n_trials={len(list(grid(data)))}",
        f"task={task}",
        f"found={lines}",
        *(f"{axis}={','.join(map(str, data[axis]))}" for axis in AXES),
    ]
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{Path.cwd()}/mlflow.db"
    if jobs > 1:
        sys.argv += ["hydra/launcher=joblib", f"hydra.launcher.n_jobs={jobs}"]
        os.environ.update(ONE_THREAD)
        make_database()
    train()
    output.write_text(f"[{','.join(lines.read_text().splitlines())}]")


def make_database():
    """Makes the database before two processes would do it at the same time."""
    import mlflow

    mlflow.search_experiments()


if __name__ == "__main__":
    main()
