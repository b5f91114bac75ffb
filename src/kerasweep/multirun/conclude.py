"""Says at the end of a study what its runs show, and keeps the page of it."""

import shlex
from pathlib import Path

from omegaconf import DictConfig

from kerasweep.config.search import TrackingConf
from kerasweep.terminal import say
from kerasweep.tracking.location import without_password


def is_evidence(cfg: DictConfig) -> bool:
    """Whether a sweep asked for more than the best: it claims something, or repeats seeds."""
    return cfg.study.claim is not None or cfg.study.repeats > 1


def conclude(cfg: DictConfig, sweep: str) -> None:
    """Print the verdicts and write the page, into mlruns and into the parent's run. It takes a few seconds.

    cfg: the composed configuration. Raises TrackingError where the runs cannot be read.
    """
    # Only here: a sweep that concludes nothing need not import what draws.
    from kerasweep.report.files import write_page
    from kerasweep.report.reading import read_report
    from kerasweep.report.summary import lines_of

    report = read_report(cfg.tracking, {"sweep": sweep})
    for line in lines_of(report):
        say(line)
    page = Path("mlruns") / f"compare-{sweep}.html"
    tracking = [f"tracking.{key}={value}" for key, value in _told(cfg.tracking).items()]
    write_page(
        cfg.tracking, report, page, shlex.join(["python", "-m", "src.compare", f"study={sweep}", *tracking])
    )
    say(f"report: {page}")


def announce_winner(cfg: DictConfig, sweep: str) -> None:
    """Print the winner's score on the test set with its interval, of a sweep that concludes nothing else."""
    from kerasweep.report.reading import read_report
    from kerasweep.report.summary import winner_lines

    for line in winner_lines(read_report(cfg.tracking, {"sweep": sweep}).candidates):
        say(line)


def _told(tracking: DictConfig) -> dict[str, str]:
    """What a later command must be told to find the runs: what is not the default."""
    told = {} if tracking.uri is None else {"uri": without_password(tracking.uri)}
    return (
        told
        if tracking.experiment == TrackingConf().experiment
        else {**told, "experiment": tracking.experiment}
    )
