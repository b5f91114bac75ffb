"""A short campaign of faults breaks no promise, and the checker notices each promise that is broken."""

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from omegaconf import DictConfig
from optuna.trial import TrialState

from benchmarks.chaos import campaign, page
from benchmarks.chaos.checker import AXIS, Left, breaches, read
from benchmarks.chaos.faults import FAULTS, weights
from benchmarks.chaos.services import RayNodes
from benchmarks.chaos.setups import NETWORK, SETUPS, Setup, make_plan
from benchmarks.race import environment
from kerasweep.data.prepare import load_prepared
from kerasweep.trial.network import build_network
from kerasweep.workers.limits import Limits
from kerasweep.workers.ray_cluster import connect, modules_path
from kerasweep.workers.ray_pool import RayPool
from kerasweep.workers.ray_worker import Share, WorkerConfig

pytestmark = pytest.mark.timeout(900)  # it starts five commands, one after the other
TRIALS = 5
SETUP = Setup("journal", "workers", "database")
SEED = 53  # kills the driver in a training, then moves the folder
REPEATED, REPEATED_TRIALS = 455, 3  # has repeats, and kills the driver in a training


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory, configured: Callable[..., DictConfig]) -> Path:
    """Returns the weights of the network that campaigns train, before any training."""
    file = tmp_path_factory.mktemp("weights") / "untrained.npz"
    cfg = configured(*NETWORK)
    network = build_network(cfg, load_prepared(cfg.data)).model.get_weights()
    np.savez(file, **{f"array_{index}": array for index, array in enumerate(network)})
    return file


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, untrained: Path) -> Path:
    """Runs a campaign, and returns its folder."""
    root = tmp_path_factory.mktemp("campaign")
    result = campaign.run(SETUP, SEED, untrained, TRIALS, steps=2, folder=root)
    assert result.broken == [], [log.read_text() for log in (root / "records").glob("*.log")]
    assert (result.faults, result.starts) == ({"driver killed": 1, "folder moved": 1}, 3)
    return root


@pytest.fixture(scope="module")
def repeated(tmp_path_factory: pytest.TempPathFactory, untrained: Path) -> Path:
    """Runs a campaign whose trials have three repeats, and returns its folder."""
    root = tmp_path_factory.mktemp("repeated")
    result = campaign.run(SETUP, REPEATED, untrained, REPEATED_TRIALS, steps=1, folder=root)
    assert result.broken == [], [log.read_text() for log in (root / "records").glob("*.log")]
    assert (result.faults, result.repeats) == ({"driver killed": 1}, 3)
    return root


def left_in(folder: Path) -> Left:
    (project,) = (folder / "disk").iterdir()
    return read(project, "", "", folder / "records" / "trainings.jsonl")


@pytest.fixture
def left(folder: Path) -> Left:
    return left_in(folder)


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
    WHERE runs.status = 'FINISHED' AND tags.key = 'kind' AND tags.value = '{}' LIMIT 1)"""
TRIAL, REPEAT = RUN.format("trial"), RUN.format("repeat")


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (f"UPDATE runs SET status = 'RUNNING' WHERE run_uuid = {TRIAL}", "1 runs are RUNNING"),
        (f"UPDATE runs SET status = 'KILLED' WHERE run_uuid = {TRIAL}", "has 0 finished runs"),
        (
            f"UPDATE tags SET value = '77' WHERE key = 'trial' AND run_uuid = {TRIAL}",
            "runs of trials [77] are finished, the trials are not complete",
        ),
        (f"DELETE FROM params WHERE run_uuid = {TRIAL}", "its run has the learning rate None"),
        ("DELETE FROM metrics WHERE step = 5 AND key = 'loss'", "the epochs [1, 2, 3, 4] of loss"),
        ("DELETE FROM latest_metrics WHERE key = 'objective'", "its run has the objective None"),
        ("DELETE FROM latest_metrics WHERE key = 'test_accuracy'", "was tested 0 times"),
        ("DELETE FROM inputs", "has 0 models"),
        ("UPDATE tags SET value = '1000' WHERE key = 'trial'", "has 0 finished runs"),
        ("UPDATE tags SET value = 'cancelled' WHERE key = 'state'", "has the state cancelled"),
        ("UPDATE tags SET value = 'other' WHERE key = 'kind'", "the sweep has runs of its own with []"),
    ],
)
def test_databases_that_lost_something_are_noticed(
    statement: str, said: str, folder: Path, tmp_path: Path
) -> None:
    assert said in "; ".join(breaches(changed(folder, statement, tmp_path), TRIALS))


def changed(folder: Path, statement: str, copy: Path) -> Left:
    """Returns what a campaign left, with a copy of its database that a statement changes."""
    (project,) = (folder / "disk").iterdir()
    database = copy / "mlruns" / "mlflow.db"
    database.parent.mkdir()
    database.write_bytes((project / "mlruns" / "mlflow.db").read_bytes())
    for name in ("studies", "artifacts"):
        (copy / "mlruns" / name).symlink_to(project / "mlruns" / name)
    with closing(sqlite3.connect(database)) as connection, connection:
        assert connection.execute(statement).rowcount > 0
    return read(copy, "", "", folder / "records" / "trainings.jsonl")


def test_a_campaign_of_repeats_loses_none(repeated: Path) -> None:
    assert list(breaches(left_in(repeated), REPEATED_TRIALS, repeats=3)) == []


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (f"UPDATE runs SET status = 'KILLED' WHERE run_uuid = {REPEAT}", "it has the finished repeats ["),
        (
            f"UPDATE tags SET value = '77' WHERE key = 'trial' AND run_uuid = {REPEAT}",
            "it has the finished repeats [",
        ),
        (
            f"UPDATE tags SET value = '0' WHERE key = 'mlflow.parentRunId' AND run_uuid = {REPEAT}",
            "its run lies below another one",
        ),
        (f"DELETE FROM params WHERE run_uuid = {REPEAT}", "its run has the learning rate None"),
        (
            f"DELETE FROM metrics WHERE step = 5 AND key = 'loss' AND run_uuid = {REPEAT}",
            "the epochs [1, 2, 3, 4] of loss",
        ),
        (f"UPDATE runs SET end_time = 1 WHERE run_uuid = {REPEAT}", "trained again after its run ended"),
        ("DELETE FROM latest_metrics WHERE key = 'test_accuracy'", "was tested 0 times"),
    ],
)
def test_repeats_that_lost_something_are_noticed(
    statement: str, said: str, repeated: Path, tmp_path: Path
) -> None:
    assert said in "; ".join(breaches(changed(repeated, statement, tmp_path), REPEATED_TRIALS, repeats=3))


@pytest.fixture
def nodes() -> Iterator[RayNodes]:
    """Returns a Ray cluster, whose sockets need a short path."""
    with TemporaryDirectory(prefix="chaos-") as folder:
        nodes = RayNodes(Path(folder) / "ray", environment())
        yield nodes
        nodes.stop()


def test_workers_that_are_left_on_a_cluster_are_noticed(nodes: RayNodes, tmp_path: Path) -> None:
    connect(nodes.address, {})
    prepare = "tests.workers.ray_jobs:prepare"
    pool = RayPool(WorkerConfig(str(tmp_path), {}, modules_path(), prepare, b"", Limits()), Share(1, 0), 1)
    while not pool.free():
        assert pool.next_event(1.0) is None
    commands = [" ".join(process.cmdline()) for process in nodes.workers()]
    assert {"ray::RayWorker" in command for command in commands} == {True, False}
    pool.stop()
    while nodes.workers():
        time.sleep(0.1)


def test_the_same_seed_draws_the_same_campaign() -> None:
    plans = [make_plan(setup, seed, weights(setup, True)) for setup in SETUPS for seed in (1, 2)]
    assert len(set(plans)) == len(plans)
    later = [make_plan(setup, seed, weights(setup, True)) for setup in SETUPS for seed in range(400, 410)]
    assert {plan.repeats for plan in plans} == {1} and {plan.repeats for plan in later} == {1, 3}
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
    mended = {**result, "repeats": 3, "mended": "; mended since"}
    text = page.text_of([json.loads(json.dumps(result)), mended])
    assert "\n1 of these campaigns had `study.repeats=3`.\n" in text
    assert "| all | 2 | 0 | 0 | 6 | 48 | 0 | 0 | 2 |  |" in text
    assert "| driver killed | 6 |" in text and "| disk full | 0 |" in text
    line = "- journal, workers, database, seed 7: trials [3] are open"
    assert f"\n{line}\n{line}; mended since\n" in text
