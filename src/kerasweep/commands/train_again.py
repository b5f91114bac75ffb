"""Trains a recorded configuration again, in a run of its own, and compares the two."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from kerasweep.commands.recorded_config import OBJECTIVE, Again
from kerasweep.commands.single import print_epoch, train_in_run
from kerasweep.config.backbones import hub_packages
from kerasweep.config.unread_keys import check_command
from kerasweep.errors import DivergedError
from kerasweep.handover.recorded_data import check_recorded_digest
from kerasweep.results import Outcome, ReportEpoch, TrialRef
from kerasweep.terminal import say
from kerasweep.tracking.reader import get_run
from kerasweep.tracking.recorded_run import RecordedRun, read_history
from kerasweep.tracking.source import KERASWEEP
from kerasweep.tracking.tags import CROSS_FITTED, RERUN_OF, RERUN_VERDICT, SCORE, check_user_tags
from kerasweep.tracking.writer import open_tracker
from kerasweep.training.numerics import read_packages, restore_environment
from kerasweep.trial.digest import note_code
from kerasweep.trial.rerun_verdict import (
    Training,
    Verdict,
    compare_trainings,
    different_packages,
    find_changes,
)
from kerasweep.trial.run import read_data


@dataclass(frozen=True)
class Rerun:
    """A recorded run that was trained again."""

    run_id: str  # MLflow's, of the new run
    rerun_of: str  # the recorded run
    is_equal: bool | None  # to the last bit; None for a variation, which is not compared
    verdict: str  # a sentence without its full stop


def train_again(again: Again, recorded: RecordedRun, changes: Sequence[str], folder: Path) -> Rerun:
    """Trains a configuration as a run was trained, and compares the two unless it is a variation.

    Call it before TensorFlow is imported, which reads the environment that the run had.

    Args:
        again: The configuration; its `tracking` says where the new run is recorded.
        recorded: The run.
        changes: The overrides that make the difference between the two.
        folder: For checkpoints.

    Raises:
        DataError: The images are gone, or changed.
        ConfigError: The configuration cannot be trained.
    """
    cfg, run_id = again.cfg, recorded.run.run_id
    restore_environment(recorded.tags)
    check_command(cfg, OmegaConf.create({}))
    check_user_tags(cfg.tracking.tags)
    note_code(cfg)
    prepared = read_data(cfg)
    if again.reads_same_source:
        check_recorded_digest(recorded.data_digest, prepared, run_id, cfg.data)
    say(f"data: {cfg.data.source}, {prepared.describe()}")
    for note in prepared.notes:
        say(f"note: {note}")
    _say_versions(recorded.tags, read_packages(hub_packages(cfg.model)))
    tracker = open_tracker(cfg.tracking)
    last_epoch = len(recorded.history["loss"]) if recorded.was_pruned and not again.variation else None
    report = _ending_after(print_epoch(cfg), last_epoch)
    name, tags = " ".join(["again", run_id[:8], *changes]), {**again.tags, RERUN_OF: run_id}
    ref, opened, error = _ref(recorded, changes), list[str](), None
    try:
        outcome = train_in_run(cfg, prepared, tracker, name, tags, ref, report, folder, opened.append)
    except DivergedError as diverged:
        if again.variation:
            raise
        error = str(diverged).partition(". ")[0]
    (new_id,) = opened
    second = Training(read_history(cfg.tracking, new_id), get_run(cfg.tracking, new_id).tags)
    if again.variation:
        text = _describe_variation(cfg, recorded, outcome, again.variation)
        verdict = Verdict(True, "; ".join([text, *find_changes(recorded.tags, second.tags)]))
    else:
        first = Training(recorded.history, recorded.tags, recorded.data_digest)
        verdict = compare_trainings(first, second, cfg.training.deterministic, error)
    tracker.set_tags(new_id, {RERUN_VERDICT: verdict.text})
    say(f"run {new_id} {'varies' if again.variation else 'repeats'} {run_id}")
    return Rerun(new_id, run_id, None if again.variation else verdict.is_equal, verdict.text)


def _say_versions(tags: Mapping[str, str], installed: str) -> None:
    """Names the command that installs the recorded packages, if others are installed."""
    pins = different_packages(tags, {"packages": installed})
    if pins:
        release = tags.get(KERASWEEP, "+")
        named = pins if "+" in release else [*pins, f"kerasweep=={release}"]
        say(f"note: the run had other versions; this installs them: pip install {' '.join(named)}")


def _ref(recorded: RecordedRun, changes: Sequence[str]) -> TrialRef:
    return TrialRef(
        "",
        number=None if recorded.was_tested else int(recorded.tags.get("trial", 0)),
        overrides=tuple(changes),
        is_cross_fitted=recorded.tags.get(SCORE, CROSS_FITTED) == CROSS_FITTED,
    )


def _ending_after(report: ReportEpoch, last_epoch: int | None) -> ReportEpoch:
    """Returns a report that also ends the training after an epoch, as a pruner ended the recorded one."""

    def reported(epoch: int, value: float | None) -> bool:
        return report(epoch, value) or epoch == last_epoch

    return reported


def _describe_variation(
    cfg: DictConfig, recorded: RecordedRun, outcome: Outcome, variation: Mapping[str, str]
) -> str:
    keys = " ".join(f"{key}={value}" for key, value in variation.items())
    objective = None if OBJECTIVE in variation else recorded.run.metrics.get("objective")
    when = f", pruned after {len(recorded.history['loss'])} epochs" if recorded.was_pruned else ""
    compared = "" if objective is None else f", {objective:.4g} in the recorded run{when}"
    return f"a variation ({keys}): {cfg.objective[0].metric} {outcome.values[0]:.4g}{compared}"
