"""Describes the code of a run: git's commit, whether the tree was dirty, its diff, and the command."""

import getpass
import hashlib
import importlib.metadata
import os
import platform
import shlex
import subprocess
import sys
from pathlib import Path

from kerasweep.config.passwords import without_password

# The tags of the code: git's commit, whether the working tree was dirty, and the digest of its diff.
COMMIT, DIRTY, DIFF = "mlflow.source.git.commit", "git.dirty", "git.diff"
# The artifact with the diff of a run, or of a sweep's first start.
FIRST_DIFF = "git.diff"
MAX_DIFF_CHARACTERS = 1_000_000
PACKAGES = ("tensorflow", "keras", "numpy", "optuna", "mlflow", "hydra-core")


def source_tags() -> dict[str, str]:
    """Returns MLflow's source tags and those of the code."""
    started = {"mlflow.source.name": sys.argv[0], "mlflow.source.type": "LOCAL", "mlflow.user": _user()}
    return started | code_tags()


def code_tags() -> dict[str, str]:
    """Returns git's commit, whether the tree is dirty, and the digest of its diff if it has one.

    Empty if the working directory is in no repository.
    """
    commit = _git("rev-parse", "HEAD")
    if commit is None:
        return {}
    dirty = bool(_git("status", "--porcelain"))
    diff = git_diff()
    changed = {} if diff is None else {DIFF: diff_digest(diff)}
    return {COMMIT: commit.strip(), DIRTY: str(dirty).lower(), **changed}


def diff_digest(diff: str) -> str:
    """Returns 12 hex digits."""
    return hashlib.sha256(diff.encode()).hexdigest()[:12]


def diff_artifact(digest: str) -> str:
    """Returns the path of the artifact with a later start's diff."""
    return f"git-{digest}.diff"


def command_text(module: str) -> str:
    """Returns the command that started this process, to be typed again, with passwords masked.

    Args:
        module: The module after `python -m`, unless an installed `kerasweep-…` command was typed.
    """
    name = Path(sys.argv[0]).name
    typed = [name] if name.startswith("kerasweep-") else ["python", "-m", module]
    return shlex.join([*typed, *map(without_password, sys.argv[1:])])


def versions_text() -> str:
    """Returns the versions of Python and of the packages that train and record, and the number of cores."""
    versions = [f"{name} {importlib.metadata.version(name)}" for name in PACKAGES]
    return ", ".join([f"Python {platform.python_version()}", *versions, f"{os.cpu_count()} cores"])


def git_diff() -> str | None:
    """Returns the diff of the working tree, cut at a million characters; None if there is none."""
    diff = _git("diff", "--no-color", "--no-ext-diff", "HEAD")
    return diff[:MAX_DIFF_CHARACTERS] if diff else None


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return str(os.getuid())


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments], capture_output=True, text=True, errors="replace", timeout=10, check=False
        )
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
