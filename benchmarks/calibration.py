"""Simulates studies whose truth is known, and counts how often the reports are wrong.

python -m benchmarks.calibration        writes docs/calibration.md (20 minutes)

Every simulated study goes the way of a real one: histories of epochs are scored by `cross_fitted`, runs with
their params and tags are grouped, ranked and judged by the functions that `python -m src.compare` calls.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import cast

import numpy as np
from omegaconf import OmegaConf

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
POOL, DISAGREEMENT = 3_000, 0.1  # images to split; the share on which two arms disagree

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
