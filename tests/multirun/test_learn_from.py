"""study.learn_from shows the sampler the trials of other sweeps, which are no trials of its own."""

from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import DictConfig
from optuna.study import Study

from kerasweep.config.search import TrackingConf
from kerasweep.errors import ConfigError
from kerasweep.multirun.learn_from import with_learned_trials
from kerasweep.multirun.plan import Plan
from kerasweep.search.journal import open_study
from kerasweep.tracking.reader import find_runs

Compose = Callable[[list[str]], DictConfig]
Run = Callable[..., float | None]
INSTANT = ("trial.target=benchmarks.targets:instant", "hydra/launcher=basic")
RATE = "optimizer.learning_rate=tag(log,interval(1e-4,1.0))"
TPE = ("sampler=tpe", "study.trials=2")

# The arguments of a sweep, and why it is refused.
REFUSALS = [
    (
        ("model.kernel_size=3,5", "study.learn_from=[{other}x]"),
        "study.learn_from names {other}x, which is no sweep of {folder}/mlruns/studies. "
        "Did you mean {other}?",
    ),
    (
        (RATE, "objective=[{{metric:val_f1_macro,direction:maximize}}]", "study.learn_from=[{other}]"),
        "study.learn_from names {other}, whose objective is val_accuracy maximize, but this sweep's is "
        "val_f1_macro maximize. Name sweeps with the same objective.",
    ),
    (
        (RATE, "objective=[{{metric:val_loss,direction:minimize}}]", "study.learn_from=[{other}]"),
        "study.learn_from names {other}, whose objective is maximize, but this sweep's is "
        "val_loss minimize. Name sweeps with the same objective.",
    ),
    (
        ("model.dropout=0,0.1", "study.learn_from=[{other}]"),
        "study.learn_from names {other}, which has no axis of this sweep: its axes are "
        "model.kernel_size, optimizer.learning_rate, but here they are model.dropout. Name a sweep with "
        "one of these.",
    ),
    (
        ("model.kernel_size=7,9", "study.learn_from=[{other}]"),
        "study.learn_from names {other}, but all its 12 trials lie outside this space: here "
        "model.kernel_size is 7, 9. Widen an axis, or leave it out.",
    ),
    (
        (
            *("sampler=custom", "sampler.target=optuna.samplers:TPESampler", RATE, "model.dropout=0,0.1"),
            "study.learn_from=[{other}]",
        ),
        "study.learn_from names {other}, which lacks the axis model.dropout, but sampler=custom learns "
        "only from trials with values of all axes that it searches. Use sampler=tpe, or leave it out.",
    ),
    (
        (
            *("study.nuisance={{training.batch_size:[8,16]}}", "model.kernel_size=3,5"),
            "study.learn_from=[{other}]",
        ),
        "study.learn_from shows a sampler the trials of other sweeps, but study.nuisance tunes each "
        "combination by its own trials alone. Leave one of them out.",
    ),
    (
        ("study.name=first", RATE, "model.kernel_size=3,5", "study.learn_from=[{other}]"),
        "study.learn_from names {other}, which is this sweep: its sampler sees its trials anyway. "
        "Leave it out, or name another one.",
    ),
]

pytestmark = pytest.mark.usefixtures("folder")


@pytest.fixture
def other(run: Run, folder: Path) -> str:
    """Returns the name of a sweep of twelve random trials over the rate and the kernel size."""
    run("study.name=first", RATE, "model.kernel_size=3,5", "sampler=random", "study.trials=12")
    return name_of(folder, "first")


def name_of(folder: Path, study: str) -> str:
    (journal,) = (folder / "mlruns/studies").glob(f"{study}-*.journal")
    return journal.stem


def study_of(folder: Path, study: str) -> Study:
    name = name_of(folder, study)
    return open_study(folder / "mlruns/studies" / f"{name}.journal", name, ["maximize"])


def test_a_sweep_learns_and_keeps_its_own_trials_apart(
    run: Run, other: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same command with a larger total goes on: what defines the sweep is the same, its trials, too."""
    narrow = (
        "study.name=second",
        "optimizer.learning_rate=tag(log,interval(1e-3,1e-1))",
        "model.dropout=0,0.1",
    )
    rates = [trial.params["optimizer.learning_rate"] for trial in study_of(folder, "first").trials]
    inside = sum(1e-3 <= rate <= 1e-1 for rate in rates)
    note = f"note: the sampler learns from {inside} trials of {other}, too; {12 - inside} others lie outside"
    for total in (2, 3):
        capsys.readouterr()
        run(*narrow, "sampler=tpe", f"study.trials={total}", f"study.learn_from=[{other}]")
        printed = capsys.readouterr().out
        assert f"{note} this space\n" in printed and f"[{total}/{total}] trial {total - 1}:" in printed
        assert [trial.number for trial in study_of(folder, "second").trials] == list(range(total))
    run(*narrow, "sampler=tpe", "study.trials=3")
    name = name_of(folder, "second")
    tracking = TrackingConf(uri=f"sqlite:///{folder}/mlruns/mlflow.db")
    assert len(find_runs(tracking, {"sweep": name, "kind": "trial"})) == 3


def test_a_study_means_its_only_sweep(run: Run, other: str, capsys: pytest.CaptureFixture[str]) -> None:
    learning = ("study.name=second", RATE, *TPE, "study.learn_from=[first]")
    run(*learning)
    assert f"note: the sampler learns from 12 trials of {other}, too\n" in capsys.readouterr().out
    run(*learning[:-1], "study.trials=3", "study.learn_from=first")  # brackets may be left out
    assert f"note: the sampler learns from 12 trials of {other}, too\n" in capsys.readouterr().out
    run("study.name=first", "model.kernel_size=3,5,7", "sampler=random", "study.trials=1")
    with pytest.raises(ConfigError) as refused:
        run(*learning)
    message = str(refused.value)
    assert message.startswith("study.learn_from names first, a study with 2 sweeps: first-")
    assert other in message and message.endswith("Name one.")


def test_cmaes_needs_ten_complete_trials(run: Run, folder: Path) -> None:
    axes, wider = (RATE, "model.dropout=interval(0.0,0.5)"), (RATE, "model.dropout=interval(0.0,0.6)")
    run("study.name=first", *axes, "sampler=random", "study.trials=9")
    learning = ("study.name=second", *wider, "sampler=cmaes", "study.trials=12")
    other = f"study.learn_from=[{name_of(folder, 'first')}]"
    with pytest.raises(ConfigError) as refused:
        run(*learning, other)
    assert str(refused.value) == (
        "sampler=cmaes learns from the best tenth of at least 10 complete trials, but study.learn_from has "
        "9. Use sampler=tpe, or name a larger sweep."
    )
    run("study.name=first", *axes, "sampler=random", "study.trials=10")
    run(*learning, other)
    assert len(study_of(folder, "second").trials) == 12


def test_a_sweep_to_learn_nothing_from_is_refused(run: Run, other: str, folder: Path) -> None:
    for arguments, message in REFUSALS:
        with pytest.raises(ConfigError) as refused:
            run(*TPE, *(text.format(other=other) for text in arguments))
        assert str(refused.value) == message.format(other=other, folder=folder)
        assert [path.stem for path in (folder / "mlruns/studies").glob("*.journal")] == [other]


def test_a_sweep_without_an_ended_trial_is_refused(run: Run, folder: Path, plan: Callable[..., Plan]) -> None:
    plan("study.name=first", RATE, "sampler=random").open_sweep(fresh=False)
    name = name_of(folder, "first")
    with pytest.raises(ConfigError) as refused:
        run(*TPE, "study.name=second", RATE, f"study.learn_from=[{name}]")
    assert str(refused.value) == (
        f"study.learn_from names {name}, but none of its trials is complete. Wait for its first one, or "
        "leave it out."
    )


def test_a_next_generation_may_learn_from_the_one_before(run: Run, other: str, folder: Path) -> None:
    run(
        *("study.name=first", RATE, "model.kernel_size=3,5", *TPE),
        *("study.fresh=true", f"study.learn_from=[{other}]"),
    )
    again = folder / "mlruns/studies" / f"{other}-2.journal"
    assert len(open_study(again, f"{other}-2", ["maximize"]).trials) == 2


def test_an_adopted_trial_is_seen_once(run: Run, folder: Path, plan: Callable[..., Plan]) -> None:
    """The longer list adopts the trials of the shorter one, which its sampler then sees as its own."""
    run("study.name=sizes", "model.kernel_size=3,5")
    short = name_of(folder, "sizes")
    longer = ("study.name=sizes", "model.kernel_size=3,5,7", *INSTANT, f"study.learn_from=[{short}]")
    made = plan(*longer, "sampler=tpe", "study.trials=3")
    sweep = made.open_sweep(fresh=False)
    assert len(with_learned_trials(made, sweep).learned) == 2
    run("study.name=sizes", "model.kernel_size=3,5,7")
    (grown,) = {path.stem for path in (folder / "mlruns/studies").glob("*.journal")} - {short}
    sweep = made.open_sweep(fresh=False)
    assert sweep.name == grown and with_learned_trials(made, sweep).learned == ()
    third = plan("study.name=third", *longer[1:3], f"study.learn_from=[{short},{grown}]", "sampler=tpe")
    learned = with_learned_trials(third, third.open_sweep(fresh=False)).learned
    assert [trial.params["model.kernel_size"] for trial in learned] == [3, 5, 7]
