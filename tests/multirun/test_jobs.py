"""Reports of a training function become plain numbers, and wrong ones fail the trial."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import DictConfig, OmegaConf

from kerasweep.config.target_source import source_digest
from kerasweep.errors import ChangedError, DivergedError, TrainingError, UnavailableError
from kerasweep.multirun.jobs import call_target, failed_outcome
from kerasweep.results import Outcome, ReportEpoch, State, TrialRef
from kerasweep.tracking.entries import Entry, Metrics
from kerasweep.tracking.recorder import Recorder, RelayedRecorder
from kerasweep.trial.digest import check_code, note_code

CFG: DictConfig = OmegaConf.create({"objective": [{"metric": "val_accuracy"}], "epochs": [1]})


def target(cfg: DictConfig, ref: TrialRef, recorder: Recorder, report: ReportEpoch, folder: Path) -> Outcome:
    """Reports the epochs of its configuration, the first one as a NumPy number."""
    first, *others = cfg.epochs
    say: Any = report
    answers = [say(np.int64(first), np.float32(0.5)), *(say(epoch, 1) for epoch in others)]
    return Outcome("pruned" if any(answers) else "complete", ref.run_id, (0.5,))


def called(
    epochs: list[Any], reports: list[tuple[int, float | None]], entries: list[tuple[str, Entry]] | None = None
) -> Outcome:
    def send(run_id: str, entry: Entry) -> None:
        if entries is not None:
            entries.append((run_id, entry))

    def report(epoch: int, value: float | None) -> bool:
        reports.append((epoch, value))
        return epoch == 3

    cfg = OmegaConf.merge(CFG, {"epochs": epochs})
    assert isinstance(cfg, DictConfig)
    recorder = RelayedRecorder(send, Path("outbox"), pytest.fail)
    return call_target("tests.multirun.test_jobs:target", cfg, TrialRef("run"), recorder, report, Path())


def test_reports_become_plain_numbers_and_return_the_answer() -> None:
    reports: list[tuple[int, float | None]] = []
    assert called([1, 2], reports).state == "complete"
    assert called([3], reports).state == "pruned"
    assert reports == [(1, 0.5), (2, 1.0), (3, 0.5)]
    assert {(type(epoch), type(value)) for epoch, value in reports} == {(int, float)}


def test_objective_of_a_function_of_the_user_is_recorded() -> None:
    """Reports rank runs by this metric, which the function need not know."""
    entries: list[tuple[str, Entry]] = []
    called([1], [], entries)
    called([3], [], entries)  # it is pruned
    ((run_id, entry),) = entries
    assert isinstance(entry, Metrics)
    assert (run_id, entry.values, entry.step) == ("run", {"objective": 0.5}, 0)


@pytest.mark.parametrize("epoch", [0, -1])
def test_report_below_epoch_1_fails_the_trial(epoch: int) -> None:
    with pytest.raises(ValueError, match=f"report needs an epoch from 1 on, but got {epoch}"):
        called([epoch], [])


@pytest.mark.parametrize(
    ("error", "poor"),
    [
        (DivergedError("loss became nan"), True),
        (TrainingError("no such device"), False),
        (ValueError(), False),
    ],
)
def test_a_divergence_says_that_the_configuration_is_poor(error: Exception, poor: bool) -> None:
    assert failed_outcome(error, TrialRef("run")).is_poor is poor


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (ChangedError("other data"), State.LOST),
        (UnavailableError("no network"), State.LOST),
        (OSError(28, "no space left"), State.LOST),
        (OSError(13, "no"), State.FAILED),
    ],
)
def test_a_trial_is_lost_by_what_is_not_its_fault(error: Exception, state: State) -> None:
    """The sweep ends, and its next start trains the trial again."""
    assert failed_outcome(error, TrialRef("run")).state == state


def test_a_process_with_edited_code_trains_nothing() -> None:
    target, recorder = "tests.multirun.test_jobs:target", RelayedRecorder(print, Path("outbox"), pytest.fail)
    cfg = OmegaConf.merge(CFG, {"trial": {"target": target}})
    assert isinstance(cfg, DictConfig)
    known = TrialRef("run", code={target: str(source_digest(target))})
    assert call_target(target, cfg, known, recorder, lambda *_: False, Path()).state == "complete"
    with pytest.raises(
        ChangedError, match="^The code of trial.target=tests.multirun.test_jobs:target changed"
    ):
        call_target(target, cfg, replace(known, code={target: "0"}), recorder, lambda *_: False, Path())


def test_an_edit_after_a_process_began_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The module that it has imported is the one that the sweep began with."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "edited_of_jobs.py").write_text("WIDTH = 1\n")
    target = "edited_of_jobs:train"
    cfg = OmegaConf.create({"trial": {"target": target}})
    began = str(source_digest(target))
    note_code(cfg)
    (tmp_path / "edited_of_jobs.py").write_text("WIDTH = 2\n")
    check_code(cfg, TrialRef("run", code={target: began}))
    with pytest.raises(ChangedError, match=f"^The code of trial.target={target} changed while"):
        check_code(cfg, TrialRef("run", code={target: str(source_digest(target))}))
    missing = "not_there_of_jobs:train"  # its import tells why
    check_code(OmegaConf.create({"trial": {"target": missing}}), TrialRef("run", code={missing: "0"}))


@pytest.mark.parametrize(
    ("error", "reason"), [(MemoryError(), "MemoryError"), (ValueError("no"), "ValueError: no")]
)
def test_an_error_without_a_text_is_named(error: Exception, reason: str) -> None:
    assert failed_outcome(error, TrialRef("run")).reason == reason
