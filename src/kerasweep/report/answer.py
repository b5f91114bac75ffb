"""States the answer of a report: the winner of each data set, how sure that is, and what to do with it."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from kerasweep.report.groups import Group, by_dataset, measure_of
from kerasweep.report.reading import Report
from kerasweep.report.standings import Standing
from kerasweep.report.summary import score_text, winner_run
from kerasweep.tracking.run_record import RunRecord

FEW_SEEDS = "Each configuration has one seed, so with other seeds another one may come first."


@dataclass(frozen=True)
class Answer:
    """The winner of a data set."""

    heading: str
    configuration: str  # its values of the axes
    value: str  # its mean objective, with the interval if there is one
    test_score: str  # with its interval
    certainty: str  # a sentence, empty if the report is not on whole configurations
    run_id: str
    commands: tuple[tuple[str, str], ...]  # what each does, and the command


def answers_of(report: Report, command: str) -> list[Answer]:
    """Returns the tested winner of each data set.

    Args:
        report: The report.
        command: The command that makes the page: its `tracking` keys are needed by the others, too.
    """
    datasets = by_dataset(report.candidates)
    standings = {
        group.values: standing for group, standing in zip(report.groups, report.standings, strict=True)
    }
    found = [(dataset, groups, winner_run(groups)) for dataset, groups in datasets.items()]
    return [
        _answer(
            report,
            groups,
            run,
            standings,
            f"The winner{f' on {dataset}' if len(datasets) > 1 else ''}",
            command,
        )
        for dataset, groups, run in found
        if run is not None
    ]


def _answer(
    report: Report,
    groups: Sequence[Group],
    run: RunRecord,
    standings: dict[tuple[str, ...], Standing],
    heading: str,
    command: str,
) -> Answer:
    group = next(group for group in groups if run in group.runs)
    is_ranked = len(report.candidates) == len(report.groups)
    standing = standings.get(group.values) if is_ranked else None
    axes = report.axes if is_ranked else report.varied
    pairs = zip(axes, group.labels, strict=False)
    return Answer(
        heading=heading,
        configuration=" ".join(f"{axis}={value}" for axis, value in pairs) or "the only configuration",
        value=f"mean {measure_of(groups)} {_value(group, standing)}",
        test_score=score_text(run),
        certainty=_certainty(report) if is_ranked else "",
        run_id=run.run_id,
        commands=_commands(run.run_id, command),
    )


def _value(group: Group, standing: Standing | None) -> str:
    estimate = standing.estimate if standing is not None else None
    if estimate is not None and estimate.low is not None and estimate.high is not None:
        return f"{estimate.mean:.4f} ({estimate.low:.4f} to {estimate.high:.4f})"
    mean = estimate.mean if estimate is not None else group.mean("objective")
    return "-" if mean is None else f"{mean:.4f}"


def _certainty(report: Report) -> str:
    tested = [standing for standing in report.standings if standing.is_tested and not standing.is_best]
    if not any(standing.has_seeds for standing in report.standings):
        return FEW_SEEDS if len(report.standings) > 1 else ""
    if not tested:
        return ""
    equals = sum(standing.is_not_worse for standing in tested)
    if not equals:
        return f"It is significantly better than each of the {len(tested)} other tested configurations."
    verb = "is" if equals == 1 else "are"
    return f"{equals} of {len(tested)} other tested configurations {verb} not significantly worse."


def _commands(run_id: str, command: str) -> tuple[tuple[str, str], ...]:
    tracking = [word for word in shlex.split(command) if word.startswith("tracking.")]
    named = [
        ("train it on the validation images, too", "refit", []),
        ("classify images", "predict", ["images=[IMAGE.png]"]),
        ("train it again, and compare the bits", "rerun", []),
        ("register it", "promote", ["name=NAME"]),
        ("export it", "export", ["format=[onnx]"]),
    ]
    form = command.partition("compare")
    return tuple(
        (what, " ".join([f"{form[0]}{name}", f"run_id={run_id}", *more, *map(shlex.quote, tracking)]))
        for what, name, more in named
    )
