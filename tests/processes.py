"""Runs the commands as users do, in a process and a directory of their own, or faster in this process."""

import io
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from unittest.mock import patch

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


@contextmanager
def logging_kept() -> Iterator[None]:
    """Restores the handlers and levels that Hydra's logging replaces, and the loggers that it disables."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        yield
    finally:
        for handler in set(root.handlers) - set(handlers):
            handler.close()
        root.handlers[:] = handlers
        root.setLevel(level)
        for logger in logging.root.manager.loggerDict.values():
            if isinstance(logger, logging.Logger):
                logger.disabled = False


def call(folder: Path, module: str, *arguments: str, **variables: str) -> Done:
    """Run `python -m src.MODULE` in a folder, but in this process; it must not train."""
    from hydra.core.global_hydra import GlobalHydra

    from kerasweep.commands import train
    from kerasweep.config import hydra_setup

    main = import_module(f"kerasweep.commands.{module}").run
    stdout, stderr, code = io.StringIO(), io.StringIO(), 0
    before, began = Path.cwd(), time.monotonic()
    os.chdir(folder)
    try:
        with (
            patch.object(sys, "argv", [f"{module}.py", *arguments]),
            patch.dict(os.environ, environment(**variables), clear=True),
            patch.object(train, "template_module", return_value=None),
            patch.object(hydra_setup, "_finds_studies", False),  # only train has the group `study`
            logging_kept(),
            redirect_stdout(stdout),
            redirect_stderr(stderr),
        ):
            main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        os.chdir(before)
        GlobalHydra.instance().clear()
    return Done(code, stdout.getvalue(), stderr.getvalue(), time.monotonic() - began)
