"""MLflow's client reads the values that a tracker writes."""

import json
import math
import time
from pathlib import Path
from typing import Any

import mlflow.data
import pytest
from matplotlib.figure import Figure
from mlflow import MlflowClient

from kerasweep.config.search import TrackingConf
from kerasweep.errors import TrackingError
from kerasweep.tracking.writer import Tracker, open_tracker


@pytest.fixture
def client(tracker: Tracker) -> MlflowClient:
    """Returns a second client, as another program opens it."""
    return MlflowClient(tracking_uri=tracker.uri)


def test_run_has_its_name_tags_params_and_parent(tracker: Tracker, client: MlflowClient) -> None:
    parent = tracker.start("sweep", {"kind": "study"}, {})
    run = client.get_run(tracker.start("trial-0", {"kind": "trial"}, {"model.kernel_size": "3"}, parent))
    assert run.info.run_name == "trial-0"
    assert run.info.status == "RUNNING"
    assert abs(run.info.start_time / 1000 - time.time()) < 60
    assert run.data.tags == {"kind": "trial", "mlflow.parentRunId": parent, "mlflow.runName": "trial-0"}
    assert run.data.params == {"model.kernel_size": "3"}


def test_run_id_in_the_environment_changes_nothing(
    tracker: Tracker, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tracker.start("other", {}, {})
    monkeypatch.setenv("MLFLOW_RUN_ID", other)
    run_id = tracker.start("own", {"kind": "run"}, {}, parent=other)
    tracker.finish(run_id, "complete")
    assert run_id != other
    assert client.get_run(run_id).data.tags["mlflow.parentRunId"] == other
    assert client.get_run(other).info.status == "RUNNING"


def test_more_than_a_batch_is_written_completely(tracker: Tracker, client: MlflowClient) -> None:
    tags = {f"tag{i}": str(i) for i in range(250)}
    params = {f"param{i}": str(i) for i in range(250)}
    data = client.get_run(tracker.start("many", tags, params)).data
    assert {key: value for key, value in data.tags.items() if key in tags} == tags
    assert data.params == params


def test_long_values_are_cut(tracker: Tracker, client: MlflowClient) -> None:
    data = client.get_run(tracker.start("n" * 400, {"t": "é" * 9000}, {"p": "p" * 9000})).data
    assert data.tags["t"] == "é" * 7999 + "…"
    assert data.params["p"] == "p" * 5999 + "…"
    assert data.tags["mlflow.runName"] == "n" * 249 + "…"


def test_epochs_are_steps_and_final_metrics_have_separate_names(
    tracker: Tracker, client: MlflowClient
) -> None:
    run_id = tracker.start("run", {}, {})
    tracker.log_epoch(run_id, 1, {"loss": 2.0})
    tracker.log_epoch(run_id, 2, {"loss": math.nan})
    tracker.log_metrics(run_id, {"objective": 0.5})
    history = [(metric.step, metric.value) for metric in client.get_metric_history(run_id, "loss")]
    assert history[0] == (1, 2.0)
    assert history[1][0] == 2 and math.isnan(history[1][1])
    assert client.get_run(run_id).data.metrics["objective"] == 0.5


@pytest.mark.parametrize(
    ("state", "status"),
    [("complete", "FINISHED"), ("pruned", "FINISHED"), ("failed", "FAILED"), ("cancelled", "KILLED")],
)
def test_end_is_written_as_tags_and_as_mlflows_status(
    tracker: Tracker, client: MlflowClient, state: str, status: str
) -> None:
    run_id = tracker.start("run", {}, {})
    tracker.finish(run_id, state, "because")
    run = client.get_run(run_id)
    assert (run.info.status, run.data.tags["state"], run.data.tags["reason"]) == (status, state, "because")
    assert run.info.end_time >= run.info.start_time


def test_end_without_a_reason_has_no_such_tag(tracker: Tracker, client: MlflowClient) -> None:
    run_id = tracker.start("run", {}, {})
    tracker.finish(run_id, "complete")
    assert "reason" not in client.get_run(run_id).data.tags


def test_resumed_run_is_running_and_can_end_again(tracker: Tracker, client: MlflowClient) -> None:
    run_id = tracker.start("sweep", {}, {})
    tracker.finish(run_id, "cancelled")
    tracker.resume(run_id)
    assert client.get_run(run_id).info.status == "RUNNING"
    tracker.finish(run_id, "complete")
    assert client.get_run(run_id).info.status == "FINISHED"


def test_data_set_is_an_mlflow_input(tracker: Tracker, client: MlflowClient) -> None:
    run_id = tracker.start("run", {}, {})
    tracker.log_dataset(run_id, "digits", "0123456789abcdef", "/data/digits", {"train": 3})
    (entry,) = client.get_run(run_id).inputs.dataset_inputs
    assert (entry.dataset.name, entry.dataset.digest) == ("digits", "0123456789abcdef")
    assert json.loads(entry.dataset.profile) == {"train": 3}
    assert [(tag.key, tag.value) for tag in entry.tags] == [("mlflow.data.context", "training")]
    assert mlflow.data.get_source(entry).uri == "/data/digits"


def test_data_set_without_a_file_comes_from_code(tracker: Tracker, client: MlflowClient) -> None:
    run_id = tracker.start("run", {}, {})
    tracker.log_dataset(run_id, "digits", "0123456789abcdef", "digits", {})
    (entry,) = client.get_run(run_id).inputs.dataset_inputs
    assert entry.dataset.source_type == "code"
    assert mlflow.data.get_source(entry).to_dict() == {"tags": {"mlflow.source.name": "digits"}}


def test_artifacts_come_back(tracker: Tracker, client: MlflowClient, tmp_path: Path) -> None:
    run_id = tracker.start("run", {}, {})
    figure = Figure()
    figure.subplots().plot([1, 2])
    tracker.log_text(run_id, "길이: 3", "config.yaml")
    tracker.log_figure(run_id, lambda: figure, "figures/curve.png")
    (tmp_path / "model.keras").write_bytes(b"weights")
    tracker.log_file(run_id, tmp_path / "model.keras", "model")
    into = tmp_path / "back"
    into.mkdir()
    folder = Path(client.download_artifacts(run_id, "", str(into)))
    assert (folder / "config.yaml").read_text() == "길이: 3"
    assert (folder / "figures" / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "model" / "model.keras").read_bytes() == b"weights"


def test_refusal_by_mlflow_is_one_sentence(tracker: Tracker) -> None:
    run_id = tracker.start("run", {}, {})
    with pytest.raises(TrackingError) as raised:
        tracker.start("run", {}, {"a[b]": "1"})
    assert str(raised.value).startswith(f"MLflow at {tracker.uri} says: Invalid")
    with pytest.raises(TrackingError, match="says: .*" + "0" * 32):
        tracker.finish("0" * 32, "complete")
    tracker.finish(run_id, "complete")


def test_experiment_is_made_once(tracking: TrackingConf, tracker: Tracker) -> None:
    assert open_tracker(tracking).experiment_id == tracker.experiment_id
    other = TrackingConf(uri=tracking.uri, experiment="다른 것")
    assert open_tracker(other).experiment_id != tracker.experiment_id


def test_only_the_default_database_is_default(tracker: Tracker, monkeypatch: pytest.MonkeyPatch) -> None:
    database = Path(tracker.uri.removeprefix("sqlite:///"))
    assert not tracker.is_default
    monkeypatch.chdir(database.parent.parent)
    assert tracker.is_default


def test_floats_of_other_libraries_are_accepted(tracker: Tracker, client: MlflowClient) -> None:
    import numpy as np

    run_id = tracker.start("run", {}, {})
    values: dict[str, Any] = {"loss": np.float32(0.5), "count": np.int64(3)}
    tracker.log_metrics(run_id, values)
    assert client.get_run(run_id).data.metrics == {"loss": 0.5, "count": 3.0}


def test_text_that_utf8_cannot_encode_is_escaped(
    tracker: Tracker, client: MlflowClient, tmp_path: Path
) -> None:
    run_id = tracker.start("odd", {}, {})
    tracker.log_text(run_id, "no file b\udc80d", "traceback.txt")
    tracker.finish(run_id, "failed", "no file b\udc80d")
    assert client.get_run(run_id).data.tags["reason"] == "no file b\\udc80d"
    found = client.download_artifacts(run_id, "traceback.txt", str(tmp_path))
    assert Path(found).read_text() == "no file b\\udc80d"
