"""A short campaign of faults breaks no promise, and the checker notices each promise that is broken."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import DictConfig
from optuna.trial import TrialState

from benchmarks.chaos import campaign, page
from benchmarks.chaos.checker import AXIS, Left, breaches, read
from benchmarks.chaos.faults import FAULTS, weights
from benchmarks.chaos.setups import NETWORK, SETUPS, Setup, make_plan
from kerasweep.data.prepare import load_prepared
from kerasweep.trial.network import build_network

pytestmark = pytest.mark.timeout(900)  # it starts five commands, one after the other
TRIALS = 5
SETUP = Setup("journal", "workers", "database")
SEED = 53  # kills the driver in a training, then moves the folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, configured: Callable[..., DictConfig]) -> Path:
    """Runs a campaign, and returns its folder."""
    root = tmp_path_factory.mktemp("campaign")
    untrained = tmp_path_factory.mktemp("weights") / "untrained.npz"
    cfg = configured(*NETWORK)
    network = build_network(cfg, load_prepared(cfg.data)).model.get_weights()
    np.savez(untrained, **{f"array_{index}": array for index, array in enumerate(network)})
    result = campaign.run(SETUP, SEED, untrained, TRIALS, steps=2, folder=root)
    assert result.broken == [], [log.read_text() for log in (root / "records").glob("*.log")]
    assert (result.faults, result.starts) == ({"driver killed": 1, "folder moved": 1}, 3)
    return root


@pytest.fixture
def left(folder: Path) -> Left:
    (project,) = (folder / "disk").iterdir()
    return read(project, "", "", folder / "records" / "trainings.jsonl")


def test_a_campaign_of_kills_loses_nothing(left: Left) -> None:
    assert list(breaches(left, TRIALS)) == []
    assert list(breaches(left, TRIALS + 1)) == [f"{TRIALS} trials count, not {TRIALS + 1}"]


def change_trial(left: Left, **changes: Any) -> Left:
    """Returns the same with another last trial."""
    trials = list(left.trials)
    for name, value in changes.items():
        setattr(trials[-1], name, value)
    return replace(left, trials=trials)


def first_rate(left: Left) -> float:
    return next(t for t in left.trials if t.state is TrialState.COMPLETE).params[AXIS]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda left: change_trial(left, state=TrialState.RUNNING), "are open"),
        (lambda left: change_trial(left, params={AXIS: first_rate(left)}), "counts 2 times"),
        (lambda left: change_trial(left, values=[0.5]), "of another configuration"),
        (lambda left: replace(left, trainings=left.trainings[:1]), "was never trained"),
        (
            lambda left: replace(
                left,
                trainings=[*left.trainings, {**left.trainings[0], "time": 2e9, "rate": first_rate(left)}],
            ),
            "trained a configuration that was complete",
        ),
    ],
)
def test_storages_that_lost_something_are_noticed(
    change: Callable[[Left], Left], said: str, left: Left
) -> None:
    assert said in "; ".join(breaches(change(left), TRIALS))


RUN = """(SELECT runs.run_uuid FROM runs JOIN tags USING (run_uuid)
    WHERE runs.status = 'FINISHED' AND tags.key = 'kind' AND tags.value = 'trial' LIMIT 1)"""


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (f"UPDATE runs SET status = 'RUNNING' WHERE run_uuid = {RUN}", "1 runs are RUNNING"),
        (f"UPDATE runs SET status = 'KILLED' WHERE run_uuid = {RUN}", "has 0 finished runs"),
        (
            f"UPDATE tags SET value = '77' WHERE key = 'trial' AND run_uuid = {RUN}",
            "runs of trials [77] are finished, the trials are not complete",
        ),
        (f"DELETE FROM params WHERE run_uuid = {RUN}", "its run has the learning rate None"),
        ("DELETE FROM metrics WHERE step = 5 AND key = 'loss'", "the epochs [1, 2, 3, 4] of loss"),
        ("DELETE FROM latest_metrics WHERE key = 'objective'", "its run has the objective None"),
        ("DELETE FROM latest_metrics WHERE key = 'test_accuracy'", "was not tested"),
        ("DELETE FROM inputs", "has 0 models"),
        ("UPDATE tags SET value = '1000' WHERE key = 'trial'", "has 0 finished runs"),
        ("UPDATE tags SET value = 'cancelled' WHERE key = 'state'", "has the state cancelled"),
        ("UPDATE tags SET value = 'other' WHERE key = 'kind'", "the sweep has runs of its own with []"),
    ],
)
def test_databases_that_lost_something_are_noticed(
    statement: str, said: str, folder: Path, left: Left, tmp_path: Path
) -> None:
    (project,) = (folder / "disk").iterdir()
    copy = tmp_path / "mlruns" / "mlflow.db"
    copy.parent.mkdir()
    copy.write_bytes((project / "mlruns" / "mlflow.db").read_bytes())
    for name in ("studies", "artifacts"):
        (tmp_path / "mlruns" / name).symlink_to(project / "mlruns" / name)
    with closing(sqlite3.connect(copy)) as connection, connection:
        assert connection.execute(statement).rowcount > 0
    changed = read(tmp_path, "", "", folder / "records" / "trainings.jsonl")
    assert said in "; ".join(breaches(changed, TRIALS))


def test_the_same_seed_draws_the_same_campaign() -> None:
    plans = [make_plan(setup, seed, weights(setup, True)) for setup in SETUPS for seed in (1, 2)]
    assert len(set(plans)) == len(plans)
    assert plans == [make_plan(plan.setup, plan.seed, weights(plan.setup, True)) for plan in plans]
    assert {
        step.fault for setup in SETUPS for step in make_plan(setup, 3, weights(setup, True), 1, 500).steps
    } == {*FAULTS}


def test_the_page_names_broken_promises() -> None:
    result = {
        **vars(campaign.Result(SETUP.name, 7, 24, 1)),
        "faults": {"driver killed": 3},
        "broken": ["trials [3] are open"],
    }
    text = page.text_of([json.loads(json.dumps(result)), {**result, "mended": "; mended since"}])
    assert "| all | 2 | 0 | 0 | 6 | 48 | 0 | 0 | 2 |  |" in text
    assert "| driver killed | 6 |" in text and "| disk full | 0 |" in text
    line = "- journal, workers, database, seed 7: trials [3] are open"
    assert f"\n{line}\n{line}; mended since\n" in text
