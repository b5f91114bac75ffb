"""Reads runs back from MLflow, page by page."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from src.config.search import TrackingConf
from src.errors import TrackingError
from src.tracking.connect import experiment_id, open_client
from src.tracking.location import resolve_uri

PAGE = 1000


@dataclass(frozen=True)
class RunRecord:
    """A run as it is recorded. seconds: from start to end, None while it runs."""

    run_id: str
    name: str
    status: str
    tags: Mapping[str, str]
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    start_time: float
    seconds: float | None


def find_runs(cfg: TrackingConf, tags: Mapping[str, str]) -> list[RunRecord]:
    """Every run of the experiment that carries all of these tags, newest first."""
    uri = resolve_uri(cfg.uri)
    client = open_client(uri)
    experiment = experiment_id(client, uri, cfg.experiment, create=False)
    if experiment is None:
        return []
    clauses = [f"tags.`{key}` = {_quoted(value)}" for key, value in tags.items()]
    runs: list[RunRecord] = []
    token = None
    while True:
        page = client.search_runs(
            [experiment], " and ".join(clauses), max_results=PAGE, order_by=["start_time DESC"], page_token=token
        )
        runs += [_record(run) for run in page]
        token = page.token
        if not token:
            return runs


def get_run(cfg: TrackingConf, run_id: str) -> RunRecord:
    """The run with this id, or the only one whose id begins so (six digits or more).

    Raises TrackingError where there is none, or more than one.
    """
    found = [run for run in find_runs(cfg, {}) if run.run_id.startswith(run_id)]
    exact = [run for run in found if run.run_id == run_id]
    if exact or (len(found) == 1 and len(run_id) >= 6):
        return (exact or found)[0]
    if len(found) > 1 or found:
        raise TrackingError(f"{run_id} stands for {len(found)} runs. Give more digits of the id.")
    raise TrackingError(
        f"No run {run_id} in the experiment {cfg.experiment} of {resolve_uri(cfg.uri)}. "
        "The ids are in the MLflow UI, and in the CSV that python -m src.compare writes."
    )


def list_artifacts(cfg: TrackingConf, run_id: str, folder: str) -> list[str]:
    """The paths of the artifacts in a folder of a run; empty where there is none."""
    client = open_client(resolve_uri(cfg.uri))
    return [str(artifact.path) for artifact in client.list_artifacts(run_id, folder)]


def download(cfg: TrackingConf, run_id: str, path: str, into: Path) -> Path:
    """Copy an artifact of a run into a local folder and return where it is."""
    client = open_client(resolve_uri(cfg.uri))
    return Path(client.download_artifacts(run_id, path, str(into)))


def _quoted(value: str) -> str:
    quote = '"' if "'" in value else "'"
    return f"{quote}{value}{quote}"


def _record(run: Any) -> RunRecord:
    info = run.info
    ended = None if info.end_time is None else (info.end_time - info.start_time) / 1000
    return RunRecord(
        run_id=info.run_id,
        name=info.run_name,
        status=info.status,
        tags=dict(run.data.tags),
        params=dict(run.data.params),
        metrics=dict(run.data.metrics),
        start_time=info.start_time / 1000,
        seconds=ended,
    )
