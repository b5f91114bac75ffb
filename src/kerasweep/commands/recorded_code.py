"""Starts src.rerun with the code that a run recorded, in a temporary worktree of git."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from kerasweep.config.target import find_module
from kerasweep.errors import ConfigError, Terminated
from kerasweep.tracking.location import resolve_uri
from kerasweep.tracking.recorded_run import RecordedRun
from kerasweep.tracking.source import COMMIT, COMMIT_DIGITS, KERASWEEP, MAX_DIFF_CHARACTERS
from kerasweep.tracking.tags import TARGETS_TAG

DOOR = Path("src", "rerun.py")
INSTALLED = "from kerasweep.commands.start import rerun; rerun()"
# Arguments that the process in the worktree gets in another way.
REPLACED = ("code", "tracking.uri")
GITLINK = "160000 "  # the mode of a submodule
INSTEAD = "Leave code=recorded out: then the code that is here trains the run."


def run_recorded_code(recorded: RecordedRun, diff: str, arguments: Sequence[str], uri: str | None) -> int:
    """Checks out a run's commit and diff, starts src.rerun there, and returns its exit code.

    The process has this one's working directory, so relative paths mean the same. Modules of the repository
    come from the worktree, and so does kerasweep if the repository is a checkout of it.

    Args:
        recorded: The run.
        diff: The changes of its working tree since the commit.
        arguments: Those of this command.
        uri: tracking.uri.

    Raises:
        ConfigError: The commit or the diff cannot be checked out.
    """
    commit = recorded.tags.get(COMMIT)
    if commit is None:
        release = recorded.tags.get(KERASWEEP, "+")
        installed = "" if "+" in release else f" pip install kerasweep=={release} installs its version."
        raise ConfigError(f"The run {recorded.run.run_id} recorded no commit.{installed} {INSTEAD}")
    if len(diff) >= MAX_DIFF_CHARACTERS:
        raise ConfigError(
            f"The diff of the run {recorded.run.run_id} was cut at {MAX_DIFF_CHARACTERS:,} characters. "
            f"{INSTEAD}"
        )
    with _worktree(commit, diff) as tree:
        is_ours = (tree / "src" / "kerasweep").is_dir()
        if is_ours and not (tree / DOOR).exists():
            raise ConfigError(f"The commit {commit[:COMMIT_DIGITS]} is older than src.rerun. {INSTEAD}")
        command = [str(tree / DOOR)] if is_ours else ["-c", INSTALLED]
        kept = [argument for argument in arguments if _key_of(argument) not in REPLACED]
        environment = {
            **_without_git(),
            # A variable, since other users see the arguments of a process, and a URI may have a password.
            "MLFLOW_TRACKING_URI": resolve_uri(uri),
            "PYTHONPATH": os.pathsep.join(_module_folders(tree, recorded.tags)),
            "GIT_DIR": _git("-C", str(tree), "rev-parse", "--absolute-git-dir").strip(),
            "GIT_WORK_TREE": str(tree),
        }
        # -P: modules of the working directory come after those of the worktree.
        return _run([sys.executable, "-P", *command, *kept, "code=here"], environment)


def _key_of(argument: str) -> str:
    return argument.lstrip("+~").partition("=")[0]


def _run(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Runs a command and returns its exit code; it also gets the signals, and ends in its own way."""
    # In a session of its own: a terminal would send it Ctrl-C a second time.
    process = subprocess.Popen(command, env=environment, start_new_session=True)
    while True:
        try:
            code = process.wait()
        except Terminated as terminated:
            process.send_signal(terminated.number)
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)
        else:
            return code if code >= 0 else 128 - code


def _module_folders(tree: Path, tags: Mapping[str, str]) -> list[str]:
    """Returns the worktree's counterparts of the repository's folders of modules, then PYTHONPATH."""
    repository = Path(_git("rev-parse", "--show-toplevel").rstrip("\n"))
    folders = [Path.cwd(), *(Path(path).resolve() for path in sys.path if path)]
    for target in tags.get(TARGETS_TAG, "").split():
        try:
            spec = find_module(target.rpartition("=")[0])
        except Exception:  # a package of the user's may raise anything, or be gone
            continue
        if spec is not None and spec.origin:
            folders.append(Path(spec.origin).resolve().parents[spec.name.count(".")])
    inside = [folder.relative_to(repository) for folder in folders if folder.is_relative_to(repository)]
    before = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    return [*(str(tree / folder) for folder in dict.fromkeys(inside)), *before]


@contextmanager
def _worktree(commit: str, diff: str) -> Iterator[Path]:
    """Checks out a commit with a diff into a temporary folder, and removes it at the end."""
    submodules = [line for line in _git("ls-tree", "-r", commit).splitlines() if line.startswith(GITLINK)]
    if submodules:
        named = ", ".join(line.partition("\t")[2] for line in submodules)
        raise ConfigError(f"The recorded code has submodules ({named}), which a worktree lacks. {INSTEAD}")
    with TemporaryDirectory(prefix="kerasweep-code-") as folder:
        tree = Path(folder, "tree")
        try:
            _git("-c", f"core.hooksPath={os.devnull}", "worktree", "add", "--detach", str(tree), commit)
            if diff:
                _apply(tree, diff)
            yield tree
        finally:
            subprocess.run(
                ["git", "worktree", "remove", "--force", str(tree)],
                env=_without_git(),
                capture_output=True,
                check=False,
            )


def _apply(tree: Path, diff: str) -> None:
    done = subprocess.run(
        ["git", "-C", str(tree), "apply", "--index", "--whitespace=nowarn", "-"],
        input=diff.encode(),
        env=_without_git(),
        capture_output=True,
        check=False,
    )
    if done.returncode:
        reason = " ".join(done.stderr.decode(errors="replace").split())
        raise ConfigError(f"The recorded diff cannot be applied: git says {reason!r}. {INSTEAD}")


def _git(*arguments: str) -> str:
    """Returns git's output. Raises ConfigError if git refuses."""
    try:
        done = subprocess.run(["git", *arguments], env=_without_git(), capture_output=True, check=False)
    except FileNotFoundError as error:
        raise ConfigError(f"code=recorded needs git. Install it. {INSTEAD}") from error
    if done.returncode:
        reason = " ".join(done.stderr.decode(errors="replace").split())
        raise ConfigError(
            f"The recorded code cannot be checked out: git says {reason!r}. Fetch the commit into the "
            f"repository of the working directory. {INSTEAD}"
        )
    return os.fsdecode(done.stdout)


def _without_git() -> dict[str, str]:
    """Returns the environment without git's variables: a hook's would name another worktree."""
    return {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
