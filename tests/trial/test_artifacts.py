"""A run records example images and a description of its data."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from omegaconf import DictConfig

from kerasweep.data.prepare import Part, Prepared
from kerasweep.data.scaling import Scaling
from kerasweep.tracking.writer import Tracker
from kerasweep.trial.artifacts import record_images


@pytest.mark.parametrize(("count", "shown"), [(300, 25), (9, 9)])
def test_images_are_of_all_classes_though_a_folder_is_read_class_by_class(
    count: int,
    shown: int,
    tracker: Tracker,
    configured: Callable[..., DictConfig],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    labels = np.repeat(np.arange(3), count // 3)
    part = Part(np.zeros((count, 4, 4, 1), np.uint8), labels)
    names = ("five", "three", "eight")
    prepared = Prepared(
        part, part, part, Scaling((1 / 255,), (0.0,)), names, "digest", (4, 4, 1), labels == 0
    )
    drawn = []
    monkeypatch.setattr(tracker, "log_figure", lambda run_id, draw, path: drawn.append((path, draw())))
    record_images(configured(), "run", tracker, prepared)
    ((path, figure),) = drawn
    titles = [text.get_text() for text in figure.axes[0].texts]
    assert path == "figures/dataset.png" and len(titles) == shown
    assert {titles.count(name) for name in names} <= {shown // 3, shown // 3 + 1}


def test_prepared_data_is_described_by_its_parts() -> None:
    def part(count: int) -> Part:
        return Part(np.zeros((count, 8, 6, 3), np.uint8), np.zeros(count, np.int64))

    scaling = Scaling((1 / 255,), (0.0,))
    prepared = Prepared(
        part(1150), part(288), part(1), scaling, ("a", "b"), "digest", (8, 6, 3), np.zeros(288, bool)
    )
    said = "1,150 images to train on, 288 to validate, 1 to test; "
    assert prepared.describe() == f"{said}2 classes (a: 1,439, b: 0), 8×6×3"
    names = tuple("abcde")
    assert replace(prepared, class_names=names).describe() == (
        f"{said}5 classes (a: 1,439, b: 0, c: 0, d: 0, …), 8×6×3"
    )
