"""Plants bugs, one at a time, in a copy of the checkout, and reports the bugs that no test notices.

python -m tests.planted             every bug
python -m tests.planted space       those of tests/planted/space.toml

A bug is a table [[bug]] of such a file: `file` below src/kerasweep, `find` (text that occurs once),
`replace`, `tests` (which should fail, as given to pytest). The exit code is the number of survivors.
"""

import os
import shlex
import shutil
import signal
import sys
import tempfile
import tomllib
import traceback
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COPIED = (
    "src",
    "tests",
    "conf",
    "sweeps",
    "docs",
    "benchmarks",
    "mlruns",
    "pyproject.toml",
    "README.md",
    "Makefile",
)
IGNORED = shutil.ignore_patterns("__pycache__", "*.db", "jobs", "studies", "artifacts")
MAX_SECONDS = 900
# MLflow has imported anyio, which has a plugin for pytest.
OPTIONS = ("-q", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning")
# As in tests/conftest.py, which comes too late for what is imported here.
ENVIRONMENT = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "CUDA_VISIBLE_DEVICES": "-1",
    "TF_ENABLE_ONEDNN_OPTS": "1",
    "OPENBLAS_NUM_THREADS": "1",  # a thread would not be there after a fork
}


@dataclass(frozen=True)
class Bug:
    """A change of one place that some test should notice."""

    file: str
    find: str
    replace: str
    tests: str


def read_bugs(rooms: list[str]) -> list[Bug]:
    """Returns the bugs of these rooms, or of all."""
    folder = Path(__file__).parent
    files = [folder / f"{room}.toml" for room in rooms] or sorted(folder.glob("*.toml"))
    return [Bug(**bug) for file in files for bug in tomllib.loads(file.read_text(encoding="utf-8"))["bug"]]


def run_tests(tests: list[str], checkout: Path, *options: str) -> tuple[int, str]:
    """Runs tests in a fork, which finds kerasweep in the checkout. Returns the exit code and the output."""
    output = checkout / "output.txt"
    pid = os.fork()
    if pid == 0:
        try:
            signal.alarm(MAX_SECONDS)
            os.setsid()
            os.chdir(checkout)
            places = [str(checkout / "src"), str(checkout)]
            sys.path[:0] = places
            os.environ["PYTHONPATH"] = os.pathsep.join(places)  # for processes that a test starts
            for name in [name for name in sys.modules if name.partition(".")[0] == "tests"]:
                del sys.modules[name]
            file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(file, 1)
            os.dup2(file, 2)
            os._exit(pytest.main([*OPTIONS, *options, *tests]))
        finally:  # whatever was raised: this process must not go on with the next bug
            traceback.print_exc()
            os._exit(70)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return code, output.read_text(encoding="utf-8", errors="replace")


def is_noticed(bug: Bug, checkout: Path) -> bool:
    """Returns whether the tests fail, or take for ever, with the bug in place."""
    path = checkout / "src" / "kerasweep" / bug.file
    whole = path.read_text(encoding="utf-8")
    path.write_text(whole.replace(bug.find, bug.replace), encoding="utf-8")
    try:
        code, output = run_tests(shlex.split(bug.tests), checkout, "-x")
    finally:
        path.write_text(whole, encoding="utf-8")
    if code > 1:  # below 0: it took for ever, or a signal that the bug let through killed it
        raise SystemExit(f"pytest could not run {bug.tests} with {bug.replace!r}:\n{output[-2000:]}")
    return code != 0


def check_whole(bugs: list[Bug], checkout: Path) -> None:
    """Raises SystemExit unless each bug has one place, and the tests pass without any."""
    for bug in bugs:
        count = (checkout / "src" / "kerasweep" / bug.file).read_text(encoding="utf-8").count(bug.find)
        if count != 1:
            raise SystemExit(f"{bug.file} must have this once, but has it {count} times: {bug.find}")
    together: set[str] = set()
    selections: list[list[str]] = []
    for tests in sorted({bug.tests for bug in bugs}):
        if " -" in tests:  # options such as -k hold for all files that are named beside them
            selections.append(shlex.split(tests))
        else:
            together.update(shlex.split(tests))
    for selection in [sorted(together), *selections]:
        code, output = run_tests(selection, checkout) if selection else (0, "")
        if code != 0:
            raise SystemExit(f"without a bug these tests fail:\n{output[-3000:]}")


def main() -> int:
    os.environ.update(ENVIRONMENT)
    # Each fork has these already; kerasweep itself is imported in the fork.
    import mlflow  # noqa: F401
    import optuna  # noqa: F401
    import tensorflow  # noqa: F401

    sys.dont_write_bytecode = True  # a bug may be as long as what it replaces, and planted in the same second
    bugs = read_bugs(sys.argv[1:])
    survivors = []
    with tempfile.TemporaryDirectory() as folder:
        checkout = Path(folder)
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, checkout / name, ignore=IGNORED)
            else:
                shutil.copy(source, checkout / name)
        check_whole(bugs, checkout)
        for number, bug in enumerate(bugs, 1):
            noticed = is_noticed(bug, checkout)
            verdict = "noticed" if noticed else "SURVIVED"
            change = f"{bug.file}: {bug.find!r} -> {bug.replace!r}"
            print(f"[{number}/{len(bugs)}] {verdict}  {change}", flush=True)
            if not noticed:
                survivors.append(bug)
    print(f"{len(bugs) - len(survivors)} of {len(bugs)} planted bugs were noticed")
    return len(survivors)


if __name__ == "__main__":
    raise SystemExit(main())
