"""Writes docs/reliability.md from the results of campaigns."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks import ROOT
from benchmarks.chaos.faults import FAULTS

PAGE = ROOT / "docs" / "reliability.md"
INTRODUCTION = """# Reliability

`python -m benchmarks.chaos --hours H` runs sweeps of light trials under faults that a seed draws, and starts
the same command again whenever a driver ends. Each campaign has one or two drivers, two workers, random
search or TPE, and 24 to 48 trials of half a second to two seconds. When the sweep says that it is finished,
the command runs once more and must train nothing. Then a checker reads the storage with plain Optuna and the
runs with plain MLflow:

- the total is exact, no trial is open, and no configuration counts twice;
- no complete configuration was trained again after its result was stored;
- each complete trial has exactly one finished run, with its learning rate (the only axis), all epochs of all
  metrics, its artifact, and the storage's objective;
- no run is RUNNING, no other trial has a finished run, and the sweep has one run of its own;
- the best trial has one model, with the weights that this trial saved, and a test score;
- no process of a driver is left, nothing was written beside the project, or into the home folder except
  caches, and no command printed a traceback.

Campaigns with a seed from 400 on check more: half of them have `study.repeats=3`, where each complete trial
must have its three repeats once, as runs below its own, with all that a run needs and tagged with its trial;
and after the last command no worker may be left on a Ray cluster.

A worker process on the driver's machine that is killed fails its trial, as a crash of its own does. An actor
of a Ray cluster that is killed, alone or with its node, costs no trial: that is trained again, at most twice,
and then fails. So does a trial whose driver dies three times. Each other training that was cut off comes
again.

Not covered are pruners, checkpoints, nuisance axes, several objectives, Hydra's other launchers, drivers on
several machines, and trials that take long; of trials that failed, only the ends are checked.

The same seed draws the same faults; their moments depend on the machine. Two to three campaigns ran at a time
on two cores; the minutes are those of each.
"""


def text_of(results: Sequence[Mapping[str, Any]]) -> str:
    """Returns the page: a row for each setup and each fault, and the campaigns that broke a promise.

    A broken promise that was mended later has the key `mended`: the end of its sentence.
    """
    setups: dict[str, list[Mapping[str, Any]]] = {}
    for result in results:
        setups.setdefault(result["setup"], []).append(result)
    lines = [
        *(INTRODUCTION, "## Campaigns\n"),
        "| storage, pool, tracking | campaigns | minutes | starts of drivers | faults | trials "
        "| trained again | failed by kills | broken promises | seeds |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        *(_row(name, setups[name]) for name in sorted(setups)),
        _row("all", results),
    ]
    with_repeats = sum(result.get("repeats", 1) > 1 for result in results)
    lines += ["", f"{with_repeats} of these campaigns had `study.repeats=3`."]
    faults = sum((Counter(result["faults"]) for result in results), Counter())
    lines += ["", "## Faults\n", "| fault | times |", "| --- | --- |"]
    lines += [f"| {name} | {faults[name]} |" for name in FAULTS]
    broken = [result for result in results if result["broken"]]
    if broken:
        lines += ["", "## Broken promises", ""]
        lines += [
            f"- {each['setup']}, seed {each['seed']}: {'; '.join(each['broken'])}{each.get('mended', '')}"
            for each in broken
        ]
    return "\n".join(lines) + "\n"


def _row(name: str, results: Sequence[Mapping[str, Any]]) -> str:
    minutes = sum(result["seconds"] for result in results) / 60
    faults = sum(sum(result["faults"].values()) for result in results)
    broken = sum(bool(result["broken"]) for result in results)
    seeds = sorted(result["seed"] for result in results)
    shown = ", ".join(map(str, seeds)) if name != "all" else ""
    sums = [sum(result[key] for result in results) for key in ("starts", "trials", "retried", "failed")]
    starts, trials, retried, failed = sums
    cells = [name, len(results), f"{minutes:.0f}", starts, faults, trials, retried, failed, broken, shown]
    return f"| {' | '.join(map(str, cells))} |"


def publish(results: Sequence[Mapping[str, Any]]) -> None:
    """Writes the page; the sections of other benchmarks, which begin with a comment, stay."""
    _, comment, others = PAGE.read_text(encoding="utf-8").partition("<!--")
    more = f"\n{comment}{others}" if comment else ""
    PAGE.write_text(text_of(results) + more, encoding="utf-8")
