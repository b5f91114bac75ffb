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
NAMES = {
    "numpy": "model.fit on NumPy arrays",
    "dataset": "model.fit on tf.data, an epoch per call",
    "onednn": "the same with oneDNN",
    "program": "kerasweep",
}
MEASURES = ("second", "cpu_second")


def run(repeats: int, images: int = 4096, filters: Sequence[int] = (16, 32, 64)) -> None:
    """Times all in turns, with one process and with one per core; publishes the medians and ratios."""
    cores = usable_cores()
    measured: dict[tuple[str, int], list[dict[str, float]]] = {}

    def contender(name: str, processes: int) -> Contender:
        def read(folder: Path) -> list[float]:
            found = json.loads((folder / "found.json").read_text())
            measured.setdefault((name, processes), []).append(found)
            return []

        task = [name, str(processes), str(images), json.dumps(filters)]
        command = [sys.executable, str(SCRIPT), *task, "found.json"]
        return Contender(f"{NAMES[name]}, {_processes(processes)}", command, read)

    race([contender(name, processes) for processes in sorted({1, cores}) for name in NAMES], repeats)
    table = table_of({key: _medians(found) for key, found in measured.items()}, cores)
    publish(
        "throughput",
        f"## Images a second\n\nBlocks of {', '.join(map(str, filters))} filters with batch normalization, "
        "32×32×3, batch 64, after the first epoch. tf.data is `from_tensor_slices` of scaled images, cached, "
        "shuffled, batched and prefetched, with `steps_per_execution` of an epoch. oneDNN is on where "
        "kerasweep's probe turns it on, whatever TensorFlow's own choice for this processor. A single "
        "process has as many threads as TensorFlow chooses; several processes have one each, as with "
        "`workers=auto`. The ratios are those of kerasweep with as many processes.\n\n"
        f"{table}\n\n{repeats} repeats, {machine()}.\n",
    )
    print(table)


def _processes(number: int) -> str:
    return "one process" if number == 1 else f"{number} processes"


def _medians(found: Sequence[Mapping[str, float]]) -> list[float]:
    return [statistics.median(one[measure] for one in found) for measure in MEASURES]


def table_of(medians: Mapping[tuple[str, int], Sequence[float]], cores: int) -> str:
    """Returns a Markdown table of the medians and of kerasweep's ratios to them.

    Args:
        medians: Images a second and a CPU-second by contender and number of processes.
        cores: The number of processes of a sweep.
    """
    lines = [
        "| | images a second | × | images a CPU-second | × |",
        "| --- | --- | --- | --- | --- |",
    ]
    for processes in sorted({1, cores}):
        own = medians["program", processes]
        for contender, name in NAMES.items():
            second, cpu_second = medians[contender, processes]
            lines.append(
                f"| {name}, {_processes(processes)} | {second:,.0f} | {own[0] / second:.2f} "
                f"| {cpu_second:,.0f} | {own[1] / cpu_second:.2f} |"
            )
    best = [max(medians[name, 1][measure] for name in NAMES if name != "program") for measure in (0, 1)]
    sweep = medians["program", cores]
    lines.append(
        f"| a sweep of `workers=auto` to the best single process of model.fit | – | {sweep[0] / best[0]:.2f} "
        f"| – | {sweep[1] / best[1]:.2f} |"
    )
    return "\n".join(lines)
