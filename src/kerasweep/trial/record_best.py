"""Saves the weights of a candidate, and records model, figures and test score if it is the sweep's best.

To record a model and its figures takes longer than to train a small network, and only the best trial is
tested. A worker calls each `record_best_…` like a training function.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig

from kerasweep.data.prepare import Prepared, load_prepared
from kerasweep.results import WEIGHTS, Outcome, ReportEpoch, State, TrialRef
from kerasweep.tracking.recorder import Recorder
from kerasweep.trial.artifacts import record_curves, record_errors, record_model, record_test
from kerasweep.trial.digest import check_digest
from kerasweep.trial.network import Network, build_network


def save_weights(
    folder: Path, network: Network, outcome: Outcome, history: list[dict[str, float]]
) -> Outcome:
    """Saves weights and history in a job's folder; returns the outcome with the path of the file."""
    notes = {"values": outcome.values, "best_epoch": outcome.best_epoch, "history": history}
    arrays = {f"array_{index}": array for index, array in enumerate(network.model.get_weights())}
    unfinished = folder / f"{WEIGHTS}.tmp"
    with open(unfinished, "wb") as file:
        np.savez(file, notes=np.array(json.dumps(notes)), **arrays)  # type: ignore[arg-type]
    weights = (folder / WEIGHTS).absolute()
    os.replace(unfinished, weights)
    return replace(outcome, weights=str(weights))


@dataclass(frozen=True)
class _Candidate:
    """A network with saved weights, and the notes saved with them."""

    network: Network
    prepared: Prepared
    notes: Mapping[str, Any]

    def outcome(self, ref: TrialRef) -> Outcome:
        values, best_epoch = self.notes["values"], self.notes["best_epoch"]
        return Outcome(State.COMPLETE, ref.run_id, tuple(values), best_epoch=best_epoch)


def record_best_model(
    cfg: DictConfig, ref: TrialRef, recorder: Recorder, report: ReportEpoch, folder: Path
) -> Outcome:
    """Records a model with the weights of the file `ref.weights`."""
    candidate = _candidate(cfg, ref)
    record_model(ref, recorder, candidate.prepared, candidate.network)
    return candidate.outcome(ref)


def record_best_figures(
    cfg: DictConfig, ref: TrialRef, recorder: Recorder, report: ReportEpoch, folder: Path
) -> Outcome:
    """Records the figures; another worker may record the model at the same time."""
    return _drawn(_candidate(cfg, ref), ref, recorder)


def record_best_test(
    cfg: DictConfig, ref: TrialRef, recorder: Recorder, report: ReportEpoch, folder: Path
) -> Outcome:
    """Tests a winner that needs no figures."""
    return _tested(_candidate(cfg, ref), ref, recorder)


def record_best_figures_and_test(
    cfg: DictConfig, ref: TrialRef, recorder: Recorder, report: ReportEpoch, folder: Path
) -> Outcome:
    """Tests a sweep's winner, then records the figures."""
    candidate = _candidate(cfg, ref)
    _tested(candidate, ref, recorder)
    return _drawn(candidate, ref, recorder)


def _tested(candidate: _Candidate, ref: TrialRef, recorder: Recorder) -> Outcome:
    record_test(ref, recorder, candidate.prepared, candidate.network)
    return candidate.outcome(ref)


def _drawn(candidate: _Candidate, ref: TrialRef, recorder: Recorder) -> Outcome:
    record_errors(ref, recorder, candidate.prepared, candidate.network)
    record_curves(ref, recorder, candidate.notes["history"], candidate.notes["best_epoch"])
    return candidate.outcome(ref)


def _candidate(cfg: DictConfig, ref: TrialRef) -> _Candidate:
    assert ref.weights is not None
    with np.load(ref.weights, allow_pickle=False) as file:
        notes = json.loads(str(file["notes"]))
        weights = [file[f"array_{index}"] for index in range(len(file.files) - 1)]
    prepared = load_prepared(cfg.data, ref.data_digest)
    check_digest(prepared, ref)
    network = build_network(cfg, prepared)
    network.model.set_weights(weights)
    return _Candidate(network, prepared, notes)
