"""An MLflow server over PostgreSQL takes runs of many writers at once, and their artifacts."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from kerasweep.config.search import TrackingConf
from kerasweep.tracking.reader import download, find_runs, histories, list_artifacts
from tests import postgres
from tests.processes import SERVER, Command, call, environment

WRITERS, RUNS = 4, 2
# What `mlflow server --serve-artifacts --artifacts-destination ./artifacts` sets for its workers.
PROXIED = {
    "ARTIFACTS": "mlflow-artifacts:/",
    "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
    "_MLFLOW_SERVER_ARTIFACT_DESTINATION": "./artifacts",
}
WRITE = """
import sys
from kerasweep.config.search import TrackingConf
from kerasweep.tracking.writer import open_tracker
uri, writer, runs = sys.argv[1:]
tracker = open_tracker(TrackingConf(uri=uri, experiment="written"))
for number in range(int(runs)):
    params = {f"p{i}": writer for i in range(150)}
    run = tracker.start(f"{writer}-{number}", {"writer": writer}, params)
    for epoch in (1, 2, 3):
        tracker.log_epoch(run, epoch, {"loss": 1 / epoch})
    tracker.log_text(run, writer, "notes/a.txt")
    tracker.finish(run, "complete")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="module")
def uri(postgresql: postgres.Server, folder: Path) -> Iterator[str]:
    process = Command(folder, ["-c", SERVER], environment(STORE=postgresql.create(), **PROXIED))
    yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    process.kill()
    process.communicate()


def test_entries_of_many_writers_are_all_there(uri: str, folder: Path, tmp_path: Path) -> None:
    writers = [
        Command(folder, ["-c", WRITE, uri, str(number), str(RUNS)], environment())
        for number in range(WRITERS)
    ]
    ends = [(writer.communicate(timeout=120), writer.returncode) for writer in writers]
    assert ends == [(("", ""), 0)] * WRITERS
    tracking = TrackingConf(uri=uri, experiment="written")
    found = find_runs(tracking, {})
    names = sorted(f"{writer}-{number}" for writer in range(WRITERS) for number in range(RUNS))
    assert sorted(run.name for run in found) == names
    for run in found:
        assert run.status == "FINISHED" and run.tags["writer"] == run.name[0]
        assert run.params == {f"p{i}": run.name[0] for i in range(150)}
        assert list_artifacts(tracking, run.run_id, "notes") == ["notes/a.txt"]
    assert set(map(tuple, histories(tracking, [run.run_id for run in found], "loss").values())) == {
        (1, 1 / 2, 1 / 3)
    }
    file = download(tracking, found[0].run_id, "notes/a.txt", tmp_path)
    assert file.read_text() == found[0].name[0]
    assert len(list((folder / "artifacts").rglob("a.txt"))) == len(found)


def test_a_sweep_in_postgresql_records_in_the_server(
    uri: str, postgresql: postgres.Server, folder: Path
) -> None:
    arguments = (
        *("-m", "model.kernel_size=3,5", "trial.target=benchmarks.targets:instant", "hydra/launcher=basic"),
        *("storage=rdb", f"storage.url={postgresql.create()}", f"tracking.uri={uri}"),
    )
    done = call(folder, "train", *arguments)
    assert done.code == 0 and "finished: all 2 trials are done" in done.stdout, done
    runs = find_runs(TrackingConf(uri=uri), {})
    assert sorted((run.tags["kind"], run.status) for run in runs) == [
        ("study", "FINISHED"),
        ("trial", "FINISHED"),
        ("trial", "FINISHED"),
    ]
    again = call(folder, "train", *arguments)
    assert again.code == 0 and {run.run_id for run in runs} == {
        run.run_id for run in find_runs(TrackingConf(uri=uri), {})
    }
    postgres.close_connections()
