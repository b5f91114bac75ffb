"""Reads from MLflow what a run needs to be trained again."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kerasweep.config.metrics import EPOCH_METRICS
from kerasweep.config.search import TrackingConf
from kerasweep.errors import TrackingError
from kerasweep.results import State
from kerasweep.tracking.client import open_client
from kerasweep.tracking.location import resolve_uri
from kerasweep.tracking.reader import CONFIG, download, find_runs, get_run, histories, list_artifacts
from kerasweep.tracking.retry import with_retries
from kerasweep.tracking.run_record import RunRecord
from kerasweep.tracking.source import (
    COMMIT,
    COMMIT_DIGITS,
    DIFF,
    DIRTY,
    FIRST_DIFF,
    KERASWEEP,
    NO_DIFF,
    diff_artifact,
    diff_digest,
)
from kerasweep.tracking.tags import REFIT_OF, RunKind

# The metrics of each epoch that equal trainings have in common.
COMPARED = (*EPOCH_METRICS, "learning_rate")
MAX_NAMED = 5


@dataclass(frozen=True)
class RecordedRun:
    """A run that has trained one network."""

    tracking: TrackingConf  # where it is recorded
    run: RunRecord
    tags: Mapping[str, str]  # the run's, and those of the code that only its sweep has
    config: str  # the YAML of its configuration
    data_digest: str | None  # of its whole data set, None if it recorded none
    history: Mapping[str, Sequence[float]]  # the values of each metric of COMPARED, by epoch

    @property
    def was_pruned(self) -> bool:
        return self.tags.get("state") == State.PRUNED

    @property
    def was_tested(self) -> bool:
        """Whether the training ended with a test; that of a trial does not."""
        return self.tags.get("kind") == RunKind.RUN and "test_accuracy" in self.run.metrics


def read_recorded_run(cfg: TrackingConf, run_id: str) -> RecordedRun:
    """Reads a run that can be trained again.

    Args:
        cfg: Names the server or database, and the experiment.
        run_id: A whole id, or at least six of its first digits.

    Raises:
        TrackingError: There is no such run, or it is not the finished training of one network.
    """
    run = get_run(cfg, run_id)
    cfg = experiment_of(cfg, run.run_id)
    _check_kind(cfg, run)
    _check_state(run)
    if CONFIG not in list_artifacts(cfg, run.run_id, ""):
        raise TrackingError(
            f"The run {run.run_id} has no artifact {CONFIG}, without which it cannot be trained again: a "
            "trial.target of your own or another program trained it, or MLflow lost it."
        )
    history = read_history(cfg, run.run_id)
    if not all(history.values()):
        raise TrackingError(f"The run {run.run_id} has recorded no epoch, so it cannot be trained again.")
    tags = {**_code_of_sweep(cfg, run), **run.tags}
    config, digest = read_text(cfg, run.run_id, CONFIG), read_data_digest(cfg, run.run_id)
    return RecordedRun(cfg, run, tags, config, digest, history)


def read_history(cfg: TrackingConf, run_id: str) -> dict[str, list[float]]:
    """Returns the values of each metric of COMPARED by epoch."""
    return {metric: histories(cfg, [run_id], metric)[run_id] for metric in COMPARED}


def read_text(cfg: TrackingConf, run_id: str, path: str) -> str:
    """Returns the content of an artifact, with its line ends. Raises TrackingError if the run lacks it."""
    with tempfile.TemporaryDirectory() as folder:
        return download(cfg, run_id, path, Path(folder)).read_bytes().decode(errors="replace")


def read_diff(recorded: RecordedRun) -> str:
    """Returns the diff of the code with which a run was trained; empty if its tree was as committed.

    Raises:
        TrackingError: The run, or the run of its sweep, has lost it, or it was not text in UTF-8.
    """
    cfg, digest, run = recorded.tracking, recorded.tags.get(DIFF), recorded.run
    if digest == NO_DIFF or recorded.tags.get(DIRTY) != "true":
        return ""
    for owner in (run, *_parents_of(cfg, run)):
        there = list_artifacts(cfg, owner.run_id, "")
        for path in (diff_artifact(str(digest)), FIRST_DIFF):
            diff = read_text(cfg, owner.run_id, path) if path in there else None
            if diff is not None and digest in (None, diff_digest(diff)):  # older versions tag no digest
                return diff
    if digest is None:
        return ""
    raise TrackingError(
        f"The diff {digest} of the run {run.run_id} is not among its artifacts, or was too long, or no "
        f"UTF-8: its code differed from the commit {recorded.tags[COMMIT][:COMMIT_DIGITS]}. Leave "
        "code=recorded out."
    )


def _code_of_sweep(cfg: TrackingConf, run: RunRecord) -> dict[str, str]:
    """Returns the tags of the sweep's code for a run of an older version, which has none."""
    parents = [] if COMMIT in run.tags or KERASWEEP in run.tags else _parents_of(cfg, run)
    return {tag: parents[0].tags[tag] for tag in (COMMIT, DIRTY) if parents and tag in parents[0].tags}


def _parents_of(cfg: TrackingConf, run: RunRecord) -> list[RunRecord]:
    sweep = run.tags.get("sweep")
    return find_runs(cfg, {"sweep": sweep, "kind": RunKind.STUDY}) if sweep else []


def _check_kind(cfg: TrackingConf, run: RunRecord) -> None:
    if run.tags.get("kind") == RunKind.REFIT:
        raise TrackingError(
            f"The run {run.run_id} trained the configuration of {run.tags[REFIT_OF]} on training and "
            "validation images together. Name that run."
        )
    if run.tags.get("kind") == RunKind.STUDY:
        raise TrackingError(
            f"The run {run.run_id} is that of the sweep {run.name}, which trains through its trials. "
            f"Name one of these: python -m src.compare study={run.name} shows them."
        )
    repeats = find_runs(cfg, {"mlflow.parentRunId": run.run_id, "kind": RunKind.REPEAT})
    if repeats:
        named = ", ".join(sorted(repeat.run_id[:8] for repeat in repeats)[:MAX_NAMED])
        raise TrackingError(
            f"The run {run.run_id} is a trial of several seeds. Name the run of one seed: {named}."
        )


def _check_state(run: RunRecord) -> None:
    if run.status == State.RUNNING.mlflow:
        raise TrackingError(f"The run {run.run_id} is not finished yet.")
    state = run.tags.get("state")
    if state not in (State.COMPLETE, State.PRUNED):
        reason = run.tags.get("reason", "")
        because = f" ({reason})" if reason else ""
        raise TrackingError(
            f"The run {run.run_id} is {state or run.status.lower()}{because}, so it cannot be "
            "trained again. Name a complete run."
        )


def read_data_digest(cfg: TrackingConf, run_id: str) -> str | None:
    """Returns the digest of the whole data set that a run recorded, None if it recorded none."""
    uri = resolve_uri(cfg.uri)
    run = with_retries(uri, open_client(uri, create=False).get_run, run_id)
    datasets = run.inputs.dataset_inputs if run.inputs else []
    return str(datasets[0].dataset.digest) if datasets else None


def experiment_of(cfg: TrackingConf, run_id: str) -> TrackingConf:
    """Returns where a run is, maybe in another experiment than that of `cfg`."""
    uri = resolve_uri(cfg.uri)
    client = open_client(uri, create=False)
    run = with_retries(uri, client.get_run, run_id)
    experiment = with_retries(uri, client.get_experiment, run.info.experiment_id)
    return TrackingConf(uri=cfg.uri, experiment=experiment.name)
