"""What each study of sweeps/study costs on digits, beside its question: the table of sweeps/README.md."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from omegaconf import OmegaConf

from benchmarks import ROOT
from benchmarks.page import machine, publish
from benchmarks.sweeps import sweep

STUDIES, README = ROOT / "sweeps" / "study", ROOT / "sweeps" / "README.md"
COLUMNS = ("study", "axes", "its claim", "design", "seeds", "epochs", "cost")


@dataclass(frozen=True)
class Trained:
    """A study that was run to its end. tags, params: of its parent's run. seconds: of the whole command."""

    tags: Mapping[str, str]
    params: Mapping[str, str]
    seconds: float


def names() -> list[str]:
    return sorted(path.stem for path in STUDIES.glob("*.yaml"))


def run() -> None:
    """Each study once, as its file has it, in an empty folder; the times are those of the whole command."""
    rows = []
    for name in names():
        found = train(name)
        rows.append([*said(name), *measured(name, found)])
        print(f"  {name}: {found.seconds:.0f} s", flush=True)
    shown = table(rows)
    cost = "The cost is that of the whole command on `data=digits`"
    publish("studies", f"{shown}\n\n{cost}; {machine()}.", README)
    print(shown)


def train(name: str, *overrides: str) -> Trained:
    with tempfile.TemporaryDirectory() as folder:
        seconds = sweep(Path(folder), f"study={name}", *overrides).seconds
        client = MlflowClient(f"sqlite:///{folder}/mlruns/mlflow.db")
        experiment = client.get_experiment_by_name("kerasweep").experiment_id
        (parent,) = client.search_runs([experiment], "tags.kind = 'study'")
        return Trained(parent.data.tags, parent.data.params, seconds)


def said(name: str) -> list[str]:
    """The cells that the study's file fills: its name, its axes, and what it claims of them."""
    study = content(name)
    axes = " × ".join(f"`{key}`" for key in study["space"])
    return [f"`{name}`", axes, study["claim"]["text"] if study.get("claim") else "–"]


def measured(name: str, found: Trained) -> list[str]:
    """The cells that its runs fill: trials, seeds and epochs, and how long all of it took."""
    pruner = "" if found.tags["pruner"] == "none" else f" and {found.tags['pruner']}"
    design = f"{found.tags['sampler']}{pruner}, {found.tags['trials']}"
    seeds = content(name).get("repeats", 1)
    return [design, str(seeds), found.params["training.epochs"], f"{found.seconds:.0f} s"]


def content(name: str) -> dict[str, Any]:
    """What a study's file says below `study`."""
    file = OmegaConf.to_container(OmegaConf.load(STUDIES / f"{name}.yaml"))
    assert isinstance(file, dict)
    return dict(file["study"])


def table(rows: Sequence[Sequence[str]]) -> str:
    lines = [COLUMNS, ["---"] * len(COLUMNS), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
