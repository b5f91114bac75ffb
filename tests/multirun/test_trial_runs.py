"""A job has its folder, checkpoints and pruner; a winner's run receives the parts that it lacks."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mlflow.entities import LoggedModelOutput
from omegaconf import DictConfig, OmegaConf

from kerasweep.config.search import MedianPrunerConf, PrunerConf, TrackingConf, WilcoxonConf
from kerasweep.errors import RefusedError
from kerasweep.multirun.plan import Plan
from kerasweep.multirun.trial_runs import LAST_FIGURE, BatchTrialRuns, WorkerTrialRuns
from kerasweep.multirun.tuning import comparison_plan, tuning_plan
from kerasweep.results import Outcome, TrialRef
from kerasweep.search.ledger import RETRY_OF
from kerasweep.search.remote_report import RemoteReport, never
from kerasweep.search.suggest import Proposal
from kerasweep.sweep.best_repeats import Winner
from kerasweep.sweep.recording import SweepRecord
from kerasweep.tracking.keras_model import MODEL
from kerasweep.tracking.reader import find_runs
from kerasweep.tracking.writer import Tracker, open_tracker

Made = Callable[..., Any]


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plan: Callable[..., Plan]) -> Made:
    """Returns a function that makes the trial runs and configuration of a retried trial."""
    monkeypatch.chdir(tmp_path)

    def build(
        kind: Any, repeats: int, *more: Any, resamples: bool = True, overrides: tuple[str, ...] = ()
    ) -> tuple[Any, Proposal]:
        made = plan("model.kernel_size=3,5", "training.checkpoint.enabled=true", *overrides)
        sweep = replace(made.open_sweep(fresh=True), resamples=resamples)
        study = sweep.study
        study.tell(study.ask(), 0.5)
        trial = study.ask()
        trial.set_user_attr(RETRY_OF, 0)
        proposal = Proposal(trial, made.question.space.suggest(trial))
        trial_runs = kind(made.composer, SimpleNamespace(sweep=sweep), repeats, "work:train", *more)
        return trial_runs, proposal

    return build


@pytest.mark.parametrize(("repeats", "place"), [(1, "0"), (3, "0/seed-2")])
def test_retry_resumes_from_the_checkpoint_of_the_earlier_attempt(
    repeats: int, place: str, made: Made, tmp_path: Path
) -> None:
    trial_runs, proposal = made(WorkerTrialRuns, repeats)
    ref = TrialRef("run", 1, repeat=2 if repeats > 1 else 0)
    _, job = trial_runs.job(proposal, ref, waits=False)
    assert job.ref == replace(ref, defers_model=True)
    state = tmp_path / "mlruns/jobs" / place / "checkpoints/state.npz"
    state.parent.mkdir(parents=True)
    state.touch()
    _, job = trial_runs.job(proposal, ref, waits=False)
    assert job.ref == replace(ref, resume_from=state.parents[1], defers_model=True)
    assert str(job.config.hydra.sweep.subdir) == place.replace("0", "1", 1)


@pytest.mark.parametrize(
    ("pruner", "has_report"),
    [(MedianPrunerConf("median"), [True, False]), (WilcoxonConf("wilcoxon"), [False, False])],
)
def test_pruner_of_a_batch_gets_epochs_of_the_first_seed_unless_it_compares_seeds(
    pruner: Any, has_report: list[bool], made: Made
) -> None:
    cfg: DictConfig = OmegaConf.structured(pruner)
    trial_runs, proposal = made(BatchTrialRuns, 4, cfg)
    jobs = [trial_runs.job(proposal, TrialRef("run", 1, repeat=seed), waits=True)[1] for seed in (0, 1)]
    assert [isinstance(job.report, RemoteReport) for job in jobs] == has_report
    assert [job.report is never for job in jobs] == [not each for each in has_report]


SEEDS = [(0, 3), (1, 4), (2, 5)]


@pytest.mark.parametrize(
    ("resamples", "expected"), [(True, SEEDS), (False, [(seed, None) for seed, _ in SEEDS])]
)
def test_each_repeat_has_its_seed_and_its_split(
    resamples: bool, expected: list[tuple[int, int | None]], made: Made
) -> None:
    trial_runs, proposal = made(WorkerTrialRuns, 3, resamples=resamples, overrides=("data.seed=3",))
    refs = [TrialRef("run", 1, repeat=repeat) for repeat in range(3)]
    jobs = [trial_runs.job(proposal, ref, waits=False)[1] for ref in refs]
    assert [(job.config.training.seed, job.config.data.split_seed) for job in jobs] == expected
    assert {job.config.data.seed for job in jobs} == {3}  # the test set stays
    more = ("data.split_seed=3",) if resamples else ()
    batch, proposal = made(BatchTrialRuns, 3, PrunerConf("none"), resamples=resamples, overrides=more)
    assert [batch.job(proposal, ref, waits=False)[1].overrides[-2:] for ref in refs] == [
        [f"training.seed={seed}", f"data.split_seed={'null' if split is None else split}"]
        for seed, split in expected
    ]


Recorded = Callable[..., tuple[Any, Tracker, str]]


@pytest.fixture(scope="module")
def tracker(tmp_path_factory: pytest.TempPathFactory, copy_database: Callable[[Path], Path]) -> Tracker:
    """Opens one database for all tests, since each other address needs another composition."""
    return open_tracker(TrackingConf(uri=f"sqlite:///{copy_database(tmp_path_factory.mktemp('tracked'))}"))


@pytest.fixture
def recorded(tracker: Tracker, plan: Callable[..., Plan]) -> Recorded:
    """Returns the trial runs of a sweep and a run to record."""

    def build(*overrides: str) -> tuple[Any, Tracker, str]:
        made = plan("model.kernel_size=3,5", f"tracking.uri={tracker.uri}", *overrides)
        record: Any = SimpleNamespace(sweep=made.open_sweep(fresh=True))
        trial_runs = WorkerTrialRuns(made.composer, record, 1, "work:train")
        return trial_runs, tracker, tracker.start("trial", {}, {})

    return build


BOTH = {"model": "record_best_model", "figures": "record_best_figures_and_test"}


@pytest.mark.parametrize(
    ("models", "has", "is_end", "expected"),
    [
        ("best", "", True, BOTH),
        ("best", "", False, {"model": "record_best_model", "figures": "record_best_figures"}),
        ("best", "model", True, {"figures": "record_best_figures_and_test"}),
        ("best", "figures", True, {"model": "record_best_model", "test score": "record_best_test"}),
        ("best", "model figures", True, {"test score": "record_best_test"}),
        ("best", "model figures", False, {}),
        ("best", "model figures test", True, {}),
        ("best", "test", True, {"model": "record_best_model", "figures": "record_best_figures"}),
        ("none", "", True, {"test score": "record_best_test"}),
        ("none", "", False, {}),
    ],
)
def test_winner_gets_the_parts_that_its_run_lacks(
    models: str,
    has: str,
    is_end: bool,
    expected: dict[str, str],
    recorded: Recorded,
    tmp_path: Path,
) -> None:
    trial_runs, tracker, run_id = recorded(f"tracking.models={models}")
    if "model" in has:
        keep_model(tracker, run_id)
    if "figures" in has:
        tracker.log_text(run_id, "drawn", LAST_FIGURE)
    if "test" in has:
        tracker.log_metrics(run_id, {"test_accuracy": 0.5})
    left = tmp_path / "best.npz"
    due = Winner(7, {"model.kernel_size": 5}, 0, Outcome("complete", run_id, (0.5,), weights=str(left)))
    jobs = trial_runs.winner_jobs(due, is_end)
    assert {part: job.target.rpartition(":")[2] for part, (_, job) in jobs.items()} == expected
    for _, job in jobs.values():
        assert (job.ref.run_id, job.ref.number, job.ref.weights) == (run_id, 7, left)
        assert job.config.model.kernel_size == 5


def keep_model(tracker: Tracker, run_id: str) -> None:
    """Records an empty model, since a Keras model takes seconds."""
    logged = tracker.client.create_logged_model(tracker.experiment_id, MODEL, source_run_id=run_id)
    tracker.client.finalize_logged_model(logged.model_id, "READY")
    tracker.client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, 0)])


def test_winner_with_a_deleted_run_is_refused(recorded: Recorded) -> None:
    trial_runs, tracker, run_id = recorded()
    tracker.client.delete_run(run_id)
    with pytest.raises(RefusedError, match="was deleted"):
        trial_runs.winner_jobs(
            Winner(0, {}, 0, Outcome("complete", run_id, (0.5,), weights="best.npz")), True
        )


RATES = (0.1, 0.01, 0.1)


@pytest.mark.parametrize(("kind", "more"), [(WorkerTrialRuns, ()), (BatchTrialRuns, (PrunerConf("none"),))])
def test_each_repeat_has_the_values_of_its_own_tuning(
    kind: Any, more: tuple[Any, ...], plan: Callable[..., Plan], tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    whole = plan(
        *("model.kernel_size=3,5", "study.repeats=3"),
        "study.nuisance={optimizer.learning_rate:'choice(0.01,0.1)'}",
    )
    tuned = [[{"model.kernel_size": 3, "optimizer.learning_rate": rate} for rate in RATES]]
    compared = comparison_plan(whole, tuned)
    sweep = compared.open_sweep(fresh=False)
    record: Any = SimpleNamespace(sweep=sweep, start_repeat=lambda ref, *more: ref)
    trial_runs = kind(compared.composer, record, 3, "work:train", *more)
    proposal = Proposal(sweep.study.ask(), tuned[0][0])
    refs = [
        WorkerTrialRuns.open_repeat(trial_runs, proposal, TrialRef("run", 0), repeat) for repeat in range(3)
    ]
    assert [ref.overrides[1] for ref in refs] == [f"optimizer.learning_rate={rate}" for rate in RATES]
    jobs = [trial_runs.job(proposal, TrialRef("run", 0, repeat=repeat), False)[1] for repeat in range(3)]
    if kind is BatchTrialRuns:
        assert [
            f"optimizer.learning_rate={rate}" in job.overrides for job, rate in zip(jobs, RATES, strict=True)
        ] == [True] * 3
        assert [job.overrides[-2] for job in jobs] == [f"training.seed={repeat}" for repeat in range(3)]
    else:
        found = [(job.config.optimizer.learning_rate, job.config.training.seed) for job in jobs]
        assert found == [(rate, repeat) for repeat, rate in enumerate(RATES)]
        assert "optimizer.learning_rate=0.01" in jobs[1].config.hydra.overrides.task


@pytest.mark.parametrize("seed", [7, 2**32 - 3])
def test_a_tuning_has_the_seed_and_the_split_of_its_arm(
    seed: int, plan: Callable[..., Plan], tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    rates = "study.nuisance={optimizer.learning_rate:'choice(0.01,0.1)'}"
    tuning = tuning_plan(plan("model.kernel_size=3,5", "study.repeats=2", rates, f"training.seed={seed}"))
    assert tuning.arms is not None
    sweep = tuning.open_sweep(fresh=False)
    trial_runs: Any = WorkerTrialRuns(tuning.composer, SimpleNamespace(sweep=sweep), 1, "work:train")
    configs = [
        trial_runs.job(
            Proposal(sweep.study.ask(), {**arm, "optimizer.learning_rate": 0.1}), TrialRef("run", 0), False
        )[1].config
        for arm in tuning.arms.listed[:2]
    ]
    seeds = [config.training.seed for config in configs]
    assert seeds == [arm["training.seed"] for arm in tuning.arms.listed[:2]]
    assert seeds[1] == seeds[0] + 1 < 2**32 and seed not in range(seeds[0], seeds[1] + 1)
    assert configs[1].data.split_seed == configs[0].data.split_seed + 1 > 0


@pytest.fixture
def retried(tracker: Tracker, plan: Callable[..., Plan], folder: Path) -> tuple[Any, Proposal, Proposal]:
    """Returns the trial runs of a sweep of two repeats, a lost trial and its retry."""
    made = plan("model.kernel_size=3,5", f"tracking.uri={tracker.uri}")
    sweep = replace(made.open_sweep(fresh=True), repeats=2, name=folder.name)
    record = SweepRecord.open(tracker, made.base, sweep, "s", made.short_names(), {}, [], {})
    lost, again = (Proposal(sweep.study.ask(), {"model.kernel_size": 3}) for _ in range(2))
    again.trial.set_user_attr(RETRY_OF, lost.trial.number)
    return WorkerTrialRuns(made.composer, record, 2, "work:train"), lost, again


def repeats_below(tracker: Tracker, run_id: str) -> list[tuple[str, str, str | None]]:
    """Returns the id, the trial and the state of each run of a repeat below a trial's run."""
    found = find_runs(TrackingConf(uri=tracker.uri), {"kind": "repeat", "mlflow.parentRunId": run_id})
    return [(run.run_id, run.tags["trial"], run.tags.get("state")) for run in found]


@pytest.mark.parametrize("state", ["complete", None])
def test_an_adopted_repeat_belongs_to_its_new_trial_at_once(
    state: str | None, retried: tuple[Any, Proposal, Proposal], tracker: Tracker
) -> None:
    """The kill comes after the last write, and the run may still be open."""
    trial_runs, lost, again = retried
    outcome = Outcome("complete", trial_runs.open_repeat(lost, trial_runs.open_trial(lost), 0).run_id, (0.5,))
    if state is not None:
        trial_runs.close(outcome)
    ref = trial_runs.open_trial(again)
    assert not trial_runs.adopt_repeat(again, ref, 0, outcome)
    assert repeats_below(tracker, ref.run_id) == [(outcome.run_id, "1", state)]


def test_a_repeat_that_mlflow_has_lost_gets_one_run_in_two_attempts(
    retried: tuple[Any, Proposal, Proposal], tracker: Tracker
) -> None:
    """In the first one MLflow goes away before the new run is closed."""
    trial_runs, _, again = retried
    ref = trial_runs.open_trial(again)
    run_id = trial_runs.open_repeat(again, ref, 0).run_id
    trial_runs.adopt_repeat(again, ref, 0, Outcome("complete", "0" * 32, (0.5,)))
    assert repeats_below(tracker, ref.run_id) == [(run_id, "1", "complete")]


def test_each_job_of_a_batch_has_a_folder_of_its_own(made: Made) -> None:
    """Another launcher numbers the jobs of a batch one by one, so its numbers occur twice with repeats."""
    trial_runs, proposal = made(BatchTrialRuns, 3, OmegaConf.structured(PrunerConf("none")))
    jobs = [
        trial_runs.job(proposal, TrialRef("run", 1, repeat=repeat), waits=False)[1] for repeat in range(3)
    ]
    folders = [[line for line in job.overrides if "subdir" in line] for job in jobs]
    assert folders == [[f"hydra.sweep.subdir='1/seed-{repeat}'"] for repeat in range(3)]
