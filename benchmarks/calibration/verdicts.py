"""Counts how often a claim on equal arms is decided, and how often a gain is found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast
from zlib import crc32

import numpy as np
from omegaconf import OmegaConf

from benchmarks.calibration.rates import AXES, SEEDS, Rate, heading, row, runs_of
from benchmarks.calibration.simulations import (
    IMAGES,
    SPREAD,
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
from kerasweep.config.search import ClaimConf
from kerasweep.report.claims import CONTRADICTED, SUPPORTED
from kerasweep.report.verdicts import verdict_of

TEXT = """
## Verdicts

{count} studies each. Two arms are equally good, and a claim says that one is better, unless the row says
otherwise. A *false verdict* is any that is not *not decided*: at most 5 % are allowed. Rows of gains count
how often they are found instead. Jumps are the deviations of the validation accuracy from epoch to epoch, in
12 epochs at a plateau. Images: two arms disagree on a tenth of 3,000 images, of which 600 validate.

Where a rate is off its level: on one split, with one tuning for all repeats, and where the training images
move the arms more than a third as far as the validation images. The correction for shared images (Nadeau and
Bengio, 2003) takes two splits for as alike as their validation images; what an arm owes to its training
images is more alike, since two splits share four fifths of them, or a fifth if each split draws from four
times as many images. `mixed` takes evidence in both directions, and hardly errs. Among so many rows some lie
two errors off by chance: 70 images with five repeats give 4.6 ± 0.5 in 1,500 studies, and jumps by luck with
three, five and ten repeats 4.5, 4.3 and 5.5 ± 0.5 in 2,000, with early stopping 4.2, 5.3 and 5.2.
Tuned arms: one training each tells which of eight random rates is the best, see
[comparing.md](comparing.md#nuisance-parameters); one tuning for all repeats leaves out its luck.
"""
HIGHER = ({"of": {"model.kernel_size": 0}, "relation": "higher", "than": {"model.kernel_size": 1}},)
LOWER = ({**HIGHER[0], "relation": "lower"},)
Comparisons = Sequence[Mapping[str, Any]]


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
    pool: int = IMAGES  # the number of images of which the splits draw theirs


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
    *(
        Question(
            title,
            splits_of(True, gain, influence, 4 * IMAGES),
            LOWER if gain else HIGHER,
            (SUPPORTED,) if gain else (SUPPORTED, CONTRADICTED),
            is_resampled=True,
            pool=4 * IMAGES,
        )
        for title, gain, influence in (
            ("images, each split draws from four times as many", 0.0, 0.0),
            ("the same, training images move an arm just as far", 0.0, 1.0),
            ("a gain of .02, each split draws from four times as many images: it is found", GAIN, 0.0),
        )
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
        runs = runs_of(values, question.is_resampled, question.columns, question.pool)
        decided += verdict_of(claim, runs, axes).decision in question.counted
    return Rate(decided, count)


def part(count: int) -> list[str]:
    """Returns the lines of this part of docs/calibration.md. count: of studies in each row."""
    return [
        TEXT.format(count=count),
        *heading("two arms", *(f"{repeats} repeats" for repeats in SEEDS)),
        *(
            row([question.title, *(rate_of(question, repeats, count) for repeats in SEEDS)])
            for question in QUESTIONS
        ),
    ]
