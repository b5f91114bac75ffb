"""Trains one network, or with `--multirun` sweeps over many.

python -m src.train                                          one network on digits
python -m src.train -m                                       the study `quickstart`
python -m src.train -m study=filter_size                     another question
python -m src.train -m model.kernel_size=3,5 training.batch_size=32,64
"""

import atexit
import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, cast

from kerasweep.commands import start

if TYPE_CHECKING:
    from omegaconf import DictConfig

main = start.train  # for a user's program that contains the training function

WITHOUT_WORKERS = (
    "study.dry_run=",
    "hydra/launcher=",
    "trial.target=",
    "--cfg",
    "-c",
    "--info",
    "--help",
    "-h",
)
# With these there is no single run, or its folder is another one.
WITHOUT_SINGLE_RUN = ("-", "study=", "hydra.run.dir=")


def train_once(cfg: "DictConfig") -> float:
    """Trains and records a single run; returns its first objective's value."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    from kerasweep.commands.single import run_single
    from kerasweep.workers.signals import interrupted_by_signals

    hydra_cfg = cast("DictConfig", HydraConfig.get())
    # Hydra's other launchers may train in threads, or in processes that handle SIGTERM themselves.
    is_alone = hydra_cfg.mode is RunMode.RUN
    with interrupted_by_signals() if is_alone else nullcontext():
        return run_single(cfg, hydra_cfg)


def _train(cfg: "DictConfig") -> float:
    from kerasweep.commands.command_line import run_command
    from kerasweep.workers.signals import release_interrupts

    release_interrupts()
    return run_command(lambda: train_once(cfg))


def run() -> None:
    """Runs the command. Starts the template first: Hydra alone takes a quarter of a second to import."""
    from kerasweep.workers.template import start_template

    module = template_module(sys.argv[1:])
    if module:
        start_template(module)
    import hydra

    from kerasweep.commands.command_line import check_overrides
    from kerasweep.config import register
    from kerasweep.config.composition import compose_once
    from kerasweep.config.folders import config_folder
    from kerasweep.config.hydra_setup import add_studies, answer_for_optuna_sweeper
    from kerasweep.config.passwords import hide_passwords
    from kerasweep.fast_start import collect_rarely, skip_last_collection
    from kerasweep.terminal import as_started

    collect_rarely()
    atexit.register(skip_last_collection)
    register()
    compose_once(as_started)
    add_studies()
    check_overrides(sys.argv[1:], "train")
    check_writable(sys.argv[1:])
    sys.argv[1:] = hide_passwords(sys.argv[1:])
    answer_for_optuna_sweeper()
    hydra.main(config_path=config_folder("conf"), config_name="train", version_base="1.3")(_train)()


def check_writable(arguments: Sequence[str]) -> None:
    """Ends the command if Hydra cannot make the folder of a single run: its own error is a traceback."""
    from kerasweep.commands.command_line import refuse

    if any(argument.startswith(WITHOUT_SINGLE_RUN) for argument in arguments):
        return
    folder = next(path for path in (Path("mlruns", "jobs"), Path("mlruns"), Path()) if path.exists())
    if not os.access(folder, os.W_OK):
        refuse(
            f"{folder.absolute()} cannot be written, but a run saves its files there. "
            "Make it writable, or start the command in another folder."
        )


def template_module(arguments: Sequence[str]) -> str | None:
    """Returns the module that the template, from which workers are forked, imports; None without workers.

    A sweep usually starts workers, a single run does not. A wrong guess costs time, nothing else.
    """
    if any(argument.startswith(WITHOUT_WORKERS) for argument in arguments):
        return None
    if any(argument in ("-m", "--multirun") or argument.startswith("study=") for argument in arguments):
        return "kerasweep.multirun.worker_imports"
    return None
