"""Training functions that do not import TensorFlow, so that only the engine is timed."""

import os
import random
import time
from collections.abc import Callable
from pathlib import Path

from omegaconf import DictConfig

from kerasweep.results import Outcome, TrialRef
from kerasweep.tracking.recorder import Recorder

EPOCHS = 5
NAP = "NAP_SECONDS"  # a variable of the environment
Report = Callable[[int, float], bool]


def value_of(learning_rate: float) -> float:
    """Returns the accuracy of a configuration: between 0 and 1, and best at 0.01."""
    return 1 / (1 + abs(learning_rate - 0.01))


def instant(cfg: DictConfig, ref: TrialRef, recorder: Recorder, report: Report, folder: Path) -> Outcome:
    """Records five epochs of six metrics each, and ends at once."""
    return _trained(cfg, ref, recorder, report, 0.0)


def sleeping(cfg: DictConfig, ref: TrialRef, recorder: Recorder, report: Report, folder: Path) -> Outcome:
    """Records as `instant` does, over 1 to 10 seconds, which the configuration decides."""
    drawn = random.Random(cfg.optimizer.learning_rate)
    return _trained(cfg, ref, recorder, report, drawn.uniform(1, 10))


def napping(cfg: DictConfig, ref: TrialRef, recorder: Recorder, report: Report, folder: Path) -> Outcome:
    """Sleeps for $NAP_SECONDS, then records and reports one epoch."""
    value = value_of(cfg.optimizer.learning_rate)
    seconds = float(os.environ[NAP])
    time.sleep(seconds)
    recorder.log_epoch(ref.run_id, 1, {"val_accuracy": value})
    recorder.log_metrics(ref.run_id, {"seconds": seconds})
    if report(1, value):
        return Outcome("pruned", ref.run_id, (value,), reason="the pruner ended it")
    return Outcome("complete", ref.run_id, (value,), {"val_accuracy": value}, 1, seconds)


def _trained(cfg: DictConfig, ref: TrialRef, recorder: Recorder, report: Report, seconds: float) -> Outcome:
    value = value_of(cfg.optimizer.learning_rate)
    names = ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "epoch_seconds")
    for epoch in range(1, EPOCHS + 1):
        time.sleep(seconds / EPOCHS)
        recorder.log_epoch(ref.run_id, epoch, dict.fromkeys(names, value * epoch / EPOCHS))
        if report(epoch, value * epoch / EPOCHS):
            return Outcome("pruned", ref.run_id, (value,), reason="the pruner ended it")
    recorder.log_metrics(ref.run_id, {"seconds": seconds})
    return Outcome("complete", ref.run_id, (value,), {"val_accuracy": value}, EPOCHS, seconds)
