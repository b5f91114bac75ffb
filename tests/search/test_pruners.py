"""Each pruner ends a clearly worse trial and keeps the leading one."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import optuna
import pytest
from omegaconf import OmegaConf

from kerasweep.config.search import (
    ASHAConf,
    HyperbandConf,
    MedianPrunerConf,
    PatientConf,
    PrunerConf,
    ThresholdConf,
    WilcoxonConf,
)
from kerasweep.search.journal import JournalFolder
from kerasweep.search.pruners import (
    PrunedTrial,
    PrunerInput,
    build_pruner,
    pruner_input,
    warmup_epochs,
)
from kerasweep.search.remote_report import RemoteReport

EPOCHS = 9
RISING = [0.50, 0.60, 0.70, 0.80, 0.85, 0.88, 0.90, 0.91, 0.92]
LOSING = [0.10, 0.11, 0.12, 0.13, 0.14, 0.15, 0.16, 0.17, 0.18]
STUCK = [0.50, 0.40, 0.40, 0.40, 0.40, 0.40, 0.40, 0.40, 0.40]
SCORES = [0.90, 0.91, 0.92, 0.93, 0.94, 0.95]
LOWER = [0.70, 0.71, 0.72, 0.73, 0.74, 0.75]
CASES = {
    "none": (PrunerConf("none"), [RISING] * 6, LOSING, None),
    "median": (MedianPrunerConf("median"), [RISING] * 6, LOSING, 1),
    "asha": (ASHAConf("asha"), [RISING] * 6, LOSING, 2),
    "hyperband": (HyperbandConf("hyperband"), [RISING] * 20, LOSING, 1),
    "threshold": (ThresholdConf("threshold", lower=0.13), [], LOSING, 1),
    "threshold after a while": (ThresholdConf("threshold", lower=0.13, n_warmup_steps=3), [], LOSING, 3),
    "patient": (PatientConf("patient", patience=3), [], STUCK, 5),
    "wilcoxon": (WilcoxonConf("wilcoxon"), [SCORES], LOWER, 3),
}


def report_all(study: optuna.Study, values: Sequence[float], kind: PrunerInput) -> int | None:
    """Runs a trial with these values; returns the step at which it is pruned, or None."""
    trial = study.ask()
    pruned = PrunedTrial(trial, PrunerInput.EPOCHS if kind == PrunerInput.REPEATS else kind, "maximize")
    for step, value in enumerate(values, start=1):
        if pruned.report(step, value):
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            return step
    study.tell(trial, sum(values) / len(values) if kind == PrunerInput.REPEATS else max(values))
    return None


@pytest.mark.parametrize(("cfg", "before", "values", "step"), CASES.values(), ids=CASES.keys())
def test_loser_is_pruned_and_leader_is_spared(
    cfg: PrunerConf, before: list[list[float]], values: list[float], step: int | None
) -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", pruner=build_pruner(OmegaConf.structured(cfg), EPOCHS))
    kind = pruner_input(cfg.name)
    for each in before:
        report_all(study, each, kind)
    pruned = report_all(study, values, kind)
    if step is None or cfg.name == "hyperband":  # brackets prune at different steps
        assert step is not None or pruned is None
        assert step is None or pruned is None or pruned >= step
    else:
        assert pruned == step
    leader = [value + 0.06 for value in (SCORES if kind == PrunerInput.REPEATS else RISING)]
    assert report_all(study, leader, kind) is None


def test_hyperband_prunes_losers_in_most_brackets() -> None:
    cfg = OmegaConf.structured(HyperbandConf("hyperband"))
    study = optuna.create_study(direction="maximize", pruner=build_pruner(cfg, EPOCHS))
    steps = [report_all(study, RISING if number % 2 else LOSING, PrunerInput.BEST) for number in range(40)]
    assert sum(step is not None for step in steps[10::2]) > 7


def test_pruner_input() -> None:
    assert [pruner_input(name) for name in ("none", "median", "asha", "hyperband", "threshold")] == [
        PrunerInput.NOTHING,
        *[PrunerInput.BEST] * 4,
    ]
    assert (pruner_input("patient"), pruner_input("wilcoxon")) == (PrunerInput.EPOCHS, PrunerInput.REPEATS)


@pytest.mark.parametrize(
    ("direction", "best"),
    [("maximize", [1.0, 1.0, 3.0, 3.0]), ("minimize", [1.0, 0.5, 0.5, 0.5])],
)
def test_best_so_far_never_gets_worse_and_ignores_nan(direction: str, best: list[float]) -> None:
    study = optuna.create_study(direction=direction)
    trial = study.ask()
    pruned = PrunedTrial(trial, PrunerInput.BEST, direction)
    pruned.report(1, math.nan)
    assert pruned.best is not None and math.isnan(pruned.best)
    for epoch, value in enumerate((1.0, 0.5, 3.0, math.nan), start=2):
        pruned.report(epoch, value)
    told = study.trials[0].intermediate_values
    assert math.isnan(told.pop(1)) and list(told.values()) == best


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (PrunerInput.BEST, {3: 0.5, 5: 0.5}),
        (PrunerInput.EPOCHS, {3: 0.4, 5: 0.3}),
        (PrunerInput.REPEATS, {}),
        (PrunerInput.NOTHING, {}),
    ],
)
def test_pruner_receives_nothing_in_warm_up_or_from_an_epoch_without_a_value(
    kind: PrunerInput, told: dict[int, float]
) -> None:
    study = optuna.create_study(direction="maximize", pruner=optuna.pruners.ThresholdPruner(lower=0.35))
    pruned = PrunedTrial(study.ask(), kind, "maximize", warmup_epochs=2)
    ends = [pruned.report(epoch, value) for epoch, value in enumerate([0.1, 0.5, 0.4, None, 0.3], 1)]
    assert study.trials[0].intermediate_values == told
    assert pruned.best == 0.5
    assert ends == [False] * 4 + [kind == PrunerInput.EPOCHS]


@pytest.mark.parametrize(
    ("schedule", "expected"), [({}, 0), ({"warmup_epochs": 1.5}, 2), ({"warmup_epochs": 3.0}, 3)]
)
def test_warm_up_epochs_are_counted_to_the_end_of_the_last(schedule: dict[str, float], expected: int) -> None:
    assert warmup_epochs(OmegaConf.create({"schedule": schedule})) == expected


def test_trial_elsewhere_asks_the_pruner_through_the_storage(tmp_path: Path) -> None:
    folder = JournalFolder(tmp_path)
    study = folder.open("s", ["maximize"])
    study.pruner = build_pruner(OmegaConf.structured(MedianPrunerConf("median")), EPOCHS)
    for _ in range(5):
        report_all(study, RISING, PrunerInput.BEST)

    def report_of(warmup: int = 0) -> Callable[[int, float | None], bool]:
        trial = study.ask()
        cfg = OmegaConf.structured(MedianPrunerConf("median"))
        return RemoteReport(folder, "s", ("maximize",), cfg, EPOCHS, trial._trial_id, warmup)

    loser, leader = report_of(), report_of()
    assert [loser(epoch, value) for epoch, value in enumerate(LOSING[:3], 1)] == [True] * 3
    assert not any(leader(epoch, value) for epoch, value in enumerate(RISING, 1))
    assert study.trials[5].intermediate_values == dict(enumerate(LOSING[:3], 1))
    slow_starter = report_of(warmup=2)
    assert [slow_starter(epoch, value) for epoch, value in enumerate([0.1, 0.1, 0.1, None], 1)] == [
        False,
        False,
        True,
        False,
    ]
    assert study.trials[7].intermediate_values == {3: 0.1}


def test_unknown_pruner_is_not_replaced() -> None:
    with pytest.raises(AssertionError, match="pruner other is not built"):
        build_pruner(OmegaConf.structured(PrunerConf("other")), EPOCHS)
