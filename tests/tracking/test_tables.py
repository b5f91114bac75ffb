"""Runs read from the database's tables equal the runs that MLflow's client returns."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kerasweep.config.search import TrackingConf
from kerasweep.tracking.client import open_client
from kerasweep.tracking.reader import search_by_client
from kerasweep.tracking.run_record import RunRecord
from kerasweep.tracking.tables import is_database, read_runs
from kerasweep.tracking.writer import Tracker, open_tracker


@pytest.fixture(scope="module")
def tracking(copy_database: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory) -> TrackingConf:
    return TrackingConf(uri=f"sqlite:///{copy_database(tmp_path_factory.mktemp('tables'))}")


@pytest.fixture(scope="module")
def tracker(tracking: TrackingConf) -> Tracker:
    return open_tracker(tracking)


@pytest.fixture(scope="module", autouse=True)
def recorded(tracking: TrackingConf, tracker: Tracker) -> str:
    """Records runs of several kinds and returns the id of the first."""
    first = tracker.start(
        "trial-0", {"kind": "trial", "it's": 'a "quoted" `tag`', "한글": "값"}, {"model.filters": "[16,32]"}
    )
    tracker.log_metrics(first, {"objective": 0.5, "lost": math.nan, "large": math.inf, "small": -math.inf})
    for epoch, loss in ((1, 0.9), (3, 0.7), (2, 0.8)):
        tracker.log_epoch(first, epoch, {"loss": loss})
    tracker.finish(first, "complete")
    tracker.finish(tracker.start("trial-1", {"kind": "trial"}, {}), "failed", "it broke")
    tracker.start("trial-2", {"kind": "trial", "sweep": "100%_s"}, {})
    tracker.client.delete_run(tracker.start("deleted", {"kind": "trial"}, {}))
    open_tracker(replace(tracking, experiment="other")).start("elsewhere", {"kind": "trial"}, {})
    return first


def comparable(runs: list[RunRecord]) -> list[Any]:
    """Makes NaN equal NaN, and sorts by id since runs may start in the same millisecond."""
    parts = [
        (run.run_id, replace(run, metrics={}), {key: str(value) for key, value in run.metrics.items()})
        for run in runs
    ]
    return sorted(parts, key=lambda part: part[0])


@pytest.mark.parametrize(
    ("tags", "condition", "count"),
    [
        ({}, "", 3),
        ({"kind": "trial"}, "tags.kind = 'trial'", 3),
        ({"kind": "trial", "sweep": "100%_s"}, "tags.kind = 'trial' and tags.sweep = '100%_s'", 1),
        ({"sweep": "100__s"}, "tags.sweep = '100__s'", 0),
        ({"it's": 'a "quoted" `tag`'}, "tags.`it's` = 'a \"quoted\" `tag`'", 1),
        ({"한글": "값"}, "tags.`한글` = '값'", 1),
    ],
)
def test_tables_and_client_give_the_same_runs(
    tracking: TrackingConf, tracker: Tracker, tags: dict[str, str], condition: str, count: int
) -> None:
    assert tracking.uri is not None
    found = read_runs(tracking.uri, tracker.experiment_id, tags)
    client = open_client(tracking.uri, create=False)
    expected = search_by_client(tracking.uri, client, tracker.experiment_id, condition)
    assert len(found) == count
    assert comparable(found) == comparable(expected)


def test_metrics_have_their_last_epoch_and_may_be_nan(
    tracking: TrackingConf, tracker: Tracker, recorded: str
) -> None:
    assert tracking.uri is not None
    (run,) = read_runs(tracking.uri, tracker.experiment_id, {}, id_prefix=recorded[:12])
    assert run.metrics["loss"] == 0.7 and math.isnan(run.metrics["lost"])


def test_status_and_number_of_runs(tracking: TrackingConf, tracker: Tracker) -> None:
    assert tracking.uri is not None
    running = read_runs(tracking.uri, tracker.experiment_id, {}, status="RUNNING")
    assert [run.name for run in running] == ["trial-2"] and running[0].seconds is None
    assert len(read_runs(tracking.uri, tracker.experiment_id, {}, max_runs=2)) == 2


def test_newest_runs_come_first_also_with_a_limit(tracking: TrackingConf) -> None:
    assert tracking.uri is not None
    tracker = open_tracker(replace(tracking, experiment="late"))
    tracker.start("now", {}, {})
    for number in range(3):
        tracker.client.create_run(
            tracker.experiment_id, start_time=10**13 + number, run_name=f"late-{number}"
        )
    names = [run.name for run in read_runs(tracking.uri, tracker.experiment_id, {})]
    assert names == ["late-2", "late-1", "late-0", "now"]
    assert [run.name for run in read_runs(tracking.uri, tracker.experiment_id, {}, max_runs=1)] == ["late-2"]


@pytest.mark.parametrize(
    ("uri", "answer"),
    [
        ("sqlite:///mlruns/mlflow.db", True),
        ("postgresql+psycopg2://user@host/db", True),
        ("http://127.0.0.1:5000", False),
        ("databricks", False),
    ],
)
def test_kind_of_tracking_uri_is_recognized(uri: str, answer: bool) -> None:
    assert is_database(uri) is answer
