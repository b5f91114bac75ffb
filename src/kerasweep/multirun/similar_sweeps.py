"""Finds the sweeps that differ from a plan in their choices alone, and adopts what they trained."""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from kerasweep.errors import ConfigError
from kerasweep.multirun.job_folder import FOLDERS
from kerasweep.multirun.plan import Plan
from kerasweep.search.storage import under_lock
from kerasweep.search.study import distributions_of, sweep_name
from kerasweep.search.sweep import Sweep
from kerasweep.space.space import Space
from kerasweep.sweep.adopted_trials import adopt_trials
from kerasweep.terminal import say

IS_FRESH = "fresh"  # an attribute of studies: never change it


def adopt_from_similar_sweeps(plan: Plan, sweep: Sweep, fresh: bool) -> None:
    """Adopts the trials of sweeps with longer or shorter lists of choices, as far as the sweep's lists go.

    A study with nuisance axes adopts nothing: its seeds belong to its combinations.

    Args:
        plan: The sweep's plan.
        sweep: The sweep, with its folder of jobs.
        fresh: Whether the user wants a new sweep, which never adopts trials.
    """
    is_first = sweep.name == f"{plan.study}-{plan.hash_of(plan.question.space)}"
    if fresh and is_first:
        under_lock(sweep.lock, partial(sweep.study.set_user_attr, IS_FRESH, True))
    if not is_first or plan.question.nuisance.axes or sweep.study.user_attrs.get(IS_FRESH, False):
        return
    for study, space in _similar(plan, sweep):
        folders = [Path(folder) for folder in study.user_attrs.get(FOLDERS, [])]
        count = under_lock(sweep.lock, partial(adopt_trials, sweep, study, space, folders))
        if count:
            trials = "1 trial" if count == 1 else f"{count} trials"
            are = "is" if count == 1 else "are"
            say(
                f"note: {trials} of {study.study_name} {are} adopted: that sweep differs in its choices alone"
            )


def _similar(plan: Plan, sweep: Sweep) -> Iterator[tuple[Any, Space]]:
    """Yields the similar studies, the one that trained last first, each with its space."""
    names = plan.storage.names()
    pattern = re.compile(rf"{re.escape(plan.study)}-([0-9a-f]{{8}})(?:-\d+)?")
    digests = {match[1] for name in names if (match := pattern.fullmatch(name))}
    similar = []
    for digest in sorted(digests):
        name = sweep_name(names, plan.study, digest, fresh=False)
        if name == sweep.name:
            continue
        try:
            study = plan.storage.open(name, plan.directions)
        except ConfigError:  # it has other objectives, or its journal is damaged
            continue
        space = plan.space.with_distributions(distributions_of(study))
        if space is not None and plan.hash_of(space) == digest and plan.has_same_inputs(study):
            ends = [t.datetime_complete for t in study.get_trials(deepcopy=False) if t.datetime_complete]
            if ends:
                similar.append((max(end.timestamp() for end in ends), study, space))
    yield from ((study, space) for _, study, space in sorted(similar, key=lambda entry: -entry[0]))
