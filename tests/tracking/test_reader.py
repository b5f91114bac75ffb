"""Runs, histories and the claims of sweeps are read from MLflow as they were written."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from kerasweep.config.search import TrackingConf
from kerasweep.errors import TrackingError
from kerasweep.report.selection import select_runs
from kerasweep.tracking import reader
from kerasweep.tracking.reader import (
    claim_of,
    download,
    find_runs,
    get_run,
    histories,
    list_artifacts,
    parents_of,
)
from kerasweep.tracking.run_record import RunRecord
from kerasweep.tracking.writer import Tracker, open_tracker


def said(cfg: TrackingConf, run_id: str) -> str:
    with pytest.raises(TrackingError) as raised:
        get_run(cfg, run_id)
    return str(raised.value)


def test_record_holds_what_was_written(tracking: TrackingConf, tracker: Tracker) -> None:
    run_id = tracker.start("trial-0", {"kind": "trial"}, {"model.kernel_size": "3"})
    assert find_runs(tracking, {})[0].seconds is None
    tracker.log_metrics(run_id, {"objective": 0.5})
    tracker.finish(run_id, "complete")
    (run,) = find_runs(tracking, {})
    assert (run.run_id, run.name, run.status) == (run_id, "trial-0", "FINISHED")
    assert (run.tags["kind"], run.params, run.metrics) == (
        "trial",
        {"model.kernel_size": "3"},
        {"objective": 0.5},
    )
    assert run.seconds is not None and 0 <= run.seconds < 60


TAGS: list[dict[str, str]] = [
    {"study": "a"},
    {"normalization.kind": "batch"},
    {"filters": "[16,32]"},
    {"note": "it's"},
    {"note": 'say "x"'},
    {"note": "both ' and \""},
    {"my key": "길이"},
    {"study": "a", "filters": "[16,32]"},
]
Tagged = tuple[TrackingConf, dict[str, dict[str, str]]]


@pytest.fixture(scope="module")
def tagged(copy_database: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory) -> Tagged:
    """Records runs with these tags, with others, and without any; returns the tags by the run's id."""
    tracking = TrackingConf(uri=f"sqlite:///{copy_database(tmp_path_factory.mktemp('tagged'))}")
    tracker = open_tracker(tracking)
    runs = [*TAGS, *(dict.fromkeys(tags, "other") for tags in TAGS), {}]
    return tracking, {tracker.start("run", tags, {}): tags for tags in runs}


@pytest.mark.parametrize("tags", TAGS)
def test_every_tag_finds_only_its_runs(tagged: Tagged, tags: Mapping[str, str]) -> None:
    tracking, made = tagged
    wanted = {run_id for run_id, given in made.items() if tags.items() <= given.items()}
    assert {run.run_id for run in find_runs(tracking, tags)} == wanted


def test_all_pages_are_read(
    tracking: TrackingConf, tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "PAGE", 2)
    made = {tracker.start(f"run-{number}", {}, {}) for number in range(5)}
    found = find_runs(tracking, {})
    assert {run.run_id for run in found} == made and len(found) == 5


def test_experiment_that_does_not_exist_has_no_runs(tracking: TrackingConf, tracker: Tracker) -> None:
    tracker.start("run", {}, {})
    assert find_runs(TrackingConf(uri=tracking.uri, experiment="other"), {}) == []


def test_run_is_found_by_its_id_in_any_experiment(tracking: TrackingConf, tracker: Tracker) -> None:
    run_id = tracker.start("run", {}, {})
    assert get_run(TrackingConf(uri=tracking.uri, experiment="other"), run_id).name == "run"


def test_run_is_found_by_six_digits(tracking: TrackingConf, tracker: Tracker) -> None:
    run_id = tracker.start("run", {}, {})
    tracker.start("other", {}, {})
    assert get_run(tracking, run_id[:6]).run_id == run_id
    assert "at least 6 of its first digits" in said(tracking, run_id[:5])


def test_ambiguous_id_asks_for_more_digits(
    tracking: TrackingConf, tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "MIN_DIGITS", 1)
    made = [tracker.start("run", {}, {}) for _ in range(17)]  # two share their first of 16 digits
    firsts = [run_id[0] for run_id in made]
    digit = max(firsts, key=firsts.count)
    assert said(tracking, digit) == (
        f"{digit} begins the ids of {firsts.count(digit)} runs. Give more digits of the one."
    )


@pytest.mark.parametrize("run_id", ["0" * 32, "0000000", "x'y", "%", "zzzzzzzz"])
def test_unknown_id_says_where_ids_are(tagged: Tagged, run_id: str) -> None:
    tracking, _ = tagged
    assert said(tracking, run_id) == (
        f"No run {run_id} in the experiment kerasweep of {tracking.uri}. Give an id, or at least 6 of its "
        "first digits: they are in the MLflow UI, and in the table and CSV of python -m src.compare."
    )


def test_deleted_run_says_how_to_restore_it(tracking: TrackingConf, tracker: Tracker) -> None:
    run_id = tracker.start("run", {}, {})
    tracker.client.delete_run(run_id)
    assert said(tracking, run_id) == (
        f"The run {run_id} was deleted. Restore it with: "
        f"MLFLOW_TRACKING_URI='{tracking.uri}' mlflow runs restore --run-id {run_id}"
    )


def test_artifacts_are_listed_and_downloaded(
    tracking: TrackingConf, tracker: Tracker, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run_id = tracker.start("run", {}, {})
    tracker.log_text(run_id, "[]", "model/classes.json")
    assert list_artifacts(tracking, run_id, "model") == ["model/classes.json"]
    assert list_artifacts(tracking, run_id, "figures") == []
    (tmp_path / "into").mkdir()
    assert download(tracking, run_id, "model/classes.json", tmp_path / "into").read_text() == "[]"
    with pytest.raises(TrackingError, match="says: .*absent.txt"):
        download(tracking, run_id, "model/absent.txt", tmp_path / "into")
    assert capfd.readouterr().err == ""


def test_values_are_in_the_order_of_their_epochs(tracking: TrackingConf, tracker: Tracker) -> None:
    run_id, other = tracker.start("run", {}, {}), tracker.start("other", {}, {})
    for epoch, accuracy in ((2, 0.6), (1, 0.5), (10, 0.9), (3, 0.7)):
        tracker.log_epoch(run_id, epoch, {"val_accuracy": accuracy, "loss": 1.0})
    assert histories(tracking, [run_id, other], "val_accuracy") == {run_id: [0.5, 0.6, 0.7, 0.9], other: []}
    assert histories(tracking, [], "val_accuracy") == {}


def test_an_epoch_trained_again_has_its_latest_value(tracking: TrackingConf, tracker: Tracker) -> None:
    run_id = tracker.start("run", {}, {})
    for moment, accuracy in ((1000, 0.6), (3000, 0.5), (2000, 0.7)):
        tracker.client.log_metric(run_id, "val_accuracy", accuracy, timestamp=moment, step=1)
    assert histories(tracking, [run_id], "val_accuracy") == {run_id: [0.5]}


CLAIM = """
study:
  claim:
    text: Large filters are better.
    comparisons:
      - {of: {model.kernel_size: 5}, relation: higher, than: {model.kernel_size: 3}}
"""


def parent(tracking: TrackingConf, tracker: Tracker, config: str | None) -> RunRecord:
    """Records a sweep with one trial and this configuration; returns its parent run."""
    own = {"study": "filter_size", "sweep": "filter_size-1"}
    run_id = tracker.start("filter_size-1", {**own, "kind": "study", "axes": "kernel_size"}, {})
    tracker.start("other-1", {"sweep": "other-1", "kind": "study"}, {})
    tracker.start("trial", {**own, "kind": "trial"}, {})
    if config is not None:
        tracker.log_text(run_id, config, "config.yaml")
    (found,) = parents_of(tracking, select_runs(tracking, {"study": "filter_size"}))
    assert found.run_id == run_id
    return found


def test_claim_is_read_with_its_defaults(tracking: TrackingConf, tracker: Tracker) -> None:
    claim = claim_of(tracking, parent(tracking, tracker, CLAIM))
    assert claim is not None and claim.text == "Large filters are better."
    (comparison,) = claim.comparisons
    assert dict(comparison.of) == {"model.kernel_size": 5}
    assert (comparison.relation, comparison.measure, comparison.margin) == ("higher", "objective", 0.0)


def test_a_sweep_without_a_claim_has_none(tracking: TrackingConf, tracker: Tracker) -> None:
    assert (
        claim_of(tracking, parent(tracking, tracker, OmegaConf.to_yaml({"study": {"claim": None}}))) is None
    )


@pytest.mark.parametrize(
    "config",
    [None, "[[[", "study: {claim: so}", "study: {claim: {text: so, proofs: []}}"],
    ids=["gone", "damaged", "a text", "of another version"],
)
def test_a_claim_that_cannot_be_read_is_an_error(
    tracking: TrackingConf, tracker: Tracker, config: str | None
) -> None:
    with pytest.raises(TrackingError):
        claim_of(tracking, parent(tracking, tracker, config))


def test_single_runs_have_no_parent(tracking: TrackingConf, tracker: Tracker) -> None:
    tracker.start("run", {"kind": "run"}, {})
    assert parents_of(tracking, select_runs(tracking, {"kind": "run"})) == []
