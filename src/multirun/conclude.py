"""Says at the end of a study what its runs show, and keeps the page of it."""

from pathlib import Path

from omegaconf import DictConfig

from src.terminal import say


def is_evidence(cfg: DictConfig) -> bool:
    """Whether a sweep asked for more than the best: it claims something, or repeats seeds."""
    return cfg.study.claim is not None or cfg.study.repeats > 1


def conclude(cfg: DictConfig, sweep: str) -> None:
    """Print the verdicts and write the page, into mlruns and into the parent's run. It takes a few seconds.

    cfg: the composed configuration. Raises TrackingError where the runs cannot be read.
    """
    # Only here: a sweep that concludes nothing need not import what draws.
    from src.report.publish import write_page
    from src.report.reading import read_report
    from src.report.tables import notes
    from src.report.verdicts import verdict_lines
    from src.report.winner import winner_line

    report = read_report(cfg.tracking, {"sweep": sweep})
    for line in notes(report.standings) if report.groups else ():
        say(line)
    for judged in report.judged:
        for line in verdict_lines(judged.claim, judged.verdict, judged.sweep):
            say(line)
    test = winner_line(report)
    if test:
        say(f"the winner {test}")
    page = Path("mlruns") / f"compare-{sweep}.html"
    write_page(cfg.tracking, report, page, f"python -m src.compare study={sweep}")
    say(f"report: {page}")
