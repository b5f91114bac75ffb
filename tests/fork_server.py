"""Starts commands by fork, with everything imported that they import: TensorFlow and MLflow take seconds.

A command so started is a process like any other, with its own signals, files and exit code; its template
(`kerasweep.workers.template`) is forked too instead of importing TensorFlow again. How a command begins, and
what it imports when, is not seen here: see `tests.processes.run(..., is_new=True)`.

python -m tests.fork_server FD     reads requests from this socket
"""

import json
import os
import resource
import runpy
import selectors
import signal
import socket
import sys
from contextlib import suppress
from multiprocessing import util
from pathlib import Path
from typing import Any

MAX_REQUEST_BYTES = 1 << 20
FILES = 3  # stdout, stderr, and a pipe for the process's number and, when it ends, its exit status


def import_all() -> None:
    """Imports what commands and workers import, but not the module that prepares a template."""
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # a thread would not be there after a fork
    from kerasweep.tracking.client import import_mlflow
    from kerasweep.tracking.keras_model import import_flavor
    from kerasweep.tracking.location import default_uri
    from kerasweep.training.runtime import import_tensorflow

    import_tensorflow()
    import_mlflow(default_uri())
    import_flavor(default_uri())
    import kerasweep.commands.compare
    import kerasweep.commands.predict
    import kerasweep.commands.single
    import kerasweep.commands.train
    import kerasweep.multirun.conduct
    import kerasweep.multirun.jobs
    import kerasweep.report.files
    import kerasweep.training.fit
    import kerasweep.training.program
    import kerasweep.trial.figures
    import kerasweep.trial.run
    import kerasweep.trial.winner  # noqa: F401

    del os.environ["OPENBLAS_NUM_THREADS"]
    names = {path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")}
    others = names - {"python", "jemalloc_bg_thd"}  # jemalloc starts its own anew in a forked process
    assert not others, f"a forked process would lack {others}"


def serve(requests: socket.socket) -> dict[str, Any]:
    """Forks a process for each request. Returns the request in that process; ends when nobody asks."""
    ended, wakeup = socket.socketpair()
    wakeup.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wakeup.fileno())
    statuses: dict[int, int] = {}  # of each process, the file for its exit status
    selector = selectors.DefaultSelector()
    selector.register(requests, selectors.EVENT_READ)
    selector.register(ended, selectors.EVENT_READ)
    while True:
        ready = {key.fileobj for key, _ in selector.select()}
        if ended in ready:
            ended.recv(4096)
            report_ended(statuses)
        if requests not in ready:
            continue
        message, files, _, _ = socket.recv_fds(requests, MAX_REQUEST_BYTES, FILES)
        if not message:
            os._exit(0)
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            selector.close()
            for closed in (ended, wakeup, requests):
                closed.close()
            for status in (*statuses.values(), files[2]):
                os.close(status)
            return {**json.loads(message), "files": files[:2]}
        statuses[pid] = files[2]
        os.write(files[2], pid.to_bytes(4, "little"))
        for file in files[:2]:
            os.close(file)


def report_ended(statuses: dict[int, int]) -> None:
    """Writes the exit status of each process that has ended."""
    with suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            pid, status = found
            with suppress(BrokenPipeError):
                code = os.waitstatus_to_exitcode(status)
                os.write(statuses[pid], code.to_bytes(4, "little", signed=True))
            os.close(statuses.pop(pid))


def become(request: dict[str, Any]) -> None:
    """Makes this process what a new Python with these arguments would be."""
    os.setsid()
    if request["max_file_bytes"] is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (request["max_file_bytes"],) * 2)
    stdout, stderr = request["files"]
    for file, number in ((os.open(os.devnull, os.O_RDONLY), 0), (stdout, 1), (stderr, 2)):
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    sys.path[:0] = ["", *[path for path in request["path"] if path not in sys.path]]
    sys.argv = ["", *request["arguments"]]
    sys.stdin, sys.stdout = open(0), open(1, "w")  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace")  # noqa: SIM115
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr
    util.spawnv_passfds = fork_template


def fork_template(path: str, arguments: list[str], files: tuple[int, ...]) -> int:
    """Stands for `multiprocessing.util.spawnv_passfds`: forks this process to run Python's fork server."""
    program = os.fsdecode(arguments[-1])
    if "multiprocessing.forkserver" not in program:
        return spawn(path, arguments, files)
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        for file in map(int, os.listdir("/proc/self/fd")):
            if file > 2 and file not in files:
                with suppress(OSError):  # the list's own is closed
                    os.close(file)
        with suppress(SystemExit):  # its command has ended
            exec(program, {})
        os._exit(0)
    return pid


spawn = util.spawnv_passfds

if __name__ == "__main__":
    import_all()
    asked = serve(socket.socket(fileno=int(sys.argv[1])))
    become(asked)
    runpy.run_module(asked["module"], run_name="__main__", alter_sys=True)
