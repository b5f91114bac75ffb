"""Trains a recorded run again and compares the two to the last bit: python -m src.rerun run_id=ID"""

import atexit
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import hydra
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from kerasweep.commands.command_line import check_overrides, run_command
from kerasweep.config import register
from kerasweep.config.bounds import one_of
from kerasweep.config.composition import compose_once
from kerasweep.config.folders import config_folder
from kerasweep.config.hydra_setup import add_studies
from kerasweep.config.recorded import read_recorded
from kerasweep.config.schemas import CODES, RUN_GROUPS
from kerasweep.errors import ConfigError, DataError
from kerasweep.fast_start import collect_rarely, skip_last_collection
from kerasweep.terminal import say
from kerasweep.tracking.tags import CROSS_FITTED, RERUN_OF, RERUN_VERDICT, SCORE, RunKind, run_tags
from kerasweep.training.onednn import VARIABLE
from kerasweep.workers.machine import THREAD_VARIABLES
from kerasweep.workers.signals import interrupted_by_signals, release_interrupts

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

    from kerasweep.results import Outcome, ReportEpoch
    from kerasweep.tracking.recorded_run import RecordedRun

# The arguments that are not of the training.
OWN = ("run_id", "code", "tracking", "hydra")
# Keys that change neither the images nor the training.
PLACES = ("data.path", "data.cache_dir")
DIFFERS = 1
register()


def rerun(cfg: DictConfig, folder: Path, changes: Sequence[str]) -> bool:
    """Trains a recorded run again in a run of its own, and says whether the bits are equal.

    Args:
        cfg: The command's configuration.
        folder: For checkpoints.
        changes: Overrides of the training; other than PLACES they make it a variation.

    Returns:
        Whether all bits are equal; True for a variation.

    Raises:
        TrackingError: There is no such run, or it cannot be trained again.
        ConfigError: The configuration does not fit this version, or an override does not fit it.
        DataError: The data are gone, or changed.
    """
    from kerasweep.tracking.recorded_run import read_recorded_run

    if OmegaConf.is_missing(cfg, "run_id"):
        raise ConfigError("run_id needs the id of a recorded run: python -m src.compare shows them.")
    one_of("code", cfg.code, CODES)
    recorded = read_recorded_run(cfg.tracking, cfg.run_id)
    if cfg.code == "recorded":
        return _train_with_recorded_code(cfg, recorded, changes)
    training_cfg, variation = compose_again(recorded.config, changes)
    training_cfg.tracking = cfg.tracking
    return _train_again(training_cfg, recorded, folder, changes, variation)


def _train_with_recorded_code(cfg: DictConfig, recorded: "RecordedRun", changes: Sequence[str]) -> bool:
    from kerasweep.commands.recorded_code import run_recorded_code
    from kerasweep.tracking.location import resolve_uri
    from kerasweep.tracking.recorded_run import read_diff

    diff = read_diff(cfg.tracking, recorded.run)
    uri = resolve_uri(cfg.tracking.uri)
    own = [f"run_id='{recorded.run.run_id}'", f"tracking.experiment={cfg.tracking.experiment!r}"]
    # A variable, since other users see the arguments of a process, and a URI may have a password.
    code = run_recorded_code(recorded.run, diff, [*own, *changes], {"MLFLOW_TRACKING_URI": uri})
    if code not in (0, DIFFERS):
        raise SystemExit(code)
    return code == 0


def compose_again(config: str, changes: Sequence[str]) -> tuple[DictConfig, list[str]]:
    """Returns the configuration of a recorded training with overrides, and those that make a variation.

    Args:
        config: The recorded configuration, YAML.
        changes: Overrides, as on the command line of src.train.

    Raises:
        ConfigError: They do not fit.
    """
    from hydra._internal.config_loader_impl import ConfigLoaderImpl
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    from kerasweep.commands.single import check_are_of_run

    check_are_of_run(changes)
    groups = read_recorded(config)
    overrides = OverridesParser.create().parse_overrides(list(changes))
    for override in overrides:
        if override.is_sweep_override():
            raise ConfigError(f"{override.input_line}: src.rerun trains one network. Give one value.")
    try:
        cfg = hydra.compose("train", list(changes))
        chosen = {override.key_or_group for override in overrides if _chooses_group(override)}
        with open_dict(cfg):
            for group in (*RUN_GROUPS, "objective"):
                if group not in chosen:
                    cfg[group] = groups[group]
        cfg.data.cache_dir, cfg.data.ship = None, False
        within = [override for override in overrides if _root(override) not in chosen]
        ConfigLoaderImpl._apply_overrides_to_config(within, cfg)
    except (HydraException, OmegaConfBaseException) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ConfigError(f"{' '.join(changes)} does not fit the recorded run: {lines[0]}") from error
    varied = [str(change.input_line) for change in overrides if change.key_or_group not in PLACES]
    return cfg, varied


def _chooses_group(override: "Override") -> bool:
    return override.key_or_group in RUN_GROUPS and isinstance(override.value(), str)


def _root(override: "Override") -> str:
    return str(override.key_or_group).partition(".")[0]


def _train_again(
    cfg: DictConfig, recorded: "RecordedRun", folder: Path, changes: Sequence[str], variation: Sequence[str]
) -> bool:
    from kerasweep.commands.single import print_epoch, train_in_run
    from kerasweep.config.unread_keys import check_command
    from kerasweep.results import TrialRef
    from kerasweep.tracking.reader import get_run
    from kerasweep.tracking.recorded_run import history_of
    from kerasweep.tracking.writer import open_tracker
    from kerasweep.training.numerics import packages
    from kerasweep.trial.rerun_verdict import Training, different_packages, verdict
    from kerasweep.trial.run import read_data

    tags = recorded.run.tags
    _set_environment(tags)
    check_command(cfg, OmegaConf.create({}))
    prepared = read_data(cfg)
    is_same_data = recorded.data_digest in (None, prepared.digest)
    if not is_same_data and not any(change.lstrip("+").startswith("data") for change in variation):
        raise DataError(
            f"The data of the run {recorded.run.run_id} had the digest {recorded.data_digest}, and what is "
            f"there now has {prepared.digest}: the images changed. Restore them, or name an unchanged copy "
            "with data.path."
        )
    say(f"data: {cfg.data.source}, {prepared.describe()}")
    others = different_packages(tags, {"packages": packages()})
    if others:
        say(f"note: the run had other versions; this installs them: pip install {' '.join(others)}")
    tracker = open_tracker(cfg.tracking)
    # Trials are not tested, and a run that repeated one neither.
    is_tested = tags.get("kind") == RunKind.RUN and "test_accuracy" in recorded.run.metrics
    number = None if is_tested else int(tags.get("trial", 0))
    ref = TrialRef(
        "", number, overrides=tuple(changes), is_cross_fitted=tags.get(SCORE, CROSS_FITTED) == CROSS_FITTED
    )
    last = recorded.epochs if recorded.was_pruned and not variation else None
    report = _ending_after(print_epoch(cfg), last)
    own = {**_tags_of_choices(cfg, tags, variation), RERUN_OF: recorded.run.run_id}
    outcome = train_in_run(cfg, prepared, tracker, own, ref, report, folder)
    if variation:
        text = _variation(cfg, recorded, outcome, variation)
    else:
        again = get_run(cfg.tracking, outcome.run_id)
        text = verdict(
            Training(recorded.history, tags),
            Training(history_of(cfg.tracking, outcome.run_id), again.tags),
            cfg.training.deterministic,
        )
    tracker.set_tags(outcome.run_id, {RERUN_VERDICT: text})
    say(f"run {outcome.run_id} repeats {recorded.run.run_id}")
    say(text)
    return bool(variation) or text.startswith("equal")


def _set_environment(tags: Any) -> None:
    """Sets the variables that TensorFlow reads when it is imported, as they were in the recorded run."""
    threads, onednn = tags.get("threads"), tags.get("onednn")
    for name in THREAD_VARIABLES:
        if threads == "all":
            os.environ.pop(name, None)
        elif threads is not None:
            os.environ[name] = threads
    if onednn not in (None, "default"):
        os.environ[VARIABLE] = onednn


def _tags_of_choices(cfg: DictConfig, tags: Any, variation: Sequence[str]) -> dict[str, str]:
    """Returns the tags of every run, with the names of the recorded options where they did not change."""
    changed = {change.lstrip("+").partition("=")[0].partition(".")[0] for change in variation}
    ours = run_tags(cfg, {})
    return {
        name: value if {"dataset": "data"}.get(name, name) in changed else tags.get(name, value)
        for name, value in ours.items()
    }


def _ending_after(report: "ReportEpoch", last: int | None) -> "ReportEpoch":
    """Returns a report that also ends the training after an epoch, as a pruner ended the recorded one."""

    def reported(epoch: int, value: float | None) -> bool:
        return report(epoch, value) or epoch == last

    return reported


def _variation(cfg: DictConfig, recorded: "RecordedRun", outcome: "Outcome", variation: Sequence[str]) -> str:
    metric = cfg.objective[0].metric
    before = recorded.run.metrics.get("objective")
    compared = "" if before is None else f", {before:.4g} in the recorded run"
    return f"a variation ({' '.join(variation)}): {metric} {outcome.values[0]:.4g}{compared}"


def run() -> None:
    """Runs the command."""
    collect_rarely()
    atexit.register(skip_last_collection)
    # Quotes keep Hydra from reading an id such as 12e456 as infinity.
    arguments = [re.sub(r"^run_id=(\w+)$", r"run_id='\1'", argument) for argument in sys.argv[1:]]
    changes = [argument for argument in arguments if _is_of_training(argument)]
    sys.argv[1:] = [argument for argument in arguments if argument not in changes]
    check_overrides(sys.argv[1:], "rerun")
    check_overrides(changes, "train")
    compose_once()
    add_studies()

    def task(cfg: DictConfig) -> None:
        from hydra.core.hydra_config import HydraConfig

        release_interrupts()
        folder = Path(cast(DictConfig, HydraConfig.get()).runtime.output_dir)
        with interrupted_by_signals():
            is_equal = run_command(lambda: rerun(cfg, folder, changes))
        if not is_equal:
            raise SystemExit(DIFFERS)

    hydra.main(config_path=config_folder("conf"), config_name="rerun", version_base="1.3")(task)()


def _is_of_training(argument: str) -> bool:
    key = argument.lstrip("+~").partition("=")[0]
    return "=" in argument and not argument.startswith("-") and re.split(r"[./@]", key)[0] not in OWN
