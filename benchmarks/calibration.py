"""Simulates studies whose truth is known, and counts how often the reports are wrong.

python -m benchmarks.calibration [PART …] [--studies N]     writes these parts of docs/calibration.md, or all

The parts are verdicts, effects, samplers and rankings. Every simulated study goes the way of a real one:
histories of epochs are scored by `cross_fitted`, runs with their params and tags are grouped, ranked and
judged by the functions that `python -m src.compare` calls.
"""

import argparse
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast
from zlib import crc32

import numpy as np
import optuna
from omegaconf import OmegaConf
from optuna.trial import TrialState

from benchmarks import ROOT
from benchmarks.simulations import (
    SPREAD,
    VALIDATION_SHARE,
    Draw,
    erratic,
    heavy_tailed,
    jumps_of,
    normal,
    odd_halves,
    shared,
    shifted,
    skewed,
    splits_of,
    tuned,
    two_families,
)
from kerasweep.config.search import ClaimConf, CmaEsConf, SamplerConf, TPEConf
from kerasweep.report.claims import CONTRADICTED, SUPPORTED
from kerasweep.report.effects import interactions, variance_shares
from kerasweep.report.groups import group_runs
from kerasweep.report.standings import Standing, standings
from kerasweep.report.statistics import LEVEL
from kerasweep.report.verdicts import verdict_of
from kerasweep.search.ledger import RESULT
from kerasweep.search.samplers import build_sampler
from kerasweep.tracking.run_record import RunRecord

SEEDS, ARMS = (3, 5, 10), (2, 4, 8, 24)
STUDIES, MANY = 300, 200
BEHIND = 2.5
PAGE = ROOT / "docs" / "calibration.md"
INTRODUCTION = """# Calibration

`python -m benchmarks.calibration` simulates studies whose truth is known and counts how often the reports
are wrong. Each simulated study goes the way of a real one: histories are scored, and runs are grouped, ranked
and judged by the functions of `python -m src.compare`. Rates are in percent with their standard error.
"""
VERDICTS = """
## Verdicts

{count} studies each. Two arms are equally good, and a claim says that one is better, unless the row says
otherwise. A *false verdict* is any that is not *not decided*: at most 5 % are allowed. Rows of gains count
how often they are found instead. Jumps are the deviations of the validation accuracy from epoch to epoch, in
12 epochs at a plateau. Images: two arms disagree on a tenth of 3,000 images, of which 600 validate.

Where a rate is off its level: on one split, and where the training images move the arms more than a third as
far as the validation images. The correction for shared images (Nadeau and Bengio, 2003) takes two splits for
as alike as their validation images; what an arm owes to its training images is more alike, since two splits
share four fifths of them. `mixed` takes evidence in both directions, and hardly errs. Among so many rows some
lie two errors off by chance: 70 images with five repeats give 4.6 ± 0.5 in 1,500 studies.
Tuned arms: one training each tells which of eight random rates is the best, see
[comparing.md](comparing.md#nuisance-parameters); one tuning for all repeats leaves out its luck.
"""
EFFECTS = """
## Axes and interactions

{count} studies each, of a grid of 3 × 4 configurations. *Interaction*: effects that add up are said to
interact (at most 5). *Share*: an axis without an effect is said to have one, among two axes (at most 5). For
configurations that vary unequally the tests hold approximately (Greenhouse and Geisser, 1959).
"""
SAMPLERS = """
## Diverging trials

The best rate is 0.60, and training diverges above 0.62; {searches} searches of {trials} trials with two axes.
*Failed* counts the trials that diverge, *distance* is that of the best value to the optimum. A sampler that
does not hear of them, as Optuna's samplers, is *deaf*.
"""
RANKINGS = """
## Rankings

{count} studies each. All arms are equal. *False alarms*: any arm is called worse than the best (nominal: at
most 5). *Interval of an arm*: the 95 % interval of the first arm holds its expectation. *Interval of the
best*: the interval of the arm with the best mean, which the data selected, holds its expectation (nominal: at
least 95). *Power*: the last arm is two and a half deviations behind, and is called worse.

Where a rate is off its nominal level: Student's interval assumes normal values, so with few repeats it
covers less than 95 % of skewed arms. With three repeats hardly any difference of many arms is found: use
four or more.
"""
AXES = {"kernel_size": "model.kernel_size", "batch_size": "training.batch_size"}
HIGHER = ({"of": {"model.kernel_size": 0}, "relation": "higher", "than": {"model.kernel_size": 1}},)
LOWER = ({**HIGHER[0], "relation": "lower"},)
Comparisons = Sequence[Mapping[str, Any]]


def runs_of(values: np.ndarray, is_resampled: bool = False, columns: int = 1) -> list[RunRecord]:
    """Returns the runs of a study with two axes, as MLflow would hold them.

    Args:
        values: (arms, repeats).
        is_resampled: Whether each repeat has a split of its own.
        columns: The number of values of the second axis, along which the arms are counted first.
    """
    runs = []
    for arm, row in enumerate(values):
        chosen = dict(zip(AXES, map(str, divmod(arm, columns)), strict=True))
        for repeat, value in enumerate(row):
            tags = {
                **{"state": "complete", "kind": "repeat", "dataset": "simulated", **chosen},
                "objective": "val_accuracy maximize",
            }
            params = {
                **{AXES[axis]: text for axis, text in chosen.items()},
                "training.seed": str(repeat),
                "data.seed": "0",
                "data.split_seed": str(repeat) if is_resampled else "null",
                "data.validation_split": str(VALIDATION_SHARE),
            }
            metrics = {"objective": float(value)}
            runs.append(RunRecord(f"{arm}-{repeat}", "", "FINISHED", tags, params, metrics, 0.0, None))
    return runs


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


@dataclass(frozen=True)
class Question:
    """A kind of studies with a claim, and the decisions that its row counts."""

    title: str
    draw: Draw
    comparisons: Comparisons = HIGHER
    counted: Sequence[str] = (SUPPORTED, CONTRADICTED)
    arms: int = 2
    columns: int = 1  # values of the second axis, see `runs_of`
    is_resampled: bool = False


LUCK = (0.010, 0.005)
GAIN = 0.02
SIMILAR = ({**HIGHER[0], "relation": "similar", "margin": 2 * SPREAD},)
TWO = tuple(
    {
        "of": {"model.kernel_size": 0},
        "relation": "higher",
        "than": {"model.kernel_size": 1},
        "where": {"training.batch_size": column},
    }
    for column in (0, 1)
)
MIXED = ({**HIGHER[0], "relation": "mixed"},)
SPREADS = ({**HIGHER[0], "spread_over": "training.batch_size"},)
QUESTIONS = (
    Question("jumps by luck, .010 and .005", jumps_of(LUCK)),
    Question("the same, each run with its largest accuracy", jumps_of(LUCK, is_cross_fitted=False)),
    Question("the same, early stopping with patience 3", jumps_of(LUCK, patience=3)),
    Question("the same, the objective is val_loss", jumps_of(LUCK, metric="val_loss")),
    Question("70 images, seven of each class, one arm jumps", odd_halves),
    Question(
        "jumps of the network's own, 0 and .010: the gain is found",
        jumps_of((0.003,), own=(0.0, 0.010)),
        LOWER,
        (SUPPORTED,),
    ),
    Question("images, one split", splits_of(False)),
    Question("images, resampled splits", splits_of(True), is_resampled=True),
    *(
        Question(
            f"the same, training images move an arm {text} as far as validation images",
            splits_of(True, influence=influence),
            is_resampled=True,
        )
        for text, influence in (("a third", 1 / 3), ("half", 0.5), ("just", 1.0))
    ),
    *(
        Question(
            f"a gain of .02 on all images{text}: it is found",
            splits_of(True, GAIN, influence),
            LOWER,
            (SUPPORTED,),
            is_resampled=True,
        )
        for text, influence in (("", 0.0), (", training images move an arm half as far", 0.5))
    ),
    Question("tuned arms, eight random rates, one tuning", tuned(1)),
    Question("the same with a tuning for each repeat", tuned()),
    Question("the same three rates for both arms, one tuning", tuned(1, is_listed=True)),
    Question(
        "the same three rates for both arms, one tuning, resampled splits, on which nothing depends",
        tuned(1, is_listed=True),
        is_resampled=True,
    ),
    Question(
        "a gain of .02, with a tuning for each repeat: it is found", tuned(gain=GAIN), LOWER, (SUPPORTED,)
    ),
    Question("normal", normal),
    Question("skewed", skewed),
    Question("heavy-tailed", heavy_tailed),
    Question("one erratic arm", erratic),
    Question("seeds move all arms", shared),
    Question("two families with seed effects of their own", two_families),
    Question("a claim of two comparisons", normal, TWO, arms=4, columns=2),
    Question("`mixed`, in four settings", normal, MIXED, arms=8, columns=4),
    Question(
        "`mixed`, but one arm is two deviations better in each of four settings",
        shifted(normal, [2] * 4 + [0] * 4),
        MIXED,
        (SUPPORTED,),
        arms=8,
        columns=4,
    ),
    Question("a spread over six values", normal, SPREADS, arms=12, columns=6),
    Question(
        "`similar`, two deviations apart, which is the margin: supported (at most 5)",
        shifted(normal, [2, 0]),
        SIMILAR,
        (SUPPORTED,),
    ),
    Question("`similar`, equal arms: supported", normal, SIMILAR, (SUPPORTED,)),
)


def rate_of(question: Question, repeats: int, count: int) -> Rate:
    """Returns how often a question's studies end with the decisions that it counts."""
    random = np.random.default_rng([crc32(question.title.encode()), repeats])
    content = {"text": "one is better", "comparisons": [dict(each) for each in question.comparisons]}
    claim = cast(ClaimConf, OmegaConf.merge(OmegaConf.structured(ClaimConf), content))
    axes = list(AXES) if question.columns > 1 else ["kernel_size"]
    decided = 0
    for _ in range(count):
        values = question.draw(random, question.arms, repeats)
        runs = runs_of(values, question.is_resampled, question.columns)
        decided += verdict_of(claim, runs, axes).decision in question.counted
    return Rate(decided, count)


def ranking(runs: Sequence[RunRecord]) -> list[Standing]:
    """Returns the standings in the order of the arms."""
    groups = group_runs(runs, ["kernel_size"])
    found = dict(
        zip([int(group.values[0]) for group in groups], standings(groups, ["kernel_size"]), strict=True)
    )
    return [found[arm] for arm in sorted(found)]


def studies(draw: Draw, arms: int, repeats: int, count: int, seed: int = 0) -> Iterator[np.ndarray]:
    """Yields the values of simulated studies, each (arms, repeats)."""
    random = np.random.default_rng([seed, arms, repeats])
    for _ in range(count):
        yield draw(random, arms, repeats)


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


def false_effects(draw: Draw, repeats: int, count: int) -> tuple[Rate, Rate]:
    """Returns how often a grid of 3 × 4 configurations has a false interaction, and a false share."""
    random = np.random.default_rng([crc32(b"effects"), repeats])
    axes, found = list(AXES), np.zeros(2, int)
    for _ in range(count):
        runs = runs_of(draw(random, 12, repeats), columns=4)
        ps = [interactions(runs, axes)[0].p or 0.0, min(each.p for each in variance_shares(runs, axes))]
        found += np.array(ps) < 1 - LEVEL
    return Rate(int(found[0]), count), Rate(int(found[1]), count)


@dataclass(frozen=True)
class Searches:
    """The searches of a sampler beside a region in which training diverges."""

    failed: np.ndarray  # trials of each search
    distances: np.ndarray  # of each search's best value to the optimum


CLIFF_TRIALS, CLIFF_SEARCHES, BEST_RATE, CLIFF = 40, 20, 0.6, 0.62
CONFIGS: Mapping[str, SamplerConf] = {
    "TPE": TPEConf("tpe"),
    "CMA-ES": CmaEsConf("cmaes"),
}


def beside_a_cliff(cfg: SamplerConf, is_told: bool) -> Searches:
    """Runs searches with our samplers. is_told: whether diverging trials count as poor."""
    failed, distances = [], []
    for seed in range(CLIFF_SEARCHES):
        study = optuna.create_study(direction="maximize")
        content = OmegaConf.merge(OmegaConf.structured(cfg), {"seed": seed})
        best = -math.inf
        for number in range(CLIFF_TRIALS):
            study.sampler = build_sampler(content, number)
            trial = study.ask()
            rate, decay = (trial.suggest_float(name, 0, 1) for name in ("rate", "decay"))
            if rate > CLIFF:
                trial.set_user_attr(RESULT, {"is_poor": is_told})
                study.tell(trial, state=TrialState.FAIL)
            else:
                value = 1 - (rate - BEST_RATE) ** 2 - decay**2
                study.tell(trial, value)
                best = max(best, value)
        failed.append(sum(each.state is TrialState.FAIL for each in study.trials))
        distances.append(1 - best)
    return Searches(np.array(failed), np.array(distances))


def _heading(*cells: str) -> list[str]:
    return [_row(cells), "| --- " * len(cells) + "|"]


def _row(cells: Sequence[object]) -> str:
    line = f"| {' | '.join(map(str, cells))} |"
    print(line, flush=True)
    return line


def verdict_part(count: int) -> list[str]:
    return [
        VERDICTS.format(count=count),
        *_heading("two arms", *(f"{repeats} repeats" for repeats in SEEDS)),
        *(
            _row([question.title, *(rate_of(question, repeats, count) for repeats in SEEDS)])
            for question in QUESTIONS
        ),
    ]


def effect_part(count: int) -> list[str]:
    return [
        EFFECTS.format(count=count),
        *_heading("configurations are", "repeats", "interaction", "share"),
        *(
            _row([title, repeats, *false_effects(draw, repeats, count)])
            for title, draw in (
                ("normal", normal),
                ("one erratic configuration", erratic),
                ("skewed", skewed),
            )
            for repeats in SEEDS
        ),
    ]


def sampler_part(count: int) -> list[str]:
    lines = [
        SAMPLERS.format(searches=CLIFF_SEARCHES, trials=CLIFF_TRIALS),
        *_heading("sampler", "failed, deaf", "failed, told", "distance, deaf", "distance, told"),
    ]
    for name, cfg in CONFIGS.items():
        searches = [beside_a_cliff(cfg, is_told) for is_told in (False, True)]
        failed = [_mean(each.failed, ".1f") for each in searches]
        lines.append(_row([name, *failed, *(_mean(each.distances, ".3f") for each in searches)]))
    return lines


def _mean(values: np.ndarray, form: str) -> str:
    """Returns the mean with its standard error."""
    return f"{values.mean():{form}} ± {values.std(ddof=1) / math.sqrt(len(values)):{form}}"


def ranking_part(count: int) -> list[str]:
    lines = [
        RANKINGS.format(count=count),
        *_heading(
            *("arms are", "arms", "repeats", "false alarms", "interval of an arm"),
            *("interval of the best", "power"),
        ),
    ]
    for case in CASES:
        for arms in ARMS:
            for repeats in SEEDS:
                found = rates(case, arms, repeats, count)
                shown = (found.alarms, found.coverage, found.best, found.power)
                lines.append(_row([case.title, arms, repeats, *shown]))
    return lines


PARTS: Mapping[str, Callable[[int], list[str]]] = {
    "verdicts": verdict_part,
    "effects": effect_part,
    "samplers": sampler_part,
    "rankings": ranking_part,
}


def page(texts: Mapping[str, str]) -> str:
    """Returns the text of docs/calibration.md, with the text of each part in their order."""
    return INTRODUCTION + "".join(f"{texts[name].rstrip()}\n" for name in PARTS if name in texts)


def written() -> dict[str, str]:
    """Returns the text of each part in docs/calibration.md."""
    titles = {
        template.split("\n")[1]: name
        for name, template in zip(PARTS, (VERDICTS, EFFECTS, SAMPLERS, RANKINGS), strict=True)
    }
    _, *sections = PAGE.read_text(encoding="utf-8").split("\n## ")
    return {titles[f"## {text.split(chr(10))[0]}"]: f"\n## {text}" for text in sections}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.calibration")
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)} (default: all)")
    parser.add_argument("--studies", type=int, default=STUDIES, help="of each row")
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    for name in arguments.parts or PARTS:
        text = "\n".join(PARTS[name](arguments.studies))
        PAGE.write_text(page(written() | {name: text}), encoding="utf-8")


if __name__ == "__main__":
    main()
