"""A sweep that cannot decide its claim says so before it trains, and trains."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hydra.types import HydraContext
from omegaconf import DictConfig

from kerasweep.multirun.conduct import conduct
from kerasweep.multirun.dry_run import dry_run
from kerasweep.multirun.plan import Plan

SEEDS = "the claim takes 3 seeds, and study.repeats={} cannot decide it; study.repeats=5 gives enough"
EPOCHS = "the claim measures epoch_variability, which takes 4 epochs, and training.epochs={} cannot decide it"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "notes"),
    [
        ("study=shuffle", []),
        ("study=shuffle study.repeats=3", []),
        ("study=shuffle study.repeats=2", [SEEDS.format(2)]),
        ("study=shuffle study.repeats=1", [SEEDS.format(1)]),
        ("study=shuffle study.repeats=1 training.seed=0,1,2", []),
        ("study=shuffle training.epochs=3", [EPOCHS.format(3)]),
        ("study=shuffle training.epochs=4", []),
        ("study=shuffle training.epochs=3,6", []),
        ("study=shuffle training.epochs=3 trial.target=benchmarks.targets:instant", []),
        ("study=filter_size training.epochs=1", []),
        ("study=shuffle study.repeats=1 debug=fast", [SEEDS.format(1), EPOCHS.format(1)]),
        ("study=quickstart", []),
    ],
)
def test_notes_what_a_claim_lacks(plan: Callable[..., Plan], arguments: str, notes: list[str]) -> None:
    assert list(plan(*arguments.split()).notes()) == notes


def test_a_sweep_begins_with_the_note(
    folder: Path,
    context: HydraContext,
    compose: Callable[[list[str]], DictConfig],
    copy_database: Callable[[Path], Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    copy_database(folder)
    given = ["study=shuffle", "study.repeats=1", "trial.target=benchmarks.targets:instant"]
    conduct(context, compose(given), given, {})
    said = capsys.readouterr().out
    assert f"note: {SEEDS.format(1)}" in said.splitlines()
    assert "finished: all 4 trials are done" in said


def test_a_dry_run_has_the_note(plan: Callable[..., Plan], capsys: pytest.CaptureFixture[str]) -> None:
    dry_run(plan("study=shuffle", "study.repeats=1", "debug=fast", "model.filters=[4]"), workers=1)
    assert f"note: {SEEDS.format(1)}" in capsys.readouterr().out.splitlines()
