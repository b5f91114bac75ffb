"""Axes that go together have one effect, and a note says so."""

import itertools
from dataclasses import replace

from kerasweep.report.fairness import caveats
from kerasweep.report.page import render_page
from kerasweep.report.page_figures import effects_of, shares_of
from kerasweep.report.reading import Report
from kerasweep.report.together import together_notes, with_joined_axes
from tests.report.test_page import report, run

AXES = ("kernel_size", "regularizer", "dropout")
ZIP = "kernel_size,regularizer"
NOTE = (
    "kernel_size and regularizer go together (study.zip): a difference may come from any, so the page shows "
    "them as one axis"
)


def zipped(axes: tuple[str, ...] = AXES, zips: str = ZIP) -> Report:
    """Returns three pairs of filter and regularizer, each with two rates of dropout and three seeds."""
    pairs = (("3", "none"), ("3", "l2"), ("5", "l2"))
    runs = [
        run(
            *pair,
            seed,
            0.8 + 0.1 * (pair[0] == "5") + 0.001 * ((seed * 7 + len(dropout)) % 3),
            dropout=dropout,
        )
        for pair, dropout, seed in itertools.product(pairs, ("0", "0.5"), range(3))
    ]
    found = report(runs, axes)
    return replace(
        found, parents=tuple(replace(one, tags={**one.tags, "zip": zips}) for one in found.parents)
    )


def test_a_zip_has_one_effect() -> None:
    effects = {effect.axis: effect for effect in effects_of(with_joined_axes(zipped()))}
    assert set(effects) == {"kernel_size + regularizer", "dropout"}
    joined = effects["kernel_size + regularizer"]
    assert [group.values for group in joined.groups] == [("3, l2",), ("3, none",), ("5, l2",)]
    assert joined.is_balanced


def test_a_zip_has_one_share() -> None:
    shares = shares_of(with_joined_axes(zipped()))
    assert [share.axis for share in shares] == ["kernel_size + regularizer", "dropout"]
    assert not shares_of(zipped())  # apart, the axes are no full grid


def test_axes_that_do_not_go_together_stay() -> None:
    assert with_joined_axes(zipped(zips="")) == zipped(zips="")
    by_filter = zipped(("kernel_size", "dropout"))
    assert with_joined_axes(by_filter) == by_filter
    assert not together_notes(by_filter)


def test_sweeps_that_do_not_all_zip_keep_their_axes() -> None:
    found = zipped()
    other = replace(found.parents[0], tags={"sweep": "s-2"})
    assert not together_notes(replace(found, parents=(*found.parents, other)))


def test_a_note_says_that_axes_go_together() -> None:
    assert together_notes(zipped()) == [NOTE]
    assert NOTE in caveats(zipped())


def test_the_page_shows_one_axis() -> None:
    page = render_page(zipped(), "my study", "python -m src.compare study=s", {}, {}, "val_accuracy")
    assert "kernel_size + regularizer" in page
    assert f"Note: {NOTE}." in page
