"""A run as MLflow has it recorded."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class RunRecord:
    """metrics: the last value of each. start_time: in seconds since 1970.

    seconds: from start to end, None while it runs.
    """

    run_id: str
    name: str
    status: str
    tags: Mapping[str, str]
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    start_time: float
    seconds: float | None


def seconds_between(start: int, end: int | None) -> float | None:
    """Of MLflow's milliseconds."""
    return None if end is None else (end - start) / 1000
