"""The two forms of most rules: a value is one of some names, or a number between two bounds."""

import math
from collections.abc import Collection
from typing import Any

from kerasweep.errors import ConfigError


def one_of(key: str, value: Any, allowed: Collection[str]) -> None:
    """Raises ConfigError for a value that is not one of the names."""
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
    """Raises ConfigError for NaN and for a number outside the bounds.

    open_low, open_high: the bound itself is not allowed.
    """
    too_low = value <= low if open_low else value < low
    too_high = value >= high if open_high else value > high
    if not (too_low or too_high or math.isnan(value)):
        return
    bounds = [
        f"{'above' if open_low else 'at least'} {low:g}" if low > -math.inf else "",
        f"{'below' if open_high else 'at most'} {high:g}" if high < math.inf else "",
    ]
    raise ConfigError(f"{key} must be {' and '.join(filter(None, bounds))}, but got {value}.")
