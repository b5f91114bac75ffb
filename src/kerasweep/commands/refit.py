"""Trains the winner of a sweep on training and validation images together: python -m src.refit sweep=NAME"""

import atexit
import re
from collections.abc import Sequence

import hydra
from omegaconf import DictConfig

from kerasweep.commands.answer import give
from kerasweep.commands.changes import split_arguments
from kerasweep.commands.command_line import run_command
from kerasweep.config import register
from kerasweep.config.composition import compose_once
from kerasweep.config.folders import config_folder
from kerasweep.config.hydra_setup import add_studies
from kerasweep.errors import ConfigError
from kerasweep.fast_start import collect_rarely, skip_last_collection
from kerasweep.handover.refit_epochs import fixes_epochs
from kerasweep.terminal import as_started
from kerasweep.tracking.source import command_text
from kerasweep.workers.signals import interrupted_by_signals, release_interrupts

# The keys of this command; other keys change the training.
KEYS = ("sweep", "run_id", "seeds", "ensemble", "scale_epochs", "tracking", "hydra")
# Keys of the training that may be changed: a winner with another network or rate would not be the winner.
CHANGEABLE = ("data.path", "training.epochs", "training.seed", "training.checkpoint")
register()


def refit(cfg: DictConfig, changes: Sequence[str], command: str) -> None:
    """Trains a winner's configuration on training and validation images together, and tests the result.

    Args:
        cfg: The command's configuration.
        changes: Overrides of the training.
        command: The command as it was typed.

    Raises:
        ConfigError: A key has a wrong value, or the recorded configuration does not fit this version.
        TrackingError: There is no such winner, or it cannot be trained again.
        DataError: The images are gone, or changed.
    """
    from kerasweep.commands.refit_seeds import refit_seeds  # imports Optuna and MLflow

    _check(cfg, changes)
    give(refit_seeds(cfg, changes, command))


def _check(cfg: DictConfig, changes: Sequence[str]) -> None:
    if (cfg.sweep is None) == (cfg.run_id is None):
        raise ConfigError(
            "src.refit needs the winner of a sweep or a run: sweep=NAME or run_id=ID, one of the two."
        )
    if cfg.seeds < 1:
        raise ConfigError(
            f"seeds must be at least 1, but got {cfg.seeds}. It is how many networks are trained."
        )
    if cfg.ensemble and cfg.seeds < 2:
        raise ConfigError("ensemble=true averages several networks. Add seeds=2 or more.")
    if cfg.scale_epochs and fixes_epochs(changes):
        raise ConfigError(
            "scale_epochs=true scales the epochs that the seeds found best, but training.epochs sets another "
            "number. Leave one of them out."
        )
    for change in changes:
        key = re.split(r"[=@]", change.lstrip("+~"))[0]
        if not any(key == known or key.startswith(f"{known}.") for known in CHANGEABLE):
            raise ConfigError(
                f"src.refit trains the winner's configuration, of which {', '.join(CHANGEABLE)} can be "
                f"changed, but got {change}. src.rerun trains variations of a run."
            )


def run() -> None:
    """Runs the command."""
    collect_rarely()
    atexit.register(skip_last_collection)
    command = command_text("src.refit")  # before arguments are quoted for Hydra
    _, changes = split_arguments("refit", KEYS)
    compose_once(as_started)
    add_studies()

    def task(cfg: DictConfig) -> None:
        release_interrupts()
        with interrupted_by_signals():
            run_command(lambda: refit(cfg, changes, command))

    hydra.main(config_path=config_folder("conf"), config_name="refit", version_base="1.3")(task)()
