"""The page of a sweep links its winner, and what was done with it."""

from pathlib import Path

import pytest

from kerasweep.config.search import TrackingConf
from kerasweep.report.afterwards import read_steps
from kerasweep.report.files import write_page
from kerasweep.report.reading import read_report
from kerasweep.results import State
from kerasweep.tracking.links import run_links, version_link
from kerasweep.tracking.writer import Tracker

TESTED = {"objective": 0.9, "test_accuracy": 0.5, "test_images": 10.0}
SCORE = "accuracy 0.5000 (0.2366 to 0.7634) on 10 images"


@pytest.fixture
def winner(tracker: Tracker) -> str:
    """Records a sweep of two trials, and returns the id of the better one."""
    for number, metrics in enumerate([{"objective": 0.1}, TESTED]):
        tags = {"study": "sizes", "sweep": "sizes-1", "kind": "trial", "trial": str(number)}
        run_id = complete(tracker, {**tags, "kernel_size": str(number)}, metrics)
    return run_id


def complete(tracker: Tracker, tags: dict[str, str], metrics: dict[str, float]) -> str:
    run_id = tracker.start("run", {"objective": "val_accuracy maximize", "dataset": "digits", **tags}, {})
    tracker.log_metrics(run_id, metrics)
    tracker.finish(run_id, State.COMPLETE)
    return run_id


def steps(tracking: TrackingConf) -> list[tuple[str, str, str]]:
    return [
        (step.kind, step.name, step.result)
        for step in read_steps(tracking, read_report(tracking, {"study": "sizes"}))
    ]


def test_a_winner_alone(tracker: Tracker, tracking: TrackingConf, winner: str) -> None:
    assert steps(tracking) == [("winner", winner[:8], SCORE)]


def test_a_sweep_without_a_tested_winner_has_no_steps(tracker: Tracker, tracking: TrackingConf) -> None:
    complete(tracker, {"study": "sizes", "kind": "trial"}, {"objective": 0.1})
    assert steps(tracking) == []


def test_what_was_done_is_listed_in_its_order_with_links(
    tracker: Tracker, tracking: TrackingConf, winner: str, tmp_path: Path
) -> None:
    verdict = "equal: 3 epochs, all metrics & weights"
    again = complete(tracker, {"rerun_of": winner, "rerun_verdict": verdict}, {"objective": 0.9})
    variation = {"rerun_of": winner, "rerun_verdict": "a variation (data.limit=null): val_accuracy 1"}
    varied = complete(tracker, variation, TESTED)
    refit = complete(tracker, {"refit_of": winner, "kind": "refit"}, TESTED)
    tracker.log_params(refit, {"training.seed": "3"})
    ensemble = complete(tracker, {"refit_of": winner, "kind": "refit", "ensemble": "a b"}, TESTED)
    failed = complete(tracker, {"refit_of": winner, "kind": "refit"}, TESTED)
    tracker.finish(failed, State.FAILED, "the disk is full")
    tracker.set_tags(refit, {"registered_model": "my digits", "registered_version": "3"})
    tracker.set_tags(refit, {"promotion": "Champion: there was no champion."})
    tracker.set_tags(winner, {"export.onnx": "exports/onnx"})
    assert steps(tracking) == [
        ("winner", winner[:8], SCORE),
        ("exported", "onnx", "exports/onnx"),
        ("run again", again[:8], verdict),
        ("run again", varied[:8], f"a variation (data.limit=null): val_accuracy 1; on the test set: {SCORE}"),
        ("refit, training.seed=3", refit[:8], SCORE),
        ("registered", "my digits, version 3", "Champion: there was no champion."),
        ("ensemble of 2", ensemble[:8], SCORE),
    ]
    page = tmp_path / "page.html"
    write_page(tracking, read_report(tracking, {"study": "sizes"}), page, "command")
    text = page.read_text()
    assert f'<a href="http://127.0.0.1:5000/#/experiments/1/runs/{refit}">{refit[:8]}</a>' in text
    assert '<a href="http://127.0.0.1:5000/#/models/my%20digits/versions/3">my digits, version 3</a>' in text
    assert "all metrics &amp; weights" in text


def test_links_lead_to_a_server(tracking: TrackingConf, tracker: Tracker) -> None:
    assert run_links(tracking)("a1") == "http://127.0.0.1:5000/#/experiments/1/runs/a1"
    server = TrackingConf(uri="http://me:secret@host:5000/")
    assert version_link(server, "a/b", "2") == "http://host:5000/#/models/a%2Fb/versions/2"
