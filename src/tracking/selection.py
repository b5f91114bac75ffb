"""Chooses the runs to compare by study and tags, and says what there is when none matches."""

from collections.abc import Mapping, Sequence

from src.config.search import TrackingConf
from src.errors import TrackingError
from src.tracking.names import RESERVED
from src.tracking.query import RunRecord, find_runs

_KINDS = ("trial", "run")
MOST_VALUES = 20


def select_runs(cfg: TrackingConf, study: str | None, tags: Mapping[str, str]) -> list[RunRecord]:
    """Trials and single runs with all these tags. study: a study's name or one sweep's id."""
    if study is None:
        return _of_kinds(find_runs(cfg, tags))
    found = find_runs(cfg, {**tags, "study": study}) or find_runs(cfg, {**tags, "sweep": study})
    return _of_kinds(found)


def _of_kinds(runs: Sequence[RunRecord]) -> list[RunRecord]:
    return [run for run in runs if run.tags.get("kind") in _KINDS]


def axes_of(cfg: TrackingConf, runs: Sequence[RunRecord]) -> list[str]:
    """The axes that the runs' sweeps vary, in their own order; the sweep where there is none."""
    sweeps = {run.tags["sweep"] for run in runs if "sweep" in run.tags}
    parents = [run for run in find_runs(cfg, {"kind": "study"}) if run.tags.get("sweep") in sweeps]
    axes: dict[str, None] = {}
    for parent in parents:
        axes |= dict.fromkeys(filter(None, parent.tags.get("axes", "").split(",")))
    return list(axes) or ["model", "optimizer"]


def explain_nothing(cfg: TrackingConf, study: str | None, tags: Mapping[str, str]) -> TrackingError:
    """The error that says what was looked for, and which values there are instead."""
    runs = _of_kinds(find_runs(cfg, {}))
    if not runs:
        return TrackingError(
            f"The experiment {cfg.experiment} has no runs yet. Make some with python -m src.train -m."
        )
    wanted = {"study": study, **tags} if study else dict(tags)
    for key in wanted:
        values = sorted({run.tags[key] for run in runs if key in run.tags})
        if wanted[key] not in values:
            return TrackingError(f"No run has {key}={wanted[key]}. {_what_there_is(runs, key, values)}")
    text = ", ".join(f"{key}={value}" for key, value in wanted.items())
    return TrackingError(f"No run has {text} together, though each value occurs. Leave one out.")


def _what_there_is(runs: Sequence[RunRecord], key: str, values: Sequence[str]) -> str:
    if values:
        more = f" and {len(values) - MOST_VALUES} more" if len(values) > MOST_VALUES else ""
        return f"Its values are {', '.join(values[:MOST_VALUES])}{more}."
    own = {tag for run in runs for tag in run.tags if not tag.startswith("mlflow.")}
    return f"No run has that tag; there are {', '.join(sorted(own - RESERVED | {'study', 'dataset'}))}."
