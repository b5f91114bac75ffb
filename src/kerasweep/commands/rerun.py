"""Trains a recorded run again and compares the two to the last bit: python -m src.rerun run_id=ID"""

import atexit
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import hydra
from omegaconf import DictConfig

from kerasweep.commands.answer import give
from kerasweep.commands.changes import split_arguments
from kerasweep.commands.command_line import read_run_id, run_command
from kerasweep.config import register
from kerasweep.config.bounds import one_of
from kerasweep.config.composition import compose_once
from kerasweep.config.folders import config_folder
from kerasweep.config.hydra_setup import add_studies
from kerasweep.config.schemas import CODES
from kerasweep.fast_start import collect_rarely, skip_last_collection
from kerasweep.terminal import as_started, say
from kerasweep.workers.signals import interrupted_by_signals, release_interrupts

# The keys of this command; other keys change the training.
KEYS = ("run_id", "code", "tracking", "hydra")
DIFFERS = 3  # the exit code if some bits differ
register()


def rerun(cfg: DictConfig, folder: Path, changes: Sequence[str], arguments: Sequence[str]) -> int:
    """Trains a recorded run again in a run of its own, and says whether the bits are equal.

    Args:
        cfg: The command's configuration.
        folder: For checkpoints.
        changes: Overrides of the training. Where they change it, there is nothing to compare.
        arguments: All arguments of the command.

    Returns:
        The exit code: DIFFERS if some bits differ.

    Raises:
        TrackingError: There is no such run, or it cannot be trained again.
        ConfigError: The configuration does not fit this version, or an override does not fit it.
        DataError: The images are gone, or changed.
    """
    from kerasweep.commands.recorded_code import run_recorded_code
    from kerasweep.commands.recorded_config import compose_again
    from kerasweep.commands.train_again import train_again
    from kerasweep.tracking.recorded_run import read_diff, read_recorded_run

    run_id = read_run_id(cfg)
    one_of("code", cfg.code, CODES)
    recorded = read_recorded_run(cfg.tracking, run_id)
    if cfg.code == "recorded":
        return run_recorded_code(recorded, read_diff(recorded), arguments, cfg.tracking.uri)
    again = compose_again(recorded.config, changes, recorded.tags)
    again.cfg.tracking = cfg.tracking
    result = train_again(again, recorded, changes, folder)
    say(result.verdict)
    give(result)
    return DIFFERS if result.is_equal is False else 0


def run() -> None:
    """Runs the command."""
    collect_rarely()
    atexit.register(skip_last_collection)
    arguments, changes = split_arguments("rerun", KEYS)
    compose_once(as_started)
    add_studies()

    def task(cfg: DictConfig) -> None:
        from hydra.core.hydra_config import HydraConfig

        release_interrupts()
        folder = Path(cast(DictConfig, HydraConfig.get()).runtime.output_dir)
        with interrupted_by_signals():
            code = run_command(lambda: rerun(cfg, folder, changes, arguments))
        if code:
            raise SystemExit(code)

    hydra.main(config_path=config_folder("conf"), config_name="rerun", version_base="1.3")(task)()
