"""Compares recorded runs: python -m src.compare study=filter_size"""

import atexit
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig, ListConfig, OmegaConf

from kerasweep.commands.answer import give
from kerasweep.commands.command_line import check_overrides, run_command
from kerasweep.config import register
from kerasweep.config.composition import compose_once
from kerasweep.config.folders import config_folder
from kerasweep.errors import ConfigError
from kerasweep.fast_start import collect_rarely, skip_last_collection
from kerasweep.terminal import as_started, say, show
from kerasweep.workers.signals import release_interrupts

register()


def compare(cfg: DictConfig) -> None:
    """Prints the selected runs, grouped and ranked, and writes them as CSV and as a page.

    Raises:
        TrackingError: No run matches, or the runs cannot be averaged.
        ConfigError: `where` is not an expression, or a file cannot be written.
    """
    from kerasweep.report.files import write_csv, write_page
    from kerasweep.report.reading import read_report
    from kerasweep.report.result import result_of
    from kerasweep.report.summary import lines_of
    from kerasweep.report.tables import render
    from kerasweep.tracking.source import command_text

    runs, where, group_by = _texts(cfg.runs), _texts(cfg.where) or [], _texts(cfg.group_by)
    if runs == []:
        raise ConfigError("runs=[] names none. Name ids, or the first digits of some, as in runs=[67f485f8].")
    studies, tags = list(dict.fromkeys(_texts(cfg.study) or [])), _tags(cfg)
    names, is_picked = [*studies, *tags.values()], bool(where or runs)
    if len(studies) > 1:
        runs = _runs_of(cfg, studies, tags, runs)
    elif studies:
        tags = {"study": studies[0], **tags}
    report = read_report(cfg.tracking, tags, group_by, runs, where)
    path = Path(cfg.csv).expanduser() if cfg.csv else _default_path(names, group_by, is_picked)
    page = Path(cfg.html).expanduser() if cfg.html else path.with_suffix(".html")
    if page == path:
        raise ConfigError(
            f"csv and html both name {path}. Name two files, as in csv=runs.csv html=runs.html."
        )
    if report.groups:
        show(render(report.groups, report.axes, report.standings))
    for line in lines_of(report):
        say(line)
    write_csv(path, report.runs, report.columns)
    say(f"written: {path}")
    write_page(cfg.tracking, report, page, command_text("src.compare"))
    say(f"written: {page}")
    give(result_of(report, path, page))


def quoted(argument: str) -> str:
    """Quotes values that Hydra would misread: the id 12e45678 as infinity, and the > or < of `where`."""
    key, _, value = argument.partition("=")
    if key == "runs":
        return re.sub(r"(?<=[=\[,\s])(?!null\b)(\w+)(?=[\],\s]|$)", r"'\1'", argument)
    if key == "where" and value and value[0] not in "['\"":
        escaped = value.replace("'", "\\'")
        return f"where='{escaped}'"
    return argument


def _tags(cfg: DictConfig) -> Mapping[str, str]:
    from kerasweep.tracking.tags import flatten

    if not isinstance(cfg.tags, DictConfig):
        raise ConfigError(
            f"tags must name tags and their values, but got {cfg.tags}. Write it as in tags.dataset=digits."
        )
    content = OmegaConf.to_container(cfg.tags, resolve=True)
    assert isinstance(content, dict)
    return flatten({str(key): value for key, value in content.items()})


def _runs_of(
    cfg: DictConfig, studies: Sequence[str], tags: Mapping[str, str], runs: Sequence[str] | None
) -> list[str]:
    """Returns the ids of the runs of several studies, which together have no verdict."""
    from kerasweep.report.selection import select_runs

    if runs is not None:
        raise ConfigError(f"study=[{','.join(studies)}] and runs both choose runs. Leave one of them out.")
    chosen = [select_runs(cfg.tracking, {"study": study, **tags}) for study in studies]
    return [run.run_id for of_study in chosen for run in of_study]


def _texts(value: Any) -> list[str] | None:
    """Returns the texts of a list, or a single text as a list; an empty text gives [], None gives None."""
    if value is None:
        return None
    texts = value if isinstance(value, ListConfig) else [value]
    return [str(text) for text in texts if text != ""]


def _default_path(names: Sequence[str], group_by: Sequence[str] | None, is_picked: bool) -> Path:
    """Returns a path that names the selection, so that a part does not replace the page of all runs."""
    parts = [*names, *(["picked"] if is_picked else [])]
    parts += ["by", *(group_by or ["nothing"])] if group_by is not None else []
    name = "-".join(re.sub(r"[^\w.-]+", "_", part) for part in parts)
    return Path("mlruns") / f"compare-{name or 'all'}.csv"


@hydra.main(config_path=config_folder("conf"), config_name="compare", version_base="1.3")
def _compare(cfg: DictConfig) -> None:
    release_interrupts()
    run_command(lambda: compare(cfg))


def run() -> None:
    """Runs the command."""
    collect_rarely()
    atexit.register(skip_last_collection)
    sys.argv[1:] = [quoted(argument) for argument in sys.argv[1:]]
    check_overrides(sys.argv[1:], "compare", plain=("study",))
    compose_once(as_started)
    _compare()
