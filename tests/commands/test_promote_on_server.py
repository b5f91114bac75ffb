"""`src.promote` works on MLflow's server, where two promotions at once have no lock."""

import shutil
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import pytest
from mlflow import MlflowClient

from kerasweep.commands.promote import CHALLENGER
from kerasweep.errors import TrackingError
from tests.handover.promoter import WRONG, Promoter
from tests.handover.recorded_runs import RecordedRuns
from tests.processes import SERVER, Command, environment, run_new

# What `mlflow server --serve-artifacts --artifacts-destination ./artifacts` sets for its workers.
PROXIED = {
    "ARTIFACTS": "mlflow-artifacts:/",
    "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
    "_MLFLOW_SERVER_ARTIFACT_DESTINATION": "./artifacts",
}


@pytest.fixture(scope="module")
def uri(empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("served")
    shutil.copy(empty_database, folder / "mlflow.db")
    process = Command(folder, ["-c", SERVER], environment(STORE=f"sqlite:///{folder}/mlflow.db", **PROXIED))
    port = int(process.stdout.readline())
    reader = Thread(target=process.stderr.read)  # its log would fill the pipe
    reader.start()
    yield f"http://127.0.0.1:{port}"
    process.kill()
    reader.join()
    process.communicate()


@pytest.fixture(scope="module")
def runs(uri: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    recorded = RecordedRuns(uri, tmp_path_factory.mktemp("data"), WRONG)
    return {name: recorded.record(name) for name in ("first", "better", "worse")}


@pytest.fixture
def promoter(uri: str) -> Promoter:
    return Promoter(uri)


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """Returns a registered model of the test's own."""
    return str(request.node.name).replace("[", "-").replace("]", "")


def test_server_keeps_versions_aliases_and_tags(
    promoter: Promoter, runs: dict[str, str], name: str, tmp_path: Path
) -> None:
    assert promoter(runs["first"], name=name)[0] == 0
    assert promoter(runs["worse"], name=name)[0] == CHALLENGER
    assert promoter(runs["better"], name=name)[0] == 0
    assert promoter(runs["better"], name=name)[1][0].endswith("with the alias champion.")
    done = run_new(
        tmp_path, "promote", f"run_id={runs['first']}", f"name={name}-2", f"tracking.uri={promoter.uri}"
    )
    assert (done.code, done.stderr) == (0, "")
    assert promoter.registry()[name] == ({"champion": "3", "challenger": "2"}, 3)
    assert promoter.tags("3", name)["compared_with"] == "1"
    assert promoter.client.get_run(runs["better"]).data.tags["registered_version"] == "3"


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Callable[[], object]], None]:
    """Returns a function that lets something happen just before the next call of a method of MLflow's."""

    def before_next(method: str, action: Callable[[], object]) -> None:
        call, actions = getattr(MlflowClient, method), [action]

        def delayed(*arguments: Any, **options: Any) -> Any:
            if actions:
                actions.pop()()
            return call(*arguments, **options)

        monkeypatch.setattr(MlflowClient, method, delayed)

    return before_next


@pytest.mark.parametrize(("model", "other"), [("better", "worse"), ("worse", "better")])
def test_model_is_compared_with_one_that_became_champion_meanwhile(
    promoter: Promoter,
    runs: dict[str, str],
    name: str,
    meanwhile: Callable[[str, Callable[[], object]], None],
    model: str,
    other: str,
) -> None:
    meanwhile("create_model_version", lambda: promoter(runs[other], name=name))
    code, lines = promoter(runs[model], name=name)
    is_better = model == "better"
    assert code == (0 if is_better else CHALLENGER)
    assert promoter.registry()[name] == (
        {"champion": "2"} if is_better else {"champion": "1", "challenger": "2"},
        2,
    )
    assert promoter.tags("2", name)["compared_with"] == "1"
    assert lines[1].startswith("version 1: accuracy ")


@pytest.mark.parametrize(("model", "other"), [("better", "worse"), ("worse", "better")])
def test_later_version_is_compared_with_an_earlier_one_that_has_no_alias_yet(
    promoter: Promoter,
    runs: dict[str, str],
    name: str,
    meanwhile: Callable[[str, Callable[[], object]], None],
    model: str,
    other: str,
) -> None:
    meanwhile("set_registered_model_alias", lambda: promoter(runs[other], name=name))
    code, lines = promoter(runs[model], name=name)
    if model == "better":
        assert code == 0
        assert promoter.registry()[name] == ({"champion": "1", "challenger": "2"}, 2)
    else:
        assert code == CHALLENGER
        assert "note: meanwhile version 2 was compared with it, and is the champion now" in lines
        assert promoter.registry()[name] == ({"champion": "2"}, 2)
    assert promoter.tags("2", name)["compared_with"] == "1"


class Forbidding(BaseHTTPRequestHandler):
    """Passes requests on to MLflow's server, but answers 403 to those that write to the registry."""

    target = ""
    REFUSED = ("registered-models/create", "model-versions/create")

    def do_GET(self) -> None:
        self._pass_on()

    def do_POST(self) -> None:
        self._pass_on()

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.endswith(self.REFUSED):
            status, content = 403, b"Permission denied"
        else:
            connection = HTTPConnection(self.target)
            connection.request(self.command, self.path, body, dict(self.headers))
            answer = connection.getresponse()
            status, content = answer.status, answer.read()
            connection.close()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Prints nothing."""


@pytest.fixture
def forbidding(uri: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(Forbidding, "target", urlsplit(uri).netloc)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Forbidding)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_server_that_forbids_writing_is_named(forbidding: str, runs: dict[str, str], name: str) -> None:
    message = Promoter(forbidding).refused(TrackingError, runs["first"], name=name)
    assert message.startswith(f"MLflow at {forbidding} says: API request to endpoint ")
    assert "403" in message
