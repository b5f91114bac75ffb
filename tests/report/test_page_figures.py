"""Draws the figures of the page."""

import random
from dataclasses import replace

import pytest

from kerasweep.report import figures, page_figures
from kerasweep.report.effects import VarianceShare
from tests.report.test_page import grid, page, report, run


def test_the_scale_of_the_effects_holds_every_single_run(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[float, float]] = []

    def effect_figure(effect: object, measure: str, limits: tuple[float, float]) -> str:
        drawn.append(limits)
        return "figure"

    monkeypatch.setattr(figures, "effect_figure", effect_figure)
    monkeypatch.setattr(figures, "data_uri", str)
    values = {("3", "none"): 0.3, ("3", "l2"): 0.4, ("5", "none"): 0.4, ("5", "l2"): 0.7}
    runs = [run(kernel, regularizer, 0, value) for (kernel, regularizer), value in values.items()]
    effects = page_figures.effects_of(report(runs))
    page_figures.draw_effects(effects, [], "val_accuracy")
    assert len(drawn) == 2 and all(low < 0.3 and high > 0.7 for low, high in drawn)


def test_axes_without_a_share_have_no_bars_but_a_sentence() -> None:
    assert page_figures.draw_importance([VarianceShare("kernel_size", None, 0.7)], None) is None
    generator = random.Random(0)
    noise = [
        replace(each, metrics={**each.metrics, "objective": 0.8 + 0.1 * generator.random()})
        for each in grid()
    ]
    assert "<p>No axis differs beyond noise.</p>" in page(noise)
    assert "No axis differs beyond noise." not in page(grid())
