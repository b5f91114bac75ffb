"""What a driver hands to whoever trains a trial: its job folder, its checkpoints, the ear of its pruner."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf

from src.config.search import MedianPrunerConf, WilcoxonConf
from src.multirun.composer import Composer
from src.multirun.crew import BatchCrew, TrialCrew
from src.multirun.question import Question
from src.outcome import TrialRef
from src.sweep.journal_report import JournalReport, never
from src.sweep.ledger import RETRY_OF
from src.sweep.propose import Proposal
from src.sweep.study import open_study

Made = Callable[..., Any]


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ask: Callable[..., Question]) -> Made:
    """Builds a crew with one trial, a retry of an earlier one, whose configuration it knows."""
    monkeypatch.chdir(tmp_path)

    def build(context: HydraContext, kind: Any, repeats: int, *more: Any) -> tuple[Any, Proposal]:
        question = ask("model.kernel_size=3,5", "training.checkpoint.enabled=true")
        composer = Composer(context, question.master, question.fixed, question.space)
        study = open_study(tmp_path / "s.journal", "s", ["maximize"])
        study.tell(study.ask(), 0.5)
        trial = study.ask()
        trial.set_user_attr(RETRY_OF, 0)
        proposal = Proposal(trial, question.space.suggest(trial))
        sweep = SimpleNamespace(
            study=study, journal=tmp_path / "s.journal", name="s", directions=("maximize",)
        )
        crew = kind(composer, SimpleNamespace(sweep=sweep), repeats, "work:train", *more)
        crew._configs[trial.number] = composer.job_config(proposal.params)
        return crew, proposal

    return build


@pytest.mark.parametrize(("repeats", "place"), [(1, "0"), (3, "0/seed-2")])
def test_retry_goes_on_from_the_checkpoints_of_the_attempt_before(
    repeats: int, place: str, made: Made, context: HydraContext, tmp_path: Path
) -> None:
    crew, proposal = made(context, TrialCrew, repeats)
    ref = TrialRef("run", 1, repeat=2 if repeats > 1 else 0)
    _, job = crew.job(proposal, ref, waits=False)
    assert job.ref == replace(ref, defers_model=True)
    state = tmp_path / "mlruns/jobs" / place / "checkpoints/state.npz"
    state.parent.mkdir(parents=True)
    state.touch()
    _, job = crew.job(proposal, ref, waits=False)
    assert job.ref == replace(ref, resume_from=state.parents[1], defers_model=True)
    assert str(job.config.hydra.sweep.subdir) == place.replace("0", "1", 1)


@pytest.mark.parametrize(
    ("pruner", "is_heard"),
    [(MedianPrunerConf("median"), [True, False]), (WilcoxonConf("wilcoxon"), [False, False])],
)
def test_pruner_of_a_batch_hears_epochs_of_the_first_seed_unless_it_compares_seeds(
    pruner: Any, is_heard: list[bool], made: Made, context: HydraContext
) -> None:
    cfg: DictConfig = OmegaConf.structured(pruner)
    crew, proposal = made(context, BatchCrew, 4, cfg)
    jobs = [crew.job(proposal, TrialRef("run", 1, repeat=seed), waits=True)[1] for seed in (0, 1)]
    assert [isinstance(job.report, JournalReport) for job in jobs] == is_heard
    assert [job.report is never for job in jobs] == [not each for each in is_heard]
