"""Judges a sweep's claim by its recorded runs, and prints the verdict."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kerasweep.config.metrics import is_of_epoch
from kerasweep.config.search import ClaimConf, ComparisonConf
from kerasweep.report.claims import OPEN, Finding, Verdict, judge
from kerasweep.report.pairs import Observation, side_texts
from kerasweep.report.repetition import REPEATED, Repetition, repetition_of
from kerasweep.report.selection import keys_by_name
from kerasweep.report.statistics import LEVEL, Difference, rounded
from kerasweep.results import State
from kerasweep.tracking.run_record import RunRecord

# Keys whose tag has another name.
TAGS = {"data": "dataset"}


def verdict_of(claim: ClaimConf, runs: Sequence[RunRecord], axes: Sequence[str]) -> Verdict:
    """Returns the verdict on a claim.

    Args:
        claim: The claim.
        runs: All runs of the sweep, in any state.
        axes: The tags that the sweep varies.
    """
    repetition = repetition_of(run for run in runs if run.tags.get("state") == State.COMPLETE)
    complete = observations(claim, runs, axes, repetition)
    lacking = observations(claim, runs, axes, repetition, are_complete=False)
    return judge(claim, complete, lacking, repetition)


def observations(
    claim: ClaimConf,
    runs: Sequence[RunRecord],
    axes: Sequence[str],
    repetition: Repetition,
    are_complete: bool = True,
) -> list[Observation]:
    """Returns the runs' values of the axes and of the claim's keys, with their metrics.

    Args:
        claim: The claim.
        runs: Runs in any state.
        axes: The tags that the sweep varies. The result names them by their keys, as the claim does.
        repetition: That of all runs.
        are_complete: Whether to return the complete runs, or the pruned, failed and unfinished ones, which
            have no metrics.
    """
    claimed = {key for comparison in claim.comparisons for key in named_keys(comparison)}
    varied = {_key_of(axis, claimed, runs): axis for axis in axes}
    named = claimed - set(varied) - set(REPEATED)
    found = []
    for run in runs:
        if (run.tags.get("state") == State.COMPLETE) != are_complete:
            continue
        choices = {
            key: run.tags[axis] for key, axis in varied.items() if axis in run.tags and key not in REPEATED
        }
        choices |= {key: text for key in named if (text := _text(run, key)) is not None}
        found.append(Observation(choices, repetition.block(run), run.metrics if are_complete else {}))
    return found


def _key_of(axis: str, claimed: Iterable[str], runs: Sequence[RunRecord]) -> str:
    """Returns the config key of an axis's tag.

    No schema has an added key: it is the claim's key that ends like the tag and has its value in each run.
    """
    if axis in keys_by_name():
        return keys_by_name()[axis]
    tagged = [run for run in runs if axis in run.tags]
    added = (key for key in sorted(claimed) if key == axis or key.endswith(f".{axis}"))
    return next((key for key in added if all(run.params.get(key) == run.tags[axis] for run in tagged)), axis)


def named_keys(comparison: ComparisonConf) -> list[str]:
    """Returns the keys that a comparison names: of both sides, of `where`, and the axis of a spread."""
    spread = [comparison.spread_over] if comparison.spread_over else []
    return [str(key) for key in (*comparison.of, *comparison.than, *comparison.where, *spread)]


def _text(run: RunRecord, key: str) -> str | None:
    return run.params.get(key, run.tags.get(TAGS.get(key, key)))


def verdict_lines(claim: ClaimConf, verdict: Verdict, sweep: str, objective: str) -> list[str]:
    """Returns the verdict, then the lines of `finding_lines`."""
    heading = [f"verdict: {verdict.decision}", f"  of {sweep}: {claim.text}"]
    return heading + [f"  {line}" for line in finding_lines(verdict, objective)]


def finding_lines(verdict: Verdict, objective: str) -> list[str]:
    """Returns whether each comparison holds, followed by its numbers and power, or why it was not tested.

    Args:
        verdict: The verdict.
        objective: The name of the objective, such as val_accuracy.
    """
    lines = []
    for finding in verdict.findings:
        lines.append(f"{finding.outcome}: {_sentence(finding.comparison, objective)}")
        lines += [f"  {line}" for line in _numbers(finding, "splits" if verdict.has_splits else "seeds")]
        lines += [f"  {line}" for line in _repeats_needed(finding, verdict)]
    return lines


def _repeats_needed(finding: Finding, verdict: Verdict) -> list[str]:
    """Returns a line on how many repeats would decide an open comparison, if its difference is as found."""
    comparison = finding.comparison
    if finding.outcome != OPEN or comparison.relation not in ("higher", "lower") or finding.untested:
        return []
    repeats = "splits" if verdict.has_splits else "seeds"
    (found,) = finding.differences.values()
    if not found.error > 0 or abs(found.estimate.mean) <= comparison.margin:
        return []
    count = found.deciding_count(comparison.margin, verdict.overlap)
    if count is None:
        return [f"more {repeats} would not decide a difference of this size; more images would"]
    return [f"about {count} {repeats} would decide, if the true difference is of this size"]


def _sentence(comparison: ComparisonConf, objective: str) -> str:
    measure = objective if comparison.measure == "objective" else comparison.measure
    if is_of_epoch(comparison.measure):
        measure = f"the last epoch's {measure}"
    if comparison.spread_over:
        measure = f"the variance of {measure} between {comparison.spread_over}"
    one, other = _side(comparison.of), _side(comparison.than)
    margin = f" by more than {comparison.margin:g}" if comparison.margin else ""
    said = {
        "higher": f"{measure} is higher{margin} with {one} than with {other}",
        "lower": f"{measure} is lower{margin} with {one} than with {other}",
        "similar": f"{measure} with {one} and with {other} differs by less than {comparison.margin:g}",
        "mixed": f"{measure} is higher with {one} in some settings and with {other} in others",
    }[comparison.relation]
    return f"{said}, where {_side(comparison.where)}" if comparison.where else said


def _side(choices: Mapping[str, Any]) -> str:
    return " ".join(f"{key}={' or '.join(values)}" for key, values in side_texts(choices).items())


def _numbers(finding: Finding, repeats: str) -> list[str]:
    if finding.untested:
        return [f"not tested: {finding.untested}"]
    return [
        f"{f'{setting}: ' if setting else ''}{_number(difference, finding, repeats)}"
        for setting, difference in finding.differences.items()
    ]


def _number(difference: Difference, finding: Finding, repeats: str) -> str:
    """Returns the difference, first side minus second, and the smallest difference such runs could show."""
    found, margin = difference.estimate, finding.comparison.margin
    is_similar = finding.comparison.relation == "similar"
    level = 1 - 2 * (1 - LEVEL) if is_similar else LEVEL  # two one-sided tests at 5 % give a 90 % interval
    low, high = (rounded(end) for end in difference.interval(level))
    interval = f"{100 * level:.0f} %: {low:+.3g} to {high:+.3g}"
    shown = f"difference {rounded(found.mean):+.3g} ({interval}), {found.count} {repeats}"
    if is_similar:
        least, offset, what = difference.provable_margin, 0.0, "prove a margin"
    else:
        least, offset, what = difference.detectable(len(finding.differences)), margin, "detect a difference"
    least = rounded(least)  # without a spread it is 0, up to the last digit
    ends = " to ".join(f"{offset + factor * least:.2g}" for factor in difference.error_factors)
    return f"{shown}; such runs can {what} of {offset + least:.2g} or more (uncertain: {ends})"
