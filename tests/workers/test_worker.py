"""A worker ends quietly with its driver, whenever that goes."""

import os
from collections.abc import Callable
from multiprocessing import Pipe
from multiprocessing.connection import Connection

import pytest

from kerasweep.workers.worker import Job, do_jobs


def leave_unread(driver: Connection) -> None:
    """Goes with a message unread: the worker's connection is reset."""
    driver.close()


def leave_with_a_job(driver: Connection) -> None:
    """Goes while a job is done: its result cannot be sent."""
    driver.send(Job(1, "tests.workers.test_worker:echo", b"\x80\x04N."))
    driver.close()


def echo(payload: None, channel: object) -> int:
    return os.getpid()


@pytest.mark.parametrize("leave", [leave_unread, leave_with_a_job])
def test_a_driver_that_goes_ends_its_worker(leave: Callable[[Connection], None]) -> None:
    driver, worker = Pipe()
    worker.send("unread")
    leave(driver)
    do_jobs(worker)
