"""Workers are forked from a template that has imported their packages, and end with the command."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

PROGRAM = """
import os, signal, sys
import psutil
from kerasweep.workers.worker import Job
from kerasweep.workers.limits import Limits
from kerasweep.workers.template import start_template, worker_context
from kerasweep.workers.pool import JobFailed, Finished, WorkerPool

def prepare(shared):
    "Nothing to do."

def look(order, channel):
    import template_module
    seen = template_module.PROCESS != os.getpid(), os.environ.get("CHANGED"), os.environ.get("WORKER")
    if order == "die":
        os._exit(3)
    return seen

if __name__ == "__main__":
    os.environ["CHANGED"] = "before"
    start_template("template_module")
    os.environ["CHANGED"] = "after"
    if "other" in sys.argv:
        os.environ["TF_NUM_INTRAOP_THREADS"] = "1"
    print(worker_context().get_start_method(), flush=True)
    pool = WorkerPool(lambda worker: {"WORKER": str(worker)}, "__main__:prepare", b"", Limits())
    pool.start(2)
    if "kill" in sys.argv:
        while len(pool.free()) < 2:
            pool.next_event(0.1)
        print(*pool.pids(), *{psutil.Process(pid).parent().ppid() for pid in pool.pids()}, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    for number, order in enumerate(("look", "die", "look"), 1):
        while not pool.free():
            pool.next_event(0.1)
        pool.submit(pool.free()[0], Job(number, "__main__:look", order))
        event = None
        while not isinstance(event, (Finished, JobFailed)):
            event = (pool.next_event(1.0) or (0, None))[1]
        print(event.result if isinstance(event, Finished) else event.reason, flush=True)
    pool.stop()
"""


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "template_module.py").write_text("import os\n\nPROCESS = os.getpid()\n")
    (tmp_path / "program.py").write_text(PROGRAM)
    yield tmp_path / "program.py"


def run(program: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    path = os.pathsep.join([str(program.parent), *filter(None, sys.path)])
    command = [sys.executable, str(program), *arguments]
    environment = {**os.environ, "PYTHONPATH": path}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere workers start anew")
def test_workers_are_forked_from_the_template_with_the_current_environment(program: Path) -> None:
    done = run(program)
    method, first, died, last = done.stdout.splitlines()
    assert method == "forkserver" and done.stderr == ""
    assert {first, last} <= {f"(True, 'after', '{worker}')" for worker in (0, 1)}
    assert died == "its process exited with code 3"


def test_a_changed_environment_for_tensorflow_needs_spawned_processes(program: Path) -> None:
    method, first, *_ = run(program, "other").stdout.splitlines()
    assert method == "spawn" and first.startswith("(False, 'after', ")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere workers start anew")
def test_template_and_workers_end_with_a_command_that_is_killed(program: Path) -> None:
    done = run(program, "kill")
    assert done.returncode == -signal.SIGKILL
    *workers, template = map(int, done.stdout.splitlines()[1].split())
    assert len(workers) == 2
    deadline = time.monotonic() + 10
    while (left := [pid for pid in (*workers, template) if psutil.pid_exists(pid)]) and (
        time.monotonic() < deadline
    ):
        time.sleep(0.05)
    assert left == []


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere workers start anew")
def test_a_template_imports_nothing_for_a_command_that_has_ended(program: Path) -> None:
    program.with_name("template_module.py").write_text(
        "import os, pathlib, time\n"
        "from kerasweep.workers.template import COMMAND, preloading\n"
        "while os.getppid() == int(os.environ[COMMAND]):\n"
        "    time.sleep(0.01)\n"
        "with preloading():\n"
        "    print('imported', flush=True)\n"
    )
    program.write_text(
        "import os, signal\n"
        "from kerasweep.workers.template import start_template\n"
        "if __name__ == '__main__':\n"
        "    start_template('template_module')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = run(program)  # returns when the template has ended, too
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, "")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere workers start anew")
def test_the_template_blocks_ctrl_c(program: Path) -> None:
    """This also holds for Python's first child process, with which a tracker starts that unblocks signals."""
    code = (
        "import psutil\n"
        "from kerasweep.workers.template import start_template\n"
        "if __name__ == '__main__':\n"
        "    start_template('template_module')\n"
        "    for process in psutil.Process().children():\n"
        "        if 'forkserver' in ' '.join(process.cmdline()):\n"
        "            with open(f'/proc/{process.pid}/status') as status:\n"
        "                print(next(line.split()[1] for line in status if line.startswith('SigBlk')))\n"
    )
    program.write_text(code)
    done = run(program)
    assert done.stderr == "" and int(done.stdout, 16) & 1 << (signal.SIGINT - 1)
