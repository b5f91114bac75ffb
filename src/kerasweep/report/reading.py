"""Reads what a comparison is about: the runs, their groups, how these stand, and the verdicts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from kerasweep.config.keys import all_keys
from kerasweep.config.search import ClaimConf, TrackingConf
from kerasweep.errors import TrackingError
from kerasweep.report.claims import Verdict, undecided
from kerasweep.report.groups import Group, group_runs
from kerasweep.report.selection import axes_of, check_axes, select_runs, swept
from kerasweep.report.standings import Standing, measured, ranked, standings, training_seconds
from kerasweep.report.verdicts import verdict_of
from kerasweep.results import State
from kerasweep.tracking.reader import claim_of, parents_of
from kerasweep.tracking.run_record import RunRecord
from kerasweep.tracking.tags import short_names

ENDED = (State.COMPLETE, State.PRUNED, State.FAILED)


@dataclass(frozen=True)
class Judged:
    """A sweep's claim and what its runs say of it."""

    sweep: str
    claim: ClaimConf
    verdict: Verdict


@dataclass(frozen=True)
class Report:
    """What was selected, and what can be said of it.

    runs: those that trained. axes: by which they are grouped, of those that vary. parents: of sweeps.

    is_whole_sweep: whether these are all runs of one sweep, by all of its axes. is_picked: whether single
    runs were picked, perhaps by their results. unread: sweeps whose claim could not be read. untrained: of
    sweeps that were chosen as such, how many trials have not ended, or are not there. candidates: the
    configurations among which the winner is, the best first, however they are grouped; none of runs that
    were picked. seconds: of training, that of pruned and failed runs too.
    """

    runs: tuple[RunRecord, ...]
    axes: tuple[str, ...]
    varied: tuple[str, ...]
    groups: tuple[Group, ...]
    standings: tuple[Standing, ...]
    judged: tuple[Judged, ...]
    parents: tuple[RunRecord, ...]
    is_whole_sweep: bool
    is_picked: bool = False
    unread: tuple[str, ...] = ()
    untrained: Mapping[str, int] = field(default_factory=dict)
    candidates: tuple[Group, ...] = ()
    seconds: float = 0.0


def read_report(
    cfg: TrackingConf,
    tags: Mapping[str, str],
    group_by: Sequence[str] | None = None,
    run_ids: Sequence[str] | None = None,
    where: Sequence[str] = (),
) -> Report:
    """Of all runs that `select_runs` chooses.

    Claims are judged only where the tags choose a study or a sweep, and nothing else: a part of its
    runs, or those that were chosen by their results, would say something else. Raises TrackingError
    where none matches, or where they cannot be averaged.
    """
    selected = select_runs(cfg, tags, run_ids, where)
    runs, parents = measured(selected), parents_of(cfg, selected)
    varied = axes_of(parents, runs)
    names = short_names(all_keys(), all_keys())
    axes = varied if group_by is None else [names.get(axis, axis) for axis in group_by]
    check_axes(runs, axes if group_by is not None else [])
    groups = group_runs(runs, axes)
    every = list(dict.fromkeys([*axes, *varied]))
    pairs = ranked(groups, standings(groups, every, axes))
    configurations = groups if axes == every else group_runs(runs, every)
    is_picked = run_ids is not None or bool(where)
    is_study = bool(tags) and set(tags) <= {"study", "sweep"} and not is_picked
    is_whole = is_study and group_by is None
    judged, unread = _judged(cfg, parents, runs) if is_study else ([], [])
    untrained = {parent.tags["sweep"]: _untrained(parent, runs) for parent in parents if is_study}
    return Report(
        tuple(runs),
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
        candidates=() if is_picked else tuple(configurations),
        seconds=training_seconds(selected),
    )


def _verdict(claim: ClaimConf, parent: RunRecord, runs: Sequence[RunRecord]) -> Verdict:
    """A part of a sweep decides nothing: what is there first may differ from what is not there yet."""
    left = _untrained(parent, runs)
    if left:
        return undecided(claim, f"{left} of {parent.tags['trials']} trials have not ended, or are not there")
    return verdict_of(claim, runs, swept(parent))


def _untrained(parent: RunRecord, runs: Sequence[RunRecord]) -> int:
    """How many of a sweep's trials are not there, or have not ended; 0 where its size is not known."""
    asked = parent.tags.get("trials", "")
    ended = {
        run.tags.get("trial")
        for run in runs
        if run.tags.get("sweep") == parent.tags.get("sweep") and run.tags.get("state") in ENDED
    }
    return max(0, int(asked) - len(ended)) if asked.isdigit() else 0


def _judged(
    cfg: TrackingConf, parents: Sequence[RunRecord], runs: Sequence[RunRecord]
) -> tuple[list[Judged], list[str]]:
    """The claims of these sweeps by their own runs, and the sweeps of which it cannot be read."""
    found, unread = [], []
    for parent in parents:
        sweep = parent.tags["sweep"]
        try:
            claim = claim_of(cfg, parent)
        except TrackingError:
            unread.append(sweep)
            continue
        if claim is not None:
            own = [run for run in runs if run.tags.get("sweep") == sweep]
            found.append(Judged(sweep, claim, _verdict(claim, parent, own)))
    return found, unread
