"""Runs trials that sleep with Ray Tune: TRIALS SECONDS WORKERS REUSE, where REUSE=1 reuses actors."""

import sys
import time
from pathlib import Path

import ray
from ray import tune

TRIALS, SECONDS, WORKERS, REUSE = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "1"


def nap(config):
    time.sleep(config["seconds"])
    tune.report({"val_accuracy": config["learning_rate"]})


def main():
    folder = Path.cwd()
    ray.init(num_cpus=WORKERS, include_dashboard=False, log_to_driver=False, _temp_dir=str(folder / "ray"))
    tuner = tune.Tuner(
        nap,
        param_space={"seconds": SECONDS, "learning_rate": tune.loguniform(1e-4, 1e-1)},
        tune_config=tune.TuneConfig(
            metric="val_accuracy", mode="max", num_samples=TRIALS, reuse_actors=REUSE
        ),
        run_config=tune.RunConfig(storage_path=str(folder / "results"), name="nap", verbose=0),
    )
    results = tuner.fit()
    assert len(results) == TRIALS and not results.errors
    ray.shutdown()


if __name__ == "__main__":
    main()
