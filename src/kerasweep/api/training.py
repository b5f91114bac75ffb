"""Trains one network from Python."""

from collections.abc import Sequence
from pathlib import Path

from kerasweep.api.embedded import checked, folder_flags, run_embedded
from kerasweep.commands import train as command
from kerasweep.commands.single import TrainedRun
from kerasweep.errors import ConfigError

MULTIRUN = ("study", "hydra.mode")  # keys that make a command a sweep


def train(overrides: Sequence[str] = (), config_dir: str | Path | None = None) -> TrainedRun:
    """Trains one network in this process, and records it in MLflow.

    Args:
        overrides: As on the command line of `python -m src.train`.
        config_dir: A folder of your own groups and studies, as with `--config-dir`.

    Returns:
        The run, with its objective and its test accuracy. `kerasweep.load(run.run_id)` loads its model.

    Raises:
        ConfigError: The configuration cannot be trained.
        DataError: The images are missing or damaged.
        TrainingError: A loss is not finite.
        TrackingError: MLflow cannot be used.
        KeyboardInterrupt: Ctrl-C, or the interrupt of a notebook, stopped the training. Its run is closed.

    Example:
        >>> import kerasweep
        >>> run = kerasweep.train(["model.kernel_size=5", "optimizer=sgd"])  # doctest: +SKIP
        >>> run.test_accuracy  # doctest: +SKIP
        0.9749
    """
    given = checked(overrides)
    for override in given:
        if override.partition("=")[0].lstrip("+") in MULTIRUN:
            raise ConfigError(
                f"kerasweep.train trains one network, but got {override}. kerasweep.sweep takes it."
            )
    run = run_embedded("train", command.run, [*folder_flags(config_dir), *given])
    if not isinstance(run, TrainedRun):  # a config file of the user sets hydra.mode
        raise ConfigError(
            "kerasweep.train trains one network, but this was a sweep. kerasweep.sweep returns it."
        )
    return run
