"""Trains one network, or with `--multirun` sweeps over many.

python -m src.train                                          one network on digits
python -m src.train -m                                       the study `quickstart`
python -m src.train -m study=filter_size                     another question
python -m src.train -m model.kernel_size=3,5 training.batch_size=32,64
"""

import atexit
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, cast

from kerasweep.imports import collect_rarely, skip_last_collection
from kerasweep.workers.machine import usable_cores
from kerasweep.workers.signals import hold_interrupts, interrupted_by_sigterm, release_interrupts
from kerasweep.workers.template import start_template

if TYPE_CHECKING:
    from omegaconf import DictConfig

ALONE = ("study.dry_run=", "hydra/launcher=", "trial.target=", "--cfg", "-c", "--info", "--help", "-h")


def train_once(cfg: "DictConfig") -> float:
    """Train and record a single run; returns its first objective's value."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    from kerasweep.commands.single import run_single

    hydra_cfg = cast("DictConfig", HydraConfig.get())
    # A sweep of Hydra's own may train in threads, or in processes that others decide on.
    is_alone = hydra_cfg.mode is RunMode.RUN
    with interrupted_by_sigterm() if is_alone else nullcontext():
        return run_single(cfg, hydra_cfg)


def _train(cfg: "DictConfig") -> float:
    from kerasweep.commands.command_line import run_command

    release_interrupts()
    return run_command(lambda: train_once(cfg))


def main() -> None:
    """Run the command; Ctrl-C ends it alike before Hydra has begun its task."""
    try:
        if not any(argument.startswith("hydra/sweeper=") for argument in sys.argv[1:]):
            hold_interrupts()  # another sweeper would not release them
        try:
            _run()
        finally:
            release_interrupts()
    except KeyboardInterrupt as interrupt:
        from kerasweep.commands.command_line import stop

        stop(interrupt)


def _run() -> None:
    """What other processes import begins first: Hydra alone takes a quarter of a second."""
    preload = needed_preload(sys.argv[1:])
    if preload:
        start_template(preload)
    import hydra

    from kerasweep.commands.command_line import check_overrides
    from kerasweep.config import register
    from kerasweep.config.folders import config_folder
    from kerasweep.config.older_sweeper import answer_for_optuna_sweeper
    from kerasweep.config.studies import add_studies

    collect_rarely()
    atexit.register(skip_last_collection)
    register()
    add_studies()
    check_overrides(sys.argv[1:], "train")
    answer_for_optuna_sweeper()
    hydra.main(config_path=config_folder("conf"), config_name="train", version_base="1.3")(_train)()


def needed_preload(arguments: Sequence[str]) -> str | None:
    """What the processes import that a command is likely to start. Only its speed depends on it.

    A sweep has workers that train; a single run a process that records, where there is a core for it.
    """
    if any(argument.startswith(ALONE) for argument in arguments):
        return None
    if any(argument in ("-m", "--multirun") or argument.startswith("study=") for argument in arguments):
        return "kerasweep.multirun.preload"
    return "kerasweep.commands.beside_preload" if usable_cores() > 1 else None


if __name__ == "__main__":
    main()
