"""Adds trials to a sweep that an earlier one trained, whose lists of choices were longer or shorter."""

import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from optuna.study import Study
from optuna.trial import FrozenTrial, create_trial

from kerasweep.results import WEIGHTS, Outcome
from kerasweep.search.ledger import (
    REPEAT,
    RESULT,
    as_attribute,
    as_outcome,
    clean_params,
    completed_repeats,
    counts,
    own_repeats,
)
from kerasweep.search.sweep import Sweep
from kerasweep.search.tally import tally_of
from kerasweep.space.rows import Params
from kerasweep.space.space import Space
from kerasweep.sweep.weight_files import found, stored

# Attributes of trials and studies: never change them.
ADOPTED = "adopted"  # the study that trained a trial
HAS_UNCOPIED_RUNS = "adopts"  # whether some adopted trials may have no run yet


def adopt_trials(sweep: Sweep, earlier: Study, space: Space, folders: Sequence[Path]) -> int:
    """Adds the ended trials of an earlier study that the sweep's space has and its study lacks.

    A trial is added as a whole or not at all, and never twice. `rebuild_runs` copies the runs. Call this with
    the sweep's lock held.

    Args:
        sweep: The sweep.
        earlier: A study with the same settings, data and code.
        space: The earlier study's.
        folders: Where its jobs may have left weights.

    Returns:
        How many trials were added.
    """
    count = 0
    for trial in earlier.get_trials(deepcopy=False):
        if not (trial.state.is_finished() and counts(trial) and RESULT in trial.user_attrs):
            continue
        params = sweep.space.equal_configuration(clean_params(space, trial))
        has_tried = params is None or tally_of(sweep.study, sweep.space).has_tried(params)
        if params is None or has_tried or sweep.refusal(params) is not None:
            continue
        sweep.study.set_user_attr(HAS_UNCOPIED_RUNS, True)
        sweep.study.add_trial(_adopted(sweep, earlier, trial, params, folders))
        count += 1
    return count


def _adopted(
    sweep: Sweep, earlier: Study, trial: FrozenTrial, params: Params, folders: Sequence[Path]
) -> FrozenTrial:
    job = sweep.jobs / str(len(sweep.study.get_trials(deepcopy=False)))
    repeats = {**completed_repeats(earlier, trial.number), **own_repeats(trial)}
    attributes: dict[str, Any] = {ADOPTED: earlier.study_name}
    for repeat, outcome in repeats.items():
        outcome = _with_weights(outcome, folders, job / f"seed-{repeat}", sweep.jobs)
        attributes[f"{REPEAT}:{repeat}"] = as_attribute(outcome)
    outcome = _with_weights(as_outcome(trial.user_attrs[RESULT]), folders, job, sweep.jobs)
    recorded, distributions = sweep.space.recorded(params)
    adopted = create_trial(
        state=trial.state,
        values=trial.values,
        params=recorded,
        distributions=distributions,
        user_attrs={**attributes, RESULT: as_attribute(outcome)},
        intermediate_values=trial.intermediate_values,
    )
    adopted.datetime_start, adopted.datetime_complete = trial.datetime_start, trial.datetime_complete
    return adopted


def _with_weights(outcome: Outcome, folders: Sequence[Path], job: Path, jobs: Path) -> Outcome:
    """Returns an outcome with a file of weights in the folder of its new job, linked or copied."""
    if outcome.weights is None:
        return outcome
    files = (Path(str(found(outcome, folder).weights)) for folder in folders)
    file = next((file for file in files if file.is_file()), None)
    if file is not None:
        job.mkdir(parents=True, exist_ok=True)
        unfinished = job / f"{WEIGHTS}.tmp"
        unfinished.unlink(missing_ok=True)
        with suppress(FileNotFoundError):  # the earlier sweep's driver deletes the weights of losers
            try:
                os.link(file, unfinished)
            except FileNotFoundError:
                raise
            except OSError:  # another file system, or one without links
                shutil.copyfile(file, unfinished)
            os.replace(unfinished, job / WEIGHTS)
    return stored(replace(outcome, weights=str(job / WEIGHTS)), jobs)
