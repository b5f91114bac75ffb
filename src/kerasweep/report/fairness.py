"""Finds what could bias a comparison, for the notes of a report."""

from collections import Counter, defaultdict
from collections.abc import Iterable

from kerasweep.config.schemas import RUN_GROUPS
from kerasweep.report.groups import comparable, measure_of, mixed_sweeps
from kerasweep.report.reading import EPOCH_METRIC, Report
from kerasweep.report.repetition import DATA_SEED, REPEATED, SPLIT_SEED, VALIDATION, has_folds, repetition_of
from kerasweep.report.selection import keys_by_name, nuisance_of
from kerasweep.report.together import together_notes
from kerasweep.results import State
from kerasweep.tracking.run_record import RunRecord
from kerasweep.tracking.tags import BEST_EPOCH, CROSS_FITTED, SCORE, SPLIT, UNTUNED, RunKind

EPOCHS, EARLY_STOPPING = "training.epochs", "training.early_stopping.enabled"
# The keys that choose the validation images of a data set, for runs of older versions.
SPLIT_KEYS = (DATA_SEED, SPLIT_SEED, "data.limit", VALIDATION)
MAX_NAMED = 8
SAME_IMAGES = (
    "All seeds validate on the same images: intervals cover the chance in weights and order, not the chance "
    "in the choice of images."
)
OTHER_IMAGES = (
    "Each repeat has its own seed and its own split into training and validation images, the same for all "
    "configurations: intervals cover the choice of images, too. They are widened for the images that the "
    "splits share (Nadeau and Bengio, 2003)."
)
OTHER_FOLDS = (
    "Each repeat has its own seed, and validates on another fold of the images, the same for all "
    "configurations: intervals cover the choice of images, too. They are widened for the training images "
    "that the folds share (Nadeau and Bengio, 2003); no estimate of the variance from folds is free of bias "
    "(Bengio and Grandvalet, 2004)."
)
# The measures that are scored without the luck of the best epoch.
SCORED = ("val_accuracy", "val_loss", "generalization_gap", "best_epoch_gain")
CROSS_FITTED_TEXT = (
    "A run's value is cross-fitted: each half of its validation images is scored at the epoch that the other "
    "half chose, so jumps from epoch to epoch gain nothing."
)
BEST_EPOCH_TEXT = (
    "A run's value is that of its best epoch, which is partly luck, and more so for a network whose accuracy "
    "jumps from epoch to epoch; an older version began these runs."
)
MIXED = (
    "{older} of {count} values are those of a best epoch, which is partly luck, the others are cross-fitted; "
    "study.fresh=true trains all anew"
)
KINDS: dict[str, str] = {RunKind.REPEAT: "seed", RunKind.TRIAL: "trial"}
LATER = (
    "{} began with another claim or none: this claim may have been chosen by the results, and then its "
    "verdict means nothing"
)
PICKED = "intervals and p-values do not hold for runs that were picked by their results"


def caveats(report: Report) -> list[str]:
    """Returns a line per possible bias of the comparison; none if like is compared with like."""
    complete = [run for group in report.groups for run in group.runs]
    found = [
        _mixed(report),
        _mixed_scores(report),
        _unequal_epochs(complete, {*report.varied, *nuisance_of(report.parents)}),
        _grouped_by_tuned(report),
        _unbalanced(report),
        _other_params(complete, {*report.varied, *nuisance_of(report.parents)}),
        *together_notes(report),
        *(note for tuning in report.tunings for note in tuning.notes),
        *(
            f"{labels}: {EPOCH_METRIC} still rose by {rise:.2g} in the last fifth of the epochs; more epochs "
            "may change the order"
            for labels, rise in report.rising.items()
        ),
        _fewer_seeds(report),
        *_untrained(report),
        *_untuned(report),
        _pruned(report.runs),
        _failed(report.runs),
        PICKED if report.is_picked else None,
        f"the claim of {', '.join(report.unread)} cannot be read" if report.unread else None,
        *(LATER.format(judged.sweep) for judged in report.judged if judged.is_later),
    ]
    return [line for line in found if line is not None]


def _mixed(report: Report) -> str | None:
    mixed = mixed_sweeps(report.groups)
    return f"means mix the runs of {', '.join(mixed)}; study=NAME selects one" if mixed else None


def _mixed_scores(report: Report) -> str | None:
    scores = _scores(report)
    older, newer = scores[BEST_EPOCH], scores[CROSS_FITTED]
    return MIXED.format(older=older, count=older + newer) if older and newer else None


def score_line(report: Report) -> str | None:
    """Returns a sentence on how the runs' values are scored, None if unknown or in several ways."""
    scores = _scores(report)
    if len(scores) != 1:
        return None
    return {CROSS_FITTED: CROSS_FITTED_TEXT, BEST_EPOCH: BEST_EPOCH_TEXT, None: None}[next(iter(scores))]


def _scores(report: Report) -> Counter[str | None]:
    """Counts how the complete runs are scored, None for unknown; none if the objective has one way."""
    if measure_of(report.groups) not in SCORED:
        return Counter()
    return Counter(_score(run) for group in report.groups for run in group.runs)


def _score(run: RunRecord) -> str | None:
    """Returns how a run is scored. Older versions recorded no tag, and a user's own function records none."""
    if run.tags.get(SCORE) in (CROSS_FITTED, BEST_EPOCH):
        return run.tags[SCORE]
    if "best_epoch_gain" in run.metrics:
        return CROSS_FITTED
    return BEST_EPOCH if "best_epoch" in run.metrics else None


def epochs_line(report: Report) -> str | None:
    """Returns a line on the number of epochs if all complete runs have the same, else None."""
    complete = [run for group in report.groups for run in group.runs]
    epochs = {run.params.get(EPOCHS) for run in complete}
    if len(epochs) != 1 or None in epochs or any(_may_stop_early(run) for run in complete):
        return None
    (count,) = epochs
    epochs_text = "1 epoch" if count == "1" else f"{count} epochs"
    return f"All complete runs trained for {epochs_text}, however long these took."


def images_line(report: Report) -> str | None:
    """Returns a sentence on whether the complete runs share their validation images, None if some do."""
    complete = [run for group in report.groups for run in group.runs]
    chosen = {run.tags.get(SPLIT) or tuple(run.params.get(key) for key in SPLIT_KEYS) for run in complete}
    if len(chosen) == 1:
        return SAME_IMAGES
    if not repetition_of(complete).has_splits:
        return None
    return OTHER_FOLDS if all(map(has_folds, complete)) else OTHER_IMAGES


def _unequal_epochs(runs: Iterable[RunRecord], varied: Iterable[str]) -> str | None:
    """Returns a line if early stopping or an axis makes the runs' numbers of epochs differ."""
    if any(_may_stop_early(run) for run in runs):
        return (
            "early stopping may have ended runs at different epochs: they are compared neither at equal "
            "epochs nor at equal seconds"
        )
    keys = keys_by_name()
    if EPOCHS in {keys.get(axis, axis) for axis in varied}:
        return f"{EPOCHS} is an axis: configurations are not compared at equal epochs"
    return None


def _grouped_by_tuned(report: Report) -> str | None:
    tuned = sorted(nuisance_of(report.parents) & {*report.axes})
    return (
        f"{', '.join(tuned)} was tuned: results chose its values, so their ranking means nothing"
        if tuned
        else None
    )


def _may_stop_early(run: RunRecord) -> bool:
    return run.params.get(EARLY_STOPPING) == "true"


def _unbalanced(report: Report) -> str | None:
    if all(comparable(report.groups, report.axes, report.varied)):
        return None
    others = ", ".join(axis for axis in report.varied if axis not in report.axes)
    return f"groups were trained with different values of {others}, which may explain their differences"


def _other_params(runs: Iterable[RunRecord], varied: Iterable[str]) -> str | None:
    """Returns a line on params that differ between runs but are not an axis or part of a swept group."""
    values: dict[str, set[str]] = defaultdict(set)
    for run in runs:
        for key, value in run.params.items():
            values[key].add(value)
    keys = keys_by_name()
    axes = {keys.get(axis, axis) for axis in varied}
    groups = tuple(f"{axis}." for axis in axes if axis in RUN_GROUPS)
    added = tuple(f".{axis}" for axis in axes if axis not in keys.values())  # for a user's own function
    names = sorted(
        key
        for key, found in values.items()
        if len(found) > 1
        and key not in REPEATED
        and key not in axes
        and not key.startswith(groups)
        and not key.endswith(added)
    )
    return f"runs also differ in {', '.join(names[:MAX_NAMED])}" if names else None


def _fewer_seeds(report: Report) -> str | None:
    counts = {standing.estimate.count for standing in report.standings if standing.estimate is not None}
    return f"configurations have {min(counts)} to {max(counts)} seeds" if len(counts) > 1 else None


def _untrained(report: Report) -> list[str]:
    return [
        f"unfinished or missing trials of {sweep}: {count}"
        for sweep, count in report.untrained.items()
        if count
    ]


def _untuned(report: Report) -> list[str]:
    return [
        f"combinations of {parent.tags['sweep']} with a tuning without a complete trial, not compared: "
        f"{parent.tags[UNTUNED]}"
        for parent in report.parents
        if UNTUNED in parent.tags
    ]


def _pruned(runs: Iterable[RunRecord]) -> str | None:
    count = sum(run.tags.get("state") == State.PRUNED for run in runs)
    are = "run is" if count == 1 else "runs are"
    text = f"{count} pruned {are} excluded from the means, which favours configurations with pruned runs"
    return text if count else None


def _failed(runs: Iterable[RunRecord]) -> str | None:
    kinds = Counter(
        run.tags.get("kind", RunKind.RUN) for run in runs if run.tags.get("state") == State.FAILED
    )
    counts = ", ".join(
        f"{count} {KINDS.get(kind, 'run')}{'s' if count > 1 else ''}" for kind, count in sorted(kinds.items())
    )
    return f"failed, and excluded from the means: {counts}" if kinds else None
