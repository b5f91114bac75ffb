"""The page has verdict, ranking and figures, needs no network, and escapes texts."""

import base64
import itertools
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
from omegaconf import OmegaConf

from kerasweep.config.search import ClaimConf
from kerasweep.report.claims import judge
from kerasweep.report.groups import group_runs
from kerasweep.report.page import render_page
from kerasweep.report.reading import Judged, Report
from kerasweep.report.repetition import Repetition
from kerasweep.report.standings import standings, training_seconds
from kerasweep.report.tables import MAX_ROWS
from kerasweep.report.unfinished_runs import MAX_OTHERS
from kerasweep.report.verdicts import observations
from kerasweep.tracking.run_record import RunRecord

AXES = ("kernel_size", "regularizer")
CLAIM = {
    "text": "Large filters are better.",
    "comparisons": [{"of": {"model.kernel_size": 5}, "relation": "higher", "than": {"model.kernel_size": 3}}],
}


def run(kernel_size: str, regularizer: str, seed: int, objective: float, **tags: str) -> RunRecord:
    own = {"state": "complete", "dataset": "digits", "objective": "val_accuracy maximize", "kind": "repeat"}
    own |= {"kernel_size": kernel_size, "regularizer": regularizer, "sweep": "s-1", **tags}
    params = {"training.seed": str(seed), "training.epochs": "5"}
    metrics = {"objective": objective, "seconds": 90.0, "parameters": 1000.0}
    run_id = f"{kernel_size}{regularizer}{seed}".ljust(32, "0")
    return RunRecord(run_id, f"seed-{seed}", "FINISHED", own, params, metrics, 0.0, 1.0)


def grid() -> list[RunRecord]:
    """Returns runs in which kernel 5 beats 3 by 0.1 and l2 equals no regularizer."""
    return [
        run(k, r, seed, 0.8 + 0.1 * (k == "5") + 0.01 * seed + 0.001 * ((seed + len(r)) % 3))
        for k, r, seed in itertools.product(("3", "5"), ("none", "l2"), range(3))
    ]


PARENT = replace(
    run("3", "none", 0, 0.0),
    tags={
        "sweep": "s-1",
        "mlflow.note.content": "Are large filters better?",
        "command": "python -m src.train -m study=s",
        "versions": "keras 3.15.1",
        "mlflow.source.git.commit": "0123456789abcdef",
        "git.dirty": "true",
    },
)


def report(runs: list[RunRecord], axes: tuple[str, ...] = AXES) -> Report:
    groups = group_runs(runs, axes)
    claim: Any = OmegaConf.merge(OmegaConf.structured(ClaimConf), CLAIM)
    verdict = judge(claim, observations(claim, runs, axes, Repetition()))
    found = standings(groups, axes)
    return Report(
        tuple(runs),
        axes,
        axes,
        tuple(groups),
        tuple(found),
        (Judged("s-1", claim, verdict),),
        (PARENT,),
        True,
        seconds=training_seconds(runs),
    )


def page(runs: list[RunRecord], curves: dict[str, list[list[float]]] | None = None) -> str:
    return render_page(
        report(runs), "my study", "python -m src.compare study=s", curves or {}, {}, "val_accuracy"
    )


@pytest.fixture(scope="module")
def grid_page() -> str:
    """Returns the page of the grid."""
    return page(grid())


class Reader(HTMLParser):
    """Collects the addresses that a browser loads, the tags, and the texts in their order."""

    def __init__(self) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.tags: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href", "data", "srcset")]

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append(data.strip())


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    return reader


def test_each_configuration_is_a_line_that_a_reader_can_brush(grid_page: str) -> None:
    lines = re.findall(r'<polyline points="([^"]*)"', grid_page)
    axes = re.findall(r'<g data-x="([^"]*)">', grid_page)
    assert len(lines) == len(report(grid()).groups) and len(axes) == len(report(grid()).axes) + 1
    assert all([point.partition(",")[0] for point in line.split()] == axes for line in lines)
    assert grid_page.count('class="hold"') == len(axes)
    assert f'<span id="kept">All {len(lines)} lines are shown.' in grid_page


def test_page_loads_nothing() -> None:
    reader = read(page(grid(), {"kernel_size=5": [[0.5, 0.6], [0.4, 0.7]]}))
    assert len(reader.sources) == 6  # ranking, two axes, their interaction, curves, cost
    assert all(source.startswith("data:image/svg+xml;base64,") for source in reader.sources)
    for source in reader.sources:
        svg = base64.b64decode(source.partition(",")[2]).decode()
        assert "</svg>" in svg and not re.search(r'href="(?!#)', svg.replace("xlink:href", "href"))
    assert not {"link", "iframe", "object"} & set(reader.tags)
    assert reader.tags.count("script") == 1  # the page's own, which copies commands


def test_answer_names_the_winner_and_its_commands() -> None:
    tested = [
        replace(each, metrics={**each.metrics, "test_accuracy": 0.9, "test_images": 100.0}) for each in grid()
    ]
    whole = report(tested)
    command = "python -m src.compare study=s tracking.experiment=mine"
    text = render_page(replace(whole, candidates=whole.groups), "s", command, {}, {}, "val_accuracy")
    texts = read(text).texts
    heading = next(each for each in texts if each.startswith("The winner: kernel_size="))
    place = texts.index(heading)
    assert place < texts.index("Ranking")
    assert "; on the test set: accuracy 0.9000 (0.8256 to 0.9448) on 100 images" in texts[place + 1]
    assert "other tested configuration" in texts[place + 2]
    assert re.search(r"<pre>python -m src.refit run_id=\w+ tracking.experiment=mine</pre><button", text)
    assert texts.count(texts[place + 1]) == 1


def two_objectives() -> list[RunRecord]:
    """Returns runs of four configurations, of which one is larger and no better than another."""
    values = {"3": (0.9, 100.0), "5": (0.95, 200.0), "7": (0.95, 300.0), "9": (0.8, 150.0)}
    made = []
    for kernel, (accuracy, size) in values.items():
        one = run(kernel, "none", 0, accuracy)
        tags = {**one.tags, "objective": "val_accuracy maximize, parameters minimize"}
        made.append(replace(one, tags=tags, metrics={**one.metrics, "objective_2": size, "parameters": size}))
    return made


def test_pareto_front_of_two_objectives_is_drawn_and_marked() -> None:
    text = page(two_objectives())
    reader = read(text)
    assert "Pareto front" in reader.texts
    shown = re.findall(
        r"<td>(\d)</td><td>none</td><td class=\"n\">[\d.]+</td><td class=\"n\">(yes|)</td>", text
    )
    assert dict(shown) == {"3": "yes", "5": "yes", "7": "", "9": ""}
    blue = "Blue: the 2 configurations that no other one beats in all of val_accuracy, parameters."
    assert any(blue in each for each in reader.texts)
    assert "Pareto front" not in read(page(grid())).texts


def test_verdict_comes_first_then_the_ranking(grid_page: str) -> None:
    texts = read(grid_page).texts
    places = [
        texts.index(text) for text in ("supported", "Ranking", "Each axis", "Interactions", "Reproduce it")
    ]
    assert places == sorted(places)
    assert "Are large filters better?" in texts[: places[1]]
    assert "significantly worse than the best (Holm, 5 %): 2 of 3 others" in texts


def test_configurations_not_significantly_worse_are_marked(grid_page: str) -> None:
    rows = re.findall(r"<tr( class=\"equal\")?><td>(\d)</td><td>(\w+)</td><td class=\"n\">", grid_page)
    assert [(bool(equal), kernel) for equal, kernel, _ in rows] == [
        (True, "5"),
        (True, "5"),
        (False, "3"),
        (False, "3"),
    ]


def test_page_shows_its_commands_versions_and_cost(grid_page: str) -> None:
    texts = read(grid_page).texts
    for text in (
        "python -m src.train -m study=s",
        "s-1: keras 3.15.1; git 0123456789 with changes",
        "python -m src.compare study=s",
        "Training took 0:18:00 in all, summed over the workers.",
    ):
        assert text in texts


def test_different_epochs_are_noted() -> None:
    other = replace(grid()[0], params={"training.seed": "0", "training.epochs": "9"})
    said = "Note: runs also differ in training.epochs."
    assert said in read(page([other, *grid()[1:]])).texts


def test_incomplete_runs_are_listed_with_their_reason() -> None:
    failed = run("7", "l2", 0, 0.0, state="failed", reason="exit code -9 & <no> memory")
    many = [run("7", "l2", seed, 0.0, state="failed") for seed in range(MAX_OTHERS + 2)]
    texts = read(page([*grid(), failed, *many])).texts
    place = texts.index("reason", texts.index("Not complete"))
    assert texts[place + 1 : place + 5] == [
        "seed-0",
        "failed",
        "kernel_size=7 regularizer=l2",
        "exit code -9 & <no> memory",
    ]
    assert "… and 3 more, in the CSV." in texts
    place = texts.index("kernel_size", texts.index("Not complete"))
    assert texts[place : place + 4] == ["kernel_size", "3", "6", "0"]
    assert texts[place + 8 : place + 12] == ["kernel_size", "7", "0", str(MAX_OTHERS + 3)]


def test_texts_are_shown_as_they_are() -> None:
    evil = [run("<script>alert(1)</script>", "none", seed, 0.9 + seed / 100) for seed in range(2)]
    reader = read(page([*grid(), *evil]))
    assert reader.tags.count("script") == 1  # the page's own
    assert "<script>alert(1)</script>" in reader.texts


def test_a_study_of_failures_has_a_page() -> None:
    texts = read(page([run("3", "none", 0, 0.0, state="failed", reason="it broke")])).texts
    assert "No run is complete." in texts and "it broke" in texts


def test_one_seed_has_a_page_without_intervals() -> None:
    texts = read(page([each for each in grid() if each.params["training.seed"] == "0"])).texts
    assert (
        "note: each configuration has one seed, so there is no interval; study.repeats=5 trains five" in texts
    )


def test_a_nan_value_has_a_page() -> None:
    broken = replace(grid()[0], metrics={"objective": float("nan"), "seconds": 1.0})
    assert "nan" in read(page([broken, *grid()[1:]])).texts


def test_long_rankings_are_cut() -> None:
    runs = [run(str(size), "none", seed, 0.5 + seed / 100) for size in range(MAX_ROWS + 5) for seed in (0, 1)]
    texts = read(page(runs)).texts
    assert "… and 5 more configurations, in the CSV" in texts


def test_equal_reports_give_equal_pages(grid_page: str) -> None:
    assert grid_page == page(grid())


@pytest.mark.parametrize("axes", [("kernel_size",), AXES])
def test_one_axis_has_no_figures_of_each_axis(axes: tuple[str, ...]) -> None:
    html = render_page(report(grid(), axes), "t", "c", {}, {}, "val_accuracy")
    assert ("Each axis" in read(html).texts) == (len(axes) > 1)
