"""Ctrl-C ends a command cleanly while it starts; each test sends it when Python imports a named module."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from kerasweep.config.search import TrackingConf
from kerasweep.tracking.reader import find_runs
from tests.processes import PYTHONPATH, command, environment

# Python imports a module `sitecustomize` when it starts.
SITECUSTOMIZE = """
import os, signal, sys

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == os.environ.get("INTERRUPT_AT"):
            os.environ["INTERRUPT_AT"] = ""
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupt())
"""


def interrupt(folder: Path, module: str, name: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    (folder / "sitecustomize.py").write_text(SITECUSTOMIZE)
    path = os.pathsep.join([str(folder), PYTHONPATH])
    return subprocess.run(
        command(name, *arguments),
        cwd=folder,
        env={**environment(INTERRUPT_AT=module), "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("module", ["kerasweep.workers.signals", "hydra"])
@pytest.mark.parametrize(
    "arguments",
    [("train", "debug=fast"), ("train", "-m", "debug=fast"), ("compare",), ("predict", "run_id=1")],
    ids=" ".join,
)
def test_ctrl_c_from_the_first_line_of_a_command_stops_it(
    module: str, arguments: tuple[str, ...], tmp_path: Path
) -> None:
    done = interrupt(tmp_path, module, *arguments)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "stopped\n")
    assert not list(tmp_path.glob("mlruns/*.db"))


def test_ctrl_c_while_a_sweep_imports_mlflow_stops_it(tmp_path: Path) -> None:
    done = interrupt(tmp_path, "sqlalchemy", "train", "-m", "trial.target=benchmarks.targets:instant")
    assert (done.returncode, done.stderr) == (130, "stopped\n")
    cfg = TrackingConf(uri=f"sqlite:///{tmp_path}/mlruns/mlflow.db")
    assert not any(run.status == "RUNNING" for run in find_runs(cfg, {}))


@pytest.mark.parametrize("name", ["train", "compare", "predict"])
def test_python_handles_ctrl_c_before_the_command_begins(name: str, tmp_path: Path) -> None:
    """A shell shows exit code 130 for this, too."""
    done = interrupt(tmp_path, "kerasweep.commands.start", name)
    assert done.returncode == -signal.SIGINT
    assert done.stderr.endswith("KeyboardInterrupt\n")
