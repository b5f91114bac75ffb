"""What is logged of a run in one call."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class MetricValue:
    """A metric's value at a step. timestamp: milliseconds since 1970."""

    name: str
    value: float
    step: int
    timestamp: int


@dataclass
class Batch:
    """Params, tags and metrics of one run."""

    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    metrics: list[MetricValue] = field(default_factory=list)

    def entries(self) -> Iterator["Batch"]:
        """Each entry as a batch of its own."""
        yield from (Batch(params={key: value}) for key, value in self.params.items())
        yield from (Batch(tags={key: value}) for key, value in self.tags.items())
        yield from (Batch(metrics=[value]) for value in self.metrics)


def metric_values(metrics: Mapping[str, float], step: int) -> list[MetricValue]:
    """Metrics of one step, with the time of now."""
    timestamp = now()
    return [MetricValue(name, float(value), step, timestamp) for name, value in metrics.items()]


def now() -> int:
    """Milliseconds since 1970, as MLflow counts."""
    return int(time.time() * 1000)
