"""Keeps the runs for which expressions over their params, metrics and tags hold."""

import math
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

from src.errors import TrackingError
from src.sweep.space.constraint import Constraint, read_constraints
from src.tracking.query import RunRecord

PLAIN = {"null": None, "true": True, "false": False}


def filter_runs(runs: Sequence[RunRecord], texts: Sequence[str]) -> list[RunRecord]:
    """The runs that have all keys of the expressions and satisfy them; numbers compare as numbers.

    texts: such as `optimizer.learning_rate > 0.001 and val_accuracy >= 0.9`. Raises ConfigError for what
    is no expression, or compares a number with a name; TrackingError for a key that no run has.
    """
    conditions = read_constraints(texts, "where")
    for condition in conditions:
        for key in sorted(condition.keys):
            _check_known(runs, key)
    return [run for run in runs if all(_holds(run, condition) for condition in conditions)]


def _holds(run: RunRecord, condition: Constraint) -> bool:
    is_known = all(_has(run, key) for key in condition.keys)
    return is_known and condition.holds(lambda key: value_of(run, key))


def _has(run: RunRecord, key: str) -> bool:
    return key in run.params or key in run.metrics or key in run.tags


def value_of(run: RunRecord, key: str) -> Any:
    """A param, a metric or a tag of a run, as a number where it is one."""
    if key not in run.params and key in run.metrics:
        return run.metrics[key]
    return _plain(run.params.get(key, run.tags.get(key, "null")))


def _plain(text: str) -> Any:
    if text in PLAIN:
        return PLAIN[text]
    try:
        number = float(text)
    except ValueError:
        return text
    return number if math.isfinite(number) else text


def _check_known(runs: Sequence[RunRecord], key: str) -> None:
    if any(_has(run, key) for run in runs):
        return
    known = {name for run in runs for name in (*run.params, *run.metrics, *run.tags) if "mlflow." not in name}
    near = get_close_matches(key, known, n=3, cutoff=0.5) or sorted(known)[:20]
    raise TrackingError(
        f"where names {key}, which no run has as param, metric or tag. There is {', '.join(near)}."
    )
