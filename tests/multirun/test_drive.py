"""An open sweep is trained to its end, beginning with the trials that wait in its journal."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hydra.types import HydraContext
from omegaconf import DictConfig
from optuna.trial import TrialState

from kerasweep.multirun.conduct import conduct
from kerasweep.search.journal import open_study

Compose = Callable[[list[str]], DictConfig]


pytestmark = pytest.mark.usefixtures("folder")


def test_waiting_trial_beyond_a_lowered_total_is_trained(
    folder: Path, context: HydraContext, compose: Compose, copy_database: Callable[[Path], Path]
) -> None:
    copy_database(folder)
    given = ["model.kernel_size=3,5,7", "study.trials=1", "trial.target=benchmarks.targets:instant"]
    in_process = [*given, "hydra/launcher=basic"]
    conduct(context, compose(in_process), in_process, {})
    (journal,) = (folder / "mlruns/studies").glob("*.journal")
    open_study(journal, journal.stem, ["maximize"]).enqueue_trial({"model.kernel_size": 7})
    conduct(context, compose(given), given, {})
    trials = open_study(journal, journal.stem, ["maximize"]).trials
    assert [trial.params for trial in trials] == [{"model.kernel_size": 3}, {"model.kernel_size": 7}]
    assert all(trial.state is TrialState.COMPLETE for trial in trials)
