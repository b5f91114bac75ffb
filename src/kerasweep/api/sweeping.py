"""Runs a sweep from Python."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

from kerasweep.api.embedded import checked, folder_flags, run_embedded
from kerasweep.commands import train as command
from kerasweep.errors import ConfigError
from kerasweep.multirun.dry_run import DryRun
from kerasweep.multirun.result import BestTrial, SweepEnd, SweepResult

if TYPE_CHECKING:
    import optuna
    import pandas


@dataclass(frozen=True)
class Sweep:
    """A sweep at the end of its command."""

    result: SweepResult  # all of it as plain data
    study: "optuna.Study" = field(repr=False)  # to read; only a command adds trials
    overrides: tuple[str, ...] = ()  # of the command
    config_dir: str | None = None

    @property
    def name(self) -> str:
        """The sweep's name, which `kerasweep.compare` takes."""
        return self.result.sweep

    @property
    def best(self) -> BestTrial | None:
        """The best trial; None if no trial is complete."""
        return self.result.best

    @property
    def trials(self) -> "pandas.DataFrame":
        """A row for each trial, with columns named as in Optuna's `trials_dataframe`.

        number, state, `value` or with several objectives `values_METRIC`, `params_NAME` of each axis, seconds
        of training, and run_id, MLflow's.
        """
        import pandas

        metrics = [f"values_{objective.partition(' ')[0]}" for objective in self.result.objectives]
        metrics = metrics if len(metrics) > 1 else ["value"]
        axes = list(dict.fromkeys(name for trial in self.result.trials for name in trial.params))
        rows = [
            {
                "number": trial.number,
                "state": trial.state,
                **dict(zip(metrics, trial.values, strict=False)),
                **{f"params_{name}": value for name, value in trial.params.items()},
                "seconds": trial.seconds,
                "run_id": trial.run_id,
            }
            for trial in self.result.trials
        ]
        columns = ["number", "state", *metrics, *(f"params_{name}" for name in axes), "seconds", "run_id"]
        return pandas.DataFrame(rows, columns=columns)

    def resume(self, **changes: object) -> "Sweep":
        """Runs the same command again, which continues the sweep.

        Args:
            changes: Keys whose values change, with `__` for a dot: `study__trials=40`, `budget__hours=1`.

        Example:
            >>> import kerasweep
            >>> sweep = kerasweep.sweep(study="filter_size")  # doctest: +SKIP
            >>> sweep = sweep.resume(study__trials=20)  # doctest: +SKIP
        """
        changed = {key.replace("__", "."): value for key, value in changes.items()}
        kept = [text for text in self.overrides if text.partition("=")[0].lstrip("+") not in changed]
        # A new generation began with the first command; the same command would begin another.
        kept = [text for text in kept if text.partition("=")[0] != "study.fresh" or "study.fresh" in changed]
        return sweep(None, [*kept, *_overrides(changed)], self.config_dir)


def sweep(
    study: str | None = None, overrides: Sequence[str] = (), config_dir: str | Path | None = None
) -> Sweep:
    """Runs a sweep to its end: its trials train in worker processes, which end with it.

    Args:
        study: The name of a study; None with axes among the overrides for a grid, and without axes for the
            study `quickstart`.
        overrides: As on the command line of `python -m src.train -m`.
        config_dir: A folder of your own groups and studies, as with `--config-dir`.

    Raises:
        ConfigError: The sweep cannot be run as written.
        DataError: The images are missing or damaged, or not those that the sweep began with.
        TrackingError: MLflow cannot be used.
        StorageError: The disk is full, or the storage of the sweep does not answer.
        KeyboardInterrupt: Ctrl-C, or the interrupt of a notebook: trials under way end, and the sweep is
            closed. The same call continues it.

    Example:
        >>> import kerasweep
        >>> sweep = kerasweep.sweep(study="filter_size")  # doctest: +SKIP
        >>> model = kerasweep.load(sweep.best.run_id)  # doctest: +SKIP
    """
    given = [*([] if study is None else [f"study={study}"]), *checked(overrides)]
    end = run_embedded("train", command.run, [*folder_flags(config_dir), "-m", *given])
    if isinstance(end, DryRun):
        raise ConfigError("study.dry_run=true trains nothing. kerasweep.dry_run returns what it shows.")
    end = cast(SweepEnd, end)
    return Sweep(end.result, end.study, tuple(given), None if config_dir is None else str(config_dir))


def dry_run(
    study: str | None = None, overrides: Sequence[str] = (), config_dir: str | Path | None = None
) -> DryRun:
    """Returns the trials that a sweep would train and their cost; trains and records nothing.

    Args:
        study: See `sweep`.
        overrides: See `sweep`.
        config_dir: See `sweep`.

    Raises:
        ConfigError: The sweep cannot be run as written.

    Example:
        >>> import kerasweep
        >>> kerasweep.dry_run(study="filter_size").seconds  # doctest: +SKIP
        41.7
    """
    given = [*([] if study is None else [f"study={study}"]), *checked(overrides), "study.dry_run=true"]
    return cast(DryRun, run_embedded("train", command.run, [*folder_flags(config_dir), "-m", *given]))


def _overrides(changes: dict[str, object]) -> list[str]:
    """Writes values as on the command line: null for None, true for True, texts in quotes where needed."""
    from kerasweep.space.parse import value_text

    return [f"{key}={value_text(value)}" for key, value in changes.items()]
