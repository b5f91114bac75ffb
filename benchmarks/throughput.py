"""How fast one network trains: images a second, and a second of the processor, against model.fit."""

import json
import statistics
import sys
from pathlib import Path

from benchmarks.page import machine, publish
from benchmarks.race import Contender, race

SCRIPT = Path(__file__).with_name("contenders") / "throughput.py"
NAMES = {"stock": "model.fit on NumPy arrays", "program": "kerasweep"}


def run(repeats: int, images: int = 4096) -> None:
    """Race in turns; publish the medians and their ratio."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in NAMES}

    def contender(name: str) -> Contender:
        def read(folder: Path) -> list[float]:
            found[name].append(json.loads((folder / "found.json").read_text()))
            return []

        return Contender(NAMES[name], [sys.executable, str(SCRIPT), name, str(images), "found.json"], read)

    contenders = [contender(name) for name in NAMES]
    race(contenders, repeats)
    table = _table(found)
    publish(
        "throughput",
        "## Images a second\n\nThree blocks of 16, 32 and 64 filters with batch normalization, 32×32×3, "
        f"batch 64, after the first epoch.\n\n{table}\n\n{repeats} repeats, {machine()}.\n",
    )
    print(table)


def _table(found: dict[str, list[dict[str, float]]]) -> str:
    medians = {
        name: [statistics.median(one[key] for one in each) for key in ("second", "cpu_second")]
        for name, each in found.items()
    }
    lines = ["| | images a second | images a CPU-second |", "| --- | --- | --- |"]
    for name, (second, cpu_second) in medians.items():
        lines.append(f"| {NAMES[name]} | {second:,.0f} | {cpu_second:,.0f} |")
    ratios = [ours / stock for ours, stock in zip(medians["program"], medians["stock"], strict=True)]
    lines.append(f"| ratio | {ratios[0]:.2f} | {ratios[1]:.2f} |")
    return "\n".join(lines)
