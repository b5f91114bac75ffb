"""Trains one network, or with `--multirun` sweeps over many.

python -m src.train                                          one network on digits
python -m src.train -m                                       the study `quickstart`
python -m src.train -m study=filter_size                     another question
python -m src.train -m model.kernel_size=3,5 training.batch_size=32,64
"""

import atexit
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from src.collector import collect_rarely, leave_to_the_end
from src.sweep.template import start_template

if TYPE_CHECKING:
    from omegaconf import DictConfig

NO_WORKERS = ("study.dry_run=", "hydra/launcher=", "trial.target=", "--cfg", "-c", "--info", "--help", "-h")


def train_once(cfg: "DictConfig") -> float:
    """Train and record a single run; returns its first objective's value."""
    from hydra.core.hydra_config import HydraConfig

    from src.single import run_single

    return run_single(cfg, cast("DictConfig", HydraConfig.get()))


def _train(cfg: "DictConfig") -> float:
    from src.command_line import run_command

    return run_command(lambda: train_once(cfg))


def main() -> None:
    """Run the command. What workers import begins first: Hydra alone takes a quarter of a second."""
    if needs_workers(sys.argv[1:]):
        start_template("src.multirun.preload")
    import hydra

    from src.command_line import check_overrides
    from src.config import register
    from src.config.studies import add_studies

    collect_rarely()
    atexit.register(leave_to_the_end)
    register()
    add_studies()
    check_overrides(sys.argv[1:])
    hydra.main(config_path="pkg://conf", config_name="train", version_base="1.3")(_train)()


def needs_workers(arguments: Sequence[str]) -> bool:
    """Whether a command is likely to start workers that train. Only its speed depends on it."""
    sweeps = any(argument in ("-m", "--multirun") or argument.startswith("study=") for argument in arguments)
    return sweeps and not any(argument.startswith(NO_WORKERS) for argument in arguments)


if __name__ == "__main__":
    main()
