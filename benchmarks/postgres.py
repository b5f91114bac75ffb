"""Starts a PostgreSQL server of its own on the loopback address, in a given folder."""

import os
import shutil
import socket
import subprocess
import time
from glob import glob
from pathlib import Path
from uuid import uuid4

USER = "postgres"


class Server:
    """A server that can be killed and started again."""

    def __init__(self, binaries: Path, folder: Path) -> None:
        self._binaries = binaries
        self._data = folder / "data"
        self._process: subprocess.Popen[bytes] | None = None
        # PostgreSQL refuses to run as root; Debian's package makes a user for it.
        self._owner = {"user": USER, "group": USER, "extra_groups": []} if os.getuid() == 0 else {}
        if self._owner:
            shutil.chown(folder, USER, USER)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._call("initdb", "-D", str(self._data), "-U", USER, "-A", "trust", "--no-sync", "-E", "UTF8")

    def url(self, database: str = "postgres") -> str:
        """Returns SQLAlchemy's URL of a database."""
        return f"postgresql+psycopg://{USER}@127.0.0.1:{self.port}/{database}"

    def start(self, waits_for_disk: bool = False) -> None:
        fsync = f"fsync={'on' if waits_for_disk else 'off'}"
        options = ["-c", fsync, "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]
        command = [str(self._binaries / "postgres"), "-D", str(self._data), "-p", str(self.port), *options]
        self._process = subprocess.Popen(
            command, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **self._owner
        )
        deadline = time.monotonic() + 30
        while not self._answers():
            assert time.monotonic() < deadline and self._process.poll() is None, "PostgreSQL does not start"
            time.sleep(0.05)

    def kill(self) -> None:
        """Ends the server and all its connections at once."""
        assert self._process is not None
        self._process.send_signal(3)  # SIGQUIT: the immediate shutdown, as after a crash
        self._process.wait()

    def create(self, database: str | None = None) -> str:
        """Creates a database, with a new name without one, and returns its URL."""
        database = database or f"d{uuid4().hex}"
        self._call("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", USER, database)
        return self.url(database)

    def _answers(self) -> bool:
        ready = [str(self._binaries / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(ready, check=False).returncode == 0

    def _call(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [str(self._binaries / program), *arguments],
            cwd="/",
            check=True,
            stdout=subprocess.DEVNULL,
            **self._owner,
        )


def binaries() -> Path | None:
    """Returns the folder of the newest PostgreSQL that is installed, None without one."""
    found = glob("/usr/lib/postgresql/*/bin/initdb")
    newest = max(found, key=lambda path: float(Path(path).parts[4]), default=None) or shutil.which("initdb")
    return Path(newest).parent if newest else None
