"""Starts the services of a campaign on the loopback address: PostgreSQL, an MLflow server, a Ray cluster."""

import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from urllib.request import urlopen

import psutil

START_SECONDS = 120.0
NODES = "CHAOS_NODES"  # a variable that all processes of a Ray cluster inherit
# In the command lines of actors, and of the processes that they start.
WORKERS = ("ray::RayWorker", "multiprocessing")
# MLflow's own server, in one process.
MLFLOW = """
import sys
from mlflow.server import app, handlers
from werkzeug.serving import make_server

database = f"sqlite:///{sys.argv[1]}/mlflow.db"
handlers.initialize_backend_stores(database, default_artifact_root="mlflow-artifacts:/")
make_server("127.0.0.1", int(sys.argv[2]), app, threaded=True).serve_forever()
"""


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def end(process: "subprocess.Popen[str] | None") -> None:
    """Kills a process, if it runs, and waits for it."""
    if process is not None:
        process.kill()
        process.wait()


class MlflowServer:
    """A server with a SQLite database and artifacts that it hands out itself."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        folder.mkdir()
        self._folder, self._environment, self._port = folder, environment, free_port()
        self._process: subprocess.Popen[str] | None = None
        self.url = f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Returns once it answers."""
        variables = {
            "MLFLOW_SERVE_ARTIFACTS": "true",
            "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
            "_MLFLOW_SERVER_ARTIFACT_DESTINATION": str(self._folder / "artifacts"),
        }
        with open(self._folder / "server.log", "a") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", MLFLOW, str(self._folder), str(self._port)],
                cwd=self._folder,
                env={**self._environment, **variables},
                stdout=log,
                stderr=log,
                text=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            assert time.monotonic() < deadline and self._process.poll() is None, (
                "MLflow's server does not start"
            )
            time.sleep(0.2)

    def kill(self) -> None:
        end(self._process)

    def _answers(self) -> bool:
        try:
            with urlopen(f"{self.url}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


class RayNodes:
    """A cluster of two nodes, one of which can be killed and added again."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        folder.mkdir()
        self._folder = folder
        with open(folder / "nodes.log", "w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.chaos.ray_nodes", str(folder)],
                env={**environment, NODES: str(folder)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self.pid = self._process.pid
        self.address = self._read()

    def order(self, word: str) -> None:
        """Kills or adds a node, and returns once that is done."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()
        self._read()

    def workers(self) -> list[psutil.Process]:
        """Returns the actors that are alive, and what they started, orphans among them."""
        below = psutil.Process(self.pid).children(recursive=True)
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                # An actor has written its name over its environment.
                is_ours = process in below or process.environ().get(NODES) == str(self._folder)
                is_worker = any(word in " ".join(process.cmdline()) for word in WORKERS)
                if is_ours and is_worker and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def stop(self) -> None:
        """Ends all nodes."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def _read(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the Ray cluster does not start: see ray/nodes.log"
        return line.strip()
