"""Chooses the runs to compare by study, tags and expressions, and explains an empty choice."""

import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from typing import Any

from kerasweep.config.schemas import run_keys
from kerasweep.config.search import TrackingConf
from kerasweep.errors import TrackingError, suggestion
from kerasweep.report.repetition import REPEATED
from kerasweep.space.constraint import Constraint, read_constraints
from kerasweep.tracking.reader import find_runs, get_run
from kerasweep.tracking.run_record import RunRecord
from kerasweep.tracking.tags import ADOPTED_FROM, NUISANCE, OF_EVERY_RUN, RunKind, short_names

KINDS = (RunKind.TRIAL, RunKind.RUN, RunKind.REPEAT)
MAX_VALUES = 20
COMMA_OUTSIDE_LIST = re.compile(r",(?![^\[]*\])")


def select_runs(
    cfg: TrackingConf, tags: Mapping[str, str], run_ids: Sequence[str] | None = None
) -> list[RunRecord]:
    """Selects trials, their seeds and single runs.

    Args:
        cfg: The tracking database.
        tags: The tags that each run must have. `study` may also be the id of a sweep.
        run_ids: Only these runs; the beginning of an id suffices.

    Raises:
        TrackingError: No run matches. The message lists existing values.
    """
    if run_ids is None:
        chosen = _with_tags(cfg, tags)
    else:
        named = [get_run(cfg, run_id) for run_id in dict.fromkeys(run_ids)]
        chosen = [run for run in named if all(run.tags.get(key) == value for key, value in tags.items())]
    if not chosen:
        raise explain_nothing(cfg, tags)
    return chosen


def _with_tags(cfg: TrackingConf, tags: Mapping[str, str]) -> list[RunRecord]:
    found = _of_kinds(find_runs(cfg, tags))
    if found or "study" not in tags:
        return found
    others = {key: value for key, value in tags.items() if key != "study"}
    return _of_kinds(find_runs(cfg, {**others, "sweep": tags["study"]}))


def _of_kinds(runs: Sequence[RunRecord]) -> list[RunRecord]:
    return [run for run in runs if run.tags.get("kind") in KINDS]


def each_training_once(runs: Sequence[RunRecord]) -> list[RunRecord]:
    """Returns the runs without those that a sweep adopted from another run among them."""
    first = {run.run_id for run in runs if ADOPTED_FROM not in run.tags}
    kept = []
    for run in reversed(runs):
        origin = run.tags.get(ADOPTED_FROM)
        if origin is None or origin not in first:
            kept.append(run)
            first |= {origin} if origin is not None else set()
    return kept[::-1]


def axes_of(parents: Sequence[RunRecord], runs: Sequence[RunRecord]) -> list[str]:
    """Returns the axes that the runs' sweeps vary, in the sweeps' order, without seeds and splits.

    If there are single runs, which have no sweep, the tags of every run in which the runs differ are added.
    If nothing varies, the axis is the model.
    """
    axes: dict[str, None] = {}
    for parent in parents:
        axes |= dict.fromkeys(swept(parent))
    for tag in REPEATED.values():
        axes.pop(tag, None)
    if any("sweep" not in run.tags for run in runs):
        axes |= dict.fromkeys(tag for tag in OF_EVERY_RUN if len({run.tags.get(tag) for run in runs}) > 1)
    return list(axes) or ["model"]


def nuisance_of(parents: Sequence[RunRecord]) -> set[str]:
    """Returns the tags of all nuisance axes of these sweeps."""
    return {name for parent in parents for name in parent.tags.get(NUISANCE, "").split(",") if name}


def swept(parent: RunRecord) -> list[str]:
    """Returns the tags that a sweep varies."""
    return list(filter(None, parent.tags.get("axes", "").split(",")))


@cache
def keys_by_name() -> Mapping[str, str]:
    """Returns the config key of each short name."""
    return {name: key for key, name in short_names(run_keys(), run_keys()).items()}


def check_axes(runs: Sequence[RunRecord], axes: Sequence[str]) -> None:
    """Raises TrackingError for an axis that is not a tag of any run."""
    for axis in axes:
        if not any(axis in run.tags for run in runs):
            raise TrackingError(f"group_by={axis}: no run has the tag {axis}. {_known_tags(runs, axis)}")


def explain_nothing(cfg: TrackingConf, tags: Mapping[str, str]) -> TrackingError:
    """Returns an error that names the tag without a matching run, and the values that exist."""
    every = find_runs(cfg, {})
    runs, study = _of_kinds(every), tags.get("study")
    tuned = [run for run in every if run.tags.get("kind") == RunKind.TUNING]
    if study is not None and _has_study(tuned, study) and not _has_study(runs, study):
        one = next(run for run in tuned if _has_study([run], study))
        own = [run for run in every if run.tags.get("sweep") == one.tags["sweep"]]
        has_ended = any(run.tags.get("kind") == RunKind.STUDY and run.status == "FINISHED" for run in own)
        return _not_compared(study, one, runs, has_ended)
    if not runs:
        return TrackingError(
            f"The experiment {cfg.experiment} has no runs yet. Make some with python -m src.train -m."
        )
    for key, wanted in tags.items():
        values = sorted({run.tags[key] for run in runs if key in run.tags})
        if not values:
            return TrackingError(f"No run has the tag {key}. {_known_tags(runs, key)}")
        if wanted not in values:
            more = f" and {len(values) - MAX_VALUES} more" if len(values) > MAX_VALUES else ""
            known = f"There is {key}={', '.join(values[:MAX_VALUES])}{more}."
            return TrackingError(f"No run has {key}={wanted}. {known}")
    text = ", ".join(f"{key}={value}" for key, value in tags.items())
    return TrackingError(f"No run has {text} together, though each value occurs. Leave one out.")


def _not_compared(name: str, tuned: RunRecord, runs: Sequence[RunRecord], has_ended: bool) -> TrackingError:
    """Returns an error for a study that is being tuned or could not be, or for the sweep that tuned it."""
    study = tuned.tags["study"]
    if _has_study(runs, study):
        return TrackingError(f"{name} tuned the nuisance values of {study}. Compare study={study}.")
    if has_ended:
        return TrackingError(
            f"No combination of {name} has a complete trial in each of its tunings, so nothing is compared: "
            "the reasons are in the tag `reason` of each run."
        )
    return TrackingError(
        f"The nuisance values of {name} are being tuned, and nothing is compared yet. "
        "The command that began the study goes on with it."
    )


def _has_study(runs: Sequence[RunRecord], name: str) -> bool:
    """Whether any run belongs to the study or sweep of this name."""
    return any(name in (run.tags.get("study"), run.tags.get("sweep")) for run in runs)


def _known_tags(runs: Sequence[RunRecord], key: str) -> str:
    tags = {tag for run in runs for tag in run.tags if not tag.startswith("mlflow.")}
    return f"The tags are {', '.join(sorted(tags))}. {suggestion(key, tags)}".rstrip()


Reader = Callable[[RunRecord], str | float | None]
PLAIN = {"null": None, "true": True, "false": False}


def filter_runs(
    runs: Sequence[RunRecord], texts: Sequence[str], tuned: Collection[str] = ()
) -> list[RunRecord]:
    """Returns the runs that have all keys of the expressions and satisfy them.

    Args:
        runs: The runs to filter.
        texts: Expressions such as `optimizer.learning_rate > 0.001 and val_accuracy >= 0.9`. A key is a
            param if any run has one of that name, else a metric, else a tag. Numbers compare as numbers.
        tuned: The tags of nuisance axes. A trial lists the values of its repeats there.

    Raises:
        ConfigError: A text is not an expression, or compares a number with a name.
        TrackingError: No run has a key, or none satisfies the expressions.
    """
    conditions = read_constraints(texts, "where")
    readers = {
        key: _reader(runs, key, key in tuned) for condition in conditions for key in sorted(condition.keys)
    }
    filtered = [run for run in runs if all(_holds(run, condition, readers) for condition in conditions)]
    if not filtered:
        raise TrackingError(f"None of these runs satisfies where={list(texts)}. Loosen it.")
    return filtered


def _holds(run: RunRecord, condition: Constraint, readers: Mapping[str, Reader]) -> bool:
    values = {key: readers[key](run) for key in condition.keys}
    return None not in values.values() and condition.holds(lambda key: _plain(values[key]), False)


def _reader(runs: Sequence[RunRecord], key: str, is_tuned: bool) -> Reader:
    readers: tuple[Reader, ...] = (
        lambda run: run.params.get(key),
        lambda run: run.metrics.get(key),
        lambda run: _single(run.tags.get(key)) if is_tuned else run.tags.get(key),
    )
    for reader in readers:
        if any(reader(run) is not None for run in runs):
            return reader
    raise TrackingError(f"where names {key}, which no run has as param, metric or tag. {_hint(runs, key)}")


def _single(tag: str | None) -> str | None:
    """Returns the tag, None where a trial lists the values that its repeats were tuned to."""
    return None if tag is not None and COMMA_OUTSIDE_LIST.search(tag) else tag


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
    """Converts a recorded text to a number, boolean, null or list if it is one."""
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
