"""Runs a command and times it, with the processor time of all processes that it starts or leaves behind.

python -m benchmarks.family TIMES COMMAND …      ends with the command's exit code
"""

import ctypes
import json
import os
import subprocess
import sys
import time
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36


def main() -> None:
    """Runs and times the command. On Linux, processes that it leaves behind become children of this one."""
    times, *command = sys.argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    began = time.perf_counter()
    code = subprocess.run(command, check=False).returncode
    seconds = time.perf_counter() - began
    while _wait():
        pass
    used = os.times()
    found = {"seconds": seconds, "cpu_seconds": used.children_user + used.children_system}
    Path(times).write_text(json.dumps(found))
    raise SystemExit(code)


def _wait() -> bool:
    """Waits for a child to end; returns False if there is none."""
    try:
        os.wait()
    except ChildProcessError:
        return False
    return True


if __name__ == "__main__":
    main()
