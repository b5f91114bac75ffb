"""Compares two models on the same test images."""

import math
from dataclasses import dataclass

import numpy as np
from scipy import special  # scipy.stats takes a second to import

from kerasweep.report.statistics import LEVEL, POWER, mcnemar, rounded

# McNemar's exact test cannot tell two models apart that differ on fewer images.
MIN_DISCORDANT = 6
ALPHA = rounded(1 - LEVEL)
HALVINGS = 60  # of an interval in the search for a bound: to the last digit of a float


@dataclass(frozen=True)
class Paired:
    """How often only one of two models classifies an image rightly.

    Example:
        >>> Paired(only_first=9, only_second=1, images=359).is_better
        True
    """

    only_first: int  # images that only the first model classifies rightly
    only_second: int
    images: int  # all images, >= 1

    @property
    def discordant(self) -> int:
        """The number of images that one model classifies rightly and the other one does not."""
        return self.only_first + self.only_second

    @property
    def gain(self) -> int:
        """How many images more the first model classifies rightly."""
        return self.only_first - self.only_second

    @property
    def difference(self) -> float:
        """The accuracy of the first model minus that of the second."""
        return self.gain / self.images

    @property
    def p_value(self) -> float:
        """The two-sided p-value of McNemar's exact test."""
        return mcnemar(self.only_first, self.only_second)

    @property
    def interval(self) -> tuple[float, float]:
        """The ends of the 95 % interval of the difference, for other images of the same kind."""
        return tango(self.only_first, self.only_second, self.images)

    @property
    def is_better(self) -> bool:
        """Whether the first model is better beyond chance."""
        return self.gain > 0 and self.is_beyond_chance

    @property
    def is_beyond_chance(self) -> bool:
        return self.p_value < ALPHA


def pair(first: np.ndarray, second: np.ndarray) -> Paired:
    """Counts the images that only one of two models classifies rightly.

    Args:
        first: bool (images,): whether the first model is right.
        second: Likewise.
    """
    return Paired(int((first & ~second).sum()), int((second & ~first).sum()), len(first))


def tango(only_first: int, only_second: int, images: int) -> tuple[float, float]:
    """Returns the score interval of the difference of two accuracies on the same images.

    It holds for few images, and has a width even if the models never differ: Tango (1998), Equivalence test
    and confidence interval for the difference in proportions for the paired-sample design,
    https://doi.org/10.1002/(SICI)1097-0258(19980430)17:8<891::AID-SIM780>3.0.CO;2-B

    Args:
        only_first: How many images only the first model classifies rightly.
        only_second: Likewise.
        images: The number of all images.
    """
    upper = _upper_bound(only_first, only_second, images)
    return -_upper_bound(only_second, only_first, images), upper


def _upper_bound(only_first: int, only_second: int, images: int) -> float:
    """Returns the largest difference that the score test does not reject."""
    quantile = special.ndtri((1 + LEVEL) / 2)
    accepted, rejected = (only_first - only_second) / images, 1.0
    for _ in range(HALVINGS):
        middle = (accepted + rejected) / 2
        if _score(only_first, only_second, images, middle) >= -quantile:
            accepted = middle
        else:
            rejected = middle
    return accepted


def _score(only_first: int, only_second: int, images: int, difference: float) -> float:
    """Returns Tango's statistic: standard normal if `difference` is the true one."""
    linear = (2 * images - only_first + only_second) * difference - only_first - only_second
    constant = -only_second * difference * (1 - difference)
    root = math.sqrt(linear**2 - 8 * images * constant)
    second_rate = (root - linear) / (4 * images)  # the likeliest share of images right in the second alone
    variance = images * (2 * second_rate + difference * (1 - difference))
    distance = only_first - only_second - images * difference
    return 0.0 if distance == 0 else distance / math.sqrt(max(variance, np.finfo(float).tiny))


def needed_gain(discordant: int) -> int:
    """Returns how many images more a model must classify rightly to be better beyond chance.

    Args:
        discordant: The number of images on which the two differ; at least 6 are assumed.
    """
    tosses = max(discordant, MIN_DISCORDANT)
    gains = range(tosses % 2, tosses + 1, 2)
    return next(gain for gain in gains if mcnemar((tosses + gain) // 2, (tosses - gain) // 2) < ALPHA)


def images_needed(paired: Paired) -> int | None:
    """Returns how many images would tell two models apart with a power of 80 %.

    It takes the observed rates for the true ones: Connor (1987), Sample size for testing differences in
    proportions for the paired-sample design, https://doi.org/10.2307/2531961. The exact test needs about
    1 / difference images more than his normal approximation.

    Args:
        paired: The observed counts.

    Returns:
        The number of images; None if the first model is not better.
    """
    if paired.gain <= 0:
        return None
    rate, difference = paired.discordant / paired.images, paired.difference
    level, power = special.ndtri((1 + LEVEL) / 2), special.ndtri(POWER)
    deviations = level * math.sqrt(rate) + power * math.sqrt(rate - difference**2)
    return math.ceil((deviations / difference) ** 2 + 1 / difference)
