"""Compares recorded runs: python -m src.compare study=filter_size"""

import atexit
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import hydra
from omegaconf import DictConfig, OmegaConf

from src.collector import leave_to_the_end
from src.command_line import check_overrides, run_command
from src.config import register
from src.config.search import TrackingConf
from src.terminal import say, show

if TYPE_CHECKING:
    from src.tracking.query import RunRecord

register()


def compare(cfg: DictConfig) -> None:
    """Print the runs that the config selects, grouped and ranked, and write them as CSV.

    Raises TrackingError where none matches, or where they cannot be averaged; ConfigError
    where the CSV cannot be written.
    """
    from src.report.groups import group_runs, mixed_sweeps
    from src.report.seeds import measured, standings
    from src.report.tables import notes, render, tally, write_csv
    from src.tracking.parents import parents_of
    from src.tracking.selection import axes_of, check_axes, explain_nothing, select_runs

    tags = _tags(cfg)
    selected = select_runs(cfg.tracking, tags)
    if not selected:
        raise explain_nothing(cfg.tracking, tags)
    runs, parents = measured(selected), parents_of(cfg.tracking, selected)
    varied = axes_of(parents, runs)
    axes = varied if cfg.group_by is None else list(cfg.group_by)
    check_axes(runs, axes if cfg.group_by is not None else [])
    groups = group_runs(runs, axes)
    path = Path(cfg.csv).expanduser() if cfg.csv else _default_path(tags)
    write_csv(path, runs, axes)
    if groups:
        found = standings(groups, list(dict.fromkeys([*axes, *varied])))
        show(render(groups, axes, found))
        for line in notes(found):
            say(line)
    say(f"{len(runs)} {'run' if len(runs) == 1 else 'runs'}: {tally(runs)}")
    mixed = mixed_sweeps(groups)
    if mixed:
        say(f"note: means are over runs of {', '.join(mixed)}; study=NAME takes one of them")
    for parent in parents if {"study", "sweep"} & set(tags) else ():
        _say_verdict(cfg.tracking, parent, runs)
    say(f"written: {path}")


def _say_verdict(tracking: TrackingConf, parent: "RunRecord", runs: "Sequence[RunRecord]") -> None:
    """What a sweep's own runs say of its claim, where it has one."""
    from src.report.claims import judge
    from src.report.verdicts import observations, verdict_lines
    from src.tracking.parents import claim_of
    from src.tracking.selection import swept

    claim = claim_of(tracking, parent)
    if claim is None:
        return
    own = [run for run in runs if run.tags.get("sweep") == parent.tags["sweep"]]
    verdict = judge(claim, observations(claim, own, swept(parent)))
    for line in verdict_lines(claim, verdict, parent.tags["sweep"]):
        say(line)


def _tags(cfg: DictConfig) -> Mapping[str, str]:
    from src.tracking.names import flatten

    content = OmegaConf.to_container(cfg.tags, resolve=True)
    assert isinstance(content, dict)
    named = {} if cfg.study is None else {"study": str(cfg.study)}
    return named | flatten({str(key): value for key, value in content.items()})


def _default_path(tags: Mapping[str, str]) -> Path:
    name = "-".join(re.sub(r"[^\w.-]+", "_", value) for value in tags.values())
    return Path("mlruns") / f"compare-{name or 'all'}.csv"


@hydra.main(config_path="pkg://conf", config_name="compare", version_base="1.3")
def _compare(cfg: DictConfig) -> None:
    run_command(lambda: compare(cfg))


def main() -> None:
    atexit.register(leave_to_the_end)
    check_overrides(sys.argv[1:], plain=("study",))
    _compare()


if __name__ == "__main__":
    main()
