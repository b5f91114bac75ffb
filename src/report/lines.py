"""What a comparison says below its table."""

from src.report.fairness import caveats
from src.report.groups import measure_of
from src.report.reading import Report
from src.report.tables import notes, tally
from src.report.verdicts import verdict_lines
from src.report.winner import others_line, winner_lines


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
