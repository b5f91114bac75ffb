"""Gives a sweep the folder of its jobs: the one in which it began, with its weights and checkpoints."""

import os
from dataclasses import replace
from functools import partial
from pathlib import Path

from hydra.core.override_parser.types import Quote, QuotedString
from omegaconf import DictConfig, open_dict

from kerasweep.config.interpolations import texts_of
from kerasweep.multirun.plan import DEFAULT_JOBS
from kerasweep.search.storage import under_lock
from kerasweep.search.sweep import Sweep
from kerasweep.terminal import say

FOLDERS = "job_folders"  # an attribute of studies: never change it


def with_job_folder(sweep: Sweep, master: DictConfig, named: str) -> Sweep:
    """Returns the sweep with its folder of jobs, and makes Hydra use it.

    Args:
        sweep: The sweep.
        master: The composed sweep with Hydra's node.
        named: `hydra.sweep.dir` of the command; each sweep has a folder of its name there.
    """
    folder = under_lock(sweep.lock, partial(_choose, sweep, named))
    key, text = "hydra.sweep.dir=", QuotedString(folder, Quote.single).with_quotes()
    with open_dict(master):
        master.hydra.sweep.dir = folder
        kept = [line for line in texts_of(master.hydra.overrides.hydra) if not line.startswith(key)]
        master.hydra.overrides.hydra = [*kept, f"{key}{text}"]
    return replace(sweep, jobs=Path(os.path.abspath(folder)))


def _choose(sweep: Sweep, named: str) -> str:
    """Returns the first folder of the sweep that exists, else the named one, and saves it in the study.

    On another machine, or after a move, folders of earlier starts are missing.
    """
    saved = sweep.study.user_attrs.get(FOLDERS, [])
    default = os.path.join(DEFAULT_JOBS, sweep.name)
    # Older versions saved no folder, and used the named one itself.
    is_older = not saved and named != DEFAULT_JOBS and not Path(default).exists()
    is_older = is_older and bool(sweep.study.get_trials(deepcopy=False))
    wanted = named if is_older else os.path.join(named, sweep.name)
    folder: str = next((earlier for earlier in (default, *saved) if Path(earlier).exists()), wanted)
    if folder != wanted:
        say(
            f"note: the jobs of {sweep.name} stay in {folder}, where it began, "
            f"unless you move them to {wanted}"
        )
    if folder not in saved:
        sweep.study.set_user_attr(FOLDERS, [*saved, folder])
    return folder
