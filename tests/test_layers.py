"""Imports go down the rows of one table, and each heavy library has its owners."""

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# From the commands down to the ground. A name stands for itself and everything below it; the longest wins.
ROWS = {
    5: (
        *("src.train", "src.single", "src.predict", "src.compare", "src.command_line"),
        *("src.multirun", "hydra_plugins"),
    ),
    4: (
        *("src.trial", "src.report", "src.beside", "src.beside_preload"),
        *("src.sweep.search", "src.sweep.seeds", "src.sweep.roles", "src.sweep.hours", "src.sweep.ask"),
        *("src.sweep.affinity", "src.sweep.supply"),
        *("src.sweep.driver", "src.sweep.workers", "src.sweep.record", "src.sweep.summary", "src.sweep.view"),
        *("src.sweep.progress", "src.sweep.picture", "src.sweep.portraits"),
    ),
    3: (
        *("src.training.fit", "src.training.program", "src.training.programs"),
        "src.training.kernel_probe",
        *("src.sweep.study", "src.sweep.samplers", "src.sweep.ledger", "src.sweep.propose"),
        *("src.sweep.stops", "src.sweep.channel", "src.sweep.reception", "src.sweep.limits"),
        *("src.sweep.memory", "src.sweep.cores", "src.sweep.journal_report"),
        *("src.sweep.pruners", "src.sweep.importance", "src.sweep.lease", "src.sweep.template"),
        *("src.sweep.lifetime", "src.sweep.preload"),
        *("src.tracking.connect", "src.tracking.database", "src.tracking.runs", "src.tracking.query"),
        *("src.tracking.selection", "src.tracking.source", "src.tracking.keras_model"),
        *("src.tracking.parents", "src.tracking.histories", "src.tracking.filters"),
        *("src.tracking.tables", "src.tracking.run_record"),
        *("src.tracking.buffered", "src.tracking.batch", "src.tracking.patience"),
    ),
    2: (
        *("src.data", "src.model", "src.evaluation", "src.sweep.space"),
        *("src.tracking.names", "src.tracking.description", "src.tracking.location"),
        "src.tracking.recorder",
        *("src.training.optimizer", "src.training.schedules", "src.training.callbacks"),
        *("src.training.seeding", "src.training.start", "src.training.resume"),
        *("src.training.cost", "src.training.checkpoints", "src.training.graph_key"),
        *("src.training.onednn", "src.training.fused"),
    ),
    1: ("src.config", "src.errors", "src.outcome", "src.terminal", "src.collector", "src.hidden"),
}
ROW_OF = {name: row for row, names in ROWS.items() for name in names}

# What the others of its own row may import: the errors, and what every command does alike.
SHARED = ("src.errors", "src.command_line")

# One command in two places: what trains is imported only where a run begins, since Hydra
# imports every module of hydra_plugins for any command, --help too.
SIDEWAYS = (("src.train", "src.single"), ("hydra_plugins", "src.multirun"))

COMMANDS = ROWS[5]
KERAS_OWNERS = (
    *("src.data.pipeline", "src.data.download", "src.model", "src.training"),
    *("src.predict", "src.trial.network"),
)
OWNERS = {
    "tensorflow": KERAS_OWNERS,
    "keras": KERAS_OWNERS,
    "mlflow": ("src.tracking",),
    "optuna": ("src.sweep", "src.report.figures"),
    "pebble": ("src.sweep.workers", "src.sweep.limits"),
    "hydra": ("src.config", "src.sweep.space", *COMMANDS),
    "matplotlib": ("src.evaluation", "src.report.figures"),
}


@dataclass(frozen=True)
class Import:
    """One imported module, by its full name, and the line that asks for it."""

    module: str
    line: int


def lies_in(module: str, name: str) -> bool:
    """Whether module is name, or lies below it."""
    return module == name or module.startswith(name + ".")


def listed_name(module: str) -> str | None:
    """The longest name of the table that the module lies in; None where it is not listed."""
    return max((name for name in ROW_OF if lies_in(module, name)), key=len, default=None)


def package_of(module: str) -> str:
    """The first two names, src.data for src.data.split; all of hydra_plugins is one package."""
    return "hydra_plugins" if lies_in(module, "hydra_plugins") else ".".join(module.split(".")[:2])


def imports_of(source: str, module: str, is_package: bool, modules: Mapping[str, Path]) -> Iterator[Import]:
    """Every import in the source, in functions too; `from package import module` names the module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = origin_of(node, module, is_package)
            for alias in node.names:
                inner = f"{origin}.{alias.name}"
                yield Import(inner if inner in modules else origin, node.lineno)


def origin_of(node: ast.ImportFrom, module: str, is_package: bool) -> str:
    """The absolute name of what a `from` imports from."""
    if not node.level:
        return node.module or ""
    above = node.level - 1 if is_package else node.level
    parts = module.split(".")
    return ".".join(parts[: len(parts) - above] + ([node.module] if node.module else []))


def breaches(module: str, imported: list[Import]) -> list[str]:
    """One sentence for each import that the table forbids; empty where all is well."""
    if listed_name(module) is None:
        # A package that is split over rows may hold a docstring, but no module of a row.
        unlisted = f"{module} stands in no row: give it one in ROWS of tests/test_layers.py."
        return [unlisted] if imported or module.count(".") > 1 else []
    found = (arrow_breach(module, each) or library_breach(module, each) for each in imported)
    return [sentence for sentence in found if sentence]


def arrow_breach(module: str, imported: Import) -> str | None:
    """Why this import goes up or sideways; None where it goes down or leaves the project."""
    if not (lies_in(imported.module, "src") or lies_in(imported.module, "hydra_plugins")):
        return None
    source, target = listed_name(module), listed_name(imported.module)
    where = f"{module} (line {imported.line}) imports {imported.module}"
    if target is None:
        return f"{where}, which stands in no row: give it one in ROWS, or import the module that is meant."
    row, target_row = ROW_OF[source or ""], ROW_OF[target]
    if target_row > row:
        return f"{where}: up from row {row} to row {target_row}. Pass a function in, or move one of them."
    if target_row < row or target in SHARED or (source, target) in SIDEWAYS:
        return None
    if package_of(module) == package_of(imported.module):
        return None
    return f"{where}: sideways, both are in row {row}. Move what they share to a lower row."


def library_breach(module: str, imported: Import) -> str | None:
    """Why this module may not import a heavy library; None for its owners and any other library."""
    library = imported.module.split(".")[0]
    owners = OWNERS.get(library)
    if owners is None or any(lies_in(module, owner) for owner in owners):
        return None
    return (
        f"{module} (line {imported.line}) imports {imported.module}, which only {', '.join(owners)} may: "
        "call them, and pass plain values."
    )


def project_modules() -> dict[str, Path]:
    """Every module of src and hydra_plugins, by its full name."""
    paths = [path for top in ("src", "hydra_plugins") for path in sorted((ROOT / top).rglob("*.py"))]
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in paths
    }


MODULES = project_modules()


@pytest.mark.parametrize("module", MODULES)
def test_imports_only_go_down(module: str) -> None:
    path = MODULES[module]
    found = list(imports_of(path.read_text(), module, path.name == "__init__.py", MODULES))
    sentences = breaches(module, found)
    assert not sentences, "\n" + "\n".join(sentences)


def test_hydra_plugins_stays_a_namespace() -> None:
    hiding = ROOT / "hydra_plugins" / "__init__.py"
    assert not hiding.exists(), f"{hiding.name} would hide every other Hydra plugin: delete it."


def checked(module: str, source: str) -> list[str]:
    """The breaches of a made-up module, among made-up neighbours."""
    neighbours = {name: Path() for name in ("src.data.split", "src.sweep.driver", "src.model.build")}
    return breaches(module, list(imports_of(source, module, False, neighbours)))


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("src.config.check", "from src.errors import ConfigError"),
        ("src.data.prepare", "from src.data.split import Split\nimport numpy"),
        ("src.data.prepare", "from .split import Split"),
        ("src.model.build", "import keras"),
        ("src.sweep.samplers", "import optuna\nfrom src.sweep.space.axis import Space"),
        ("src.sweep.driver", "from src.sweep.study import open_study"),
        ("src.training.fit", "from src.training.callbacks import BestEpoch"),
        ("src.trial.network", "def train():\n    import keras\n    from src.training.fit import fit"),
        ("src.report.figures", "from optuna.visualization import matplotlib"),
        ("src.train", "import hydra\nfrom src.command_line import run_command"),
        ("hydra_plugins.kerasweep.sweeper", "from hydra_plugins.kerasweep.conduct import conduct"),
        ("src.sweep", ""),
    ],
)
def test_admits_what_the_table_allows(module: str, source: str) -> None:
    assert checked(module, source) == []


@pytest.mark.parametrize(
    ("module", "source", "said"),
    [
        ("src.data.split", "import src.training.fit", "up from row 2 to row 3"),
        (
            "src.data.split",
            "def late():\n    from src.trial import run_trial",
            "(line 2) imports src.trial: up",
        ),
        (
            "src.sweep.ledger",
            "from src.sweep import driver",
            "imports src.sweep.driver: up from row 3 to row 4",
        ),
        ("src.sweep.ledger", "from .driver import Sweep", "imports src.sweep.driver: up from row 3 to row 4"),
        (
            "src.data.split",
            "from src.model import build",
            "imports src.model.build: sideways, both are in row 2",
        ),
        ("src.trial", "from src.sweep.driver import Sweep", "sideways, both are in row 4"),
        ("src.sweep.samplers", "from src.tracking.runs import Tracker", "sideways, both are in row 3"),
        ("src.predict", "from src.single import run_single", "sideways, both are in row 5"),
        ("src.train", "from hydra_plugins.kerasweep import conduct", "sideways, both are in row 5"),
        ("src.errors", "from src.config import check", "sideways, both are in row 1"),
        ("src.trial", "from src.secret import thing", "imports src.secret, which stands in no row"),
        ("src.secret", "import json", "src.secret stands in no row"),
        ("src.sweep.secret", "", "src.sweep.secret stands in no row"),
        ("src.sweep", "from src.sweep.space import axis", "src.sweep stands in no row"),
        ("src.data.split", "import tensorflow as tf", "imports tensorflow, which only src.data.pipeline"),
        ("src.sweep.driver", "def late():\n    from keras.utils import plot", "(line 2) imports keras.utils"),
        ("src.trial.run", "import keras", "which only src.data.pipeline"),
        ("src.trial", "import mlflow.entities", "imports mlflow.entities, which only src.tracking may"),
        ("src.train", "from optuna.trial import Trial", "imports optuna.trial, which only src.sweep"),
        ("src.sweep.driver", "import hydra", "imports hydra, which only src.config, src.sweep.space"),
        (
            "src.report.page",
            "from matplotlib.figure import Figure",
            "which only src.evaluation, src.report.figures may",
        ),
    ],
)
def test_names_each_breach(module: str, source: str, said: str) -> None:
    (sentence,) = checked(module, source)
    assert said in sentence


def test_commands_start_without_heavy_libraries() -> None:
    program = (
        "import sys, conf, sweeps, hydra_plugins.kerasweep.sweeper, src.train, src.predict, src.compare;"
        "from hydra.core.plugins import Plugins; Plugins.instance();"
        "heavy = ('tensorflow', 'keras', 'optuna', 'mlflow', 'matplotlib');"
        "print(*(name for name in heavy if name in sys.modules))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout.strip()) == (0, ""), ended.stdout + ended.stderr
