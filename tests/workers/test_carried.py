"""A file that an event names comes with it to a driver that does not share the worker's folder."""

from dataclasses import replace
from pathlib import Path

import pytest

from kerasweep.results import Outcome
from kerasweep.tracking.entries import File, Text
from kerasweep.workers.carried import carry, unpack
from kerasweep.workers.pool import Event, JobFailed
from kerasweep.workers.worker import Finished, Recorded


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    """The node's folder, with a file, and the driver's."""
    node, driver = tmp_path / "node", tmp_path / "driver"
    (node / "mlruns/jobs/a/0").mkdir(parents=True)
    (node / "mlruns/jobs/a/0/file").write_text("content")
    driver.mkdir()
    return node, driver


def test_an_artifact_is_carried(places: tuple[Path, Path]) -> None:
    node, driver = places
    carried = carry(Recorded(1, "run", File(node / "mlruns/jobs/a/0/file", "notes")), node)
    assert not (node / "mlruns/jobs/a/0/file").exists()
    place = driver / "mlruns/jobs/a/0/file"
    assert unpack(carried, driver) == Recorded(1, "run", File(place, "notes"))
    assert place.read_text() == "content" and [file.name for file in place.parent.iterdir()] == ["file"]


def test_weights_are_carried(places: tuple[Path, Path]) -> None:
    node, driver = places
    outcome = Outcome("complete", "run", (0.5,), weights=str(node / "mlruns/jobs/a/0/file"))
    event = unpack(carry(Finished(1, outcome), node), driver)
    assert event == Finished(1, replace(outcome, weights=str(driver / "mlruns/jobs/a/0/file")))
    assert (driver / "mlruns/jobs/a/0/file").read_text() == "content"


@pytest.mark.parametrize("name", ["weights.npz", "node/../weights.npz"])
def test_a_file_elsewhere_stays_there(name: str, places: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "weights.npz").write_text("content")
    event = Finished(1, Outcome("complete", "run", (0.5,), weights=str(tmp_path / name)))
    assert carry(event, places[0]) is event
    assert (tmp_path / "weights.npz").read_text() == "content"


@pytest.mark.parametrize(
    "event",
    [
        Recorded(1, "run", Text("text", "a.txt")),
        Recorded(1, "run", File(Path("/absent/file"), "")),
        Finished(1, Outcome("complete", "run", (0.5,))),
        Finished(1, "a user's result"),
        JobFailed(0, 1, "it raised"),
    ],
)
def test_other_events_stay_as_they_are(event: Event, places: tuple[Path, Path]) -> None:
    assert carry(event, places[0]) is event and unpack(event, places[1]) is event
