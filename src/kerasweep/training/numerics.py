"""Describes the process and the machine that decide the last bits of a training, as tags of its run."""

import os
import shlex
from collections.abc import Mapping
from functools import cache
from importlib.metadata import distributions, version
from pathlib import Path

from kerasweep.training.onednn import VARIABLE, cpu_info, processor_name

INTRAOP = "TF_NUM_INTRAOP_THREADS"
# What TensorFlow and OpenMP read when they are imported: how many threads they start.
THREAD_VARIABLES = (INTRAOP, "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")
# Further variables that choose kernels.
KERNEL_VARIABLES = ("ONEDNN_MAX_CPU_ISA", "NVIDIA_TF32_OVERRIDE", "XLA_FLAGS", "TF_XLA_FLAGS")
PACKAGES = ("tensorflow", "keras", "numpy")
# Instruction sets for which oneDNN and Eigen have kernels of their own.
INSTRUCTIONS = (
    *("sse4_1", "avx", "avx2", "fma", "avx_vnni", "avx512f", "avx512bw", "avx512_vnni", "avx512_bf16"),
    *("avx512_fp16", "amx_tile", "amx_bf16", "amx_int8", "asimd", "sve", "sve2", "bf16"),
)
ALL, DEFAULT, NO_GPU, NO_VARIABLES = "all", "default", "none", "none"
NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")


def read_numerics(extras: tuple[str, ...] = ()) -> dict[str, str]:
    """Returns the tags of this process and its machine; call it after TensorFlow has started.

    Args:
        extras: As in `read_packages`.
    """
    variables = {name: os.environ[name] for name in _VARIABLES if name in os.environ}
    return {
        "onednn": os.environ.get(VARIABLE, DEFAULT),
        "threads": os.environ.get(INTRAOP, ALL),
        "environment": shlex.join(f"{name}={value}" for name, value in variables.items()) or NO_VARIABLES,
        **_of_the_machine(),
        "packages": read_packages(extras),
    }


_VARIABLES = (*THREAD_VARIABLES[1:], *KERNEL_VARIABLES)


def restore_environment(tags: Mapping[str, str]) -> None:
    """Sets the variables that TensorFlow reads when it is imported, as in the process that had these tags.

    Where it used all cores and this machine has another number, it gets as many threads.
    """
    threads, cores = tags.get("threads"), tags.get("cores")
    if threads == ALL and cores not in (None, str(count_cores())):
        threads = cores
    _set(INTRAOP, None if threads == ALL else threads, is_known=threads is not None)
    text = tags.get("environment", NO_VARIABLES)
    recorded = dict(pair.split("=", 1) for pair in shlex.split(text) if text != NO_VARIABLES)
    for name in _VARIABLES:
        # Workers of older versions, which recorded `threads` alone, had the same value in all three.
        older = threads if name in THREAD_VARIABLES and threads != ALL else None
        has_recorded = "environment" in tags
        _set(name, recorded.get(name) if has_recorded else older, has_recorded or older is not None)
    _set(VARIABLE, tags.get("onednn"), is_known=tags.get("onednn", DEFAULT) != DEFAULT)
    _set("CUDA_VISIBLE_DEVICES", "-1", is_known=tags.get("gpu") == NO_GPU)


def _set(name: str, value: str | None, is_known: bool) -> None:
    """Sets a variable, or removes it if the value is None; an unknown one stays."""
    if is_known and value is None:
        os.environ.pop(name, None)
    elif is_known and value is not None:
        os.environ[name] = value


@cache
def read_packages(extras: tuple[str, ...]) -> str:
    """Returns the packages that compute as pins for pip, separated by spaces.

    Args:
        extras: Those beside TensorFlow, Keras and NumPy that this network needs.
    """
    return " ".join(f"{name}=={version(name)}" for name in (*PACKAGES, *extras))


@cache
def _of_the_machine() -> dict[str, str]:
    return {
        "processor": processor_name(),
        "instructions": _read_instructions(),
        "cores": str(count_cores()),
        "gpu": _describe_gpu(),
    }


def _read_instructions() -> str:
    """Returns which of INSTRUCTIONS the processor has; empty where the kernel does not say."""
    flags = {flag for name in ("flags", "Features") for line in cpu_info(name) for flag in line.split()}
    return " ".join(name for name in INSTRUCTIONS if name in flags)


def count_cores() -> int:
    """Returns how many cores this process may use by its affinity: TensorFlow starts as many threads."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _describe_gpu() -> str:
    """Returns the name of the first GPU, its driver, and NVIDIA's packages; `none` without a GPU."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return NO_GPU
    name = tf.config.experimental.get_device_details(gpus[0]).get("device_name", "unknown")
    driver = NVIDIA_DRIVER.read_text().partition("\n")[0] if NVIDIA_DRIVER.exists() else "unknown driver"
    installed = [package for package in distributions() if package.name.startswith("nvidia-")]
    pins = {f"{package.name}=={package.version}" for package in installed}
    return ", ".join([name, driver, *sorted(pins)])
