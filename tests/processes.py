"""Runs the commands as users do: in a process of their own, in a directory of their own."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# `python -m src.train` from any folder, and `import kerasweep`.
PYTHONPATH = f"{ROOT}{os.pathsep}{ROOT / 'src'}"


@dataclass(frozen=True)
class Done:
    """How a command ended. seconds: wall-clock."""

    code: int
    stdout: str
    stderr: str
    seconds: float


def environment(**more: str) -> dict[str, str]:
    """The environment of a command: the repository on the path, no proxies, and nothing of MLflow's."""
    kept = {key: value for key, value in os.environ.items() if not _is_foreign(key)}
    return {**kept, "PYTHONPATH": PYTHONPATH, "PYTHONDONTWRITEBYTECODE": "1", **more}


def _is_foreign(key: str) -> bool:
    return key.startswith("MLFLOW_") or key.lower().endswith("_proxy")


def command(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", f"src.{module}", *arguments]


def run(folder: Path, module: str, *arguments: str, **variables: str) -> Done:
    """Run `python -m src.MODULE` in a folder."""
    began = time.monotonic()
    done = subprocess.run(
        command(module, *arguments),
        cwd=folder,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr, time.monotonic() - began)
