"""Reads the content of a comparison: runs, groups, standings and verdicts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from kerasweep.config.schemas import run_keys
from kerasweep.config.search import ClaimConf, TrackingConf
from kerasweep.errors import TrackingError, UnreachableError
from kerasweep.report.claims import Verdict, undecided
from kerasweep.report.groups import Group, dataset_of, group_runs
from kerasweep.report.repetition import REPEATED, repetition_of
from kerasweep.report.selection import (
    axes_of,
    check_axes,
    each_training_once,
    filter_runs,
    nuisance_of,
    select_runs,
    swept,
)
from kerasweep.report.standings import Standing, ranked, runs_per_seed, standings, training_seconds
from kerasweep.report.tuning import Tuning, read_tunings, still_rising
from kerasweep.report.verdicts import verdict_of
from kerasweep.results import RETURNED
from kerasweep.tracking.reader import claim_of, histories, parents_of
from kerasweep.tracking.run_record import RunRecord
from kerasweep.tracking.tags import CLAIM, UNTUNED, claim_tag, short_names

EPOCH_METRIC = "val_accuracy"


@dataclass(frozen=True)
class Judged:
    """A sweep's claim with the verdict of its runs."""

    sweep: str
    claim: ClaimConf
    verdict: Verdict
    is_later: bool = False  # whether the sweep began with another claim, or none


@dataclass(frozen=True)
class Report:
    """The selected runs with their groups, standings and verdicts."""

    runs: tuple[RunRecord, ...]  # the runs that trained a network, in any state
    axes: tuple[str, ...]  # the axes that the groups are made by
    varied: tuple[str, ...]  # all axes that vary
    groups: tuple[Group, ...]  # sorted by data set, the best first
    standings: tuple[Standing, ...]  # of the groups
    judged: tuple[Judged, ...]
    parents: tuple[RunRecord, ...]  # the runs of the sweeps themselves
    is_whole_sweep: bool  # whether these are all runs of one sweep, grouped by all its axes
    is_picked: bool = False  # whether runs were picked by id or expression, perhaps by their results
    unread: tuple[str, ...] = ()  # the sweeps whose claim cannot be read
    # By sweep, the trials that have not ended or have no run; empty unless whole sweeps were selected.
    untrained: Mapping[str, int] = field(default_factory=dict)
    # The groups by all axes, the best first, which include the winner; empty if runs were picked.
    candidates: tuple[Group, ...] = ()
    seconds: float = 0.0  # of training, pruned, failed and tuning runs included
    tunings: tuple[Tuning, ...] = ()  # of the sweeps with nuisance axes
    rising: Mapping[str, float] = field(default_factory=dict)  # by group of such sweeps, see `still_rising`

    @property
    def columns(self) -> list[str]:
        """The tags by which the runs may differ: the axes of the groups, then the tuned ones."""
        return [*self.axes, *sorted(nuisance_of(self.parents) - set(self.axes))]


def read_report(
    cfg: TrackingConf,
    tags: Mapping[str, str],
    group_by: Sequence[str] | None = None,
    run_ids: Sequence[str] | None = None,
    where: Sequence[str] = (),
) -> Report:
    """Reads the runs that `select_runs` chooses, groups and compares them.

    Claims are judged only if the tags choose whole studies or sweeps: a part of a sweep, or runs that were
    picked by their results, would bias the verdict.

    Args:
        cfg: The tracking database.
        tags: The tags that each run must have.
        group_by: The axes of the groups, by default all that vary.
        run_ids: Only runs with these ids, see `select_runs`.
        where: Only runs that satisfy these expressions, see `filter_runs`.

    Raises:
        TrackingError: No run matches, the runs cannot be averaged, or the server no longer answers.
        ConfigError: `where` is not an expression.
    """
    chosen = select_runs(cfg, tags, run_ids)
    parents = parents_of(cfg, chosen)
    selected = filter_runs(chosen, where, nuisance_of(parents)) if where else chosen
    runs, parents = runs_per_seed(selected, chosen), _parents_with(parents, selected)
    varied = axes_of(parents, runs)
    names = short_names(run_keys(), run_keys())
    axes = varied if group_by is None else [names.get(axis, axis) for axis in group_by]
    check_axes(runs, axes if group_by is not None else [])
    trained = each_training_once(runs)
    groups = group_runs(trained, axes)
    every = list(dict.fromkeys([*axes, *varied]))
    configurations = groups if axes == every else group_runs(trained, every)
    repeats = _repeats_of_grid(parents, configurations)
    pairs = ranked(groups, standings(groups, every, axes, repeats if axes == every else {}))
    is_picked = run_ids is not None or bool(where)
    tunings = read_tunings(cfg, parents)
    is_study = bool(tags) and set(tags) <= {"study", "sweep"} and not is_picked
    is_whole = is_study and group_by is None
    judged, unread = _judged(cfg, parents, runs) if is_study else ([], [])
    untrained = {parent.tags["sweep"]: _untrained(parent, runs) for parent in parents if is_study}
    return Report(
        tuple(trained),
        tuple(axes),
        tuple(every),
        tuple(group for group, _ in pairs),
        tuple(standing for _, standing in pairs),
        tuple(judged),
        tuple(parents),
        is_whole_sweep=is_whole and len(parents) == 1,
        is_picked=is_picked,
        unread=tuple(unread),
        untrained=untrained,
        candidates=() if is_picked else _whole_first(configurations, repeats),
        seconds=training_seconds(each_training_once(selected)) + sum(tuning.seconds for tuning in tunings),
        tunings=tuple(tunings),
        rising=_rising(cfg, groups) if nuisance_of(parents) else {},
    )


def _parents_with(parents: Sequence[RunRecord], runs: Sequence[RunRecord]) -> list[RunRecord]:
    """Returns the parents of these runs."""
    sweeps = {run.tags.get("sweep") for run in runs}
    return [parent for parent in parents if parent.tags["sweep"] in sweeps]


def _repeats_of_grid(parents: Sequence[RunRecord], configurations: Sequence[Group]) -> Mapping[str, int]:
    """Returns how many runs a configuration needs to win in a grid over seeds or splits, by data set.

    Several sweeps may have different numbers of repeats.
    """
    parent = parents[0] if len(parents) == 1 else None
    if parent is None or parent.tags.get("sampler") != "grid" or not {*swept(parent)} & {*REPEATED.values()}:
        return {}
    most: dict[str, int] = {}
    for group in configurations:
        most[dataset_of(group)] = max(most.get(dataset_of(group), 0), len(group.runs))
    return most


def _whole_first(groups: Sequence[Group], repeats: Mapping[str, int]) -> tuple[Group, ...]:
    """Returns the groups; groups that lack repeats come last."""
    return tuple(sorted(groups, key=lambda group: len(group.runs) < repeats.get(dataset_of(group), 0)))


def _rising(cfg: TrackingConf, groups: Sequence[Group]) -> dict[str, float]:
    runs = [run.run_id for group in groups for run in group.runs]
    accuracies = histories(cfg, runs, EPOCH_METRIC)
    overlap = repetition_of(run for group in groups for run in group.runs).overlap
    return still_rising(groups, accuracies, overlap)


def _verdict(claim: ClaimConf, parent: RunRecord, runs: Sequence[RunRecord]) -> Verdict:
    """Returns the verdict on a claim; undecided before the sweep ends: its first trials may be biased."""
    left = _untrained(parent, runs)
    if left:
        return undecided(claim, f"unfinished or missing trials: {left} of {parent.tags['trials']}")
    untuned = parent.tags.get(UNTUNED)
    if untuned is not None:
        return undecided(
            claim, f"combinations with a tuning without a complete trial, not compared: {untuned}"
        )
    return verdict_of(claim, runs, swept(parent))


def _untrained(parent: RunRecord, runs: Sequence[RunRecord]) -> int:
    """Returns the number of a sweep's trials that have not ended or have no run; 0 if its size is unknown."""
    asked = parent.tags.get("trials", "")
    ended = {
        run.tags.get("trial")
        for run in runs
        if run.tags.get("sweep") == parent.tags.get("sweep") and run.tags.get("state") in RETURNED
    }
    return max(0, int(asked) - len(ended)) if asked.isdigit() else 0


def _judged(
    cfg: TrackingConf, parents: Sequence[RunRecord], runs: Sequence[RunRecord]
) -> tuple[list[Judged], list[str]]:
    """Returns the judged claims of the sweeps, and the sweeps whose claim cannot be read."""
    found, unread = [], []
    for parent in parents:
        sweep = parent.tags["sweep"]
        try:
            claim = claim_of(cfg, parent)
        except UnreachableError:
            raise
        except TrackingError:
            unread.append(sweep)
            continue
        if claim is not None:
            own = [run for run in runs if run.tags.get("sweep") == sweep]
            is_later = parent.tags.get(CLAIM, claim_tag(claim)) != claim_tag(claim)
            found.append(Judged(sweep, claim, _verdict(claim, parent, own), is_later))
    return found, unread
