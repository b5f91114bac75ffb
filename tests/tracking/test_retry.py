"""Requests to a server that does not answer are retried for a limited time, and later ones only once."""

import os
import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from mlflow import MlflowClient

from kerasweep.errors import TrackingError, UnreachableError
from kerasweep.tracking import retry
from kerasweep.tracking.writer import Tracker

RUN = "0" * 32


@dataclass
class Server:
    """Answers requests with these statuses in turn, then always with the last.

    `asked` holds the last part of each request's path.
    """

    uri: str
    statuses: list[int]
    asked: list[str] = field(default_factory=list)

    def answer(self, path: str) -> int:
        self.asked.append(path.rpartition("/")[2])
        return self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]


@pytest.fixture
def server() -> Iterator[Server]:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(b'{"experiment": {"experiment_id": "0"}}')

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self._answer(b'{"run": {"info": {}, "data": {}}}')

        def _answer(self, body: bytes) -> None:
            self.send_response(found.answer(self.path.partition("?")[0]))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as http:
        found = Server(f"http://127.0.0.1:{http.server_port}", [200])
        threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True).start()
        yield found
        http.shutdown()


def tracker_of(uri: str) -> Tracker:
    return Tracker(MlflowClient(uri), uri, "0")


def test_request_is_retried_until_the_server_answers(server: Server) -> None:
    server.statuses = [503, 500, 200]
    before = dict(os.environ)
    tracker_of(server.uri).set_tags(RUN, {"a": "1"})
    assert server.asked == ["log-batch"] * 3
    assert dict(os.environ) == before


def test_lost_server_receives_only_the_request_to_close_the_run(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "WAITING_SECONDS", 0.5)
    tracker = tracker_of(server.uri)
    server.statuses = [503]
    with pytest.raises(UnreachableError) as raised:
        tracker.log_epoch(RUN, 1, {"loss": 2.0})
    assert str(raised.value) == (
        f"MLflow at {server.uri} can no longer be used: too many 503 error responses. "
        "Start it again, and then this command."
    )
    assert len(server.asked) >= 2
    server.asked.clear()
    for log in (tracker.log_epoch, tracker.log_epoch):
        with pytest.raises(UnreachableError, match="too many 503"):
            log(RUN, 2, {"loss": 2.0})
    with pytest.raises(UnreachableError, match="too many 503"):
        tracker.log_model(RUN, None, [])
    assert server.asked == []
    with pytest.raises(UnreachableError, match="too many 503"):
        tracker.finish(RUN, "failed", "it is gone")
    assert server.asked == ["log-batch"]
    server.statuses = [200]
    tracker.finish(RUN, "failed", "it was gone")
    assert server.asked == ["log-batch"] * 2 + ["update"]
    tracker.log_epoch(RUN, 2, {"loss": 2.0})


def test_without_waiting_a_lost_server_is_asked_after_pauses_that_grow(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr("kerasweep.tracking.writer.time.monotonic", lambda: clock[0])
    tracker = tracker_of(server.uri)
    server.statuses = [503]
    with tracker.without_waiting():
        assert tracker.outage() is None
        with pytest.raises(UnreachableError, match="too many 503"):
            tracker.set_tags(RUN, {"a": "1"})
        assert server.asked == ["log-batch"]
        said = f"MLflow at {server.uri} can no longer be used: too many 503 error responses"
        asked = []
        for _ in range(80):
            clock[0] += 0.5
            before = len(server.asked)
            assert tracker.outage() == said
            if len(server.asked) > before:
                asked.append(clock[0] - 100)
        assert asked == [0.5, 1.5, 3.5, 7.5, 15.5, 25.5, 35.5]
        server.statuses = [200]
        clock[0] += 10
        assert tracker.outage() is None
        tracker.set_tags(RUN, {"a": "1"})
    assert server.asked[-2:] == ["get", "log-batch"]


def test_silent_server_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(retry.TIMEOUT, "1")
    with socket.create_server(("127.0.0.1", 0)) as server:
        uri = f"http://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(UnreachableError, match=r"can no longer be used: Read timed out"):
            tracker_of(uri).set_tags(RUN, {"a": "1"})
        server.setblocking(False)
        server.accept()[0].close()
        with pytest.raises(BlockingIOError):
            server.accept()


def test_error_of_a_dead_server_names_the_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "WAITING_SECONDS", 0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        uri = f"http://127.0.0.1:{server.getsockname()[1]}"

        def hang_up() -> None:
            with server.accept()[0] as connection:
                connection.recv(1)

        threading.Thread(target=hang_up, daemon=True).start()
        with pytest.raises(UnreachableError, match=r"used: (Connection reset by peer|Remote end closed)"):
            tracker_of(uri).set_tags(RUN, {"a": "1"})
    with pytest.raises(UnreachableError, match=r"used: Failed to .*Connection refused\. Start it again"):
        tracker_of(uri).set_tags(RUN, {"a": "1"})


@pytest.mark.parametrize(("is_creation", "times"), [(True, 1), (False, 3)])
def test_a_run_is_not_created_twice_if_the_answer_is_lost(
    is_creation: bool, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "WAITING_SECONDS", 0.25)  # allows the pauses of 0.1 and 0.2 s
    heard = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        tracker = tracker_of(f"http://127.0.0.1:{server.getsockname()[1]}")

        def hang_up() -> None:
            with suppress(OSError):  # the end of the test closes it
                while True:
                    with server.accept()[0] as connection:
                        heard.append(connection.recv(100))

        threading.Thread(target=hang_up, daemon=True).start()
        with pytest.raises(UnreachableError):
            if is_creation:
                tracker.start("a run", {}, {})
            else:
                tracker.set_tags(RUN, {"a": "1"})
    assert len(heard) == times


def test_environment_limits_the_retries(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(retry.RETRIES, "2")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_JITTER", "0")
    server.statuses = [503]
    with pytest.raises(UnreachableError):
        tracker_of(server.uri).set_tags(RUN, {"a": "1"})
    assert server.asked == ["log-batch"] * 3


def test_refused_request_is_not_retried(server: Server) -> None:
    server.statuses = [403]
    with pytest.raises(TrackingError, match="says: ") as raised:
        tracker_of(server.uri).set_tags(RUN, {"a": "1"})
    assert not isinstance(raised.value, UnreachableError)
    assert server.asked == ["log-batch"]


def test_a_locked_database_is_away_and_not_to_be_started() -> None:
    """A sweep goes on while another program holds it."""
    with pytest.raises(UnreachableError) as raised, retry.tracking_errors("sqlite:///mlflow.db", "Start it."):
        raise sqlite3.OperationalError("database is locked")
    assert str(raised.value) == (
        "MLflow at sqlite:///mlflow.db cannot be used: database is locked. Another program holds it: start "
        "this command again once that has ended."
    )
