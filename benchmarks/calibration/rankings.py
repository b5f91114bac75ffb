"""Counts false alarms of rankings, the coverage of intervals, and the power to find an arm that is behind."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np

from benchmarks.calibration.rates import SEEDS, Rate, heading, row, runs_of
from benchmarks.calibration.simulations import (
    SPREAD,
    Draw,
    erratic,
    heavy_tailed,
    jumps_of,
    normal,
    shared,
    skewed,
    splits_of,
    two_families,
)
from benchmarks.calibration.verdicts import LUCK
from kerasweep.report.groups import group_runs
from kerasweep.report.standings import Standing, standings
from kerasweep.tracking.run_record import RunRecord

ARMS, MANY = (2, 4, 8, 24), 200
BEHIND = 2.5
TEXT = """
## Rankings

{count} studies each. All arms are equal. *False alarms*: any arm is called worse than the best (nominal: at
most 5). *Interval of an arm*: the 95 % interval of the first arm holds its expectation. *Interval of the
best*: the interval of the arm with the best mean, which the data selected, holds its expectation (nominal: at
least 95). *Power*: the last arm is two and a half deviations behind, and is called worse.

Where a rate is off its nominal level: Student's interval assumes normal values, so with few repeats it
covers less than 95 % of skewed arms. With three repeats hardly any difference of many arms is found: use
four or more.
"""


def ranking(runs: Sequence[RunRecord]) -> list[Standing]:
    """Returns the standings in the order of the arms."""
    groups = group_runs(runs, ["kernel_size"])
    found = dict(
        zip([int(group.values[0]) for group in groups], standings(groups, ["kernel_size"]), strict=True)
    )
    return [found[arm] for arm in sorted(found)]


def studies(case: "Case", arms: int, repeats: int, count: int, seed: int = 0) -> Iterator[np.ndarray]:
    """Yields the values of simulated studies, each (arms, repeats)."""
    random = np.random.default_rng([crc32(case.title.encode()), seed, arms, repeats])
    for _ in range(count):
        yield case.draw(random, arms, repeats)


@dataclass(frozen=True)
class Case:
    """A kind of studies."""

    title: str
    draw: Draw  # of equal arms
    is_resampled: bool = False


CASES = (
    Case("normal", normal),
    Case("skewed", skewed),
    Case("heavy-tailed", heavy_tailed),
    Case("one erratic arm", erratic),
    Case("seeds move all arms", shared),
    Case("two families with seed effects of their own", two_families),
    Case("unequal jumps by luck", jumps_of(LUCK)),
    Case("the same, early stopping", jumps_of(LUCK, patience=3)),
    Case("resampled images", splits_of(is_resampled=True), is_resampled=True),
)


@dataclass(frozen=True)
class Rates:
    """The rates of one kind of ranking."""

    alarms: Rate  # any of equal arms is called worse than the best
    coverage: Rate  # the interval of the first arm holds its expectation
    best: Rate  # the interval of the best arm does
    power: Rate  # the last arm, two and a half deviations behind, is called worse


def rates(case: Case, arms: int, repeats: int, count: int) -> Rates:
    """Returns the rates of a case. The expectation is the mean of the case's draws, by arm."""
    alarms = covered = best = found = 0
    draws = list(studies(case, arms, repeats, count))
    expected = np.array(list(studies(case, arms, repeats, MANY, seed=1))).mean(axis=(0, 2))
    for values in draws:
        ranked = ranking(runs_of(values, case.is_resampled))
        alarms += any(each.against_best.is_worse for each in ranked)
        holds = [_holds(each, value) for each, value in zip(ranked, expected, strict=True)]
        covered += holds[0]
        best += holds[next(place for place, each in enumerate(ranked) if each.is_best)]
        behind = values.copy()
        behind[-1] -= BEHIND * SPREAD
        found += ranking(runs_of(behind, case.is_resampled))[-1].against_best.is_worse
    return Rates(Rate(alarms, count), Rate(covered, count), Rate(best, count), Rate(found, count))


def _holds(standing: Standing, value: float) -> bool:
    estimate = standing.estimate
    assert estimate is not None and estimate.low is not None and estimate.high is not None
    return bool(estimate.low <= value <= estimate.high)


def part(count: int) -> list[str]:
    """Returns the lines of this part of docs/calibration.md. count: of studies in each row."""
    lines = [
        TEXT.format(count=count),
        *heading(
            *("arms are", "arms", "repeats", "false alarms", "interval of an arm"),
            *("interval of the best", "power"),
        ),
    ]
    for case in CASES:
        for arms in ARMS:
            for repeats in SEEDS:
                found = rates(case, arms, repeats, count)
                shown = (found.alarms, found.coverage, found.best, found.power)
                lines.append(row([case.title, arms, repeats, *shown]))
    return lines
