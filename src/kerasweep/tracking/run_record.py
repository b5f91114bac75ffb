"""Holds the content of a recorded run."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class RunRecord:
    """A run's content."""

    run_id: str
    name: str
    status: str
    tags: Mapping[str, str]
    params: Mapping[str, str]
    metrics: Mapping[str, float]  # The last value of each.
    start_time: float  # In seconds since 1970.
    seconds: float | None  # From start to end; None while it runs.


def seconds_between(start: int, end: int | None) -> float | None:
    """Returns the seconds between two of MLflow's times, which are in milliseconds."""
    return None if end is None else (end - start) / 1000
