"""Decides once per machine whether TensorFlow computes with oneDNN, by measuring which is faster.

TensorFlow itself decides by the processor's model, which on some processors is the slower choice. The
measured decision is saved; TF_ENABLE_ONEDNN_OPTS in the environment has precedence.

python -m kerasweep.training.onednn     prints the CPU-seconds of some training steps
"""

import json
import os
import platform
import subprocess
import sys
import time
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

from kerasweep.config.folders import cache_folder
from kerasweep.terminal import say

VARIABLE = "TF_ENABLE_ONEDNN_OPTS"
PROBE = "kerasweep.training.onednn"
MAX_SECONDS = 120.0
ROUNDS = 3
# Channels from the image on, its side in pixels, images per batch, steps.
NETWORKS = (((1, 16, 32), 8, 32, 200), ((3, 16, 32, 64), 32, 64, 20))


def set_onednn(cache: Path | None = None) -> None:
    """Sets the variable for the import of TensorFlow that follows, unless it is set.

    If the probe fails, or the decision cannot be kept, TensorFlow decides.

    Args:
        cache: The file of the decisions; None for onednn.json in the cache folder.
    """
    if recall_onednn(cache):
        return
    file = cache or _default_file()
    decisions = _read(file)
    try:
        _write(file, decisions)  # without a place to keep the decision every start would measure again
    except OSError:
        return
    setting = _faster_setting()
    if setting is not None:
        _write(file, {**decisions, this_machine(): setting})
        os.environ[VARIABLE] = setting


def recall_onednn(cache: Path | None = None) -> bool:
    """Sets the variable to an earlier decision, and returns whether it is set now."""
    if VARIABLE not in os.environ:
        setting = _read(cache or _default_file()).get(this_machine())
        if setting is None:
            return False
        os.environ[VARIABLE] = setting
    return True


def this_machine() -> str:
    """Returns the names of processor and TensorFlow, which the decision depends on."""
    return f"{processor_name()}, TensorFlow {version('tensorflow')}"


def processor_name() -> str:
    names = cpu_info("model name")
    return names[0] if names else platform.processor()


def cpu_info(field: str) -> list[str]:
    """Returns a field of each processor in /proc/cpuinfo; empty where there is no such file."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return [line.partition(":")[2].strip() for line in lines if line.startswith(field)]


def _default_file() -> Path:
    return cache_folder() / "onednn.json"


def _faster_setting() -> str | None:
    """Measures side by side; returns `1` if oneDNN is faster, else `0`; None if a probe fails."""
    say("measuring whether oneDNN is faster on this processor: once, about 10 s")
    probes = {setting: _start_probe(setting) for setting in ("0", "1")}
    seconds = {}
    for setting, process in probes.items():
        try:
            output, _ = process.communicate(timeout=MAX_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            output, _ = process.communicate()
        if process.returncode == 0:
            seconds[setting] = float(output.split()[-1])
    return min(seconds, key=lambda setting: seconds[setting]) if len(seconds) == len(probes) else None


def _start_probe(setting: str) -> "subprocess.Popen[str]":
    threads = dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"), "1")
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    path = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.Popen(
        [sys.executable, "-m", PROBE],
        env={**os.environ, **threads, **quiet, **path, VARIABLE: setting},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def _cpu_seconds(channels: tuple[int, ...], side: int, batch_size: int, steps: int) -> float:
    """Trains blocks of convolution, batch norm, ReLU and pooling; returns the fastest of ROUNDS."""
    import tensorflow as tf

    images = tf.random.stateless_uniform((batch_size, side, side, channels[0]), (0, 0))
    kernels = [
        tf.Variable(tf.random.stateless_normal((3, 3, *pair), (0, 0)) / 10) for pair in pairwise(channels)
    ]

    @tf.function(autograph=False)
    def train_step() -> Any:
        with tf.GradientTape() as tape:
            outputs, none = images, tf.zeros([0])
            for kernel in kernels:
                outputs = tf.nn.conv2d(outputs, kernel, 1, "SAME")
                scale, offset = tf.ones(outputs.shape[-1:]), tf.zeros(outputs.shape[-1:])
                outputs, *_ = tf.raw_ops.FusedBatchNormV3(
                    x=outputs, scale=scale, offset=offset, mean=none, variance=none
                )
                outputs = tf.nn.max_pool2d(tf.nn.relu(outputs), 2, 2, "SAME")
            loss = tf.reduce_mean(tf.square(outputs))
        for kernel, gradient in zip(kernels, tape.gradient(loss, kernels), strict=True):
            kernel.assign_sub(gradient / 1000)
        return loss

    train_step()  # is traced
    rounds = []
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(steps):
            train_step()
        rounds.append(time.process_time() - began)
    return min(rounds)


def _read(file: Path) -> dict[str, str]:
    """Reads the decisions so far; none if the file is missing or damaged."""
    try:
        decisions = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    if not isinstance(decisions, dict):
        return {}
    return {str(machine): str(setting) for machine, setting in decisions.items()}


def _write(file: Path, decisions: dict[str, str]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f"{file.name}.{os.getpid()}")
    temporary.write_text(json.dumps(decisions, indent=2))
    os.replace(temporary, file)


if __name__ == "__main__":
    print(sum(_cpu_seconds(*network) for network in NETWORKS))
