"""A sweep goes on in another spelling, and keeps its trials where its lists grew or shrank."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import DictConfig
from optuna.study import Study

from kerasweep.config.search import TrackingConf
from kerasweep.multirun.plan import Plan
from kerasweep.report.reading import read_report
from kerasweep.search.journal import open_study
from kerasweep.search.ledger import counts
from kerasweep.tracking.reader import find_runs, histories
from kerasweep.tracking.run_record import RunRecord
from kerasweep.tracking.tags import ADOPTED_FROM

Compose = Callable[[list[str]], DictConfig]
Run = Callable[..., float | None]
INSTANT = ("trial.target=benchmarks.targets:instant", "hydra/launcher=basic")

pytestmark = pytest.mark.usefixtures("folder")


def studies(folder: Path) -> dict[str, Study]:
    journals = sorted((folder / "mlruns/studies").glob("*.journal"))
    return {path.stem: open_study(path, path.stem, ["maximize"]) for path in journals}


def configurations(study: Study) -> Counter[str]:
    return Counter(str(sorted(trial.params.items())) for trial in study.trials if counts(trial))


def runs(folder: Path, **tags: str) -> list[RunRecord]:
    return find_runs(TrackingConf(uri=f"sqlite:///{folder}/mlruns/mlflow.db"), {"kind": "trial", **tags})


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ("model.kernel_size=3,5,7", "model.kernel_size=7,5,3"),
        ("model.kernel_size=2,3,4", "model.kernel_size=range(2,5)"),
        ("model.kernel_size=range(2,5)", "model.kernel_size=4,2,3"),
        ("model.kernel_size=7,5,3", "model.kernel_size=sort(3,7,5)"),
        ("model.dropout=0.1,0.2,0.3", "model.dropout=range(0.1,0.4,0.1)"),
        ("regularizer=none,l1,l2", "regularizer=l2,none,l1"),
        ("model.filters=[4],[4,8],[8]", "model.filters=[8],[4, 8],[4]"),
        ("data.limit=null,100,200", "data.limit=200,null,100"),
    ],
)
def test_the_same_choices_in_another_spelling_go_on(first: str, then: str, run: Run, folder: Path) -> None:
    run("study.trials=2", first)
    run(then)
    (study,) = studies(folder).values()
    assert sorted(configurations(study).values()) == [1, 1, 1]


def test_axes_in_another_order_go_on(run: Run, folder: Path) -> None:
    run("study.trials=2", "model.kernel_size=3,5", "training.batch_size=8,16")
    run("training.batch_size=8,16", "model.kernel_size=3,5")
    (study,) = studies(folder).values()
    assert sorted(configurations(study).values()) == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("smaller", "larger", "adopted", "total"),
    [
        (["model.kernel_size=3,5"], ["model.kernel_size=7,5,3"], 2, 3),
        (["model.kernel_size=range(2,4)"], ["model.kernel_size=range(2,6)"], 2, 4),
        (["regularizer=none,l2"], ["regularizer=none,l1,l2"], 2, 3),
        (
            ["model.kernel_size=3,5", "training.batch_size=8,16"],
            ["model.kernel_size=3,5", "training.batch_size=8,16,32"],
            4,
            6,
        ),
        (["regularizer=none,l2", "study.repeats=2"], ["regularizer=none,l1,l2", "study.repeats=2"], 2, 3),
    ],
)
def test_a_larger_space_adopts_the_trials_of_a_smaller_one(
    smaller: list[str],
    larger: list[str],
    adopted: int,
    total: int,
    run: Run,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run(*smaller)
    (name,) = studies(folder)
    capsys.readouterr()
    run(*larger)
    assert f"note: {adopted} trials of {name} are adopted" in capsys.readouterr().out
    (grown,) = (found for found in studies(folder) if found != name)
    assert list(configurations(studies(folder)[grown]).values()) == [1] * total
    recorded = runs(folder, sweep=grown)
    assert sum(ADOPTED_FROM in run.tags for run in recorded) == adopted
    assert sorted(int(run.tags["trial"]) for run in recorded) == list(range(total))
    assert {run.status for run in recorded} == {"FINISHED"}
    capsys.readouterr()
    run(*larger)
    assert "adopted" not in capsys.readouterr().out
    assert len(runs(folder, sweep=grown)) == total


def test_a_smaller_space_adopts_what_it_contains(run: Run, folder: Path) -> None:
    run("model.kernel_size=3,5,7")
    (name,) = studies(folder)
    run("model.kernel_size=3,7")
    (shrunk,) = (found for found in studies(folder) if found != name)
    assert [trial.params["model.kernel_size"] for trial in studies(folder)[shrunk].trials] == [3, 7]


def test_what_the_larger_sweep_trained_comes_back_to_the_smaller_one(run: Run, folder: Path) -> None:
    run("study.trials=1", "model.kernel_size=3,5")
    (name,) = studies(folder)
    run("model.kernel_size=3,5,7")
    run("model.kernel_size=3,5")
    assert configurations(studies(folder)[name]) == {
        "[('model.kernel_size', 3)]": 1,
        "[('model.kernel_size', 5)]": 1,
    }
    trained = [run for run in runs(folder) if ADOPTED_FROM not in run.tags]
    assert len(trained) == 3


def test_an_adopted_run_has_all_that_the_first_one_recorded(run: Run, folder: Path) -> None:
    run("model.kernel_size=3,5")
    run("model.kernel_size=3,5,7")
    cfg = TrackingConf(uri=f"sqlite:///{folder}/mlruns/mlflow.db")
    copies = [run for run in runs(folder) if ADOPTED_FROM in run.tags]
    first = {run.run_id: run for run in runs(folder)}
    for copy in copies:
        original = first[copy.tags[ADOPTED_FROM]]
        assert copy.metrics == original.metrics
        assert copy.params == original.params
        for metric in copy.metrics:
            ids = [copy.run_id, original.run_id]
            copied, was = histories(cfg, ids, metric).values()
            assert copied == was


def test_a_report_on_both_sweeps_counts_each_training_once(run: Run, folder: Path) -> None:
    run("study.name=sizes", "model.kernel_size=3,5")
    run("study.name=sizes", "model.kernel_size=3,5,7")
    cfg = TrackingConf(uri=f"sqlite:///{folder}/mlruns/mlflow.db")
    report = read_report(cfg, {"study": "sizes"})
    assert sorted(len(group.runs) for group in report.groups) == [1, 1, 1]
    assert set(report.untrained.values()) == {0}


@pytest.mark.parametrize(
    "other",
    [
        ["training.epochs=9", "model.kernel_size=3,5,7"],
        ["objective=[{metric: val_loss, direction: minimize}]", "model.kernel_size=3,5,7"],
        ["model.kernel_size=3,5,7", "study.fresh=true"],
        ["model.kernel_size=3,5", "training.batch_size=8,16"],
    ],
)
def test_other_settings_adopt_nothing(
    other: list[str], run: Run, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("model.kernel_size=3,5")
    capsys.readouterr()
    run(*other)
    assert "adopted" not in capsys.readouterr().out


def test_a_similar_sweep_whose_first_trial_runs_has_nothing_to_adopt(
    run: Run, folder: Path, plan: Callable[..., Plan], capsys: pytest.CaptureFixture[str]
) -> None:
    begun = plan("model.kernel_size=3,5", *INSTANT).open_sweep(fresh=False)
    begun.space.suggest(begun.study.ask())
    run("model.kernel_size=3,5,7")
    assert "adopted" not in capsys.readouterr().out
    assert sorted(map(len, (study.trials for study in studies(folder).values()))) == [1, 3]


def test_adopted_trials_are_not_started_with_again(
    run: Run, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = "study.start_with=[{model.kernel_size:5}]"
    run("model.kernel_size=3,5", first)
    run("model.kernel_size=3,5,7", first)
    assert "is not trained" not in capsys.readouterr().out
    largest = max(studies(folder).values(), key=lambda study: len(study.trials))
    assert [trial.state.name for trial in largest.trials] == ["COMPLETE"] * 3


class Killed(BaseException):
    pass


@pytest.mark.parametrize("calls", range(1, 12))
def test_a_death_while_adopting_neither_loses_nor_doubles(
    calls: int, run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process ends at each write to the study and to MLflow in turn."""
    from kerasweep.tracking.writer import Tracker

    run("model.kernel_size=3,5")
    (name,) = studies(folder)
    left = calls

    def dies(method: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **options: object) -> object:
            nonlocal left
            left -= 1
            if left == 0:
                raise Killed
            return method(*arguments, **options)

        return call

    with monkeypatch.context() as patch:
        patch.setattr(Study, "add_trial", dies(Study.add_trial))
        for method in ("start", "write_values", "finish"):
            patch.setattr(Tracker, method, dies(getattr(Tracker, method)))
        with pytest.raises(Killed):
            run("model.kernel_size=3,5,7")
    run("model.kernel_size=3,5,7")
    (grown,) = (found for found in studies(folder) if found != name)
    assert list(configurations(studies(folder)[grown]).values()) == [1, 1, 1]
    recorded = runs(folder, sweep=grown)
    assert Counter(run.tags["trial"] for run in recorded if run.tags["state"] == "complete") == {
        "0": 1,
        "1": 1,
        "2": 1,
    }
    assert all("objective" in run.metrics for run in recorded)
