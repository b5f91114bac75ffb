"""Simulates studies whose truth is known, and counts how often the reports are wrong.

python -m benchmarks.calibration [STUDIES]        writes docs/calibration.md (15 minutes for 400 each)

Every simulated study goes the way of a real one: histories of epochs are scored by `cross_fitted`, runs with
their params and tags are grouped, ranked and judged by the functions that `python -m src.compare` calls.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import cast

import numpy as np
from omegaconf import OmegaConf

from benchmarks import ROOT
from kerasweep.config.search import ClaimConf
from kerasweep.report.claims import UNDECIDED
from kerasweep.report.groups import group_runs
from kerasweep.report.standings import Standing, standings
from kerasweep.report.verdicts import verdict_of
from kerasweep.tracking.run_record import RunRecord
from kerasweep.trial.metrics import History, choose_epochs, cross_fitted

SEEDS, ARMS = (3, 5, 10), (2, 4, 8, 24)
EPOCHS = 12
ACCURACY, SPREAD = 0.8, 0.01  # of the equal arms; the deviation of a repeat
VALIDATION_SHARE = 0.2
RATES = 8  # random rates of a tuning
POOL, DISAGREEMENT = 3_000, 0.1  # images to split; the share on which two arms disagree

STUDIES, MANY = 400, 200
BEHIND = 2.5
INTRODUCTION = """# Calibration

`python -m benchmarks.calibration` simulates studies whose truth is known and counts how often the reports
are wrong. Each simulated study goes the way of a real one: histories are scored, and runs are grouped, ranked
and judged by the functions of `python -m src.compare`. Rates are in percent with their standard error,
{count} studies each.

## Verdicts

Two arms are equally good, and a claim says that one is better. A *false verdict* is any that is not
*not decided*: at most 5 % are allowed. Rows that say so count found gains instead. Jumps are the deviations
of the validation accuracy from epoch to epoch, in 12 epochs at a plateau. Images: two arms disagree on a
tenth of 3,000 images, of which 600 validate.

Tuned arms: each of two equal arms has eight random rates, of which one training each chooses the best.

What is not simulated: networks that depend on which images they were trained on, for which the correction for
shared images is too small; claims of several comparisons, `similar`, `mixed`, and spreads.
"""
RANKINGS = """
## Rankings

All arms are equal. *False alarms*: any arm is called worse than the best (nominal: at most 5). *Interval of
an arm*: the 95 % interval of the first arm holds its expectation. *Interval of the best*: the interval of
the arm with the best mean, which the data selected, holds its expectation (nominal: at least 95). *Power*:
the last arm is two and a half deviations behind, and is called worse.

Where a rate is off its nominal level: Student's interval assumes normal values, so with few repeats it
covers less than 95 % of skewed arms. With three repeats hardly any difference of many arms is found: use
four or more.
"""

Random = np.random.Generator
# (arms, repeats): the value of each run.
Draw = Callable[[Random, int, int], np.ndarray]


def normal(random: Random, arms: int, repeats: int) -> np.ndarray:
    return ACCURACY + SPREAD * random.normal(size=(arms, repeats))


def skewed(random: Random, arms: int, repeats: int) -> np.ndarray:
    """Most runs are alike and a few are much worse: an exponential distribution."""
    return ACCURACY + SPREAD * (1 - random.exponential(size=(arms, repeats)))


def heavy_tailed(random: Random, arms: int, repeats: int) -> np.ndarray:
    """Student's t with three degrees of freedom, of the same variance."""
    return ACCURACY + SPREAD * random.standard_t(3, size=(arms, repeats)) / np.sqrt(3)


def erratic(random: Random, arms: int, repeats: int) -> np.ndarray:
    """The first arm varies ten times as much."""
    spread = np.where(np.arange(arms) == 0, 10 * SPREAD, SPREAD)[:, None]
    return ACCURACY + spread * random.normal(size=(arms, repeats))


def shared(random: Random, arms: int, repeats: int) -> np.ndarray:
    """A seed moves all arms three times as far as its own arm."""
    return normal(random, arms, repeats) + 3 * SPREAD * random.normal(size=(1, repeats))


def two_families(random: Random, arms: int, repeats: int) -> np.ndarray:
    """A seed moves each half of the arms, such as two networks, in its own way."""
    family = np.arange(arms) % 2
    return normal(random, arms, repeats) + 2 * SPREAD * random.normal(size=(2, repeats))[family]


def jumps_of(luck: Sequence[float], own: Sequence[float] = (), patience: int | None = None) -> Draw:
    """Returns the cross-fitted values of arms whose accuracy jumps from epoch to epoch.

    Args:
        luck: The deviation of each arm's jumps by the luck of few validation images, repeated for more arms.
        own: The deviation of jumps that are the network's own, on all images; none by default.
        patience: Epochs without improvement after which early stopping ends a training.
    """

    def draw(random: Random, arms: int, repeats: int) -> np.ndarray:
        return np.array(
            [
                [
                    _cross_fitted(
                        _history(
                            random,
                            luck[arm % len(luck)],
                            own[arm % len(own)] if own else 0.0,
                            ACCURACY + 0.2 * SPREAD * random.normal(),
                        ),
                        patience,
                    )
                    for _ in range(repeats)
                ]
                for arm in range(arms)
            ]
        )

    return draw


def _history(random: Random, luck: float, own: float, accuracy: float) -> History:
    """Returns a training at its plateau, with the accuracies of both halves of the validation images."""
    level = accuracy + own * random.normal(size=EPOCHS)
    halves = level + luck * np.sqrt(2) * random.normal(size=(2, EPOCHS))
    return [
        {
            "accuracy": ACCURACY,
            "val_loss": 0.0,
            "val_loss_a": 0.0,
            "val_accuracy": float(halves[:, epoch].mean()),
            "val_accuracy_a": float(halves[0, epoch] / 2),
        }
        for epoch in range(EPOCHS)
    ]


def _cross_fitted(history: History, patience: int | None) -> float:
    trained = history if patience is None else history[: _stopped(history, patience)]
    return cross_fitted(trained, choose_epochs(trained, "val_accuracy", "maximize"))["val_accuracy"]


def _stopped(history: History, patience: int) -> int:
    """Returns the number of epochs before keras.callbacks.EarlyStopping ends the training."""
    best, wait = -np.inf, 0
    for number, epoch in enumerate(history, 1):
        wait = 0 if epoch["val_accuracy"] > best else wait + 1
        best = max(best, epoch["val_accuracy"])
        if wait >= patience:
            return number
    return len(history)


def splits_of(is_resampled: bool, gain: float = 0.0) -> Draw:
    """Returns the accuracies of arms on the validation images of each repeat's split.

    Each arm is right or wrong about an image, the same in each repeat but for the luck of its weights. The
    images are drawn from a population in which all arms are equally good, but for `gain` of the last one.
    """

    def draw(random: Random, arms: int, repeats: int) -> np.ndarray:
        # Two arms disagree where one of them, but not the other, deviates from the usual answer.
        deviates = random.random((arms, POOL)) < DISAGREEMENT / 2
        usual = random.random(POOL) < ACCURACY
        right = np.where(deviates, random.random((arms, POOL)) < 0.5 + 0.0 * usual, usual).astype(float)
        right[-1] += gain
        count = round(POOL * VALIDATION_SHARE)
        parts = [random.permutation(POOL)[:count] for _ in range(repeats if is_resampled else 1)]
        found = [right[:, parts[repeat % len(parts)]].mean(axis=1) for repeat in range(repeats)]
        return np.stack(found, axis=1) + 0.3 * SPREAD * random.normal(size=(arms, repeats))

    return draw


def tuned(tunings: int | None = None, gain: float = 0.0, values: Sequence[int] = (RATES,)) -> Draw:
    """Returns the values of arms whose rate is tuned by single trainings, for each repeat or `tunings` times.

    The expectation falls with the square of the distance to the best rate, by .03 at the ends of the range.

    Args:
        tunings: The number of tunings that the repeats share; None for one for each repeat.
        gain: Of the last arm.
        values: The number of random rates of each arm, repeated for more arms.
    """

    def expected(rate: np.ndarray) -> np.ndarray:
        return ACCURACY - 3 * SPREAD * rate**2

    def draw(random: Random, arms: int, repeats: int) -> np.ndarray:
        found = np.empty((arms, repeats))
        for arm in range(arms):
            rates = random.uniform(-1, 1, size=(tunings or repeats, values[arm % len(values)]))
            measured = expected(rates) + SPREAD * random.normal(size=rates.shape)
            best = np.take_along_axis(rates, measured.argmax(axis=1)[:, None], axis=1)[:, 0]
            found[arm] = expected(best[np.arange(repeats) % len(best)])
        found[-1] += gain
        return found + SPREAD * random.normal(size=found.shape)

    return draw


def runs_of(values: np.ndarray, is_resampled: bool) -> list[RunRecord]:
    """Returns the runs of a study with one axis, as MLflow would hold them. values: (arms, repeats)."""
    runs = []
    for arm, row in enumerate(values):
        for repeat, value in enumerate(row):
            tags = {
                **{"state": "complete", "kind": "repeat", "dataset": "simulated", "kernel_size": str(arm)},
                "objective": "val_accuracy maximize",
            }
            params = {
                "model.kernel_size": str(arm),
                "training.seed": str(repeat),
                "data.seed": "0",
                "data.split_seed": str(repeat) if is_resampled else "null",
                "data.validation_split": str(VALIDATION_SHARE),
            }
            metrics = {"objective": float(value)}
            runs.append(RunRecord(f"{arm}-{repeat}", "", "FINISHED", tags, params, metrics, 0.0, None))
    return runs


def ranking(runs: Sequence[RunRecord]) -> list[Standing]:
    """Returns the standings in the order of the arms."""
    groups = group_runs(runs, ["kernel_size"])
    found = dict(
        zip([int(group.values[0]) for group in groups], standings(groups, ["kernel_size"]), strict=True)
    )
    return [found[arm] for arm in sorted(found)]


def decides(runs: Sequence[RunRecord], one: int, other: int) -> str:
    """Returns the verdict on the claim that one arm's accuracy is higher than another's."""
    return verdict_of(_claim(one, other), runs, ["kernel_size"]).decision


@cache
def _claim(one: int, other: int) -> ClaimConf:
    sides = [{"model.kernel_size": str(arm)} for arm in (one, other)]
    content = {"of": sides[0], "relation": "higher", "than": sides[1]}
    schema = OmegaConf.structured(ClaimConf)
    return cast(ClaimConf, OmegaConf.merge(schema, {"text": "one is better", "comparisons": [content]}))


@dataclass(frozen=True)
class Rate:
    """How often something happened in simulated studies."""

    count: int
    of: int

    @property
    def share(self) -> float:
        return self.count / self.of

    @property
    def error(self) -> float:
        """The standard error."""
        return float(np.sqrt(self.share * (1 - self.share) / self.of))

    def __str__(self) -> str:
        return f"{100 * self.share:.1f} ± {100 * self.error:.1f}"


def studies(draw: Draw, arms: int, repeats: int, count: int, seed: int = 0) -> Iterator[np.ndarray]:
    """Yields the values of simulated studies, each (arms, repeats)."""
    random = np.random.default_rng([seed, arms, repeats])
    for _ in range(count):
        yield draw(random, arms, repeats)


def false_verdicts(draw: Draw, repeats: int, count: int, is_resampled: bool = False) -> Rate:
    """Returns how often a claim about two equal arms is decided."""
    decided = [
        decides(runs_of(values, is_resampled), 0, 1) != UNDECIDED
        for values in studies(draw, 2, repeats, count)
    ]
    return Rate(sum(decided), count)


def found_gains(draw: Draw, repeats: int, count: int, is_resampled: bool = False) -> Rate:
    """Returns how often the claim that the last arm is the better of two is supported."""
    found = [
        decides(runs_of(values, is_resampled), 1, 0) == "supported"
        for values in studies(draw, 2, repeats, count)
    ]
    return Rate(sum(found), count)


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
    Case("unequal jumps by luck", jumps_of((0.010, 0.005))),
    Case("the same, early stopping", jumps_of((0.010, 0.005), patience=3)),
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
    draws = list(studies(case.draw, arms, repeats, count))
    expected = np.array(list(studies(case.draw, arms, repeats, MANY, seed=1))).mean(axis=(0, 2))
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


def verdict_table(count: int) -> list[str]:
    """Returns the lines of the table of false verdicts and found gains."""
    luck, own = jumps_of((0.010, 0.005)), jumps_of((0.003,), own=(0.0, 0.010))
    rows = {
        "jumps by luck, .010 and .005": lambda n: false_verdicts(luck, n, count),
        "the same with early stopping, patience 3": lambda n: false_verdicts(
            jumps_of((0.010, 0.005), patience=3), n, count
        ),
        "jumps of the network's own, .010 and 0: the gain is found": lambda n: found_gains(own, n, count),
        "images, one split": lambda n: false_verdicts(splits_of(False), n, count),
        "images, resampled splits": lambda n: false_verdicts(splits_of(True), n, count, True),
        "a gain of .02 on all images, resampled splits: it is found": lambda n: found_gains(
            splits_of(True, 0.02), n, count, True
        ),
        "tuned arms, eight random rates, one tuning": lambda n: false_verdicts(tuned(1), n, count),
        "the same with a tuning for each repeat": lambda n: false_verdicts(tuned(), n, count),
        "a gain of .02, a tuning for each repeat: it is found": lambda n: found_gains(
            tuned(gain=0.02), n, count
        ),
        **{case.title: partial(false_verdicts, case.draw, count=count) for case in CASES[:6]},
    }
    head = [f"| two arms | {' | '.join(f'{n} repeats' for n in SEEDS)} |", "| --- " * (len(SEEDS) + 1) + "|"]
    return [
        *head,
        *(f"| {title} | {' | '.join(str(rate(n)) for n in SEEDS)} |" for title, rate in rows.items()),
    ]


def ranking_table(count: int) -> list[str]:
    """Returns the lines of the table of rankings."""
    lines = [
        "| arms are | arms | repeats | false alarms | interval of an arm | interval of the best | power |",
        "| --- " * 7 + "|",
    ]
    for case in CASES:
        for arms in ARMS:
            for repeats in SEEDS:
                found = rates(case, arms, repeats, count)
                shown = (found.alarms, found.coverage, found.best, found.power)
                lines.append(f"| {case.title} | {arms} | {repeats} | {' | '.join(map(str, shown))} |")
                print(lines[-1], flush=True)
    return lines


def page(count: int) -> str:
    """Returns the text of docs/calibration.md."""
    return "\n".join(
        [INTRODUCTION.format(count=count), *verdict_table(count), "", RANKINGS, *ranking_table(count), ""]
    )


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else STUDIES
    (ROOT / "docs" / "calibration.md").write_text(page(count), encoding="utf-8")


if __name__ == "__main__":
    main()
