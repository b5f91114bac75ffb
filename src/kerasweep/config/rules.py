"""The two forms that most rules have: one of these names, a number between those bounds."""

import math
from collections.abc import Sequence
from typing import Any

from kerasweep.errors import ConfigError


def one_of(key: str, value: Any, allowed: Sequence[str]) -> None:
    """Raise ConfigError where the value is none of the names."""
    if value not in allowed:
        raise ConfigError(f"{key} must be one of {', '.join(allowed)}, but got {value}.")


def between(
    key: str,
    value: float,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    open_low: bool = False,
    open_high: bool = False,
) -> None:
    """Raise ConfigError for NaN or a number outside. open_low, open_high: the bound itself is outside."""
    too_low = value <= low if open_low else value < low
    too_high = value >= high if open_high else value > high
    if not (too_low or too_high or math.isnan(value)):
        return
    bounds = [
        f"{'above' if open_low else 'at least'} {low:g}" if low > -math.inf else "",
        f"{'below' if open_high else 'at most'} {high:g}" if high < math.inf else "",
    ]
    raise ConfigError(f"{key} must be {' and '.join(filter(None, bounds))}, but got {value}.")
