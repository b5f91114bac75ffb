"""Computes the importance of each axis: how much it decides whether a trial is among the best."""

import copy
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState, create_trial

from kerasweep.config.schemas import REPEATED_KEYS
from kerasweep.fast_start import packages_hidden
from kerasweep.search.study_view import StudyView

MIN_TRIALS = 10
# A shuffle of a thousand trials takes 0.05 s, so many trials are shuffled less often. With the trials as they
# are, 100 or 40 orders: 5 % of these is a whole number.
SHUFFLES, FEW_TRIALS, SHUFFLES_OF_MANY = 99, 100, 39
LEVEL, SMALLEST = 0.95, 1e-12
MAX_LEVELS = 5  # of numbers that are categories; more are values of a scale
MIN_TOP = 5
TOP_SHARE = 0.1


@dataclass(frozen=True)
class Importance:
    """The importance of each axis."""

    shares: dict[str, float]  # by axis, the largest first; their sum is 1
    # The axes whose importance is larger than that of shuffled values, beyond chance.
    beyond_noise: frozenset[str]
    top: int  # the number of trials that count as the best
    trials: int  # the number of complete trials
    borders: Mapping[str, float] = field(default_factory=dict)  # by axis the share that chance seldom exceeds


def importance(study: Study) -> Importance | None:
    """Computes how the choices of the best tenth, or best five, of the complete trials differ from all.

    The method is PED-ANOVA: Watanabe et al. (2023), https://arxiv.org/abs/2304.10255. It takes 0.01 s for
    200 trials, and half a second with the shuffles; fANOVA takes 1.5 s and cannot handle conditions. An axis
    that applies under a condition counts where it applies.

    Args:
        study: A study with one objective.

    Returns:
        None with fewer than ten trials or two axes of two values, or if no value is more frequent among the
        best.
    """
    trials = [
        trial
        for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if math.isfinite(trial.values[0])
    ]
    keys = _varied(trials)
    if len(trials) < MIN_TRIALS or len(keys) < 2:
        return None
    quantile = max(TOP_SHARE, MIN_TOP / len(trials))
    found = _evaluate(study, keys, quantile)
    whole = sum(found.values())
    if whole <= 0:
        return None
    shares = {key: value / whole for key, value in sorted(found.items(), key=lambda item: -item[1])}
    table = _shuffled(study, trials, keys, quantile, found)
    beyond = frozenset(key for key, is_told in zip(keys, is_beyond(table), strict=True) if is_told)
    borders = {key: float(border) / whole for key, border in zip(keys, borders_of(table), strict=True)}
    return Importance(shares, beyond, _top(study, trials, quantile), len(trials), borders)


def _shuffled(
    study: Study,
    trials: list[FrozenTrial],
    keys: list[str],
    quantile: float,
    found: dict[str, float],
) -> np.ndarray:
    """Returns the importance of each axis, then that of shuffled values, (rows, axes): chance alone.

    Without any effect the leading one of four axes still has 44 % of the importance on average. So the values
    are shuffled among the trials, and each axis is compared with the largest of all axes then, in standard
    deviations of its own: Westfall and Young (1993), Resampling-based multiple testing. At most 5 % of sweeps
    without any effect have an axis beyond noise.
    """
    random = np.random.default_rng(len(trials))
    values = np.array([trial.values[0] for trial in trials])
    table = [[found[key] for key in keys]]
    for _ in range(SHUFFLES if len(trials) <= FEW_TRIALS else SHUFFLES_OF_MANY):
        shuffled = [
            _with_value(trial, value) for trial, value in zip(trials, random.permutation(values), strict=True)
        ]
        scores = _evaluate(StudyView(study, shuffled), keys, quantile)
        table.append([scores[key] for key in keys])
    return np.array(table)


def is_beyond(table: np.ndarray) -> np.ndarray:
    """Tells which values of the first row are beyond chance, if any row might as well be the first.

    The first row counts for the border, too: else 6 % of sweeps without any effect are beyond it.

    Args:
        table: The importance of each axis with the trials as they are, then with each shuffle, (rows, axes).
    """
    distances, border = _distances(table)
    return np.asarray(distances[0] > border)


def borders_of(table: np.ndarray) -> np.ndarray:
    """Returns the values (axes,) beyond which `is_beyond` tells an axis from chance. table: see there."""
    _, border = _distances(table)
    return np.asarray(table.mean(axis=0) + border * np.maximum(table.std(axis=0), SMALLEST))


def _distances(table: np.ndarray) -> tuple[np.ndarray, float]:
    """Returns the table in standard deviations from the mean, and the border of its rows' largest values."""
    distances = (table - table.mean(axis=0)) / np.maximum(table.std(axis=0), SMALLEST)
    return distances, float(np.quantile(distances.max(axis=1), LEVEL, method="inverted_cdf"))


def _with_value(trial: FrozenTrial, value: float) -> FrozenTrial:
    copied = copy.copy(trial)
    copied.values = [float(value)]
    return copied


def importance_of(rows: Sequence[tuple[Mapping[str, str], float]], maximize: bool) -> Importance | None:
    """Computes the importance from recorded runs.

    Args:
        rows: Per run its values of the axes that apply, and its objective. Six different numbers or more are
            values of a scale, fewer are categories.
        maximize: Whether larger objectives are better.
    """
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize" if maximize else "minimize")
    levels: dict[str, dict[str, None]] = {}
    for values, _ in rows:
        for axis, value in values.items():
            levels.setdefault(axis, {})[value] = None
    distributions = {axis: distribution_of(list(own)) for axis, own in levels.items()}
    study.add_trials(
        [
            create_trial(
                params={axis: _read(text, distributions[axis]) for axis, text in values.items()},
                distributions={axis: distributions[axis] for axis in values},
                value=value,
            )
            for values, value in rows
            if math.isfinite(value)
        ]
    )
    found = importance(study)
    optuna.logging.set_verbosity(verbosity)
    return found


def distribution_of(values: Sequence[str]) -> BaseDistribution:
    """Returns the distribution of an axis with these different values, each as text.

    A scale is logarithmic if the median is nearer to the middle of that scale.
    """
    try:
        numbers = sorted(map(float, values))
    except ValueError:
        return CategoricalDistribution(tuple(values))
    low, high = numbers[0], numbers[-1]
    if len(values) <= MAX_LEVELS or not all(map(math.isfinite, numbers)):
        return CategoricalDistribution(tuple(values))
    is_log = low > 0 and _offset(np.log(numbers)) < _offset(np.array(numbers))
    if all(text.lstrip("-").isdigit() for text in values):
        return IntDistribution(int(low), int(high), log=is_log)
    return FloatDistribution(low, high, log=is_log)


def _offset(values: np.ndarray) -> float:
    """Returns the distance between the median and the middle of the range, in ranges."""
    return float(abs(np.median(values) - (values[0] + values[-1]) / 2) / (values[-1] - values[0]))


def _read(text: str, distribution: BaseDistribution) -> str | int | float:
    if isinstance(distribution, CategoricalDistribution):
        return text
    return int(text) if isinstance(distribution, IntDistribution) else float(text)


def _varied(trials: list[FrozenTrial]) -> list[str]:
    """Returns the axes with at least two tried values, without seeds and splits."""
    values: dict[str, set[object]] = {}
    for trial in trials:
        for key, value in trial.params.items():
            values.setdefault(key, set()).add(value)
    return [key for key, tried in values.items() if len(tried) > 1 and key.lstrip("+") not in REPEATED_KEYS]


def _evaluate(study: Study, keys: list[str], quantile: float) -> dict[str, float]:
    with packages_hidden(("sklearn",)):  # only other evaluators need it, and its import takes a second
        from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    evaluator = PedAnovaImportanceEvaluator(target_quantile=quantile)
    with warnings.catch_warnings():
        # It warns if a condition holds for a single trial, or if all trials are equally good.
        warnings.simplefilter("ignore")
        return get_param_importances(study, evaluator=evaluator, params=keys, normalize=False)


def _top(study: Study, trials: list[FrozenTrial], quantile: float) -> int:
    """Returns the number of trials that are at least as good as the quantile."""
    sign = 1 if study.direction.name == "MINIMIZE" else -1
    losses = sorted(sign * trial.values[0] for trial in trials)
    return sum(loss <= losses[math.ceil(quantile * len(losses)) - 1] for loss in losses)
