"""Measures how fast photographs are decoded and read again, and the memory that this takes, against Keras."""

import json
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.page import machine, publish
from benchmarks.race import Contender, race

SCRIPT = Path(__file__).with_name("contenders") / "photographs.py"
NAMES = {
    "cached": "Keras, cached in a file",
    "uint8": "Keras, cached in a file as whole numbers",
    "decoded": "Keras, decoded in each epoch",
    "program": "kerasweep",
}
SIDE, CLASSES, HELD_OUT = 224, 10, 2
COLUMNS = {
    "first": "images a second, first epoch",
    "later": "later epochs",
    "cpu_later": "later epochs, a CPU-second",
    "mb": "peak memory in MB, beyond the imports",
}


def run(repeats: int, images: int) -> None:
    """Times all in turns on the same photographs; publishes the medians and ratios."""
    measured: dict[str, list[dict[str, float]]] = {}

    def contender(name: str, photographs: Path) -> Contender:
        def read(folder: Path) -> list[float]:
            measured.setdefault(name, []).append(json.loads((folder / "found.json").read_text()))
            return []

        return Contender(
            NAMES[name], [sys.executable, str(SCRIPT), name, str(photographs), "found.json"], read
        )

    with tempfile.TemporaryDirectory() as folder:
        write_photographs(Path(folder), images)
        race([contender(name, Path(folder)) for name in NAMES], repeats)
    table = table_of(
        {
            name: {column: statistics.median(one[column] for one in found) for column in COLUMNS}
            for name, found in measured.items()
        }
    )
    publish(
        "photographs",
        f"## Photographs\n\n{images:,} JPEG files of {SIDE}×{SIDE} pixels, random smooth noise in {CLASSES} "
        "classes, which the system has in its file cache, in batches of 64. The network is one strided "
        "convolution, which takes a large part of the time in later epochs. kerasweep reads its cache, "
        "as it does with more images than fit into an eighth of the free memory. Keras has "
        "`image_dataset_from_directory` with `cache` and `prefetch`. In the first epoch the files are listed "
        "and decoded, and the network is traced. oneDNN is on for all where kerasweep's probe turns it on. "
        "Memory is resident memory, mapped files among it. × is "
        "kerasweep's speed as a multiple, or Keras's memory. "
        f"`--images 50000` makes 50,000 photographs (8 GB, and 30 GB for Keras's cache).\n\n{table}\n\n"
        f"Repeats: {repeats}; {machine()}.\n",
    )
    print(table)


def write_photographs(folder: Path, images: int) -> None:
    """Writes train/CLASS/NUMBER.jpg, and for val and test two files of each class."""
    generator = np.random.default_rng(0)
    parts = {"train": images, "val": HELD_OUT * CLASSES, "test": HELD_OUT * CLASSES}
    for part, count in parts.items():
        for number in range(count):
            path = folder / part / f"class_{number % CLASSES}" / f"{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            noise = Image.fromarray(generator.integers(0, 256, (28, 28, 3), dtype=np.uint8))
            noise.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(path, quality=90)


def table_of(medians: Mapping[str, Mapping[str, float]]) -> str:
    """Returns a Markdown table of the medians, each with the ratio between kerasweep and the contender."""
    lines = [f"| | {' | × | '.join(COLUMNS.values())} | × |", f"| --- |{' --- |' * 2 * len(COLUMNS)}"]
    own = medians["program"]
    for name, title in NAMES.items():
        cells: Sequence[str] = [
            f"{medians[name][column]:,.0f} | {_ratio(column, own, medians[name]):.2f}" for column in COLUMNS
        ]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _ratio(column: str, own: Mapping[str, float], other: Mapping[str, float]) -> float:
    return other[column] / own[column] if column == "mb" else own[column] / other[column]
