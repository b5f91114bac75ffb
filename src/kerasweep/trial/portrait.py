"""Records the model of a sweep's best trial once it is known to be the best, and tests it.

Until then a trial leaves its weights beside its job: making a model of them and drawing it takes longer
than a small network trains, and the test set is for the best alone.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from omegaconf import DictConfig

from kerasweep.data.prepare import Prepared, load_prepared
from kerasweep.results import LEFT, Outcome, State, TrialRef
from kerasweep.tracking.recorder import Recorder
from kerasweep.trial.artifacts import record_curves, record_errors, record_model, record_test
from kerasweep.trial.network import Network

if TYPE_CHECKING:
    from kerasweep.trial.run import Report


def leave(folder: Path, network: Network, outcome: Outcome, history: list[dict[str, float]]) -> Outcome:
    """Write what a portrait needs into a job's folder, under another name first; the outcome says where."""
    notes = {"values": outcome.values, "best_epoch": outcome.best_epoch, "history": history}
    arrays = {f"array_{index}": array for index, array in enumerate(network.model.get_weights())}
    unfinished = folder / f"{LEFT}.tmp"
    with open(unfinished, "wb") as file:
        np.savez(file, notes=np.array(json.dumps(notes)), **arrays)  # type: ignore[arg-type]
    left = (folder / LEFT).absolute()
    os.replace(unfinished, left)
    return replace(outcome, left=str(left))


@dataclass(frozen=True)
class _Candidate:
    """A network with the weights that its trial left, and what was noted of that trial."""

    network: Network
    prepared: Prepared
    notes: Mapping[str, Any]

    def outcome(self, ref: TrialRef) -> Outcome:
        values, best_epoch = self.notes["values"], self.notes["best_epoch"]
        return Outcome(State.COMPLETE, ref.run_id, tuple(values), best_epoch=best_epoch)


def portray_model(
    cfg: DictConfig, ref: TrialRef, recorder: Recorder, report: "Report", folder: Path
) -> Outcome:
    """Record the model of a trial that left its weights in the file ref.resume_from.

    It is called as a trial is, and trains nothing.
    """
    candidate = _candidate(cfg, ref)
    record_model(ref, recorder, candidate.prepared, candidate.network)
    return candidate.outcome(ref)


def portray_figures(
    cfg: DictConfig, ref: TrialRef, recorder: Recorder, report: "Report", folder: Path
) -> Outcome:
    """As `portray_model`, for the figures; another worker may do it at the same time."""
    return _drawn(_candidate(cfg, ref), ref, recorder)


def portray_figures_and_test(
    cfg: DictConfig, ref: TrialRef, recorder: Recorder, report: "Report", folder: Path
) -> Outcome:
    """As `portray_figures`, and for the test set: at the end of a sweep, for its winner."""
    candidate = _candidate(cfg, ref)
    record_test(ref, recorder, candidate.prepared, candidate.network)
    return _drawn(candidate, ref, recorder)


def _drawn(candidate: _Candidate, ref: TrialRef, recorder: Recorder) -> Outcome:
    record_errors(ref, recorder, candidate.prepared, candidate.network)
    record_curves(ref, recorder, candidate.notes["history"], candidate.notes["best_epoch"])
    return candidate.outcome(ref)


def portray_test(
    cfg: DictConfig, ref: TrialRef, recorder: Recorder, report: "Report", folder: Path
) -> Outcome:
    """As `portray_model`, for the test set alone, where no model is to be kept or it has one already."""
    candidate = _candidate(cfg, ref)
    record_test(ref, recorder, candidate.prepared, candidate.network)
    return candidate.outcome(ref)


def _candidate(cfg: DictConfig, ref: TrialRef) -> _Candidate:
    assert ref.resume_from is not None
    with np.load(ref.resume_from, allow_pickle=False) as file:
        notes = json.loads(str(file["notes"]))
        weights = [file[f"array_{index}"] for index in range(len(file.files) - 1)]
    prepared = load_prepared(cfg.data)
    network = Network(cfg, prepared)
    network.model.set_weights(weights)
    return _Candidate(network, prepared, notes)
