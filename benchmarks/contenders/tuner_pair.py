"""Runs KerasTuner's distributed search on this machine: two tuners of one thread each, and the chief.

It ends with the tuners: the chief would sleep for another 20 seconds.
"""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

from task import ONE_THREAD, write

TUNERS = ("tuner0", "tuner1")


def main():
    task, output = sys.argv[1:3]
    address = {"KERASTUNER_ORACLE_IP": "127.0.0.1", "KERASTUNER_ORACLE_PORT": str(free_port())}
    started = {}
    try:
        for name in ("chief", *TUNERS):
            command = [sys.executable, str(Path(__file__).with_name("tuner.py")), task, f"{name}.json"]
            environment = {**os.environ, **ONE_THREAD, **address, "KERASTUNER_TUNER_ID": name}
            started[name] = subprocess.Popen(command, env=environment)
        codes = [started[name].wait() for name in TUNERS]
    finally:
        for process in started.values():
            process.kill()
    if any(codes):
        raise SystemExit(f"the tuners ended with {codes}")
    write(Path(output), [value for name in TUNERS for value in json.loads(Path(f"{name}.json").read_text())])


def free_port():
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return bound.getsockname()[1]


main()
