"""Describes the code of a run: git's commit, whether the tree was dirty, its diff, and the command."""

import getpass
import hashlib
import importlib.metadata
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kerasweep.config.folders import PACKAGE
from kerasweep.config.passwords import without_password

# The tags of the code: git's commit, whether the working tree was dirty, and the digest of its diff.
COMMIT, DIRTY, DIFF = "mlflow.source.git.commit", "git.dirty", "git.diff"
# kerasweep's version, and its commit where it is another repository's.
KERASWEEP = "kerasweep"
NO_DIFF = "none"
# The artifact with the diff of a run, or of a sweep's first start.
FIRST_DIFF = "git.diff"
MAX_DIFF_CHARACTERS = 1_000_000
COMMIT_DIGITS = 8
PACKAGES = ("tensorflow", "keras", "numpy", "optuna", "mlflow", "hydra-core")
# Whatever the user has configured, git can apply this diff.
DIFF_COMMAND = (
    *("diff", "--no-color", "--no-ext-diff", "--no-textconv", "--no-relative", "--binary"),
    *("--src-prefix=a/", "--dst-prefix=b/", "HEAD"),
)


@dataclass(frozen=True)
class Code:
    """The code of the working directory."""

    tags: Mapping[str, str]
    diff: str = ""  # of the working tree; only its beginning if it is longer than MAX_DIFF_CHARACTERS


def read_code() -> Code:
    """Returns the code of the working directory; without git's tags if it is in no repository."""
    commit = _git("rev-parse", "HEAD")
    if commit is None:
        return Code({KERASWEEP: _version(None)})
    is_dirty = bool(_git("status", "--porcelain"))
    diff = _git(*DIFF_COMMAND) or b""
    tags = {
        COMMIT: commit.decode().strip(),
        DIRTY: str(is_dirty).lower(),
        DIFF: _digest(diff) if diff else NO_DIFF,
        KERASWEEP: _version(_git("rev-parse", "--show-toplevel")),
    }
    # Other encodings than UTF-8 are lost here, which the digest shows.
    return Code(tags, diff.decode(errors="replace")[:MAX_DIFF_CHARACTERS])


def diff_digest(diff: str) -> str:
    """Returns 12 hex digits."""
    return _digest(diff.encode())


def _digest(diff: bytes) -> str:
    return hashlib.sha256(diff).hexdigest()[:12]


def diff_artifact(digest: str) -> str:
    """Returns the path of the artifact with a later start's diff."""
    return f"git-{digest}.diff"


def command_tags() -> dict[str, str]:
    """Returns MLflow's tags of the program and the user."""
    return {"mlflow.source.name": sys.argv[0], "mlflow.source.type": "LOCAL", "mlflow.user": _user()}


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


def _version(repository: bytes | None) -> str:
    """Returns kerasweep's version, with commit and digest of changes if it is a checkout of its own."""
    version = importlib.metadata.version("kerasweep")
    checkout = PACKAGE.parents[1]
    is_apart = repository is None or Path(os.fsdecode(repository.rstrip(b"\n"))) != checkout
    if not is_apart or not (checkout / ".git").exists():
        return version
    commit = _git("rev-parse", "HEAD", folder=checkout)
    if commit is None:
        return version
    diff = _git(*DIFF_COMMAND, folder=checkout)
    changes = f".{_digest(diff)}" if diff else ""
    return f"{version}+{commit.decode()[:COMMIT_DIGITS]}{changes}"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return str(os.getuid())


def _git(*arguments: str, folder: Path | None = None) -> bytes | None:
    """Returns git's output in the working directory or another folder; None if git fails or is missing."""
    variables = dict(os.environ)
    if folder is not None:  # git's variables name the repository of the working directory
        variables = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=folder, env=variables, capture_output=True, timeout=10, check=False
        )
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
