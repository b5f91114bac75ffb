"""Tags, ids and expressions select runs; an error names the known values if none matches."""

from collections.abc import Mapping

import pytest

from kerasweep.config.search import TrackingConf
from kerasweep.errors import TrackingError
from kerasweep.report.selection import axes_of, check_axes, explain_nothing, filter_runs, select_runs
from kerasweep.tracking.reader import parents_of
from kerasweep.tracking.writer import Tracker


def sweep(tracker: Tracker, study: str, number: int, axes: str, trials: list[Mapping[str, str]]) -> None:
    """Records a sweep: its parent and its trials."""
    own = {"study": study, "sweep": f"{study}-{number}"}
    tracker.start(own["sweep"], {**own, "kind": "study", "axes": axes}, {})
    for tags in trials:
        tracker.start("trial", {**own, "kind": "trial", **tags}, {})


@pytest.fixture(autouse=True)
def recorded(tracker: Tracker) -> None:
    sizes = [{"kernel_size": "3", "batch_size": "8"}, {"kernel_size": "5", "batch_size": "8"}]
    sweep(tracker, "filter_size", 1, "kernel_size,batch_size", sizes)
    sweep(tracker, "filter_size", 2, "kernel_size,strength", [{"kernel_size": "7"}])
    sweep(tracker, "schedule", 3, "schedule", [{"schedule": "cosine", "dataset": "mnist"}])


def axes(cfg: TrackingConf, **tags: str) -> list[str]:
    runs = select_runs(cfg, tags)
    return axes_of(parents_of(cfg, runs), runs)


def count(cfg: TrackingConf, **tags: str) -> int:
    return len(select_runs(cfg, tags))


def test_study_selects_trials_and_not_its_parents(tracking: TrackingConf) -> None:
    assert count(tracking, study="filter_size") == 3
    assert count(tracking, study="filter_size", kernel_size="3") == 1
    assert count(tracking) == 4


def test_study_may_be_one_sweep(tracking: TrackingConf) -> None:
    assert count(tracking, study="filter_size-1") == 2
    with pytest.raises(TrackingError, match="No run has study=filter_size-1"):
        count(tracking, study="filter_size-1", kernel_size="7")


def test_axes_come_from_the_parents_in_their_order(tracking: TrackingConf) -> None:
    assert axes(tracking, study="filter_size-1") == ["kernel_size", "batch_size"]
    assert sorted(axes(tracking, study="filter_size")) == ["batch_size", "kernel_size", "strength"]


def test_axes_of_single_runs_are_the_tags_that_differ(tracking: TrackingConf, tracker: Tracker) -> None:
    for optimizer in ("adam", "sgd"):
        tracker.start("run", {"kind": "run", "optimizer": optimizer, "model": "cnn"}, {})
    assert axes(tracking, kind="run") == ["optimizer"]
    assert axes(tracking, optimizer="sgd") == ["model"]


def test_a_seed_is_no_axis(tracking: TrackingConf, tracker: Tracker) -> None:
    sweep(tracker, "seeds", 1, "kernel_size,training.seed", [{"kernel_size": "3", "training.seed": "1"}])
    assert axes(tracking, study="seeds") == ["kernel_size"]


def test_seeds_of_a_trial_are_selected_with_it(tracking: TrackingConf, tracker: Tracker) -> None:
    tracker.start("seed", {"study": "schedule", "sweep": "schedule-3", "kind": "repeat", "trial": "0"}, {})
    assert count(tracking, study="schedule") == 2


def test_runs_are_chosen_by_their_ids(tracking: TrackingConf) -> None:
    every = [run.run_id for run in select_runs(tracking, {})]
    chosen = select_runs(tracking, {}, [every[2], every[0][:8], every[2]])
    assert [run.run_id for run in chosen] == [every[2], every[0]]
    with pytest.raises(TrackingError, match="No run 0000000 in the experiment"):
        select_runs(tracking, {}, ["0000000"])
    with pytest.raises(TrackingError, match="No run has study=nope"):
        select_runs(tracking, {"study": "nope"}, every)


def test_runs_are_chosen_by_expressions(tracking: TrackingConf) -> None:
    assert len(filter_runs(select_runs(tracking, {}), ["kernel_size > 3", "batch_size == 8"])) == 1
    with pytest.raises(TrackingError) as raised:
        filter_runs(select_runs(tracking, {}), ["kernel_size > 30"])
    assert str(raised.value) == "None of these runs satisfies where=['kernel_size > 30']. Loosen it."


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ({"study": "depth"}, "No run has study=depth. There is study=filter_size, schedule."),
        ({"dataset": "digits"}, "No run has dataset=digits. There is dataset=mnist."),
        (
            {"datset": "mnist"},
            "No run has the tag datset. The tags are "
            "batch_size, dataset, kernel_size, kind, schedule, study, sweep. Did you mean dataset?",
        ),
        (
            {"dataset": "mnist", "kernel_size": "3"},
            "No run has dataset=mnist, kernel_size=3 together, though each value occurs. Leave one out.",
        ),
    ],
)
def test_error_names_the_known_values(tracking: TrackingConf, tags: Mapping[str, str], said: str) -> None:
    assert str(explain_nothing(tracking, tags)) == said


def test_says_that_a_study_is_being_tuned(tracking: TrackingConf, tracker: Tracker) -> None:
    tracker.start("t", {"study": "sizes", "sweep": "sizes-tuning-1", "kind": "tuning"}, {})
    for name in ("sizes", "sizes-tuning-1"):
        assert str(explain_nothing(tracking, {"study": name})) == (
            f"The nuisance values of {name} are being tuned, and nothing is compared yet. "
            "The command that began the study goes on with it."
        )
    assert "There is study=filter_size" in str(explain_nothing(tracking, {"study": "depth"}))
    parent = tracker.start("p", {"study": "sizes", "sweep": "sizes-tuning-1", "kind": "study"}, {})
    tracker.finish(parent, "complete")
    assert str(explain_nothing(tracking, {"study": "sizes"})) == (
        "No combination of sizes has a complete trial in each of its tunings, so nothing is compared: "
        "the reasons are in the tag `reason` of each run."
    )
    tracker.start("run", {"study": "sizes", "sweep": "sizes-1", "kind": "trial", "dataset": "digits"}, {})
    assert str(explain_nothing(tracking, {"study": "sizes-tuning-1"})) == (
        "sizes-tuning-1 tuned the nuisance values of sizes. Compare study=sizes."
    )
    mistyped = {"study": "sizes", "dataset": "digts"}
    assert (
        str(explain_nothing(tracking, mistyped))
        == "No run has dataset=digts. There is dataset=digits, mnist."
    )


def test_says_that_nothing_is_recorded(tracking: TrackingConf) -> None:
    other = TrackingConf(uri=tracking.uri, experiment="other")
    said = "The experiment other has no runs yet. Make some with python -m src.train -m."
    assert str(explain_nothing(other, {"study": "depth"})) == said


def test_unknown_axis_is_refused(tracking: TrackingConf) -> None:
    runs = select_runs(tracking, {"study": "schedule"})
    check_axes(runs, ["schedule"])
    with pytest.raises(TrackingError) as raised:
        check_axes(runs, ["shedule"])
    assert str(raised.value) == (
        "group_by=shedule: no run has the tag shedule. "
        "The tags are dataset, kind, schedule, study, sweep. Did you mean schedule?"
    )
