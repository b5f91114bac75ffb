"""What a comparison says below its table."""

from kerasweep.report.fairness import caveats
from kerasweep.report.groups import measure_of
from kerasweep.report.reading import Report
from kerasweep.report.tables import notes, tally
from kerasweep.report.verdicts import verdict_lines
from kerasweep.report.winner import others_line, winner_lines


def lines_of(report: Report) -> list[str]:
    """What cannot be told apart, how many runs, what could bias, the verdicts, the winner on the test set."""
    count = len(report.runs)
    others = others_line(report.candidates, report.runs)
    return [
        *(notes(report.standings) if report.groups else ()),
        f"{count} {'run' if count == 1 else 'runs'}: {tally(report.runs)}",
        *(f"note: {line}" for line in caveats(report)),
        *(
            line
            for each in report.judged
            for line in verdict_lines(each.claim, each.verdict, each.sweep, measure_of(report.groups))
        ),
        *winner_lines(report.candidates),
        *([f"note: {others}"] if others else ()),
    ]
