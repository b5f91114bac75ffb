"""Compares recorded runs: python -m src.compare study=filter_size"""

import atexit
import re
import sys
from collections.abc import Mapping
from pathlib import Path

import hydra
from omegaconf import DictConfig, OmegaConf

from src.collector import leave_to_the_end
from src.command_line import check_overrides, run_command
from src.config import register
from src.terminal import say, show

register()


def compare(cfg: DictConfig) -> None:
    """Print the runs that the config selects, grouped and ranked, and write them as CSV.

    Raises TrackingError where none matches, or where they cannot be averaged; ConfigError
    where the CSV cannot be written.
    """
    from src.report.groups import group_runs, mixed_sweeps
    from src.report.tables import render, tally, write_csv
    from src.tracking.selection import axes_of, check_axes, explain_nothing, select_runs

    tags = _tags(cfg)
    runs = select_runs(cfg.tracking, tags)
    if not runs:
        raise explain_nothing(cfg.tracking, tags)
    axes = list(cfg.group_by) if cfg.group_by is not None else axes_of(cfg.tracking, runs)
    check_axes(runs, axes if cfg.group_by is not None else [])
    groups = group_runs(runs, axes)
    path = Path(cfg.csv).expanduser() if cfg.csv else _default_path(tags)
    write_csv(path, runs, axes)
    if groups:
        show(render(groups, axes))
    say(f"{len(runs)} {'run' if len(runs) == 1 else 'runs'}: {tally(runs)}")
    mixed = mixed_sweeps(groups)
    if mixed:
        say(f"note: means are over runs of {', '.join(mixed)}; study=NAME takes one of them")
    say(f"written: {path}")


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
