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
from kerasweep.results import Outcome, TrialRef
from kerasweep.search.journal_report import JournalReport, never
from kerasweep.search.ledger import RETRY_OF
from kerasweep.search.propose import Proposal
from kerasweep.search.study import open_study
from kerasweep.sweep.best_repeats import Winner
from kerasweep.tracking.keras_model import MODEL
from kerasweep.tracking.writer import Tracker, open_tracker

Made = Callable[..., Any]


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plan: Callable[..., Plan]) -> Made:
    """Returns a function that makes the trial runs and configuration of a retried trial."""
    monkeypatch.chdir(tmp_path)

    def build(kind: Any, repeats: int, *more: Any, resamples: bool = True) -> tuple[Any, Proposal]:
        made = plan("model.kernel_size=3,5", "training.checkpoint.enabled=true")
        composer = made.composer
        study = open_study(tmp_path / "s.journal", "s", ["maximize"])
        study.tell(study.ask(), 0.5)
        trial = study.ask()
        trial.set_user_attr(RETRY_OF, 0)
        proposal = Proposal(trial, made.question.space.suggest(trial))
        sweep = SimpleNamespace(
            study=study,
            journal=tmp_path / "s.journal",
            name="s",
            directions=("maximize",),
            resamples=resamples,
            arms=None,
            data_digest=None,
        )
        trial_runs = kind(composer, SimpleNamespace(sweep=sweep), repeats, "work:train", *more)
        trial_runs._configs[trial.number] = composer.job_config(proposal.params)
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
    assert [isinstance(job.report, JournalReport) for job in jobs] == has_report
    assert [job.report is never for job in jobs] == [not each for each in has_report]


SEEDS = [(0, 3), (1, 4), (2, 5)]


@pytest.mark.parametrize(
    ("resamples", "expected"), [(True, SEEDS), (False, [(seed, None) for seed, _ in SEEDS])]
)
def test_each_repeat_has_its_seed_and_its_split(
    resamples: bool, expected: list[tuple[int, int | None]], made: Made
) -> None:
    trial_runs, proposal = made(WorkerTrialRuns, 3, resamples=resamples)
    trial_runs._configs[proposal.trial.number].data.seed = 3
    refs = [TrialRef("run", 1, repeat=repeat) for repeat in range(3)]
    jobs = [trial_runs.job(proposal, ref, waits=False)[1] for ref in refs]
    assert [(job.config.training.seed, job.config.data.split_seed) for job in jobs] == expected
    assert {job.config.data.seed for job in jobs} == {3}  # the test set stays
    batch, proposal = made(BatchTrialRuns, 3, PrunerConf("none"), resamples=resamples)
    batch._configs[proposal.trial.number].data.split_seed = 3 if resamples else None
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
        composer = plan("model.kernel_size=3,5", f"tracking.uri={tracker.uri}", *overrides).composer
        record: Any = SimpleNamespace(sweep=SimpleNamespace(arms=None, data_digest=None))
        return WorkerTrialRuns(composer, record, 1, "work:train"), tracker, tracker.start("trial", {}, {})

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
