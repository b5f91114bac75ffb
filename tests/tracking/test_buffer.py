"""Metrics of quick epochs reach MLflow together, those of slow epochs at once, and none is lost."""

import fcntl
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest
from mlflow import MlflowClient

from kerasweep.config.search import TrackingConf
from kerasweep.errors import RefusedError, TrackingError
from kerasweep.tracking.buffer import MAX_SECONDS, BufferedRecorder
from kerasweep.tracking.entries import File, Metrics, Values
from kerasweep.tracking.spool import Spool
from kerasweep.tracking.writer import Tracker, open_tracker


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool")


@contextmanager
def away(tracker: Tracker, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Gives the tracker a client of an address without a server."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    client, tracker.client = tracker.client, MlflowClient("http://127.0.0.1:9")
    try:
        yield
    finally:
        tracker.client = client
        tracker._away = None


@pytest.fixture(scope="module")
def tracker(tmp_path_factory: pytest.TempPathFactory) -> Tracker:
    folder = tmp_path_factory.mktemp("buffered")
    return open_tracker(TrackingConf(uri=f"sqlite:///{folder}/mlflow.db"))


def seen(tracker: Tracker, run_id: str) -> tuple[list[tuple[int, float]], dict[str, str], dict[str, str]]:
    """Returns the points of the metric `loss`, the tags that MLflow did not add, and the params."""
    data = tracker.client.get_run(run_id).data
    points = [(point.step, point.value) for point in tracker.client.get_metric_history(run_id, "loss")]
    own = {key: value for key, value in data.tags.items() if not key.startswith("mlflow.")}
    return points, own, data.params


def test_quick_epochs_wait_and_are_written_together(tracker: Tracker, spool: Spool) -> None:
    clock, run_id = Clock(), tracker.start("run", {}, {})
    recorder = BufferedRecorder(tracker, spool, clock)
    recorder.log_params(run_id, {"batch_size": "32"})
    for epoch in (1, 2):
        recorder.log_epoch(run_id, epoch, {"loss": 1 / epoch})
    recorder.set_tags(run_id, {"threads": "1"})
    assert recorder.flush_due() == {}
    assert seen(tracker, run_id) == ([], {}, {})
    recorder.flush(run_id)
    expected = ([(1, 1.0), (2, 0.5)], {"threads": "1"}, {"batch_size": "32"})
    assert seen(tracker, run_id) == expected
    recorder.flush(run_id)
    assert seen(tracker, run_id) == expected


def test_epoch_that_comes_long_after_the_last_is_written_at_once(tracker: Tracker, spool: Spool) -> None:
    clock, run_id = Clock(), tracker.start("run", {}, {})
    recorder = BufferedRecorder(tracker, spool, clock)
    recorder.log_params(run_id, {"batch_size": "32"})
    for epoch in (1, 2, 3):
        clock.now += MAX_SECONDS
        recorder.log_epoch(run_id, epoch, {"loss": float(epoch)})
        points, _, params = seen(tracker, run_id)
        assert points[-1] == (epoch, float(epoch)) and params == {"batch_size": "32"}


def test_waiting_entries_are_written_in_time(tracker: Tracker, spool: Spool) -> None:
    clock, run_id = Clock(), tracker.start("run", {}, {})
    recorder = BufferedRecorder(tracker, spool, clock)
    recorder.log_epoch(run_id, 1, {"loss": 1.0})
    clock.now += MAX_SECONDS
    assert recorder.flush_due() == {}
    assert seen(tracker, run_id)[0] == [(1, 1.0)]


def test_refusal_by_mlflow_is_reported_once_and_only_for_its_run(tracker: Tracker, spool: Spool) -> None:
    clock = Clock()
    bad, good = tracker.start("bad", {}, {}), tracker.start("good", {}, {})
    recorder = BufferedRecorder(tracker, spool, clock)
    for run_id, name in ((bad, "lo\nss"), (good, "loss")):
        recorder.log_params(run_id, {"batch_size": "32"})
        recorder.log_epoch(run_id, 1, {"loss": 1.0})
        recorder.log_epoch(run_id, 2, {name: 1.0})
    recorder.log_epoch(bad, 3, {"loss": 3.0})
    clock.now += 2 * MAX_SECONDS
    refused = recorder.flush_due()
    assert list(refused) == [bad] and "Invalid value" in refused[bad]
    assert seen(tracker, bad) == ([(1, 1.0), (3, 3.0)], {}, {"batch_size": "32"})
    assert seen(tracker, good)[0] == [(1, 1.0), (2, 1.0)]
    assert recorder.flush_due() == {}
    recorder.log_metrics(bad, {"lo\nss": 1.0})
    with pytest.raises(RefusedError, match="Invalid value"):
        recorder.flush(bad)


def test_artifacts_do_not_wait(tracker: Tracker, spool: Spool, tmp_path: Path) -> None:
    run_id = tracker.start("run", {}, {})
    recorder = BufferedRecorder(tracker, spool, Clock())
    (tmp_path / "curve.png").write_bytes(b"png")
    recorder.log_text(run_id, "a: 1", "config.yaml")
    recorder.log_file(run_id, tmp_path / "curve.png", "figures")
    recorder.log_dataset(run_id, "digits", "0123", "digits", {"train": 1})
    paths = {file.path for file in tracker.client.list_artifacts(run_id)}
    assert paths == {"config.yaml", "figures"}
    assert tracker.client.get_run(run_id).inputs.dataset_inputs[0].dataset.digest == "0123"


def test_waiting_entries_are_written_when_mlflow_answers_again(
    tracker: Tracker, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = tracker.start("run", {}, {})
    recorder = BufferedRecorder(tracker, spool, Clock())
    recorder.log_epoch(run_id, 1, {"loss": 1.0})
    with away(tracker, monkeypatch), pytest.raises(TrackingError) as raised:
        recorder.flush(run_id)
    assert not isinstance(raised.value, RefusedError)
    recorder.flush(run_id)
    assert seen(tracker, run_id)[0] == [(1, 1.0)]


def test_flush_writes_all_waiting_entries_except_refused_ones(tracker: Tracker, spool: Spool) -> None:
    bad, good = tracker.start("bad", {}, {}), tracker.start("good", {}, {})
    recorder = BufferedRecorder(tracker, spool, Clock())
    for run_id, name in ((bad, "lo\nss"), (good, "loss")):
        recorder.log_metrics(run_id, {name: 1.0})
    recorder.flush_all()
    assert seen(tracker, good)[0] == [(0, 1.0)]


def test_entries_that_mlflow_does_not_take_are_on_disk_and_another_process_writes_them(
    tracker: Tracker, spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id, recorder = tracker.start("run", {}, {}), BufferedRecorder(tracker, spool, Clock())
    (tmp_path / "curve.png").write_bytes(b"png")
    with away(tracker, monkeypatch):
        recorder.log_params(run_id, {"batch_size": "32"})
        recorder.log_epoch(run_id, 1, {"loss": 1.0})
        recorder.log_file(run_id, tmp_path / "curve.png", "figures")
        recorder.log_text(run_id, "a: 1", "config.yaml")
        recorder.flush_or_keep(run_id)
        recorder.log_epoch(run_id, 2, {"loss": 2.0})
        recorder.flush_or_keep(run_id)
    (tmp_path / "curve.png").unlink()
    assert seen(tracker, run_id) == ([], {}, {})
    for _ in range(2):  # the second time nothing is left
        assert BufferedRecorder(tracker, Spool(spool.folder), Clock()).replay() == {}
        assert seen(tracker, run_id) == ([(1, 1.0), (2, 2.0)], {}, {"batch_size": "32"})
    assert {file.path for file in tracker.client.list_artifacts(run_id)} == {"config.yaml", "figures"}
    assert spool.runs() == [] and not list(spool.folder.iterdir())


def test_entries_that_were_written_before_a_kill_are_written_once(
    tracker: Tracker, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id, recorder = tracker.start("run", {}, {}), BufferedRecorder(tracker, spool, Clock())
    with away(tracker, monkeypatch):
        recorder.log_epoch(run_id, 1, {"loss": 1.0})
        recorder.flush_or_keep(run_id)
    tracker.write_values(run_id, [entry for entry in spool.load(run_id) if isinstance(entry, Metrics)])
    assert recorder.replay() == {}
    assert seen(tracker, run_id)[0] == [(1, 1.0)]


def test_a_run_that_was_deleted_meanwhile_is_named_and_left(
    tracker: Tracker, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = tracker.start("bad", {}, {}), tracker.start("good", {}, {})
    recorder = BufferedRecorder(tracker, spool, Clock())
    with away(tracker, monkeypatch):
        for run_id in (bad, good):
            recorder.log_epoch(run_id, 1, {"loss": 1.0})
            recorder.flush_or_keep(run_id)
    tracker.client.delete_run(bad)
    refused = recorder.replay()
    assert list(refused) == [bad] and "deleted" in refused[bad]
    assert seen(tracker, good)[0] == [(1, 1.0)] and spool.runs() == []


def test_while_mlflow_is_away_due_entries_wait_without_an_error(
    tracker: Tracker, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, run_id = Clock(), tracker.start("run", {}, {})
    recorder = BufferedRecorder(tracker, spool, clock)
    with away(tracker, monkeypatch):
        for epoch in (1, 2):
            recorder.log_epoch(run_id, epoch, {"loss": float(epoch)})
            clock.now += 2 * MAX_SECONDS
            assert recorder.flush_due() == {}
    clock.now += 2 * MAX_SECONDS
    assert recorder.flush_due() == {}
    assert seen(tracker, run_id)[0] == [(1, 1.0), (2, 2.0)]


class Halting(Tracker):
    """Calls `meanwhile` before its first write: the entries on disk are read then, and still there."""

    meanwhile: Callable[[], None]

    def write_values(self, run_id: str, entries: Iterable[Values]) -> None:
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()
        super().write_values(run_id, entries)


def halting(tracker: Tracker, spool: Spool, other: Thread) -> Halting:
    """Returns a tracker that starts another thread, and goes on once that has ended or waits for the lock."""

    def meanwhile() -> None:
        other.start()
        while other.is_alive() and not is_locked(spool):
            other.join(0.01)

    halted = Halting(tracker.client, tracker.uri, tracker.experiment_id)
    halted.meanwhile = meanwhile
    return halted


def is_locked(spool: Spool) -> bool:
    with open(f"{spool.folder}.lock", "a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_entries_that_another_driver_keeps_during_a_replay_stay(tracker: Tracker, spool: Spool) -> None:
    run_id = tracker.start("run", {}, {})
    spool.add(run_id, [Metrics({"loss": 1.0}, step=1)])
    other = Thread(target=Spool(spool.folder).add, args=(run_id, [Metrics({"loss": 2.0}, step=2)]))
    assert BufferedRecorder(halting(tracker, spool, other), spool, Clock()).replay() == {}
    other.join()
    assert seen(tracker, run_id)[0] == [(1, 1.0)]
    assert BufferedRecorder(tracker, spool, Clock()).replay() == {}
    assert seen(tracker, run_id)[0] == [(1, 1.0), (2, 2.0)]


def test_a_file_that_two_drivers_find_on_disk_is_recorded_by_one(
    tracker: Tracker, spool: Spool, tmp_path: Path
) -> None:
    run_id = tracker.start("run", {}, {})
    (tmp_path / "curve.png").write_bytes(b"png")
    spool.add(run_id, [spool.adopt(run_id, File(tmp_path / "curve.png", "figures"))])
    other = Thread(target=BufferedRecorder(tracker, Spool(spool.folder), Clock()).replay)
    assert BufferedRecorder(halting(tracker, spool, other), spool, Clock()).replay() == {}
    other.join()
    assert {file.path for file in tracker.client.list_artifacts(run_id)} == {"figures"}
    assert spool.runs() == []
