"""Holds the folders of a campaign, and the processes of its drivers."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil

from benchmarks.chaos.trial import LOG, UNTRAINED
from benchmarks.race import environment

DISK_MB = 160
CAMPAIGN = "CHAOS_CAMPAIGN"  # a variable that all processes of the drivers inherit


class Site:
    """The folders below one root, and the drivers that work there.

    Attributes:
        project: The working directory of the commands, on a file system of its own if that can be mounted.
        records: What the campaign itself writes: logs and the services' data.
    """

    def __init__(self, root: Path, untrained: Path, has_disk: bool) -> None:
        self.root = root
        self.disk, self.records, self.home = root / "disk", root / "records", root / "home"
        for folder in (self.disk, self.records, self.home):
            folder.mkdir()
        self.has_disk = has_disk and _mount(self.disk)
        self.project = self.disk / "project"
        self.project.mkdir()
        self.log = self.records / "trainings.jsonl"
        self.log.touch()
        self.variables = {
            **environment(),
            "HOME": str(self.home),
            "TF_ENABLE_ONEDNN_OPTS": "1",  # else each home begins by measuring whether that is faster
            LOG: str(self.log),
            UNTRAINED: str(untrained),
        }
        self.drivers: list[subprocess.Popen[bytes]] = []
        self.codes: list[int] = []  # of drivers that have ended

    def start(self, overrides: list[str]) -> None:
        """Starts a driver."""
        number = len(self.codes) + len(self.drivers)
        with open(self.records / f"driver-{number}.log", "wb") as log:
            driver = subprocess.Popen(
                [sys.executable, "-m", "src.train", "-m", *overrides],
                cwd=self.project,
                env={**self.variables, CAMPAIGN: str(self.root)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_hear_sighup,
            )
        self.drivers.append(driver)

    def ended(self) -> list[int]:
        """Forgets the drivers that have ended, and returns their exit codes."""
        codes = [driver.returncode for driver in self.drivers if driver.poll() is not None]
        self.drivers = [driver for driver in self.drivers if driver.returncode is None]
        self.codes += codes
        return codes

    def end_drivers(self, number: signal.Signals) -> None:
        """Sends a signal to all drivers, and waits for their ends."""
        for driver in self.drivers:
            driver.send_signal(number)
        for driver in self.drivers:
            driver.wait()

    def processes(self) -> list[psutil.Process]:
        """Returns what the drivers started and is alive, and the drivers."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                is_ours = process.environ().get(CAMPAIGN) == str(self.root)
                if is_ours and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def fill_disk(self) -> None:
        """Leaves no byte free. Without a buffer, of which closing would write the rest."""
        with open(self.disk / "ballast", "wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(2**16))

    def free_disk(self) -> None:
        (self.disk / "ballast").unlink()

    def move(self) -> None:
        """Renames the project's folder; no driver may work there."""
        moves = int(self.project.name.removeprefix("project").removeprefix("-") or 0)
        self.project = self.project.rename(self.disk / f"project-{moves + 1}")

    def close(self) -> None:
        """Ends what runs, and unmounts the disk."""
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.ended()
        if self.has_disk:
            subprocess.run(["umount", "--lazy", str(self.disk)], check=True)


def _hear_sighup() -> None:
    """Undoes nohup's for a driver: the end of its terminal is a fault."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def _mount(folder: Path) -> bool:
    """Mounts a small file system; only root may."""
    if os.geteuid() != 0:
        return False
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(folder)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
