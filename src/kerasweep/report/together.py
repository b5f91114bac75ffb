"""Joins the axes of `study.zip`: their values go together, so that only their common effect is known."""

from collections.abc import Sequence
from dataclasses import replace

from kerasweep.report.groups import NOT_APPLICABLE, values_of
from kerasweep.report.reading import Report
from kerasweep.tracking.run_record import RunRecord
from kerasweep.tracking.tags import ZIPPED, read_zips

BETWEEN_AXES, BETWEEN_VALUES = " + ", ", "


def zips_of(report: Report) -> list[tuple[str, ...]]:
    """Returns the axes of the report that go together in each of its sweeps."""
    named = [read_zips(parent.tags.get(ZIPPED, "")) for parent in report.parents]
    shared = [zipped for zipped in named[0] if all(zipped in other for other in named)] if named else []
    return [zipped for zipped in shared if set(zipped) <= set(report.axes)]


def with_joined_axes(report: Report) -> Report:
    """Returns the report with one axis in place of each group of axes that go together."""
    zips = zips_of(report)
    if not zips:
        return report
    return replace(
        report,
        runs=tuple(_joined(run, zips) for run in report.runs),
        axes=_replaced(report.axes, zips),
        varied=_replaced(report.varied, zips),
        groups=tuple(
            replace(group, runs=tuple(_joined(run, zips) for run in group.runs)) for group in report.groups
        ),
    )


def together_notes(report: Report) -> list[str]:
    """Returns a note on each group of axes that go together."""
    return [
        f"{' and '.join(zipped)} go together (study.zip): a difference may come from any, so the page "
        "shows them as one axis"
        for zipped in zips_of(report)
    ]


def _joined(run: RunRecord, zips: Sequence[tuple[str, ...]]) -> RunRecord:
    values = {BETWEEN_AXES.join(zipped): values_of(run, zipped) for zipped in zips}
    applying = {
        axis: BETWEEN_VALUES.join(texts) for axis, texts in values.items() if set(texts) != {NOT_APPLICABLE}
    }
    return replace(run, tags={**run.tags, **applying})


def _replaced(axes: Sequence[str], zips: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    names = {axis: BETWEEN_AXES.join(zipped) for zipped in zips for axis in zipped}
    return tuple(dict.fromkeys(names.get(axis, axis) for axis in axes))
