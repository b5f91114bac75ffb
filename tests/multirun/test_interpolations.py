"""Interpolations in values, tags and folders mean in a sweep what they mean in Hydra's own jobs."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hydra.types import HydraContext
from omegaconf import DictConfig

from kerasweep.config.search import TrackingConf
from kerasweep.errors import ConfigError
from kerasweep.multirun.conduct import conduct
from kerasweep.multirun.plan import Plan
from kerasweep.tracking.reader import find_runs

Compose = Callable[[list[str]], DictConfig]
Run = Callable[..., dict[str, dict[str, str]]]
INSTANT = ("trial.target=benchmarks.targets:instant", "hydra/launcher=basic")
DENSE = "model.dense_units=[8]"

pytestmark = pytest.mark.usefixtures("folder")


@pytest.fixture
def run(folder: Path, context: HydraContext, compose: Compose, copy_database: Callable[[Path], Path]) -> Run:
    """Returns a function that runs a sweep, and returns the tags and params of each run by its name."""
    copy_database(folder)

    def run(*arguments: str) -> dict[str, dict[str, str]]:
        given = [*arguments, *INSTANT]
        conduct(context, compose(given), given, {})
        runs = find_runs(TrackingConf(uri=f"sqlite:///{folder}/mlruns/mlflow.db"), {})
        return {run.tags.get("trial", "sweep"): {**run.tags, **run.params} for run in runs}

    return run


def dropouts(runs: dict[str, dict[str, str]]) -> list[str]:
    return [runs[trial]["model.dropout"] for trial in sorted(runs) if trial.isdigit()]


def test_a_value_follows_a_swept_key_in_each_trial(run: Run) -> None:
    runs = run("model.dropout=${model.dense_dropout}", DENSE, "model.dense_dropout=0.1,0.2")
    assert dropouts(runs) == ["0.1", "0.2"]


def test_a_choice_may_be_an_interpolation(run: Run) -> None:
    runs = run("model.dropout='${model.dense_dropout}',0.4", DENSE, "model.dense_dropout=0.1,0.2")
    assert dropouts(runs) == ["0.1", "0.2", "0.4", "0.4"]


@pytest.mark.parametrize(
    "entry", ["'choice(${model.dense_dropout},0.4)'", "['${model.dense_dropout}',0.4]"], ids=["text", "list"]
)
def test_choices_of_a_study_are_resolved_in_each_trial(entry: str, run: Run) -> None:
    space = "+study.space={model.dense_dropout:[0.1,0.2],model.dropout:" + entry + "}"
    assert sorted(dropouts(run(space.removeprefix("+"), DENSE))) == ["0.1", "0.2", "0.4", "0.4"]


def test_a_range_of_a_study_may_name_a_key(run: Run) -> None:
    space = "study.space={model.convs_per_block:'range(1,${model.kernel_size})'}"
    runs = run(space, "sampler=grid")
    assert [runs[trial]["model.convs_per_block"] for trial in ("0", "1")] == ["1", "2"]


def test_tags_are_those_of_the_job(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OWNER", "me")
    runs = run(
        "+tracking.tags.job=${hydra:job.num}",
        "+tracking.tags.net=${hydra:runtime.choices.model}",
        "+tracking.tags.owner=${oc.env:OWNER}",
        "+tracking.tags.size=${model.kernel_size}",
        "model.kernel_size=3,5",
    )
    assert [runs[trial]["job"] for trial in ("0", "1")] == ["0", "1"]
    assert [runs[trial]["size"] for trial in ("0", "1")] == ["3", "5"]
    assert {found["net"] for found in runs.values()} == {"cnn"}
    assert {found["owner"] for found in runs.values()} == {"me"}
    assert "job" not in runs["sweep"]


def test_a_folder_may_name_the_job_and_its_values(plan: Callable[..., Plan]) -> None:
    composer = plan("model.kernel_size=3,5").composer
    composer.master.hydra.sweep.subdir = "k${model.kernel_size}-${hydra:job.num}"
    composer._composed.clear()  # the plan has composed its trials already
    job = composer.numbered_job({"model.kernel_size": 5}, 1)
    assert job.hydra.sweep.subdir == "k5-1"


def test_an_unknown_key_is_named(plan: Callable[..., Plan]) -> None:
    with pytest.raises(
        ConfigError, match="model.dropout cannot be resolved: Interpolation key 'model.dense'"
    ):
        plan("model.dropout=${model.dense}", "model.kernel_size=3,5")
