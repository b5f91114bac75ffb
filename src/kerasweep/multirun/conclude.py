"""Prints the verdicts of a finished sweep and writes its page."""

import shlex
from pathlib import Path

from omegaconf import DictConfig

from kerasweep.config.passwords import without_password
from kerasweep.config.search import TrackingConf
from kerasweep.terminal import as_started, say


def ends_with_page(cfg: DictConfig) -> bool:
    """Returns whether a sweep ends with a page: it has a claim or repeats its trials."""
    return cfg.study.claim is not None or cfg.study.repeats > 1


def conclude(cfg: DictConfig, sweep: str) -> None:
    """Prints the verdicts and writes the page, into mlruns and into the sweep's run, in a few seconds.

    Args:
        cfg: The configuration that the trials share.
        sweep: The sweep's name.

    Raises:
        TrackingError: The runs cannot be read.
        ConfigError: The page cannot be written.
    """
    # Imported here: only this needs matplotlib.
    from kerasweep.report.files import write_page
    from kerasweep.report.reading import read_report
    from kerasweep.report.summary import lines_of

    report = read_report(cfg.tracking, {"sweep": sweep})
    for line in lines_of(report):
        say(line)
    page = Path("mlruns") / f"compare-{sweep}.html"
    tracking = [f"tracking.{key}={value}" for key, value in _changed_keys(cfg.tracking).items()]
    again = as_started(shlex.join(["python", "-m", "src.compare", f"study={sweep}", *tracking]))
    write_page(cfg.tracking, report, page, again)
    say(f"report: {page}")


def announce_winner(cfg: DictConfig, sweep: str) -> None:
    """Prints the winner's score on the test set with its interval, for a sweep without a page."""
    from kerasweep.report.reading import read_report
    from kerasweep.report.summary import winner_lines

    for line in winner_lines(read_report(cfg.tracking, {"sweep": sweep}).candidates):
        say(line)


def _changed_keys(tracking: DictConfig) -> dict[str, str]:
    """Returns the tracking keys that a later command needs to find the runs: those without default values."""
    changed = {} if tracking.uri is None else {"uri": without_password(tracking.uri)}
    if tracking.experiment != TrackingConf().experiment:
        changed["experiment"] = tracking.experiment
    return changed
