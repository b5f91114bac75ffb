"""The runs of a sweep agree with its journal after any end of the driver."""

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf
from optuna.trial import TrialState, create_trial

from kerasweep.config.search import TrackingConf
from kerasweep.errors import TrackingError
from kerasweep.results import Outcome, TrialRef
from kerasweep.search.ledger import LOST, RESULT, as_attribute, note_repeat, note_spooled, settle
from kerasweep.search.owner import OWNER, renew_lease, this_owner
from kerasweep.search.stops import Ending
from kerasweep.search.sweep import Sweep
from kerasweep.space.space import Space
from kerasweep.sweep.driver import recover_trials
from kerasweep.sweep.rebuild_runs import rebuild_runs
from kerasweep.sweep.reconcile import DIED_AGAIN, reconcile
from kerasweep.sweep.recording import Opening, SweepRecord
from kerasweep.sweep.replaced_runs import record_again
from kerasweep.tracking.reader import claim_of, get_run, list_artifacts
from kerasweep.tracking.recorded_run import RecordedRun, read_diff
from kerasweep.tracking.run_record import RunRecord
from kerasweep.tracking.source import diff_artifact, diff_digest
from kerasweep.tracking.tags import claim_tag
from kerasweep.tracking.writer import open_tracker

SEEDS = Outcome("complete", "", (0.5,), {"val_accuracy": 0.5}, seconds=2.0, seeds=(0.4, 0.6))


class Recorded:
    """A sweep with its parent run; `start` adds trials with open runs."""

    def __init__(self, sweep: Sweep, cfg: DictConfig) -> None:
        self.sweep = sweep
        self.cfg = cfg
        self.record = SweepRecord.open(open_tracker(cfg.tracking), cfg, sweep, "s", {"a": "a"}, {}, ["a"], {})

    def start(self) -> tuple[Any, str]:
        trial = self.sweep.study.ask()
        params = self.sweep.space.suggest(trial)
        return trial, self.record.start_trial(trial.number, params, self.cfg, {}, []).run_id

    def reconciled(self, run_id: str) -> RunRecord:
        reconcile(self.record)
        return get_run(self.cfg.tracking, run_id)


@pytest.fixture
def recorded(
    tmp_path: Path,
    sweep_of: Callable[..., Sweep],
    configured: Callable[..., DictConfig],
    copy_database: Callable[[Path], Path],
) -> Recorded:
    database = copy_database(tmp_path)
    cfg = OmegaConf.merge(configured(), {"tracking": TrackingConf(uri=f"sqlite:///{database}")})
    return Recorded(replace(sweep_of({"a": "1,2,3"}), repeats=2), cfg)


def test_run_of_a_settled_trial_gets_its_state_and_the_means_of_its_seeds(recorded: Recorded) -> None:
    trial, run_id = recorded.start()
    settle(recorded.sweep.study, trial, replace(SEEDS, run_id=run_id))
    run = recorded.reconciled(run_id)
    assert (run.status, run.tags["state"]) == ("FINISHED", "complete")
    assert run.metrics == {"val_accuracy": 0.5, "objective": 0.5, "seeds": 2.0}


def test_runs_are_named_by_the_values_of_their_axes(recorded: Recorded) -> None:
    _, run_id = recorded.start()
    run = get_run(recorded.cfg.tracking, run_id)
    assert run.name == f"a={run.tags['a']}"
    ref = TrialRef(run_id, 0)
    repeat = recorded.record.start_repeat(ref, 1, {"a": 1e-4 / 3}, recorded.cfg, {}).run_id
    assert get_run(recorded.cfg.tracking, repeat).name == "a=3.333e-05 repeat=1"


def test_best_value_is_recorded_after_each_trial(recorded: Recorded) -> None:
    for trials, value in ((1, 0.5), (2, 0.75), (3, 0.75)):
        recorded.record.note_best(trials, value)
    recorded.record.recorder.flush_all()
    metric = f"best_{recorded.cfg.objective[0].metric}"
    history = recorded.record.tracker.client.get_metric_history(recorded.record.parent, metric)
    assert [(point.step, point.value) for point in history] == [(1, 0.5), (2, 0.75), (3, 0.75)]


def test_each_start_records_the_diff_of_its_code(
    recorded: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trial of the second start is trained again with the second diff."""
    repository = tmp_path / "code"
    repository.mkdir()
    monkeypatch.chdir(repository)
    file = repository / "nets.py"
    file.write_text("width = 1\n")
    for arguments in (
        ["init"],
        ["add", "nets.py"],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-m1"],
    ):
        subprocess.run(["git", *arguments], check=True, capture_output=True)
    cfg = OmegaConf.merge(recorded.cfg, {"tracking": {"experiment": "code"}})
    diffs = []

    def diff_of(run_id: str) -> str:
        run = get_run(cfg.tracking, run_id)
        return read_diff(RecordedRun(cfg.tracking, run, run.tags, "", None, {}))

    for width in (2, 3, 2, 1):
        file.write_text(f"width = {width}\n")
        start = Recorded(recorded.sweep, cfg)
        _, run_id = start.start()
        ref = start.record.start_trial(9, {"a": 1}, cfg, {}, [])
        start.record.tracker.set_tags(run_id, ref.source)
        diffs.append(diff_of(run_id))
    assert [diff[-11:] for diff in diffs] == ["+width = 2\n", "+width = 3\n", "+width = 2\n", ""]
    there = list_artifacts(cfg.tracking, start.record.parent, "")
    second = diff_artifact(diff_digest(diffs[1]))
    assert sorted(path for path in there if path.endswith(".diff")) == [second, "git.diff"]
    start.record.tracker.set_tags(run_id, {"git.dirty": "true", "git.diff": "0123456789ab"})
    with pytest.raises(TrackingError, match="^The diff 0123456789ab of the run .* is not among its art"):
        diff_of(run_id)


def test_a_run_that_is_recorded_again_shows_its_last_epoch(recorded: Recorded) -> None:
    """A claim about val_accuracy is about the last epoch's, not about the objective."""
    _, run_id = recorded.start()
    metrics = {"val_accuracy": 0.4, "trained_epochs": 7.0, "max_val_accuracy": 0.6}
    record_again(recorded.record, run_id, Outcome("complete", "lost", (0.5,), metrics, best_epoch=3), None)
    run = get_run(recorded.cfg.tracking, run_id)
    expected = {**metrics, "objective": 0.5, "best_epoch": 3.0, "seconds": 0.0}
    assert (run.status, run.metrics) == ("FINISHED", expected)
    (point,) = recorded.record.tracker.client.get_metric_history(run_id, "val_accuracy")
    assert (point.step, point.value) == (7, 0.4)


class Reopener:
    """Opens the runs that exist, as `WorkerTrialRuns` does."""

    def open_trial_run(self, number: int, params: Any, opening: Opening) -> TrialRef:
        assert opening.run_id is not None
        return TrialRef(opening.run_id, number)

    def open_repeat_run(self, trial_params: Any, ref: TrialRef, repeat: int, opening: Opening) -> TrialRef:
        raise AssertionError("no repeat has ended")


def test_run_that_its_driver_is_about_to_close_is_not_recorded_again(
    recorded: Recorded, capsys: pytest.CaptureFixture[str]
) -> None:
    """The trial of a driver ends while another one starts, after that has closed the runs of dead ones."""
    trial, run_id = recorded.start()
    recorded.record.recorder.flush(run_id)
    reconcile(recorded.record)
    settle(recorded.sweep.study, trial, replace(SEEDS, run_id=run_id))
    rebuild_runs(recorded.record, Reopener())
    run = get_run(recorded.cfg.tracking, run_id)
    assert (run.status, "mlflow.note.content" in run.tags) == ("RUNNING", False)
    assert "MLflow lacks" not in capsys.readouterr().out
    run = recorded.reconciled(run_id)  # its driver has died
    assert (run.status, run.metrics["objective"], run.metrics["seeds"]) == ("FINISHED", 0.5, 2.0)


def test_run_whose_results_are_kept_elsewhere_stays_open(
    recorded: Recorded, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trial, run_id = recorded.start()
    place = recorded.sweep.storage.place()
    note_spooled(trial, {**place, "id": "other", "host": "pod-a", "folder": "/data/mlruns/studies"})
    settle(recorded.sweep.study, trial, replace(SEEDS, run_id=run_id))
    assert recorded.reconciled(run_id).status == "RUNNING"
    said = capsys.readouterr().out
    assert f"results of trial {trial.number} are kept on pod-a in /data/mlruns/studies: start this" in said


def test_run_of_a_trial_that_another_driver_retries_is_cancelled(recorded: Recorded) -> None:
    """The other driver took this one for dead, and did not see the result that was written meanwhile."""
    trial, run_id = recorded.start()
    trial.set_user_attr(RESULT, as_attribute(replace(SEEDS, run_id=run_id)))
    trial.set_user_attr(LOST, True)
    recorded.sweep.study.tell(trial, state=TrialState.FAIL)
    assert recorded.reconciled(run_id).tags["state"] == "cancelled"


def test_run_whose_results_were_kept_here_is_closed(recorded: Recorded) -> None:
    trial, run_id = recorded.start()
    note_spooled(trial, recorded.sweep.storage.place())
    settle(recorded.sweep.study, trial, replace(SEEDS, run_id=run_id))
    assert recorded.reconciled(run_id).status == "FINISHED"


def test_run_of_a_repeat_gets_its_state(recorded: Recorded) -> None:
    trial, run_id = recorded.start()
    note_repeat(trial, 0, Outcome("complete", run_id, (0.5,)))
    recover_trials(recorded.sweep)
    assert recorded.reconciled(run_id).tags["state"] == "complete"


@pytest.mark.parametrize(
    ("machine", "status"), [({}, "FINISHED"), ({"id": "other", "host": "pod-a"}, "RUNNING")]
)
def test_run_of_an_adopted_repeat_is_closed_where_its_metrics_are_kept(
    machine: dict[str, str], status: str, recorded: Recorded, capsys: pytest.CaptureFixture[str]
) -> None:
    lost, run_id = recorded.start()
    note_spooled(lost, {**recorded.sweep.storage.place(), **machine})
    note_repeat(lost, 0, Outcome("complete", run_id, (0.5,)))
    recover_trials(recorded.sweep)
    again, own = recorded.start()
    recorded.record.adopt_repeat(TrialRef(own, again.number), run_id)
    recorded.record.recorder.flush(run_id)
    settle(recorded.sweep.study, again, replace(SEEDS, run_id=own))
    assert recorded.reconciled(run_id).status == status
    said = f"results of trial {again.number} are kept on pod-a" in capsys.readouterr().out
    assert said == (status == "RUNNING") and get_run(recorded.cfg.tracking, own).status == "FINISHED"


def test_run_of_a_retried_trial_is_cancelled(recorded: Recorded) -> None:
    _, run_id = recorded.start()
    recover_trials(recorded.sweep)
    run = recorded.reconciled(run_id)
    assert (run.status, run.tags["state"]) == ("KILLED", "cancelled")


def test_run_of_a_trial_that_died_for_the_last_time_failed(recorded: Recorded) -> None:
    ids = []
    for _ in range(3):
        ids.append(recorded.start()[1])
        recover_trials(recorded.sweep)
    run = recorded.reconciled(ids[-1])
    assert (run.status, run.tags["state"], run.tags["reason"]) == ("FAILED", "failed", DIED_AGAIN)
    assert get_run(recorded.cfg.tracking, ids[0]).tags["state"] == "cancelled"


def test_run_of_a_running_trial_stays_open(recorded: Recorded) -> None:
    _, run_id = recorded.start()
    assert recorded.reconciled(run_id).status == "RUNNING"


@pytest.mark.parametrize("is_whole", [True, False])
def test_parent_run_of_a_complete_sweep_has_its_number_of_trials(recorded: Recorded, is_whole: bool) -> None:
    """A space may have fewer trials than requested, and a budget may leave some untrained."""
    trial, run_id = recorded.start()
    settle(recorded.sweep.study, trial, replace(SEEDS, run_id=run_id))
    recorded.record.close("complete", Ending("it ended", is_whole))
    parent = get_run(recorded.cfg.tracking, recorded.record.parent)
    assert (parent.tags["reason"], parent.tags["trials"]) == (
        "it ended",
        "1" if is_whole else str(recorded.sweep.total),
    )


@pytest.mark.parametrize("is_alive", [True, False])
def test_a_stopped_driver_leaves_the_run_to_one_that_trains(recorded: Recorded, is_alive: bool) -> None:
    """With many drivers, the sweep would otherwise look stopped whenever one of them is."""
    trial, _ = recorded.start()
    trial.set_user_attr(OWNER, {**this_owner(), "host": "pod-a"})
    if is_alive:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("socket.gethostname", lambda: "pod-a")
            renew_lease(recorded.sweep.study)
    recorded.record.close("cancelled", Ending("the sweep was stopped", is_whole=False))
    status = get_run(recorded.cfg.tracking, recorded.record.parent).status
    assert status == ("RUNNING" if is_alive else "KILLED")


@pytest.mark.parametrize(
    ("entries", "expected"), [({"a": "1,2,3"}, ((0.9,),)), ({"a": "1,2", "training.seed": "0,1"}, ())]
)
def test_every_trial_may_win_where_a_seed_is_an_axis(
    entries: dict[str, str],
    expected: tuple[tuple[float, ...], ...],
    recorded: Recorded,
    space_of: Callable[..., Space],
) -> None:
    """The winner has the best mean over the seeds; its own value may be below that of a luckier loser."""
    sweep = replace(recorded.sweep, space=space_of(entries))
    sweep.study.add_trials([create_trial(value=value) for value in (0.5, 0.9)])
    names = {axis.key: axis.key for axis in sweep.space.axes}
    record = replace(recorded.record, sweep=sweep, short_names=names)
    ref = record.start_trial(7, {"a": 1}, recorded.cfg, {}, [])
    assert ref.incumbents == expected


def test_a_sweep_keeps_the_claim_that_it_began_with(recorded: Recorded) -> None:
    claim = {"text": "so", "comparisons": [{"of": {"a": 1}, "relation": "higher", "than": {"a": 2}}]}
    cfg = OmegaConf.merge(recorded.cfg, {"study": {"claim": claim}})
    assert isinstance(cfg, DictConfig)
    later = Recorded(recorded.sweep, cfg).record
    assert later.parent == recorded.record.parent and later.is_resumed
    assert get_run(cfg.tracking, later.parent).tags["claim"] == claim_tag(recorded.cfg.study.claim)
    (fresh,) = [Recorded(replace(recorded.sweep, name="s-2"), cfg).record]
    assert get_run(cfg.tracking, fresh.parent).tags["claim"] == claim_tag(cfg.study.claim)
    assert claim_tag(claim_of(cfg.tracking, get_run(cfg.tracking, fresh.parent))) == claim_tag(
        cfg.study.claim
    )
