"""The template of workers has imported their packages, and has no thread or device that a fork breaks."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kerasweep.commands.train import template_module

# These tests set these variables; a user's command does not.
UNUSUAL = ("CUDA_VISIBLE_DEVICES", "MLFLOW_DISABLE_TELEMETRY", "PYTEST_CURRENT_TEST", "CI")

PROGRAM = """
import os, sys
import kerasweep.multirun.worker_imports
from tensorflow.python.eager import context

tasks = [open(f"/proc/self/task/{task}/comm").read().strip() for task in os.listdir("/proc/self/task")]
print(sorted(tasks))
print(context.context()._physical_devices)  # None: nobody has asked for them, which opens the GPUs
needed = ("keras", "kerasweep.trial.run", "kerasweep.training.fit", "kerasweep.multirun.jobs")
print([name for name in needed if name not in sys.modules])
print([name for name in ("mlflow.keras", "mlflow.pyfunc") if name in sys.modules])  # they take seconds
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere workers start anew")
def test_template_starts_no_thread_and_opens_no_device() -> None:
    """A thread of PyArrow's allocator is allowed: it starts again after a fork."""
    environment = {name: value for name, value in os.environ.items() if name not in UNUSUAL}
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    tasks, devices, missing, unneeded = done.stdout.splitlines()
    python = Path(sys.executable).name
    assert [task for task in ast.literal_eval(tasks) if task != "jemalloc_bg_thd"] == [python]
    assert (devices, missing, unneeded) == ("None", "[]", "[]")


SWEEP = "kerasweep.multirun.worker_imports"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("-m", SWEEP),
        ("--multirun model.kernel_size=3,5", SWEEP),
        ("study=filter_size data.limit=100", SWEEP),
        ("", None),
        ("training.epochs=1", None),
        ("-m study.dry_run=true", None),
        ("-m hydra/launcher=joblib", None),
        ("-m trial.target=mine:train", None),
        ("-m --cfg job", None),
        ("--help", None),
    ],
)
def test_only_sweeps_with_workers_import_packages_early(line: str, expected: str | None) -> None:
    assert template_module(line.split()) == expected
