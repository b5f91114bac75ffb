"""Runs the commands in a process and a directory of their own, or faster in this process."""

import atexit
import fcntl
import io
import json
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TextIO
from unittest.mock import patch
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

import psutil

from kerasweep.workers.template import READ

ROOT = Path(__file__).resolve().parents[1]
# `python -m src.train` from any folder, and `import kerasweep`.
PYTHONPATH = f"{ROOT}{os.pathsep}{ROOT / 'src'}"


STARTED_SECONDS = 120
# MLflow's server on the database of the working directory, or on STORE, with artifacts where ARTIFACTS says.
# It prints its port, which PORT may choose.
SERVER = """
import os
from mlflow.server import app, handlers
from werkzeug.serving import make_server

store = os.environ.get("STORE", "sqlite:///mlruns/mlflow.db")
handlers.initialize_backend_stores(store, default_artifact_root=os.environ.get("ARTIFACTS", "artifacts"))
server = make_server("127.0.0.1", int(os.environ.get("PORT", "0")), app, threaded=True)
print(server.server_port, flush=True)
server.serve_forever()
"""


@dataclass(frozen=True)
class Done:
    """How a command ended. seconds: wall-clock."""

    code: int
    stdout: str
    stderr: str
    seconds: float


def environment(**more: str) -> dict[str, str]:
    """The environment of a command: the virtual environment is activated, no proxies, nothing of MLflow's.

    The repository is on Python's path; numbers of threads that a dry run in this process has set are dropped.
    """
    kept = {key: value for key, value in os.environ.items() if not _is_foreign(key)}
    programs = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    return {**kept, **programs, "PYTHONPATH": PYTHONPATH, "PYTHONDONTWRITEBYTECODE": "1", **more}


def _is_foreign(key: str) -> bool:
    is_threads = key.startswith(("TF_NUM_", "OMP_NUM_")) and key.endswith("_THREADS")
    return key.startswith("MLFLOW_") or key.lower().endswith("_proxy") or is_threads


def command(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", f"src.{module}", *arguments]


class Command:
    """A command that the fork server has started, with attributes and methods as in subprocess.Popen."""

    def __init__(
        self,
        folder: Path,
        arguments: Sequence[str],
        variables: dict[str, str],
        max_file_bytes: int | None = None,
        output: int | None = None,  # a file that gets stdout and stderr, which are empty then
    ) -> None:
        request = {
            "folder": str(folder),
            "arguments": arguments,
            "environment": variables,
            "max_file_bytes": max_file_bytes,
        }
        (stdout, stdout_end), (stderr, stderr_end) = os.pipe(), os.pipe()
        files = [stdout_end, stderr_end] if output is None else [output, output]
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._server.connect(fork_server())
        socket.send_fds(self._server, [json.dumps(request).encode()], files)
        os.close(stdout_end)
        os.close(stderr_end)
        self.stdout, self.stderr = open(stdout), open(stderr)  # noqa: SIM115
        self.pid = int.from_bytes(self._server.recv(4), "little")
        self.returncode: int | None = None

    def wait(self, timeout: float | None = None) -> int:
        """Returns the exit code; raises TimeoutExpired."""
        if self.returncode is None:
            if not select.select([self._server], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
            with self._server:
                code = self._server.recv(4)
            assert code, "the fork server has ended"
            self.returncode = int.from_bytes(code, "little", signed=True)
        return self.returncode

    def poll(self) -> int | None:
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Returns the rest of stdout and of stderr, once all processes that hold them have ended."""
        texts = ["", ""]

        def read(index: int, file: TextIO) -> None:
            with file:
                texts[index] = file.read()

        readers = [
            threading.Thread(target=read, args=each, daemon=True)
            for each in enumerate((self.stdout, self.stderr))
        ]
        deadline = None if timeout is None else time.monotonic() + timeout
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join(None if deadline is None else max(0, deadline - time.monotonic()))
            if reader.is_alive():
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        self.wait(None if deadline is None else max(0, deadline - time.monotonic()))
        return texts[0], texts[1]

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


@cache
def fork_server() -> str:
    """Starts the fork server of this test run, which ends with it. Returns the path of its socket."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    folder = Path(tempfile.gettempdir(), f"kerasweep-tests-{run}")
    folder.mkdir(exist_ok=True)
    path = folder / "socket"
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if path.exists():
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            connection.connect(str(path))
            connection.send(b"served")
            atexit.register(connection.close)
            return str(path)
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.fork_server", path],
            cwd=ROOT,
            env=environment(),
            stdin=subprocess.PIPE,
        )

        def end() -> None:
            assert process.stdin
            process.stdin.close()

        atexit.register(end)
        while not path.exists():
            assert process.poll() is None, "the fork server has ended"
            time.sleep(0.01)
    return str(path)


def forked_python(folder: Path) -> Path:
    """Writes an executable that stands for Python where FORK_SERVER names the fork server's socket."""
    path = folder / "python"
    path.write_text(f"#!{sys.executable} -IS\n{(ROOT / 'tests/forked_python.py').read_text()}")
    path.chmod(0o755)
    return path


def forking(folder: Path) -> dict[str, str]:
    """Returns variables with which a command of `start` forks the Pythons that it starts."""
    return {"FORK_SERVER": fork_server(), "EXECUTABLE": str(forked_python(folder))}


def start(
    folder: Path, module: str, *arguments: str, max_file_bytes: int | None = None, **variables: str
) -> Command:
    """Starts `python -m src.MODULE` in a folder, by a fork, in a session of its own.

    Args:
        max_file_bytes: How large a file it may write, as on a disk that gets full.
        variables: Added to the environment; none that is read when packages are imported.
    """
    # Numbers of threads are read when TensorFlow first computes.
    read_at_import = [name for name in variables if name.startswith(READ) and not name.endswith("_THREADS")]
    assert not read_at_import, f"start a new Python with {read_at_import}"
    return Command(folder, command(module, *arguments)[1:], environment(**variables), max_file_bytes)


def start_new(folder: Path, module: str, *arguments: str, **variables: str) -> "subprocess.Popen[str]":
    """Starts it as a new Python in a session of its own, as users do."""
    return subprocess.Popen(
        command(module, *arguments),
        cwd=folder,
        env=environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def run(folder: Path, module: str, *arguments: str, **variables: str) -> Done:
    """Runs `python -m src.MODULE` in a folder, by a fork."""
    return _end_of(lambda: start(folder, module, *arguments, **variables))


def run_script(folder: Path, *arguments: str, **variables: str) -> Done:
    """Runs `python ARGUMENTS` in a folder, by a fork: a script, or a program after `-c`."""
    return _end_of(lambda: Command(folder, arguments, environment(**variables), None))


def run_new(folder: Path, module: str, *arguments: str, **variables: str) -> Done:
    """Runs it as a new Python, as users do."""
    return _end_of(lambda: start_new(folder, module, *arguments, **variables))


def _end_of(started: "Callable[[], Command | subprocess.Popen[str]]") -> Done:
    began = time.monotonic()
    process = started()
    try:
        stdout, stderr = process.communicate(timeout=240)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    assert process.returncode is not None
    return Done(process.returncode, stdout, stderr, time.monotonic() - began)


def share_answers() -> None:
    """Lets all loaders of this process share what they have read, by the paths of their folders.

    No test edits a config file between two commands that run in its process.
    """
    from kerasweep.config import composition

    answers: composition.Answers = {}
    composition.new_answers = lambda: answers


@contextmanager
def logging_kept() -> Iterator[None]:
    """Restores the handlers and levels that Hydra's logging replaces, and the loggers that it disables."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        yield
    finally:
        for handler in set(root.handlers) - set(handlers):
            handler.close()
        root.handlers[:] = handlers
        root.setLevel(level)
        for logger in logging.root.manager.loggerDict.values():
            if isinstance(logger, logging.Logger):
                logger.disabled = False


def call(folder: Path, module: str, *arguments: str, **variables: str) -> Done:
    """Runs `python -m src.MODULE` in a folder, but in this process; trials must not use TensorFlow."""
    from hydra.core.global_hydra import GlobalHydra

    from kerasweep.commands import train
    from kerasweep.config import hydra_setup

    main = import_module(f"kerasweep.commands.{module}").run
    stdout, stderr, code = io.StringIO(), io.StringIO(), 0
    before, began = Path.cwd(), time.monotonic()
    os.chdir(folder)
    try:
        with (
            patch.object(sys, "argv", [f"{module}.py", *arguments]),
            patch.dict(os.environ, environment(**variables), clear=True),
            patch.object(train, "template_module", return_value=None),
            patch.object(hydra_setup, "_finds_studies", False),  # only train has the group `study`
            logging_kept(),
            redirect_stdout(stdout),
            redirect_stderr(stderr),
        ):
            main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        os.chdir(before)
        GlobalHydra.instance().clear()
    return Done(code, stdout.getvalue(), stderr.getvalue(), time.monotonic() - began)


def free_port() -> int:
    """Returns a port of this machine that no program listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def served(command: Sequence[str], port: int, log: Path, variables: dict[str, str]) -> Iterator[None]:
    """Runs `mlflow models serve` for the block, from its first answer on.

    Args:
        command: The command.
        port: The port that it names.
        log: The file for its output.
        variables: Its environment.
    """
    with log.open("w") as output:
        started = subprocess.Popen(command, env=variables, cwd=log.parent, stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + STARTED_SECONDS
        while not _answers(f"http://127.0.0.1:{port}/ping"):
            assert started.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        yield
    finally:
        if started.poll() is None:
            children = psutil.Process(started.pid).children(recursive=True)
            started.terminate()
            started.wait()
            psutil.wait_procs(children, timeout=30)


def _answers(url: str) -> bool:
    try:
        with build_opener(ProxyHandler({})).open(url, timeout=5):
            return True
    except URLError:
        return False
