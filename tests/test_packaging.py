"""An installed kerasweep is complete, and composes its config beside another project's src/."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).resolve().parent.parent
PLACEHOLDER = re.compile(r"@[A-Z]+@")
WRITTEN = (".py", ".yaml", ".toml", ".txt", ".md")
PACKAGED = ("src", "conf", "sweeps")


def ended(command: list[str], folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a command in folder and returns the finished process."""
    return subprocess.run(
        command, cwd=folder, env=os.environ | environment, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Builds the wheel from a copy, so that the repository stays clean."""
    copy = tmp_path_factory.mktemp("copy")
    for name in ("pyproject.toml", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    (copy / "README.md").write_text("# kerasweep\n")
    for name in PACKAGED:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    build = "from setuptools.build_meta import build_wheel; build_wheel('dist')"
    built = ended([sys.executable, "-c", build], copy)
    assert built.returncode == 0, built.stderr
    (path,) = (copy / "dist").glob("*.whl")
    return path


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Installs the wheel into a folder and returns the folder."""
    site = tmp_path_factory.mktemp("site")
    with ZipFile(wheel) as archive:
        archive.extractall(site)
    return site


def test_wheel_holds_every_module_and_config(wheel: Path) -> None:
    modules = [*ROOT.glob("src/kerasweep/**/*.*"), *ROOT.glob("src/hydra_plugins/**/*.*")]
    files = {path.relative_to(ROOT / "src").as_posix() for path in modules if path.suffix in (".py", ".html")}
    for folder in ("conf", "sweeps"):
        files |= {
            f"kerasweep/{path.relative_to(ROOT).as_posix()}" for path in ROOT.glob(f"{folder}/**/*.yaml")
        }
    with ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert held == files
    assert {name.split("/")[0] for name in held} == {"kerasweep", "hydra_plugins"}


def test_no_file_holds_a_placeholder() -> None:
    folders = (*PACKAGED, "benchmarks", "docs")
    files = [path for name in folders for path in (ROOT / name).rglob("*") if path.suffix in WRITTEN]
    files += [path for path in ROOT.iterdir() if path.suffix in WRITTEN or path.name == "Makefile"]
    found = {path.name: PLACEHOLDER.findall(path.read_text(encoding="utf-8")) for path in files}
    assert len(files) > 100 and {name: marks for name, marks in found.items() if marks} == {}


def test_installed_command_composes_beside_another_src(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "__init__.py").write_text("raise RuntimeError('another project')\n")
    script = installed / "kerasweep-train"
    script.write_text("from kerasweep.commands.train import main\n\nmain()\n")
    composed = ended(
        [sys.executable, str(script), "--cfg", "job", "model.kernel_size=5"],
        tmp_path,
        PYTHONPATH=str(installed),
    )
    assert composed.returncode == 0, composed.stderr
    assert "kernel_size: 5" in composed.stdout


def test_hydra_finds_the_sweeper_and_studies_from_another_directory(installed: Path, tmp_path: Path) -> None:
    program = (
        "from hydra.core.plugins import Plugins; from hydra.plugins.sweeper import Sweeper;"
        "from kerasweep.config.folders import config_folder;"
        "print([kind.__module__ for kind in Plugins.instance().discover(Sweeper)], config_folder('sweeps'))"
    )
    found = ended([sys.executable, "-c", program], tmp_path, PYTHONPATH=str(installed))
    assert found.returncode == 0, found.stderr
    assert "hydra_plugins.kerasweep.sweeper" in found.stdout
    assert str(installed / "kerasweep" / "sweeps") in found.stdout


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ("echo Python 3.9.1; exit 1", "but ./python is Python 3.9.1. Name another interpreter"),
        ('case "$2" in *venv*) exit 1;; esac', "Install them, as in: apt install python3-venv"),
    ],
)
def test_make_says_what_an_interpreter_lacks(answers: str, said: str, tmp_path: Path) -> None:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    interpreter = tmp_path / "python"
    interpreter.write_text(f"#!/bin/sh\n{answers}\n")
    interpreter.chmod(0o755)
    made = ended(["make", "venv", "PYTHON=./python"], tmp_path)
    assert made.returncode == 2
    assert said in made.stderr
    assert not (tmp_path / ".venv").exists()
