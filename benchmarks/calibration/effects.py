"""Counts false interactions and false shares of importance."""

from zlib import crc32

import numpy as np

from benchmarks.calibration.rates import AXES, SEEDS, Rate, heading, row, runs_of
from benchmarks.calibration.simulations import Draw, erratic, normal, skewed
from kerasweep.report.effects import interactions, variance_shares
from kerasweep.report.statistics import LEVEL

TEXT = """
## Axes and interactions

{count} studies each, of a grid of 3 × 4 configurations. *Interaction*: effects that add up are said to
interact (at most 5). *Share*: an axis without an effect is said to have one, among two axes (at most 5). For
configurations that vary unequally the tests hold approximately (Greenhouse and Geisser, 1959).
"""


def false_effects(title: str, draw: Draw, repeats: int, count: int) -> tuple[Rate, Rate]:
    """Returns how often a grid of 3 × 4 configurations has a false interaction, and a false share."""
    random = np.random.default_rng([crc32(f"effects, {title}".encode()), repeats])
    axes, found = list(AXES), np.zeros(2, int)
    for _ in range(count):
        runs = runs_of(draw(random, 12, repeats), columns=4)
        ps = [interactions(runs, axes)[0].p or 0.0, min(each.p for each in variance_shares(runs, axes))]
        found += np.array(ps) < 1 - LEVEL
    return Rate(int(found[0]), count), Rate(int(found[1]), count)


def part(count: int) -> list[str]:
    """Returns the lines of this part of docs/calibration.md. count: of studies in each row."""
    return [
        TEXT.format(count=count),
        *heading("configurations are", "repeats", "interaction", "share"),
        *(
            row([title, repeats, *false_effects(title, draw, repeats, count)])
            for title, draw in (
                ("normal", normal),
                ("one erratic configuration", erratic),
                ("skewed", skewed),
            )
            for repeats in SEEDS
        ),
    ]
