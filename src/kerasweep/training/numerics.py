"""Describes the process and the machine that decide the last bits of a training, as tags of its run."""

import os
from functools import cache
from importlib.metadata import version
from pathlib import Path

from kerasweep.training.onednn import VARIABLE, processor_name

THREADS = "TF_NUM_INTRAOP_THREADS"
# The packages that compute.
PACKAGES = ("tensorflow", "keras", "numpy")
# Instruction sets for which oneDNN and Eigen have kernels of their own.
INSTRUCTIONS = (
    *("sse4_1", "avx", "avx2", "fma", "avx_vnni", "avx512f", "avx512bw", "avx512_vnni", "avx512_bf16"),
    *("avx512_fp16", "amx_tile", "amx_bf16", "amx_int8", "asimd", "sve", "sve2", "bf16"),
)
NO_GPU = "none"


def numerics() -> dict[str, str]:
    """Returns the tags of this process and its machine; call it after TensorFlow has started.

    TensorFlow reads `onednn` and `threads` when it is imported.
    """
    return {
        "onednn": os.environ.get(VARIABLE, "default"),
        "threads": os.environ.get(THREADS, "all"),
        **_of_the_machine(),
    }


def packages() -> str:
    """Returns the packages that compute as pins for pip, separated by spaces."""
    return " ".join(f"{name}=={version(name)}" for name in PACKAGES)


@cache
def _of_the_machine() -> dict[str, str]:
    return {
        "processor": processor_name(),
        "instructions": _instructions(),
        "cores": str(_cores()),
        "gpu": _gpu(),
        "packages": packages(),
        "kerasweep": version("kerasweep"),
    }


def _instructions() -> str:
    """Returns which of INSTRUCTIONS the processor has; empty where the kernel does not say."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    found = {
        flag
        for line in lines
        if line.lower().startswith(("flags", "features"))
        for flag in line.partition(":")[2].split()
    }
    return " ".join(name for name in INSTRUCTIONS if name in found)


def _cores() -> int:
    """Returns how many threads TensorFlow starts where `threads` is `all`."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _gpu() -> str:
    """Returns the name of the first GPU, with the versions of CUDA and cuDNN; `none` without a GPU."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return NO_GPU
    name = tf.config.experimental.get_device_details(gpus[0]).get("device_name", "unknown")
    build = tf.sysconfig.get_build_info()
    libraries = [f"{key} {build[key]}" for key in ("cuda_version", "cudnn_version") if key in build]
    return ", ".join([name, *libraries])
