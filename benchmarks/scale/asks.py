"""Measures how the cost of asking for a trial grows with the number of trials, without MLflow and workers."""

import tempfile
import time
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from optuna.pruners import NopPruner

from benchmarks.page import publish
from benchmarks.results import Results
from kerasweep.config.search import BudgetConf, SamplerConf, TPEConf
from kerasweep.results import Outcome
from kerasweep.search.ask import ask
from kerasweep.search.journal import JournalFolder
from kerasweep.search.ledger import settle
from kerasweep.search.storage import Storage
from kerasweep.search.suggest import Proposal
from kerasweep.search.sweep import Sweep
from kerasweep.space.parse import axis_of_entry, make_space
from kerasweep.space.space import Space

AXES = {"a": "tag(log,interval(1e-4,1e-1))", "b": "interval(0.0,1.0)", "c": [1, 2, 4, 8]}
SAMPLERS = {"random": SamplerConf("random"), "tpe": TPEConf("tpe")}
MARKS = (1_000, 10_000)
ASKS = 100  # around each mark, with each sampler


def space() -> Space:
    """Returns the axes that are searched."""
    return make_space([axis_of_entry(key, entry, lambda key: []) for key, entry in AXES.items()], {}.get)


def sweep_of(storage: Storage, folder: Path, total: int, sampler: str, name: str = "s") -> Sweep:
    """Opens a sweep over these axes."""
    study = storage.open(name, ("maximize",))
    study.pruner = NopPruner()
    cfg = OmegaConf.merge(OmegaConf.structured(SAMPLERS[sampler]), {"seed": 0})
    budget = OmegaConf.structured(BudgetConf())
    return Sweep(name, study, space(), storage, folder, total, cfg, budget, lambda params: None)


def settle_one(sweep: Sweep, proposal: Proposal) -> None:
    """Ends a trial with a result that depends on its configuration."""
    value = float(str(proposal.params["b"]))
    settle(sweep.study, proposal.trial, Outcome("complete", "run", (value,), {"val_accuracy": value}, 1, 1.0))


def measure(marks: tuple[int, ...], asks: int) -> dict[str, float]:
    """Returns the CPU-seconds of an ask and its result, at each mark of a journal, by sampler and mark."""
    found = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        storage = JournalFolder(folder)
        fill = sweep_of(storage, folder, max(marks) + 1000 * asks, "random")
        number = 0
        for mark in marks:
            while number < mark:
                _trial(fill)
                number += 1
            for sampler in SAMPLERS:
                sweep = sweep_of(storage, folder, fill.total, sampler)
                _trial(sweep)  # reads the journal, and imports what the sampler needs
                began = time.process_time()
                for _ in range(asks):
                    _trial(sweep)
                found[f"{sampler} {mark}"] = (time.process_time() - began) / asks
                number += asks + 1
    return found


def _trial(sweep: Sweep) -> None:
    proposal: Any = ask(sweep, (), 0.0)
    settle_one(sweep, proposal)


def run(
    marks: tuple[int, ...] = MARKS, asks: int = ASKS, fresh: bool = False, is_small: bool = False
) -> None:
    """Measures, and publishes the table; see `trials.run`."""
    results = Results("scale-asks", f"{marks} {asks}")
    if fresh:
        results.clear()
    found = None if is_small else results.get("asks")
    if found is None:
        found = measure(marks, asks)
        if not is_small:
            results.add("asks", found)
    text = section(marks, asks, found)
    if not is_small:
        publish("scale --part asks", f"{text}\n\n{results.machine()}.\n")
    print(text)


def section(marks: tuple[int, ...], asks: int, found: dict[str, float]) -> str:
    """Returns the page's section in Markdown."""
    lines = [
        f"## Asking for trial {marks[-1]:,}",
        "",
        "CPU-milliseconds to ask for a trial of three axes and to save its result in the journal, without "
        f"workers and MLflow: means of {asks} around each number of trials. TPE's own cost is the difference "
        "to random.",
        "",
        "| sampler | " + " | ".join(f"trial {mark:,}" for mark in marks) + " | × |",
        "| --- |" + " --- |" * (len(marks) + 1),
    ]
    for sampler in SAMPLERS:
        costs = [found[f"{sampler} {mark}"] for mark in marks]
        shown = " | ".join(f"{1000 * cost:.1f}" for cost in costs)
        lines.append(f"| {sampler} | {shown} | {costs[-1] / costs[0]:.2f} |")
    return "\n".join(lines)
