"""Freed memory serves the next tensors: the system has no new pages to fill."""

import os
import subprocess
import sys

import pytest

PAGES = 100 * 2**20 // os.sysconf("SC_PAGE_SIZE")
# Twenty blocks of 100 MiB, written in a thread; prints the pages that the system filled after the first.
BLOCKS = """
import resource, threading
import numpy as np
{setup}
def write(count):
    for _ in range(count):
        np.full(100 * 2**20, 7, np.uint8)
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def measure():
    write(1)
    before = faults()
    write(20)
    print(faults() - before)
thread = threading.Thread(target=measure)
thread.start()
thread.join()
"""
SETUP = "from kerasweep.training.freed_memory import keep_freed_memory; keep_freed_memory()"


def filled_pages(setup: str, **environment: str) -> int:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    command = [sys.executable, "-c", BLOCKS.format(setup=setup)]
    done = subprocess.run(command, env=clean | environment, check=True, capture_output=True, text=True)
    return int(done.stdout)


@pytest.mark.skipif(
    "glibc" not in (os.confstr("CS_GNU_LIBC_VERSION") or "") if sys.platform == "linux" else True,
    reason="only glibc returns large blocks at once and can be told not to",
)
def test_blocks_reuse_the_pages_of_freed_blocks_unless_the_user_has_decided() -> None:
    assert filled_pages("") > 20 * PAGES / 600  # huge pages have 512 pages each
    assert filled_pages(SETUP) < PAGES / 600
    assert filled_pages(SETUP, MALLOC_TRIM_THRESHOLD_="131072") > 20 * PAGES / 600
