"""Starts commands by fork, with everything imported that they import: TensorFlow and MLflow take seconds.

A command so started is a process like any other, with its own signals, files and exit code; its template
(`kerasweep.workers.template`) is forked too instead of importing TensorFlow again, and so are workers where
there is no template. How a command begins, and what it imports when, is not seen here: for that
`tests.processes` can start a new Python.

python -m tests.fork_server SOCKET     serves requests at this path while a test process is connected

The first test process is connected by its pipe to stdin, another by a connection that hands over no files.
"""

import gc
import io
import json
import os
import resource
import runpy
import selectors
import shutil
import signal
import socket
import sys
import traceback
from contextlib import suppress
from multiprocessing import process, util
from pathlib import Path
from typing import Any

MAX_REQUEST_BYTES = 1 << 20
ALLOWED_THREADS = {"python", "jemalloc_bg_thd"}  # jemalloc starts its own anew in a forked process


def import_all() -> None:
    """Imports and prepares what commands and workers need, but not the module that prepares a template."""
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # a thread would not be there after a fork
    from kerasweep.tracking.client import import_mlflow
    from kerasweep.tracking.keras_model import import_flavor
    from kerasweep.tracking.location import default_uri
    from kerasweep.training.runtime import import_tensorflow

    import_tensorflow()
    import_mlflow(default_uri())
    import_flavor(default_uri())
    from mlflow.utils import requirements_utils
    from optuna.storages import RDBStorage

    import kerasweep.commands.compare
    import kerasweep.commands.predict
    import kerasweep.commands.single
    import kerasweep.commands.train
    import kerasweep.multirun.conduct
    import kerasweep.multirun.jobs
    import kerasweep.report.files
    import kerasweep.training.fit
    import kerasweep.training.program
    import kerasweep.trial.record_best  # noqa: F401
    from kerasweep.trial.figures import learning_curves
    from tests.compositions import compose_multirun
    from tests.processes import share_answers

    # Fonts are read with the first text, the names of all packages with the first model that is saved, and
    # Optuna's tables with the first database.
    epoch = {"loss": 1.0, "accuracy": 0.5, "val_loss": 1.2, "val_accuracy": 0.4}
    learning_curves([epoch, epoch], 1).savefig(io.BytesIO())
    requirements_utils._init_modules_to_packages_map()
    RDBStorage("sqlite://").engine.dispose()

    # Commands find the project's config files read and merged.
    share_answers()
    compose_multirun("study=quickstart")
    compose_multirun("debug=fast")
    compose_multirun()

    gc.collect()
    gc.freeze()  # a collection in a forked process would copy the pages that it shares

    others = {path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")} - ALLOWED_THREADS
    assert not others, f"a forked process would lack {others}"


def serve(server: socket.socket) -> dict[str, Any]:
    """Forks a process for each request. Returns the request in that process.

    The answer to a request is the process's number, and when it ends its exit code, four bytes each.
    """
    ended, wakeup = socket.socketpair()
    wakeup.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wakeup.fileno())
    waiting: dict[int, socket.socket] = {}  # who waits for the end of which process
    selector = selectors.DefaultSelector()
    served: set[Any] = {sys.stdin}  # closed at the end of a test process
    for file in (server, ended, sys.stdin):
        selector.register(file, selectors.EVENT_READ)
    while True:
        ready = {key.fileobj for key, _ in selector.select()}
        for gone in served & ready:
            selector.unregister(gone)
            gone.close()
            served.remove(gone)
            if not served:
                shutil.rmtree(Path(server.getsockname()).parent)
                os._exit(0)
        if ended in ready:
            ended.recv(4096)
            answer_ended(waiting)
        if server not in ready:
            continue
        client, _ = server.accept()
        message, files, _, _ = socket.recv_fds(client, MAX_REQUEST_BYTES, 2)
        if not files:
            served.add(client)
            selector.register(client, selectors.EVENT_READ)
            continue
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            selector.close()
            for closed in (server, ended, wakeup, client, *waiting.values(), *(served - {sys.stdin})):
                closed.close()
            return {**json.loads(message), "files": files}
        waiting[pid] = client
        client.send(pid.to_bytes(4, "little"))
        for file in files:
            os.close(file)


def answer_ended(waiting: dict[int, socket.socket]) -> None:
    """Sends the exit code of each process that has ended to whoever waits for it."""
    with suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            pid, status = found
            with waiting.pop(pid) as client, suppress(OSError):  # who asked may have gone
                client.send(os.waitstatus_to_exitcode(status).to_bytes(4, "little", signed=True))


def become(request: dict[str, Any]) -> None:
    """Makes this process what a new Python would be that is started so."""
    os.setsid()
    if request["max_file_bytes"] is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (request["max_file_bytes"],) * 2)
    for file, number in zip((os.open(os.devnull, os.O_RDONLY), *request["files"]), range(3), strict=True):
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.executable = os.environ.get("EXECUTABLE", sys.executable)
    os.chdir(request["folder"])
    process.ORIGINAL_DIR = request["folder"]
    sys.stdin, sys.stdout = open(0), open(1, "w")  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace")  # noqa: SIM115
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr
    util.spawnv_passfds = fork_python


def execute(arguments: list[str]) -> None:
    """Does what `python ARGUMENTS` does, with a module, a program or a script."""
    if arguments[0] == "-u":
        sys.stdout.reconfigure(write_through=True)  # type: ignore[union-attr]
        arguments = arguments[1:]
    paths = [path for path in os.environ["PYTHONPATH"].split(os.pathsep) if path not in sys.path]
    script = Path(arguments[0])
    sys.path[:0] = [str(script.absolute().parent) if script.suffix == ".py" else "", *paths]
    if arguments[0] == "-m":
        sys.argv = arguments[1:]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    elif arguments[0] == "-c":
        sys.argv = ["-c", *arguments[2:]]
        exec(arguments[1], {"__name__": "__main__"})
    else:
        sys.argv = arguments
        runpy.run_path(arguments[0], run_name="__main__")


def is_forkable(code: str) -> bool:
    """Returns whether a fork can stand for a new Python that multiprocessing starts with this code."""
    from kerasweep.workers import template

    if "multiprocessing.forkserver" in code:
        return True
    imports_anew = template._environment is not None  # else the template's workers would be forked
    is_program = sys.modules["__main__"].__spec__ is None  # a worker executes a user's program again
    is_worker = "multiprocessing.spawn" in code
    return is_worker and not imports_anew and not is_program and not has_tensorflow_threads()


def has_tensorflow_threads() -> bool:
    """Returns whether TensorFlow has started threads in this process: a fork would keep their locks."""
    return any(path.read_text().startswith("tf_") for path in Path("/proc/self/task").glob("*/comm"))


def fork_python(path: str, arguments: list[str], files: tuple[int, ...]) -> int:
    """Stands for `multiprocessing.util.spawnv_passfds`: forks this process for a template or a worker."""
    code = next((text for text in map(os.fsdecode, arguments) if "multiprocessing" in text), "")
    if not is_forkable(code):
        return spawn(path, arguments, files)
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        for file in map(int, os.listdir("/proc/self/fd")):
            if file > 2 and file not in files:
                with suppress(OSError):  # the list's own is closed
                    os.close(file)
        exit_code = 1
        try:
            sys.argv = ["-c", "--multiprocessing-fork"]
            exec(code, {})
            exit_code = 0
        except SystemExit as end:  # its command has ended
            exit_code = end.code if isinstance(end.code, int) else int(end.code is not None)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(exit_code)
    return pid


spawn = util.spawnv_passfds

if __name__ == "__main__":
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        listening.bind(f"{sys.argv[1]}.bound")
        listening.listen()
        os.rename(f"{sys.argv[1]}.bound", sys.argv[1])  # whoever sees this path may connect
        import_all()
        asked = serve(listening)
    become(asked)
    execute(asked["arguments"])
