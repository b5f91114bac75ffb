"""What workers fork off has imported all that they need, and holds nothing that a fork would break."""

import ast
import os
import subprocess
import sys

import pytest

from src.train import needs_workers

# What these tests set, and a user's command does not.
UNUSUAL = ("CUDA_VISIBLE_DEVICES", "MLFLOW_DISABLE_TELEMETRY", "PYTEST_CURRENT_TEST", "CI")

PROGRAM = """
import os, sys
import src.multirun.preload
from tensorflow.python.eager import context

tasks = [open(f"/proc/self/task/{task}/comm").read().strip() for task in os.listdir("/proc/self/task")]
print(sorted(tasks))
print(context.context()._physical_devices)  # None: nobody has asked for them, which opens the GPUs
needed = ("keras", "mlflow.keras", "src.trial.run", "src.training.fit", "src.multirun.job")
print([name for name in needed if name not in sys.modules])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere workers start anew")
def test_template_starts_no_thread_and_opens_no_device() -> None:
    """But one of PyArrow's allocator, which starts it anew after a fork."""
    environment = {name: value for name, value in os.environ.items() if name not in UNUSUAL}
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    tasks, devices, missing = done.stdout.splitlines()
    assert set(ast.literal_eval(tasks)) <= {"python", "jemalloc_bg_thd"} and tasks.count("python") == 1
    assert (devices, missing) == ("None", "[]")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("-m", True),
        ("--multirun model.kernel_size=3,5", True),
        ("study=filter_size data.limit=100", True),
        ("", False),
        ("training.epochs=1", False),
        ("-m study.dry_run=true", False),
        ("-m hydra/launcher=joblib", False),
        ("-m trial.target=mine:train", False),
        ("-m --cfg job", False),
        ("--help", False),
    ],
)
def test_sweeps_that_train_here_need_workers(line: str, expected: bool) -> None:
    assert needs_workers(line.split()) is expected
