"""Measures the cost of each study on digits, for sweeps/README.md and the comment at the top of its file."""

import re
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
class FinishedStudy:
    """A study that was run to its end."""

    tags: Mapping[str, str]  # of the sweep's own run
    params: Mapping[str, str]  # of the sweep's own run
    seconds: float  # of the whole command


def names() -> list[str]:
    return sorted(path.stem for path in STUDIES.glob("*.yaml"))


def run(*overrides: str) -> None:
    """Runs each study once in an empty folder, times the whole command, and publishes the costs."""
    rows = []
    for name in names():
        found = train(name, *overrides)
        rows.append([*said(name), *measured(name, found)])
        write_cost(STUDIES / f"{name}.yaml", found.seconds)
        print(f"  {name}: {found.seconds:.0f} s", flush=True)
    shown = table(rows)
    cost = "The cost is that of the whole command on `data=digits`"
    publish("studies", f"{shown}\n\n{cost}; {machine()}.", README)
    print(shown)


def train(name: str, *overrides: str) -> FinishedStudy:
    with tempfile.TemporaryDirectory() as folder:
        seconds = sweep(Path(folder), f"study={name}", *overrides).seconds
        client = MlflowClient(f"sqlite:///{folder}/mlruns/mlflow.db")
        experiment = client.get_experiment_by_name("kerasweep").experiment_id
        parent, *_ = client.search_runs([experiment], "tags.kind = 'study'")  # a tuning began before it
        return FinishedStudy(parent.data.tags, parent.data.params, seconds)


def said(name: str) -> list[str]:
    """Returns the cells from the study's file: name, axes and claim."""
    study = content(name)
    axes = " × ".join(f"`{key}`" for key in study["space"])
    return [f"`{name}`", axes, study["claim"]["text"] if study.get("claim") else "–"]


def measured(name: str, found: FinishedStudy) -> list[str]:
    """Returns the cells from the study's runs: design, seeds, epochs and cost."""
    pruner = "" if found.tags["pruner"] == "none" else f" and {found.tags['pruner']}"
    design = f"{found.tags['sampler']}{pruner}, {found.tags['trials']}"
    seeds = content(name).get("repeats", 1)
    return [design, str(seeds), found.params["training.epochs"], f"{found.seconds:.0f} s"]


def write_cost(file: Path, seconds: float) -> None:
    """Writes the cost, rounded to five seconds, into the comment at the top of a study's file."""
    text = file.read_text(encoding="utf-8")
    rounded = max(5, 5 * round(seconds / 5))
    changed, count = re.subn(r"about \d+(?=(\n#)? seconds on 2 cores with)", f"about {rounded}", text)
    assert count == 1, file
    file.write_text(changed, encoding="utf-8")


def content(name: str) -> dict[str, Any]:
    """Returns the part `study` of a study's file."""
    file = OmegaConf.to_container(OmegaConf.load(STUDIES / f"{name}.yaml"))
    assert isinstance(file, dict)
    return dict(file["study"])


def table(rows: Sequence[Sequence[str]]) -> str:
    lines = [COLUMNS, ["---"] * len(COLUMNS), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
