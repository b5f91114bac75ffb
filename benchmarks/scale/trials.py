"""Measures what thousands of trials that sleep cost, beside Ray Tune and with a thousand workers."""

import statistics
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks import ROOT
from benchmarks.page import publish
from benchmarks.peers import python_of, versions
from benchmarks.results import Results
from benchmarks.scale.watch import Watched, watch
from benchmarks.sweeps import trained
from benchmarks.targets import NAP

TARGET = ("trial.target=benchmarks.targets:napping", "optimizer.learning_rate=tag(log,interval(1e-4,1e-1))")
RAY = ROOT / "benchmarks" / "contenders" / "ray_tune.py"


@dataclass(frozen=True)
class Naps:
    """Trials that sleep."""

    trials: int
    seconds: float  # of each
    workers: int

    @property
    def ideal(self) -> float:
        """The seconds that they take if nothing else does."""
        return -(-self.trials // self.workers) * self.seconds

    def __str__(self) -> str:
        return f"{self.trials:,} trials of {self.seconds:g} s on {self.workers:,} workers"


ONE_SECOND = Naps(10_000, 1.0, 16)
MANY_WORKERS = Naps(10_000, 30.0, 1000)
MANY = "kerasweep, light workers"
OURS = {
    "kerasweep": ("src.train", "sampler=random"),
    "kerasweep, sampler=tpe": ("src.train", "sampler=tpe"),
    MANY: ("benchmarks.scale.light_train", "sampler=random"),
}
RAY_VARIABLES = {"RAY_USAGE_STATS_ENABLED": "0"}
RAYS = {"Ray Tune": "0", "Ray Tune, reuse_actors=True": "1"}
# How many trials of one second each contender runs. Ray Tune starts a process for each, or takes four times
# the ideal.
ONE_SECOND_EACH = {
    "kerasweep": 10_000,
    "kerasweep, sampler=tpe": 2000,
    "Ray Tune": 200,
    "Ray Tune, reuse_actors=True": 2000,
}


def measure(name: str, naps: Naps) -> dict[str, Any]:
    """Runs a contender and returns its figures."""
    variables = {NAP: str(naps.seconds)}
    with tempfile.TemporaryDirectory() as folder:
        if name in RAYS:
            size = (str(naps.trials), str(naps.seconds), str(naps.workers))
            command = [python_of("ray"), str(RAY), *size, RAYS[name]]
            watched = watch(Path(folder), command, RAY_VARIABLES)
            return _whole(watched)
        module, sampler = OURS[name]
        command = [sys.executable, "-m", module, "-m", sampler, *TARGET, f"workers={naps.workers}"]
        watched = watch(Path(folder), [*command, f"study.trials={naps.trials}"], variables)
        found = {**_whole(watched), **_growth(watched, Path(folder), naps)}
        if name == "kerasweep":
            resumed = watch(Path(folder), [*command, f"study.trials={naps.trials + 1}"], variables)
            found["resume"] = _whole(resumed)
        return found


def _whole(watched: Watched) -> dict[str, float]:
    """Returns the figures of a whole command."""
    return {
        "seconds": watched.seconds,
        "cpu_seconds": watched.cpu_seconds,
        "driver_cpu_seconds": watched.cpu[-1],
        "driver_mb": max(watched.rss_mb),
    }


def _growth(watched: Watched, folder: Path, naps: Naps) -> dict[str, float]:
    """Returns the driver's figures around the first tenth and in the last tenth of the trials."""
    runs = trained(folder)
    assert len(runs) == naps.trials, len(runs)
    tenth = max(2, naps.trials // 10)
    parts = {"early": runs[tenth - tenth // 2 : tenth + tenth // 2], "late": runs[-tenth - 1 : -1]}
    found = {"span_seconds": max(run.end for run in runs) - runs[0].start}
    for part, some in parts.items():
        used = watched.cpu_at(some[-1].start) - watched.cpu_at(some[0].start)
        found[f"{part}_cpu_seconds"] = used / (len(some) - 1)
        found[f"{part}_mb"] = watched.rss_at(some[-1].start)
    delays = [max(0.0, run.end - run.start - run.seconds) for run in runs]
    return {**found, "median_delay_seconds": statistics.median(delays)}


def run(
    naps: Naps, name: str, contenders: Mapping[str, int], fresh: bool = False, is_small: bool = False
) -> None:
    """Measures what earlier starts have not, and publishes all.

    Args:
        naps: The trials.
        name: Of the measurements' file and of the page's section.
        contenders: How many of the trials each contender runs.
        fresh: Whether to measure all again.
        is_small: Whether this is a trial of the benchmark itself, which saves and publishes nothing.
    """
    results = Results(f"scale-{name}", str(asdict(naps)))
    if fresh:
        results.clear()
    found = {}
    for contender, trials in contenders.items():
        measured = None if is_small else results.get(contender)
        if measured is None:
            measured = {"trials": trials, **measure(contender, replace(naps, trials=trials))}
            print(f"  {contender}: {measured}", flush=True)
            if not is_small:
                results.add(contender, measured)
        found[contender] = measured
    text = section(naps, found)
    if not is_small:
        peers = {f"{key} {value}" for key, value in versions("ray").items()} if RAYS.keys() & found else set()
        tail = f" Ray: {', '.join(sorted(peers))}." if peers else ""
        publish(f"scale --part {name}", f"{text}\n\n{results.machine()}.{tail}\n")
    print(text)


def section(naps: Naps, found: Mapping[str, Mapping[str, Any]]) -> str:
    """Returns the page's section in Markdown."""
    lines = [
        f"## {naps}",
        "",
        f"The ideal is {naps.ideal:,.0f} s; contenders that are slow run fewer trials, of which it is less. "
        "Whole commands, from start to exit; kerasweep records each trial in MLflow and saves it in its "
        "journal, Ray Tune writes its own files. The driver is the main process.",
        "",
        "| | trials | seconds | × the ideal | driver's CPU-s a trial | driver's memory, MB |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, each in found.items():
        ideal = replace(naps, trials=each["trials"]).ideal
        lines.append(
            f"| {name} | {each['trials']:,} | {each['seconds']:,.0f} | {each['seconds'] / ideal:.2f} "
            f"| {each['driver_cpu_seconds'] / each['trials']:.3f} | {each['driver_mb']:.0f} |"
        )
    tenth = max(2, naps.trials // 10)
    for name, each in found.items():
        if "early_cpu_seconds" in each:
            lines += ["", growth_text(name, each, tenth)]
        if "resume" in each:
            resume = each["resume"]
            lines += [
                "",
                f"The same command with one more trial, after these {naps.trials:,}: {resume['seconds']:.1f} "
                f"s, of which the driver computes {resume['driver_cpu_seconds']:.1f} s, with "
                f"{resume['driver_mb']:.0f} MB.",
            ]
    return "\n".join(lines)


def growth_text(name: str, found: Mapping[str, float], tenth: int) -> str:
    """Returns a sentence on the cost of late trials against early ones."""
    early, late = found["early_cpu_seconds"], found["late_cpu_seconds"]
    return (
        f"{name}: around trial {tenth:,} the driver takes {early:.3f} CPU-s a trial and has "
        f"{found['early_mb']:.0f} MB, over the last {tenth:,} {late:.3f} CPU-s ({late / early:.2f} ×) and "
        f"{found['late_mb']:.0f} MB."
    )
