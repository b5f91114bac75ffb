"""Jobs of `test_ray_pool.py`: this module imports neither Ray nor pytest, so workers start soon."""

import os
import signal
import time
from pathlib import Path
from typing import Any

from kerasweep.tracking.entries import File
from kerasweep.workers.worker import Channel


def prepare(shared: bytes) -> None:
    if shared == b"ends":
        os._exit(4)


def obey(order: str, channel: Channel) -> Any:
    """Does what the payload says."""
    if order == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    if order == "hang":
        channel.report(1, 0.5, False)
        time.sleep(600)
    if order == "record":
        file = Path("notes.txt").absolute()
        file.write_text("content")
        channel.record("run", File(file, "notes"))
        return os.environ["PYTHONPATH"]
    if order == "ask":
        return channel.report(1, 0.5, True), channel.report(2, 0.75, True)
    return order, os.getcwd(), os.environ["TF_NUM_INTRAOP_THREADS"]
