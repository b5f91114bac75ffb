"""Reads the prior of a range: where the user expects the good value."""

import math
import re
from dataclasses import dataclass

from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution

from kerasweep.errors import ConfigError

_NORMAL = re.compile(r"normal\(([^,()]+),([^,()]+)\)")


@dataclass(frozen=True)
class Prior:
    """A normal distribution, cut at the ends of its range."""

    center: float
    spread: float  # the standard deviation; of a logarithmic range in factors of ten

    def __str__(self) -> str:
        return f"normal({self.center:g}, {self.spread:g})"


def read_prior(key: str, text: str, distribution: BaseDistribution) -> Prior:
    """Returns the prior that a user wrote as `normal(CENTER, SPREAD)`.

    Raises:
        ConfigError: The text is no such prior, the axis is no range, or the center lies outside it.
    """
    if not isinstance(distribution, (IntDistribution, FloatDistribution)):
        raise ConfigError(
            f"{key} has the prior {text}, but its values are a list. Give a range, as in "
            "interval(1e-5,1e-1), or leave the prior out."
        )
    match = _NORMAL.fullmatch(text.replace(" ", ""))
    try:
        center, spread = (float(number) for number in match.groups()) if match else (math.nan, math.nan)
    except ValueError:
        center, spread = math.nan, math.nan
    if not (math.isfinite(center) and math.isfinite(spread) and spread > 0):
        raise ConfigError(
            f"{key} has the prior {text}, but expected normal(CENTER, SPREAD) with a spread above 0. "
            "Write it as in normal(1e-3, 0.5)."
        )
    if not distribution.low <= center <= distribution.high:
        raise ConfigError(
            f"{key} has the prior {text}, whose center lies outside {distribution.low:g} … "
            f"{distribution.high:g}. Move it inside, or widen the range."
        )
    return Prior(center, spread)
