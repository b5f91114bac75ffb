"""Reads runs back from MLflow: from the tables of its database, or page by page from a server."""

import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from kerasweep.config.passwords import without_password
from kerasweep.config.search import ClaimConf, TrackingConf
from kerasweep.errors import RefusedError, TrackingError
from kerasweep.tracking.client import experiment_id, open_client
from kerasweep.tracking.location import resolve_uri
from kerasweep.tracking.retry import with_retries
from kerasweep.tracking.run_record import RunRecord, seconds_between
from kerasweep.tracking.tables import is_database, read_histories, read_runs
from kerasweep.tracking.tags import RunKind

PAGE = 1000
MIN_DIGITS = 6
WHOLE_ID = 32


def find_runs(
    cfg: TrackingConf,
    tags: Mapping[str, str],
    status: str | None = None,
    max_runs: int | None = None,
    id_prefix: str = "",
    lifecycle: str = "active",
) -> list[RunRecord]:
    """Returns the runs of the experiment that have all of these tags, newest first.

    An experiment that does not exist has no runs.

    Args:
        cfg: Names the server or database, and the experiment.
        tags: Tags that a run must have.
        status: MLflow's status, such as RUNNING, that a run must have; None for any.
        max_runs: The largest number of runs to return; None for all.
        id_prefix: The first digits of their ids.
        lifecycle: MLflow's stage of the runs: active or deleted.

    Raises:
        TrackingError: The server or the database cannot be read.
    """
    uri = resolve_uri(cfg.uri)
    client = open_client(uri, create=False)
    experiment = experiment_id(client, uri, cfg.experiment, create=False)
    if experiment is None:
        return []
    if is_database(uri):
        return with_retries(uri, read_runs, uri, experiment, tags, status, max_runs, id_prefix, lifecycle)
    clauses = [_clause(key, value) for key, value in tags.items() if _can_be_asked(key, value)]
    clauses += [f"attributes.status = '{status}'"] if status is not None else []
    clauses += [f"attributes.run_id LIKE '{id_prefix}%'"] if id_prefix else []
    runs = search_by_client(uri, client, experiment, " and ".join(clauses), max_runs, lifecycle)
    return [run for run in runs if all(run.tags.get(key) == value for key, value in tags.items())]


def search_by_client(
    uri: str,
    client: Any,
    experiment: str,
    condition: str,
    max_runs: int | None = None,
    lifecycle: str = "active",
) -> list[RunRecord]:
    """Returns the runs of an experiment by MLflow's own search, page by page, newest first."""
    from mlflow.entities import ViewType

    stage = ViewType.DELETED_ONLY if lifecycle == "deleted" else ViewType.ACTIVE_ONLY
    runs: list[RunRecord] = []
    token = None
    while True:
        page = with_retries(
            uri,
            client.search_runs,
            [experiment],
            condition,
            stage,
            max_results=min(PAGE, max_runs or PAGE),
            order_by=["attributes.start_time DESC"],
            page_token=token,
        )
        runs += [_record(run) for run in page]
        token = page.token
        if not token or (max_runs is not None and len(runs) >= max_runs):
            return runs


def _can_be_asked(key: str, value: str) -> bool:
    """Whether MLflow's filters can express the tag: they have no escapes."""
    return "`" not in key and not ("'" in value and '"' in value)


def _clause(key: str, value: str) -> str:
    quote = '"' if "'" in value else "'"
    return f"tags.`{key}` = {quote}{value}{quote}"


def get_run(cfg: TrackingConf, run_id: str) -> RunRecord:
    """Returns the run with this id.

    Args:
        cfg: Names the server or database, and the experiment.
        run_id: A whole id, or at least six of its first digits.

    Raises:
        RefusedError: There is no such run, or it was deleted.
        TrackingError: Several ids begin with these digits.
    """
    if not run_id.isalnum():
        raise _no_run(cfg, run_id)
    if len(run_id) >= WHOLE_ID:
        return _whole(cfg, run_id)
    runs = find_runs(cfg, {}, id_prefix=run_id) if len(run_id) >= MIN_DIGITS else []
    if not runs and len(run_id) >= MIN_DIGITS:
        for deleted in find_runs(cfg, {}, id_prefix=run_id, lifecycle="deleted"):
            raise _deleted(cfg, deleted.run_id)
    if not runs:
        raise _no_run(cfg, run_id)
    if len(runs) > 1:
        raise TrackingError(f"{run_id} begins the ids of {len(runs)} runs. Give more digits of the one.")
    return runs[0]


def _whole(cfg: TrackingConf, run_id: str) -> RunRecord:
    uri = resolve_uri(cfg.uri)
    client = open_client(uri, create=False)
    try:
        run = with_retries(uri, client.get_run, run_id)
    except RefusedError as error:
        raise _no_run(cfg, run_id) from error
    if run.info.lifecycle_stage == "deleted":
        raise _deleted(cfg, run_id)
    return _record(run)


def _deleted(cfg: TrackingConf, run_id: str) -> RefusedError:
    uri = without_password(resolve_uri(cfg.uri))
    return RefusedError(
        f"The run {run_id} was deleted. Restore it with: "
        f"MLFLOW_TRACKING_URI='{uri}' mlflow runs restore --run-id {run_id}"
    )


def _no_run(cfg: TrackingConf, run_id: str) -> RefusedError:
    return RefusedError(
        f"No run {run_id} in the experiment {cfg.experiment} of {without_password(resolve_uri(cfg.uri))}. "
        f"Give an id, or at least {MIN_DIGITS} of its first digits: they are in the MLflow UI, "
        "and in the table and CSV of python -m src.compare."
    )


def list_artifacts(cfg: TrackingConf, run_id: str, folder: str) -> list[str]:
    """Returns the paths of the artifacts in a folder of a run; empty if there are none."""
    uri = resolve_uri(cfg.uri)
    client = open_client(uri, create=False)
    return [str(artifact.path) for artifact in with_retries(uri, client.list_artifacts, run_id, folder)]


def download(cfg: TrackingConf, run_id: str, path: str, into: Path) -> Path:
    """Copies an artifact of a run into a local folder and returns its path there.

    Raises:
        TrackingError: The run has no such artifact.
    """
    uri = resolve_uri(cfg.uri)
    client = open_client(uri, create=False)
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    return Path(with_retries(uri, client.download_artifacts, run_id, path, str(into)))


def _record(run: Any) -> RunRecord:
    info = run.info
    return RunRecord(
        run_id=info.run_id,
        name=info.run_name,
        status=info.status,
        tags=dict(run.data.tags),
        params=dict(run.data.params),
        metrics=dict(run.data.metrics),
        start_time=info.start_time / 1000,
        seconds=seconds_between(info.start_time, info.end_time),
    )


def histories(cfg: TrackingConf, run_ids: Sequence[str], metric: str) -> dict[str, list[float]]:
    """Returns the metric's values of each run in the order of its epochs; empty if it has none.

    A run that resumed from a checkpoint has some epochs twice: the later value counts.
    """
    uri = resolve_uri(cfg.uri)
    client = open_client(uri, create=False)
    if is_database(uri):
        logged = with_retries(uri, read_histories, uri, run_ids, metric)
    else:
        logged = {
            run_id: [
                (point.step, point.timestamp, point.value)
                for point in with_retries(uri, client.get_metric_history, run_id, metric)
            ]
            for run_id in run_ids
        }
    return {run_id: _in_order(values) for run_id, values in logged.items()}


def _in_order(logged: Sequence[tuple[int, int, float]]) -> list[float]:
    by_epoch = {step: value for step, _, value in sorted(logged, key=lambda one: one[1])}
    return [by_epoch[step] for step in sorted(by_epoch)]


CONFIG = "config.yaml"


def parents_of(cfg: TrackingConf, runs: Iterable[RunRecord]) -> list[RunRecord]:
    """Returns the parent runs of these runs' sweeps, newest first."""
    sweeps = {run.tags["sweep"] for run in runs if "sweep" in run.tags}
    parents = find_runs(cfg, {"kind": RunKind.STUDY}) if sweeps else []
    return [parent for parent in parents if parent.tags.get("sweep") in sweeps]


def claim_of(cfg: TrackingConf, parent: RunRecord) -> ClaimConf | None:
    """Returns the claim that a sweep tests; None if it has none.

    Raises:
        TrackingError: The configuration is missing, damaged, or of another version.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = download(cfg, parent.run_id, CONFIG, Path(folder))
        try:
            claim = OmegaConf.select(OmegaConf.load(path), "study.claim")
            if claim is None:
                return None
            typed = cast(ClaimConf, OmegaConf.merge(OmegaConf.structured(ClaimConf), claim))
            return typed if typed.comparisons else None
        except (OmegaConfBaseException, YAMLError, ValueError) as error:
            raise TrackingError(f"{CONFIG} of {parent.name} cannot be read: {error}") from error
