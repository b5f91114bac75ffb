"""Imports only go down the rows of a table, form no circle, and only its owners import a heavy library."""

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src"

# Rooms from the doors down to the ground. A room imports only from lower rows.
ROWS = {
    8: ("kerasweep.api",),
    7: (
        "src.train",
        "src.compare",
        "src.predict",
        "src.rerun",
        "src.refit",
        "src.export",
        "src.promote",
        "hydra_plugins",
        "kerasweep.commands",
    ),
    6: ("kerasweep.multirun", "kerasweep.handover"),
    5: ("kerasweep.sweep", "kerasweep.report"),
    4: ("kerasweep.trial", "kerasweep.search", "kerasweep.workers"),
    3: ("kerasweep.training",),
    2: ("kerasweep.data", "kerasweep.model", "kerasweep.tracking", "kerasweep.space"),
    1: (
        "kerasweep.config",
        "kerasweep.results",
        "kerasweep.errors",
        "kerasweep.terminal",
        "kerasweep.fast_start",
        "kerasweep.file_lock",
        "kerasweep.serving",
    ),
}
ROW_OF = {room: row for row, rooms in ROWS.items() for room in rooms}

# Allowed imports between rooms of the same row.
SIDEWAYS = {
    ("src.train", "kerasweep.commands"),
    ("src.compare", "kerasweep.commands"),
    ("src.predict", "kerasweep.commands"),
    ("src.rerun", "kerasweep.commands"),
    ("src.refit", "kerasweep.commands"),
    ("src.export", "kerasweep.commands"),
    ("src.promote", "kerasweep.commands"),
    ("hydra_plugins", "kerasweep.commands"),
    ("kerasweep.config", "kerasweep.errors"),
}
KERAS_OWNERS = (
    *("kerasweep.data", "kerasweep.model", "kerasweep.training", "kerasweep.trial.begin_program"),
    *("kerasweep.handover", "kerasweep.serving"),
)
OWNERS = {
    "tensorflow": KERAS_OWNERS,
    "keras": (*KERAS_OWNERS, "kerasweep.api.loading"),
    "mlflow": ("kerasweep.tracking", "kerasweep.serving"),
    "optuna": (
        "kerasweep.search",
        "kerasweep.sweep",
        "kerasweep.space",
        "kerasweep.report.figures",
        "kerasweep.api.sweeping",
    ),
    "hydra": (
        "kerasweep.config",
        "kerasweep.space",
        "kerasweep.multirun",
        "kerasweep.commands",
        "kerasweep.api",
        "hydra_plugins",
    ),
    "ray": ("kerasweep.workers.ray_cluster", "kerasweep.workers.ray_pool", "kerasweep.workers.ray_worker"),
    "matplotlib": (
        *("kerasweep.trial.figures", "kerasweep.report.figures", "kerasweep.report.scatter_figures"),
        "kerasweep.report.parallel",
    ),
}
# kerasweep/__init__.py exports names of rooms below the doors and imports each at its first use.
FRONT = "kerasweep"


@dataclass(frozen=True)
class Import:
    """An imported module's full name and the line of the import."""

    module: str
    line: int


def lies_in(module: str, name: str) -> bool:
    """Returns whether module is name, or lies below it."""
    return module == name or module.startswith(name + ".")


def room_of(module: str) -> str | None:
    """Returns the room of a module, or None if the table has none for it."""
    return next((room for room in ROW_OF if lies_in(module, room)), None)


def imports_of(source: str, module: str, is_package: bool, modules: Mapping[str, Path]) -> Iterator[Import]:
    """Returns each import, also within functions; `from package import module` names the module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = origin_of(node, module, is_package)
            for alias in node.names:
                inner = f"{origin}.{alias.name}"
                yield Import(inner if inner in modules else origin, node.lineno)


def origin_of(node: ast.ImportFrom, module: str, is_package: bool) -> str:
    """Returns the absolute name of the module or package after `from`."""
    if not node.level:
        return node.module or ""
    above = node.level - 1 if is_package else node.level
    parts = module.split(".")
    return ".".join(parts[: len(parts) - above] + ([node.module] if node.module else []))


def breaches(module: str, imported: list[Import]) -> list[str]:
    """Returns a sentence for each import that the table forbids."""
    if module in (FRONT, "src"):
        return []
    if room_of(module) is None:
        return [f"{module} stands in no row: give its room one in ROWS of tests/test_layers.py."]
    found = (arrow_breach(module, each) or library_breach(module, each) for each in imported)
    return [sentence for sentence in found if sentence]


def arrow_breach(module: str, imported: Import) -> str | None:
    """Says why the table forbids this import; None if it goes down or leaves the project."""
    if not any(lies_in(imported.module, top) for top in ("src", "kerasweep", "hydra_plugins")):
        return None
    room, target = room_of(module), room_of(imported.module)
    where = f"{module} (line {imported.line}) imports {imported.module}"
    if target is None:
        return f"{where}, which stands in no row: give it one in ROWS, or import the module that is meant."
    assert room is not None
    if target == room or (room, target) in SIDEWAYS:
        return None
    row, target_row = ROW_OF[room], ROW_OF[target]
    if target_row > row:
        return f"{where}: up from row {row} to row {target_row}. Pass a function in, or move one of them."
    if target_row == row:
        return f"{where}: sideways, both are in row {row}. Move what they share to a lower row."
    return None


def library_breach(module: str, imported: Import) -> str | None:
    """Says why this module may not import a heavy library; None for its owners and any other library."""
    library = imported.module.split(".")[0]
    owners = OWNERS.get(library)
    if owners is None or any(lies_in(module, owner) for owner in owners):
        return None
    return (
        f"{module} (line {imported.line}) imports {imported.module}, which only {', '.join(owners)} may: "
        "call them, and pass plain values."
    )


def project_modules() -> dict[str, Path]:
    """Returns each module below src by its full name; the doors are named like `src.train`."""
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        parts = parts if parts[0] in ("kerasweep", "hydra_plugins") else ("src", *parts)
        found[".".join(parts).removesuffix(".__init__")] = path
    return found


MODULES = project_modules()


def needs(module: str) -> set[str]:
    """Returns the project's modules that an import of this one imports; imports in functions do not count."""
    path = MODULES[module]
    tree = ast.parse(path.read_text())
    tree.body = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    return {
        each.module for each in imports_of(ast.unparse(tree), module, path.name == "__init__.py", MODULES)
    }


def circle(graph: Mapping[str, set[str]]) -> list[str]:
    """Returns modules that import each other in a circle; empty if there are none."""
    done: set[str] = set()

    def visit(module: str, path: list[str]) -> list[str]:
        if module in path:
            return [*path[path.index(module) :], module]
        if module in done:
            return []
        for target in sorted(graph.get(module, set())):
            found = visit(target, [*path, module])
            if found:
                return found
        done.add(module)
        return []

    return next((found for module in graph if (found := visit(module, []))), [])


@pytest.mark.parametrize("module", MODULES)
def test_imports_only_go_down(module: str) -> None:
    path = MODULES[module]
    found = list(imports_of(path.read_text(), module, path.name == "__init__.py", MODULES))
    sentences = breaches(module, found)
    assert not sentences, "\n" + "\n".join(sentences)


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert circle({module: needs(module) & MODULES.keys() for module in MODULES}) == []


def test_a_circle_is_found() -> None:
    assert circle({"a": {"b"}, "b": {"c", "d"}, "c": set(), "d": {"b"}}) == ["b", "d", "b"]


def test_hydra_plugins_stays_a_namespace() -> None:
    hiding = SOURCE / "hydra_plugins" / "__init__.py"
    assert not hiding.exists(), f"{hiding.name} would hide every other Hydra plugin: delete it."


def checked(module: str, source: str) -> list[str]:
    """Returns the breaches of an invented module among invented neighbours."""
    names = ("kerasweep.data.split", "kerasweep.sweep.driver", "kerasweep.model.network")
    neighbours = {name: Path() for name in names}
    return breaches(module, list(imports_of(source, module, False, neighbours)))


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("kerasweep.config.check", "from kerasweep.errors import ConfigError"),
        ("kerasweep.data.prepare", "from kerasweep.data.split import Split\nimport numpy"),
        ("kerasweep.data.prepare", "from .split import Split"),
        ("kerasweep.model.network", "import keras"),
        ("kerasweep.search.samplers", "import optuna\nfrom kerasweep.space.space import Space"),
        ("kerasweep.sweep.driver", "from kerasweep.search.study import sweep_hash"),
        ("kerasweep.training.fit", "from kerasweep.model.network import build_model"),
        (
            "kerasweep.trial.begin_program",
            "def train():\n    import keras\n    from kerasweep.training.fit import fit",
        ),
        ("kerasweep.report.figures", "from optuna.visualization import matplotlib"),
        ("src.train", "from kerasweep.commands.start import train"),
        ("hydra_plugins.kerasweep.sweeper", "from kerasweep.multirun.conduct import conduct"),
    ],
)
def test_admits_what_the_table_allows(module: str, source: str) -> None:
    assert checked(module, source) == []


@pytest.mark.parametrize(
    ("module", "source", "said"),
    [
        ("kerasweep.data.split", "import kerasweep.training.fit", "up from row 2 to row 3"),
        (
            "kerasweep.data.split",
            "def late():\n    from kerasweep.trial.run import run_trial",
            "(line 2) imports kerasweep.trial.run: up",
        ),
        (
            "kerasweep.search.ledger",
            "from kerasweep.sweep import driver",
            "imports kerasweep.sweep.driver: up",
        ),
        ("kerasweep.data.split", "from kerasweep.model import build", "sideways, both are in row 2"),
        (
            "kerasweep.search.study",
            "from kerasweep.trial.run import run_trial",
            "sideways, both are in row 4",
        ),
        ("src.train", "from src.compare import main", "sideways, both are in row 7"),
        ("kerasweep.errors", "from kerasweep.config import check", "sideways, both are in row 1"),
        (
            "kerasweep.trial.run",
            "from kerasweep.secret import thing",
            "kerasweep.secret, which stands in no row",
        ),
        ("kerasweep.trial.run", "from kerasweep import Outcome", "imports kerasweep, which stands in no row"),
        ("kerasweep.secret", "import json", "kerasweep.secret stands in no row"),
        ("kerasweep.report.page", "import tensorflow as tf", "imports tensorflow, which only kerasweep.data"),
        (
            "kerasweep.sweep.driver",
            "def late():\n    from keras.utils import plot",
            "(line 2) imports keras.utils",
        ),
        (
            "kerasweep.trial.run",
            "import mlflow.entities",
            "mlflow.entities, which only kerasweep.tracking, kerasweep.serving may",
        ),
        (
            "kerasweep.commands.train",
            "from optuna.trial import Trial",
            "optuna.trial, which only kerasweep.search",
        ),
        ("kerasweep.sweep.driver", "import hydra", "imports hydra, which only kerasweep.config"),
        (
            "kerasweep.report.page",
            "from matplotlib.figure import Figure",
            "which only kerasweep.trial.figures",
        ),
    ],
)
def test_names_each_breach(module: str, source: str, said: str) -> None:
    (sentence,) = checked(module, source)
    assert said in sentence


def test_commands_start_without_heavy_libraries() -> None:
    doors = [f"src.{path.stem}" for path in SOURCE.glob("*.py")]
    assert "src.refit" in doors
    program = (
        "import sys, kerasweep, hydra_plugins.kerasweep.sweeper;"
        f"import {', '.join(doors)};"
        "from hydra.core.plugins import Plugins; Plugins.instance();"
        "heavy = ('tensorflow', 'keras', 'optuna', 'mlflow', 'matplotlib');"
        "print(*(name for name in heavy if name in sys.modules))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout.strip()) == (0, ""), ended.stdout + ended.stderr
