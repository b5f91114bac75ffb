"""What workers fork off has imported all that they need, and holds nothing that a fork would break."""

import subprocess
import sys

import pytest

from src.train import needs_workers

PROGRAM = """
import sys, threading
import src.multirun.preload
import tensorflow as tf

tf.config.threading.set_intra_op_parallelism_threads(1)  # raises where a device has been touched
needed = ("keras", "mlflow.keras", "src.trial.run", "src.training.fit", "src.multirun.job")
print(threading.active_count(), [name for name in needed if name not in sys.modules])
"""


def test_template_starts_no_thread_and_touches_no_device() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[0] == "1 []"


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
