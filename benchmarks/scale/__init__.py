"""Measures sweeps of thousands of trials: their driver, their storages, their resume and their comparison.

Each part is measured by itself, and what an earlier start has measured is not measured again.
"""

from collections.abc import Callable

from benchmarks import compare
from benchmarks.scale import asks, storages, trials

SMALL_TRIALS, SMALL_RUNS = 100, 100_000 // 100


def _trials(fresh: bool, is_small: bool) -> None:
    naps = trials.Naps(SMALL_TRIALS, 0.2, 4) if is_small else trials.ONE_SECOND
    contenders = {name: min(naps.trials, most) for name, most in trials.ONE_SECOND_EACH.items()}
    trials.run(naps, "trials", contenders, fresh, is_small)


def _workers(fresh: bool, is_small: bool) -> None:
    naps = trials.Naps(SMALL_TRIALS, 1.0, 50) if is_small else trials.MANY_WORKERS
    trials.run(naps, "workers", {trials.MANY: naps.trials}, fresh, is_small)


def _asks(fresh: bool, is_small: bool) -> None:
    if is_small:
        asks.run((50, 200), 10, fresh, is_small)
    else:
        asks.run(fresh=fresh)


def _storages(fresh: bool, is_small: bool) -> None:
    if is_small:
        storages.run((1, 4), 40, fresh, is_small)
    else:
        storages.run(fresh=fresh)


def _compare(fresh: bool, is_small: bool) -> None:
    compare.run(1, SMALL_RUNS if is_small else 100_000, "scale --part compare", is_small)


PARTS: dict[str, Callable[[bool, bool], None]] = {
    "asks": _asks,
    "trials": _trials,
    "workers": _workers,
    "storages": _storages,
    "compare": _compare,
}


def run(parts: list[str], fresh: bool, is_small: bool) -> None:
    """Measures these parts, all if none is named; a small version is printed alone."""
    for name in parts or PARTS:
        PARTS[name](fresh, is_small)
