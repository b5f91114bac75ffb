"""Measures the speed of training: images per second and per CPU-second, against model.fit."""

import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.page import machine, publish
from benchmarks.race import Contender, race
from kerasweep.workers.machine import usable_cores

SCRIPT = Path(__file__).with_name("contenders") / "throughput.py"
NAMES = {"stock": "model.fit on NumPy arrays", "program": "kerasweep"}
MEASURES = ("second", "cpu_second")


def run(repeats: int, images: int = 4096, filters: Sequence[int] = (16, 32, 64)) -> None:
    """Times both in turns, with one process and with one per core; publishes the medians and ratios."""
    cores = usable_cores()
    found: dict[tuple[str, int], list[dict[str, float]]] = {}

    def contender(how: str, processes: int) -> Contender:
        def read(folder: Path) -> list[float]:
            found.setdefault((how, processes), []).append(json.loads((folder / "found.json").read_text()))
            return []

        task = [how, str(processes), str(images), json.dumps(filters)]
        return Contender(_name(how, processes), [sys.executable, str(SCRIPT), *task, "found.json"], read)

    race([contender(how, processes) for processes in sorted({1, cores}) for how in NAMES], repeats)
    table = _table({key: _medians(found[key]) for key in sorted(found, reverse=True)}, cores)
    publish(
        "throughput",
        f"## Images a second\n\nBlocks of {', '.join(map(str, filters))} filters with batch normalization, "
        "32×32×3, batch 64, after the first epoch. A single process has as many threads as TensorFlow "
        "chooses; several processes have one each, as with `workers=auto`.\n\n"
        f"{table}\n\n{repeats} repeats, {machine()}.\n",
    )
    print(table)


def _name(how: str, processes: int) -> str:
    return f"{NAMES[how]}, {'one process' if processes == 1 else f'{processes} processes'}"


def _medians(found: Sequence[Mapping[str, float]]) -> list[float]:
    return [statistics.median(one[measure] for one in found) for measure in MEASURES]


def _table(medians: Mapping[tuple[str, int], Sequence[float]], cores: int) -> str:
    lines = ["| | images a second | images a CPU-second |", "| --- | --- | --- |"]
    for (how, processes), (second, cpu_second) in medians.items():
        lines.append(f"| {_name(how, processes)} | {second:,.0f} | {cpu_second:,.0f} |")
    pairs = [(1, 1, "one process each")]
    if cores > 1:
        pairs.append((cores, cores, f"{cores} processes each"))
    pairs.append((cores, 1, "a sweep of `workers=auto` and one process of model.fit"))
    for ours, theirs, name in pairs:
        pair = zip(medians["program", ours], medians["stock", theirs], strict=True)
        second, cpu_second = (mine / other for mine, other in pair)
        lines.append(f"| ratio, {name} | {second:.2f} | {cpu_second:.2f} |")
    return "\n".join(lines)
