"""Keeps the runs for which expressions over their params, metrics and tags hold."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kerasweep.errors import TrackingError, suggestion
from kerasweep.space.constraint import Constraint, read_constraints
from kerasweep.tracking.run_record import RunRecord

Reader = Callable[[RunRecord], str | float | None]
PLAIN = {"null": None, "true": True, "false": False}


def filter_runs(runs: Sequence[RunRecord], texts: Sequence[str]) -> list[RunRecord]:
    """The runs that have all keys of the expressions and satisfy them; numbers compare as numbers.

    texts: such as `optimizer.learning_rate > 0.001 and val_accuracy >= 0.9`. A key is a param where any
    run has one of that name, else a metric, else a tag. Raises ConfigError for what is no expression, or
    compares a number with a name; TrackingError for a key that no run has.
    """
    conditions = read_constraints(texts, "where")
    readers = {key: _reader(runs, key) for condition in conditions for key in sorted(condition.keys)}
    return [run for run in runs if all(_holds(run, condition, readers) for condition in conditions)]


def _holds(run: RunRecord, condition: Constraint, readers: Mapping[str, Reader]) -> bool:
    values = {key: readers[key](run) for key in condition.keys}
    return None not in values.values() and condition.holds(lambda key: _plain(values[key]), False)


def _reader(runs: Sequence[RunRecord], key: str) -> Reader:
    readers: tuple[Reader, ...] = (
        lambda run: run.params.get(key),
        lambda run: run.metrics.get(key),
        lambda run: run.tags.get(key),
    )
    for reader in readers:
        if any(reader(run) is not None for run in runs):
            return reader
    raise TrackingError(f"where names {key}, which no run has as param, metric or tag. {_hint(runs, key)}")


def _hint(runs: Sequence[RunRecord], key: str) -> str:
    texts = [(name, value) for run in runs for name, value in (*run.tags.items(), *run.params.items())]
    owner = next((name for name, value in texts if value == key), None)
    if owner is not None:
        return f"As a value of {owner} it is quoted: {owner} == '{key}'."
    known = {
        *(name for name, _ in texts if "mlflow." not in name),
        *(name for run in runs for name in run.metrics),
    }
    there_is = f"There is {', '.join(sorted(known)[:20])}. A text is quoted, as in optimizer == 'adam'."
    return suggestion(key, known, there_is)


def _plain(value: str | float | None) -> Any:
    """A recorded value as a number, true, false, null or a list where it is one."""
    if not isinstance(value, str):
        return value
    if value.startswith("[") and value.endswith("]"):
        return [_plain(part) for part in value[1:-1].split(",") if part]
    if value in PLAIN:
        return PLAIN[value]
    try:
        number = float(value)
    except ValueError:
        return value
    return number if math.isfinite(number) else value
