"""Decides once a machine whether TensorFlow computes with oneDNN, by what its processor does faster.

TensorFlow switches oneDNN on by what the processor's model promises. What trains faster is measured here,
with and without it side by side, and kept; TF_ENABLE_ONEDNN_OPTS in the environment wins over both.
"""

import json
import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from kerasweep.config.caches import default_folder
from kerasweep.terminal import say

VARIABLE = "TF_ENABLE_ONEDNN_OPTS"
PROBE = "kerasweep.training.kernel_probe"
MAX_SECONDS = 120.0


def set_onednn(cache: Path | None = None) -> None:
    """Set the variable for the import of TensorFlow that follows, unless it is set.

    cache: the file of the decisions, by default onednn.json in the cache folder. Where none can be
    written, or the probe fails, TensorFlow decides.
    """
    if recall_onednn(cache):
        return
    file = cache or _default_file()
    found = _measured(file)
    if found is not None:
        _write(file, {**_read(file), this_machine(): found})
        os.environ[VARIABLE] = found


def recall_onednn(cache: Path | None = None) -> bool:
    """As `set_onednn`, without measuring; whether it is set now."""
    if VARIABLE not in os.environ:
        known = _read(cache or _default_file()).get(this_machine())
        if known is None:
            return False
        os.environ[VARIABLE] = known
    return True


def _default_file() -> Path:
    return default_folder() / "onednn.json"


def this_machine() -> str:
    """Processor and TensorFlow, which the decision depends on."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, TensorFlow {version('tensorflow')}"


def _measured(file: Path) -> str | None:
    """`1` where oneDNN is faster, else `0`; None where that cannot be found out or kept."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    if not os.access(file.parent, os.W_OK):
        return None
    say("measuring whether oneDNN is faster on this processor: once, about 10 s")
    processes = {setting: _probe(setting) for setting in ("0", "1")}
    seconds = {}
    for setting, process in processes.items():
        try:
            told, _ = process.communicate(timeout=MAX_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            told, _ = process.communicate()
        if process.returncode == 0:
            seconds[setting] = float(told.split()[-1])
    if len(seconds) < len(processes):
        return None
    return min(seconds, key=lambda setting: seconds[setting])


def _probe(setting: str) -> "subprocess.Popen[str]":
    """A process with one thread that prints the CPU-seconds of some training."""
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


def _read(file: Path) -> dict[str, str]:
    """The decisions so far; none where the file is missing or damaged."""
    try:
        found = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {str(machine): str(setting) for machine, setting in found.items()}


def _write(file: Path, decisions: dict[str, str]) -> None:
    unfinished = file.with_name(f"{file.name}.{os.getpid()}")
    unfinished.write_text(json.dumps(decisions, indent=2))
    os.replace(unfinished, file)
