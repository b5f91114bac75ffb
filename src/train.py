"""Trains one network, or with `--multirun` sweeps over many.

python -m src.train                                          one network on digits
python -m src.train -m                                       the study `quickstart`
python -m src.train -m study=filter_size                     another question
python -m src.train -m model.kernel_size=3,5 training.batch_size=32,64
"""

import atexit
import sys
from collections.abc import Sequence
from typing import cast

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from src.collector import collect_rarely, leave_to_the_end
from src.command_line import check_overrides, run_command
from src.config import register
from src.config.studies import add_studies
from src.sweep.template import start_template
from src.training.onednn import recall_onednn

NO_WORKERS = ("study.dry_run=", "hydra/launcher=", "trial.target=", "--cfg", "-c", "--info", "--help", "-h")

register()
add_studies()


def train_once(cfg: DictConfig) -> float:
    """Train and record a single run; returns its first objective's value."""
    from src.single import run_single

    return run_single(cfg, cast(DictConfig, HydraConfig.get()))


@hydra.main(config_path="pkg://conf", config_name="train", version_base="1.3")
def _train(cfg: DictConfig) -> float:
    return run_command(lambda: train_once(cfg))


def main() -> None:
    collect_rarely()
    atexit.register(leave_to_the_end)
    check_overrides(sys.argv[1:])
    if needs_workers(sys.argv[1:]) and recall_onednn():
        start_template("src.multirun.preload")
    _train()


def needs_workers(arguments: Sequence[str]) -> bool:
    """Whether a command is likely to start workers that train; only its speed depends on it."""
    sweeps = any(argument in ("-m", "--multirun") or argument.startswith("study=") for argument in arguments)
    return sweeps and not any(argument.startswith(NO_WORKERS) for argument in arguments)


if __name__ == "__main__":
    main()
