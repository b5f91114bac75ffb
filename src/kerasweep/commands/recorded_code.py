"""Starts src.rerun with the code that a run recorded, in a temporary worktree of git."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from kerasweep.errors import ConfigError
from kerasweep.tracking.run_record import RunRecord
from kerasweep.tracking.source import COMMIT, MAX_DIFF_CHARACTERS

DOOR = Path("src", "rerun.py")
INSTALLED = "from kerasweep.commands.start import rerun; rerun()"


def run_recorded_code(
    run: RunRecord, diff: str, arguments: Sequence[str], variables: Mapping[str, str]
) -> int:
    """Checks out a run's commit and diff, starts src.rerun there, and returns its exit code.

    The process has this one's working directory, so relative paths mean the same. Its modules come from the
    worktree, and kerasweep too if the worktree is one of kerasweep.

    Args:
        run: The recorded run.
        diff: What its code had beyond the commit.
        arguments: Of src.rerun.
        variables: More variables of its environment.

    Raises:
        ConfigError: The commit or the diff cannot be checked out.
    """
    commit = run.tags.get(COMMIT)
    if commit is None:
        raise ConfigError(f"The run {run.run_id} recorded no commit. Leave code=recorded out.")
    if len(diff) >= MAX_DIFF_CHARACTERS:
        raise ConfigError(
            f"The diff of the run {run.run_id} was cut at {MAX_DIFF_CHARACTERS:,} characters. Leave "
            "code=recorded out."
        )
    with _worktree(commit, diff) as tree:
        is_ours = (tree / "src" / "kerasweep").is_dir()
        if is_ours and not (tree / DOOR).exists():
            raise ConfigError(
                f"The commit {commit[:8]} is older than src.rerun. Leave code=recorded out, or check it out "
                "and train its configuration, the artifact config.yaml, yourself."
            )
        command = [str(tree / DOOR)] if is_ours else ["-c", INSTALLED]
        here = tree / _git("rev-parse", "--show-prefix").strip()
        paths = [str(here), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {
            **os.environ,
            **variables,
            "PYTHONPATH": os.pathsep.join(paths),
            "GIT_DIR": _git("-C", str(tree), "rev-parse", "--absolute-git-dir").strip(),
            "GIT_WORK_TREE": str(tree),
        }
        # -P: modules of the working directory come after those of the worktree.
        done = subprocess.run([sys.executable, "-P", *command, *arguments], env=environment, check=False)
    return done.returncode


@contextmanager
def _worktree(commit: str, diff: str) -> Iterator[Path]:
    """Checks out a commit with a diff into a temporary folder, and removes it at the end."""
    with TemporaryDirectory(prefix="kerasweep-code-") as folder:
        tree = Path(folder, "tree")
        try:
            _git("worktree", "add", "--detach", str(tree), commit)
            if diff:
                _git("-C", str(tree), "apply", "--index", "--whitespace=nowarn", "-", given=diff)
            yield tree
        finally:
            subprocess.run(
                ["git", "worktree", "remove", "--force", str(tree)], capture_output=True, check=False
            )


def _git(*arguments: str, given: str | None = None) -> str:
    """Returns git's output. Raises ConfigError if git refuses."""
    try:
        done = subprocess.run(
            ["git", *arguments], input=given, capture_output=True, text=True, errors="replace", check=False
        )
    except FileNotFoundError as error:
        raise ConfigError("code=recorded needs git. Install it, or leave code=recorded out.") from error
    if done.returncode:
        reason = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        raise ConfigError(
            f"The recorded code cannot be checked out: git says {reason!r}. Fetch the commit into the "
            "repository of the working directory, or leave code=recorded out."
        )
    return done.stdout
