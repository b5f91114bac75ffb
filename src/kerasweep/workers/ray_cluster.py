"""Connects to a Ray cluster, and collects what its workers need of this process."""

import logging
import os
import signal
import socket
import sys
from collections.abc import Mapping
from typing import Any

import ray
from ray.exceptions import RayError, RuntimeEnvSetupError

from kerasweep.data.arrays import Arrays
from kerasweep.errors import TrainingError
from kerasweep.training.numerics import THREAD_VARIABLES
from kerasweep.workers.machine import usable_cores
from kerasweep.workers.ray_worker import Share, ShippedData

CONNECT_SECONDS = 10.0


def connect(address: str | None, runtime_env: Mapping[str, Any]) -> None:
    """Connects to a Ray cluster, or starts one on this machine.

    Args:
        address: Of the cluster's head, or `auto`; None starts one, unless $RAY_ADDRESS names one.
        runtime_env: Ray's runtime environment of the workers.

    Raises:
        TrainingError: There is no such cluster, or Ray refuses the runtime environment.
    """
    is_new = address is None and "RAY_ADDRESS" not in os.environ
    local: dict[str, Any] = {}
    if is_new:  # without `local`, Ray looks for a cluster that runs on this machine
        local = {"address": "local", "num_cpus": usable_cores(), "include_dashboard": False}
    handler = signal.getsignal(signal.SIGTERM)
    try:
        _check_answers(address or os.environ.get("RAY_ADDRESS", ""))
        ray.init(
            **{"address": address, **local},
            namespace="kerasweep",
            log_to_driver=False,
            logging_level=logging.ERROR,
            runtime_env=dict(runtime_env) or None,
        )
    except (OSError, RayError, RuntimeError, TypeError, ValueError) as error:
        ray.shutdown()  # of what has begun
        lines = str(error).strip().splitlines()
        reason = lines[-1] if isinstance(error, RuntimeEnvSetupError) else lines[0]
        raise TrainingError(
            f"Ray cannot be used: {reason.rstrip('.')}. Start a cluster, or correct hydra.launcher.address "
            "or hydra.launcher.runtime_env."
        ) from error
    finally:
        signal.signal(signal.SIGTERM, handler)  # Ray's own would end this process at once


def _check_answers(address: str) -> None:
    """Raises OSError if nothing answers at `HOST:PORT`: Ray would try it for minutes."""
    host, separator, port = address.rpartition("://")[2].rpartition(":")
    if separator and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()


def send(cfg: Any, arrays: Arrays) -> ShippedData:
    """Puts a data set into the cluster's object store, from which each node gets it once.

    Raises:
        TrainingError: There is no room for it.
    """
    try:
        return ShippedData(cfg, arrays.digest, ray.put(arrays.in_memory()))
    except (OSError, RayError) as error:
        raise TrainingError(
            f"The data cannot be sent to the Ray cluster: {str(error).strip().splitlines()[0]} Leave "
            "data.ship out, and give each node the data."
        ) from error


def variables_for(share: Share, environment: Mapping[str, str]) -> dict[str, str]:
    """Returns the environment variables of each worker: the driver's that concern it, and its threads.

    Args:
        share: What a worker reserves.
        environment: The driver's variables.
    """
    prefixes = ("TF_", "XLA_", "KERAS_", "KERASWEEP_", "MLFLOW_", "AWS_")
    kept = {name: value for name, value in environment.items() if name.startswith(prefixes)}
    threads = str(max(1, int(share.cpus)))
    # Ray leaves all GPUs of a node to a worker without a share, and TensorFlow would take their memory.
    hidden = {} if share.gpus else {"CUDA_VISIBLE_DEVICES": "-1"}
    return {**kept, **hidden, **{name: environment.get(name, threads) for name in THREAD_VARIABLES}}


def modules_path() -> tuple[str, ...]:
    """Returns where this process finds modules, as absolute paths."""
    return tuple(os.path.abspath(path) for path in sys.path)
