"""Plants bugs, one at a time, in a copy of the checkout, and tells which ones no test notices.

python -m tests.planted             every bug
python -m tests.planted space       those of tests/planted/space.toml

A bug is a line of such a file's [[bug]] table: `file` below src/kerasweep, `find` (text that occurs once),
`replace`, `tests` (what should fail, as given to pytest). The exit code is the number of survivors.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

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
TIMEOUT_SECONDS = 900


@dataclass(frozen=True)
class Bug:
    """A change of one place that some test should notice."""

    file: str
    find: str
    replace: str
    tests: str


def read_bugs(rooms: list[str]) -> list[Bug]:
    """The bugs of these rooms, or of all."""
    folder = Path(__file__).parent
    files = [folder / f"{room}.toml" for room in rooms] or sorted(folder.glob("*.toml"))
    return [Bug(**bug) for file in files for bug in tomllib.loads(file.read_text(encoding="utf-8"))["bug"]]


def is_noticed(bug: Bug, checkout: Path) -> bool:
    """Whether the tests fail with the bug in place."""
    path = checkout / "src" / "kerasweep" / bug.file
    whole = path.read_text(encoding="utf-8")
    if whole.count(bug.find) != 1:
        raise SystemExit(
            f"{bug.file} must have this once, but has it {whole.count(bug.find)} times: {bug.find}"
        )
    path.write_text(whole.replace(bug.find, bug.replace), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *bug.tests.split()]
    environment = {**os.environ, "PYTHONPATH": f"{checkout / 'src'}{os.pathsep}{checkout}"}
    try:
        done = subprocess.run(
            command,
            cwd=checkout,
            env=environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return True
    finally:
        path.write_text(whole, encoding="utf-8")
    if done.returncode not in (0, 1, 2):
        raise SystemExit(f"pytest could not run {bug.tests}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.returncode != 0


def main() -> int:
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
        for number, bug in enumerate(bugs, 1):
            noticed = is_noticed(bug, checkout)
            said = "noticed" if noticed else "SURVIVED"
            print(f"[{number}/{len(bugs)}] {said}  {bug.file}: {bug.find!r} -> {bug.replace!r}", flush=True)
            if not noticed:
                survivors.append(bug)
    print(f"{len(bugs) - len(survivors)} of {len(bugs)} planted bugs were noticed")
    return len(survivors)


if __name__ == "__main__":
    raise SystemExit(main())
