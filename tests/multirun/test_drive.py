"""An open sweep is trained to its end, beginning with the trials that wait in its journal."""

import errno
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from hydra.types import HydraContext
from omegaconf import DictConfig
from optuna.trial import TrialState

from kerasweep.errors import StorageError
from kerasweep.multirun.conduct import conduct
from kerasweep.multirun.drive import _record_winners, drive
from kerasweep.multirun.open_sweeps import SweepOpener
from kerasweep.multirun.plan import Plan
from kerasweep.results import Outcome
from kerasweep.search.journal import open_study
from kerasweep.search.ledger import settle
from kerasweep.search.stops import StopRequest

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


def test_the_winner_keeps_its_weights_where_the_folder_of_jobs_has_two_dots(
    folder: Path, context: HydraContext, plan: Callable[..., Plan], copy_database: Callable[[Path], Path]
) -> None:
    copy_database(folder)
    (folder / "there").mkdir()
    given = ["model.kernel_size=3,5", "tracking.models=none", "hydra/launcher=basic"]
    name = plan(*given).open_sweep(fresh=False).name
    made = plan(*given, f"hydra.sweep.dir=there/../jobs/{name}")
    with ExitStack() as stack:
        opener = SweepOpener(context, made.question.master, [], StopRequest(), stack, None)
        opened = opener.open(made, fresh=False)
    weights = opened.sweep.jobs / "0/best.npz"
    weights.parent.mkdir(parents=True)
    weights.touch()
    trial = opened.sweep.study.ask()
    opened.sweep.space.suggest(trial)
    settle(opened.sweep.study, trial, Outcome("complete", "run", (0.5,), weights="0/best.npz"))
    unnamed = weights.with_name("best.npz.tmp")
    unnamed.touch()
    _record_winners(opened, is_end=False)
    assert weights.exists() and not unnamed.exists()


def test_a_finished_sweep_needs_no_cluster(
    folder: Path,
    context: HydraContext,
    compose: Compose,
    copy_database: Callable[[Path], Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    copy_database(folder)
    given = ["model.kernel_size=3,5", "trial.target=benchmarks.targets:instant"]
    ends = []
    for launcher in (["basic"], ["basic"], ["ray", "hydra.launcher.address=127.0.0.1:1"], ["workers"]):
        arguments = [*given, f"hydra/launcher={launcher[0]}", *launcher[1:]]
        conduct(context, compose(arguments), arguments, {})
        ends += [line for line in capsys.readouterr().out.splitlines() if line.startswith("finished: ")]
    assert ends == ["finished: all 2 trials are done"] * 4


def test_a_disk_that_is_full_when_a_stopped_sweep_records_its_winner_is_said(
    folder: Path,
    context: HydraContext,
    plan: Callable[..., Plan],
    copy_database: Callable[[Path], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    copy_database(folder)
    made, stop = plan("model.kernel_size=3,5", "hydra/launcher=basic"), StopRequest()
    stop.is_set = True
    with ExitStack() as stack:
        opened = SweepOpener(context, made.question.master, [], stop, stack, None).open(made, fresh=False)
    monkeypatch.setattr("kerasweep.multirun.drive._record_winners", full)
    with pytest.raises(StorageError, match="cannot write .*: No space left on device. To go on from here"):
        drive(opened)
