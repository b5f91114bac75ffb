"""What code made a run: git's commit, whether the tree was dirty, and its diff."""

import getpass
import os
import subprocess
import sys

MOST_DIFF_CHARACTERS = 1_000_000


def source_tags() -> dict[str, str]:
    """MLflow's source tags, and `git.dirty`; without git or a repository only the program and user."""
    tags = {"mlflow.source.name": sys.argv[0], "mlflow.source.type": "LOCAL", "mlflow.user": _user()}
    commit = _git("rev-parse", "HEAD")
    if commit is None:
        return tags
    dirty = bool(_git("status", "--porcelain"))
    return tags | {"mlflow.source.git.commit": commit.strip(), "git.dirty": str(dirty).lower()}


def git_diff() -> str | None:
    """What the working tree changes against its last commit, cut at a million characters; None if nothing."""
    diff = _git("diff", "--no-color", "--no-ext-diff", "HEAD")
    return diff[:MOST_DIFF_CHARACTERS] if diff else None


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
