"""Light trials: they import no TensorFlow, and record values that follow from their configuration."""

import json
import os
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig

from benchmarks.targets import Report, value_of
from kerasweep.results import WEIGHTS, Outcome, TrialRef, dominates
from kerasweep.tracking.recorder import Recorder

# Variables that name the log of all trainings, and the file with the weights of an untrained network.
LOG, UNTRAINED = "CHAOS_LOG", "CHAOS_WEIGHTS"
EPOCHS = 5
METRICS = ("loss", "accuracy", "val_loss", "val_accuracy")
NOTES = "notes.txt"


def train(cfg: DictConfig, ref: TrialRef, recorder: Recorder, report: Report, folder: Path) -> Outcome:
    """Records five epochs in half a second to two seconds, and saves weights that name its configuration."""
    rate = float(cfg.optimizer.learning_rate)
    value, seconds = value_of(rate), random.Random(rate).uniform(0.5, 2.0)
    _note("begin", ref, rate)
    recorder.log_text(ref.run_id, str(rate), NOTES)
    for epoch in range(1, EPOCHS + 1):
        time.sleep(seconds / EPOCHS)
        recorder.log_epoch(ref.run_id, epoch, dict.fromkeys(METRICS, value * epoch / EPOCHS))
        if report(epoch, value * epoch / EPOCHS):
            return Outcome("pruned", ref.run_id, (value,), reason="the pruner ended it")
    recorder.log_metrics(ref.run_id, {"seconds": seconds})
    outcome = Outcome("complete", ref.run_id, (value,), {"val_accuracy": value}, EPOCHS, seconds)
    if not any(dominates(other, outcome.values, ("maximize",)) for other in ref.incumbents):
        outcome = _with_weights(outcome, rate, folder)
    _note("end", ref, rate)
    return outcome


def _with_weights(outcome: Outcome, rate: float, folder: Path) -> Outcome:
    """Saves weights as a training does, all of them equal to the learning rate."""
    with np.load(os.environ[UNTRAINED]) as file:
        arrays: dict[str, Any] = {name: np.full_like(file[name], rate) for name in file.files}
    history = [{name: outcome.values[0] for name in METRICS}] * EPOCHS
    notes = {"values": outcome.values, "best_epoch": EPOCHS, "history": history}
    unfinished = folder / f"{WEIGHTS}.tmp"
    with open(unfinished, "wb") as file:
        np.savez(file, notes=np.array(json.dumps(notes)), **arrays)
    os.replace(unfinished, folder / WEIGHTS)
    return Outcome(**{**vars(outcome), "weights": str((folder / WEIGHTS).absolute())})


def _note(event: str, ref: TrialRef, rate: float) -> None:
    what = {"event": event, "trial": ref.number, "repeat": ref.repeat, "rate": rate, "time": time.time()}
    with open(os.environ[LOG], "a") as log:
        log.write(json.dumps(what) + "\n")


def save_untrained(
    cfg: DictConfig, ref: TrialRef, recorder: Recorder, report: Report, folder: Path
) -> Outcome:
    """Saves the weights of the network that `cfg` describes, before any training."""
    from kerasweep.data.prepare import load_prepared
    from kerasweep.trial.network import build_network

    weights = build_network(cfg, load_prepared(cfg.data)).model.get_weights()
    np.savez(os.environ[UNTRAINED], **{f"array_{index}": array for index, array in enumerate(weights)})
    return Outcome("complete", ref.run_id, (0.0,), {"val_accuracy": 0.0})
