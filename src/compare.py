"""Compares recorded runs: python -m src.compare study=filter_size"""

import sys
from collections.abc import Mapping
from pathlib import Path

import hydra
from omegaconf import DictConfig, OmegaConf

from src.command_line import check_overrides, run_command
from src.config import register
from src.terminal import say, show

register()


def compare(cfg: DictConfig) -> None:
    """Print the runs that the config selects, grouped and ranked, and write them as CSV.

    Raises TrackingError where none matches, or where they cannot be averaged.
    """
    from src.report.tables import group_runs, natural, render, tally, write_csv
    from src.tracking.selection import axes_of, explain_nothing, select_runs

    tags = _tags(cfg)
    runs = select_runs(cfg.tracking, cfg.study, tags)
    if not runs:
        raise explain_nothing(cfg.tracking, cfg.study, tags)
    axes = list(cfg.group_by) if cfg.group_by is not None else axes_of(cfg.tracking, runs)
    groups = group_runs(runs, axes)
    if groups:
        objective = groups[0].runs[0].tags.get("objective", "objective")
        show(render(groups, axes, f"mean {objective.partition(' ')[0]}"))
    say(f"{len(runs)} runs: {tally(runs)}")
    name = cfg.study or "-".join(tags.values()) or "all"
    path = Path(cfg.csv) if cfg.csv else Path("mlruns") / f"compare-{name}.csv"
    in_order = sorted(runs, key=lambda run: natural([run.tags.get(axis, "") for axis in axes]))
    write_csv(path, in_order, axes)
    say(f"written: {path}")


def _tags(cfg: DictConfig) -> Mapping[str, str]:
    from src.tracking.names import tag_text

    content = OmegaConf.to_container(cfg.tags, resolve=True)
    assert isinstance(content, dict)
    return {str(key): tag_text(value) for key, value in content.items()}


@hydra.main(config_path="pkg://conf", config_name="compare", version_base="1.3")
def _compare(cfg: DictConfig) -> None:
    run_command(lambda: compare(cfg))


def main() -> None:
    check_overrides(sys.argv[1:])
    _compare()


if __name__ == "__main__":
    main()
