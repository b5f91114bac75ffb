"""Small versions of the benchmarks measure the right quantities; their durations are not tested."""

import itertools
import json
import math
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import keras
import numpy as np
import pytest
from omegaconf import DictConfig, OmegaConf

from benchmarks import (
    compare,
    fashion,
    honest,
    memory,
    page,
    photographs,
    serving,
    single,
    studies,
    throughput,
)
from benchmarks.contenders.task import network
from benchmarks.race import Contender, Times, race
from benchmarks.ranking import accuracy_table, rank_correlation, rank_table, settled
from benchmarks.results import Results
from benchmarks.scores import Score, score_table
from benchmarks.search import Search, searched
from benchmarks.trials import TWELVE_GRAPHS, Grid, export, ours, script, table_of
from kerasweep.config.data import DataConf
from kerasweep.config.search import TrackingConf
from kerasweep.data.prepare import prepare
from kerasweep.data.sources import load
from kerasweep.model.network import build_model
from kerasweep.model.parts import StockParts
from kerasweep.tracking.reader import find_runs
from kerasweep.trial.begin_program import graph_of
from tests.processes import fork_server, forked_python

SMALL = Grid((3,), (32,), ("none",), ("he_normal",), filters=(16,))


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns the page that benchmarks write to."""
    monkeypatch.setattr(page, "PAGE", tmp_path / "benchmarks.md")
    return tmp_path / "benchmarks.md"


@pytest.fixture
def forked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes benchmarks start forks instead of new Python processes."""
    monkeypatch.setenv("FORK_SERVER", fork_server())
    monkeypatch.setattr(sys, "executable", str(forked_python(tmp_path)))


@pytest.mark.usefixtures("forked")
def test_contenders_do_equal_work(tmp_path: Path) -> None:
    """They train the same grid and agree in accuracy."""
    grid = replace(SMALL, regularizer=("none", "l2"), epochs=2)
    task = tmp_path / "task.npz"
    export(task, grid)
    loop = script("loop", "bare_keras.py", sys.executable, task)
    _, alone, _ = ours(grid)
    found = race([loop, alone], repeats=1)
    assert {len(times.accuracies) for times in found.values()} == {grid.size} == {2}
    means = {name: sum(times.accuracies) / 2 for name, times in found.items()}
    assert means[alone.name] == pytest.approx(means["loop"], abs=0.15)


def test_our_contenders_differ_in_workers_and_reuse(configured: Callable[..., DictConfig]) -> None:
    """All use Keras's moving averages, which lag."""
    cfgs = [configured(*contender.command[4:]) for contender in ours(SMALL)]
    assert {cfg.model.normalization.moving_statistics for cfg in cfgs} == {"keras"}
    settings = [(cfg.workers, cfg.training.reuse_programs) for cfg in cfgs]
    assert settings == [("auto", True), (1, True), ("auto", False)]


def test_the_second_grid_has_twelve_graphs(configured: Callable[..., DictConfig]) -> None:
    """Each serves two of its 24 trials."""
    axes = [text.partition("=") for text in TWELVE_GRAPHS.overrides() if not text.startswith("data")]
    values = [[f"{key}={value}" for value in ends.split(",")] for key, _, ends in axes[:-1]]
    prepared = prepare(OmegaConf.structured(DataConf(source="digits")), load(DataConf(source="digits")))
    graphs = [graph_of(configured(*chosen), prepared) for chosen in itertools.product(*values)]
    assert TWELVE_GRAPHS.size == len(graphs) == 24
    assert sorted(Counter(graphs).values()) == [2] * 12


def test_an_interrupted_race_continues(tmp_path: Path) -> None:
    """The second start measures what the first has not: the second contender fails in the first."""
    lines = tmp_path / "lines"
    write = f"open({str(lines)!r}, 'a').write('x')"
    first = Contender("first", [sys.executable, "-c", write], lambda folder: [0.5])
    failing = Contender("second", [sys.executable, "-c", "raise SystemExit(1)"], lambda folder: [])
    with pytest.raises(subprocess.CalledProcessError):
        race([first, failing], 1, Results("a", "task", tmp_path))
    working = replace(failing, command=[sys.executable, "-c", ""])
    times = race([first, working], 1, Results("a", "task", tmp_path))
    assert lines.read_text() == "x"
    assert times["first"].accuracies == [0.5] and len(times["second"].seconds) == 1


def test_results_of_another_machine_do_not_count(tmp_path: Path) -> None:
    Results("a", "task", tmp_path).add("key", [1.5])
    assert Results("a", "task", tmp_path).get("key") == [1.5]
    file = tmp_path / "a.jsonl"
    file.write_text(json.dumps({**json.loads(file.read_text()), "machine": "another"}) + "\n")
    results = Results("a", "task", tmp_path)
    assert results.get("key") is None
    results.clear()
    assert not file.exists()


def test_results_know_the_days_of_their_measurements(tmp_path: Path) -> None:
    results = Results("a", "task", tmp_path)
    results.add("key", 1)
    days = results.machine().rpartition("; ")[2]
    assert days == date.today().isoformat()
    old = {**json.loads(results.file.read_text()), "key": "other", "date": "2020-01-31"}
    with results.file.open("a") as file:
        file.write(json.dumps(old) + "\n")
    again = Results("a", "task", tmp_path)
    assert (again.get("key"), again.machine().rpartition("; ")[2]) == (1, days)
    again.get("other")
    assert again.machine().endswith(f"; 2020-01-31 to {days}")


def test_results_of_another_task_do_not_count(tmp_path: Path) -> None:
    Results("a", "task", tmp_path).add("key", 1)
    assert Results("a", "another", tmp_path).get("key") is None


def test_a_torn_last_line_is_removed(tmp_path: Path) -> None:
    results = Results("a", "task", tmp_path)
    results.add("key", 1)
    results.add("torn", 2)
    results.file.write_text(results.file.read_text()[:-3])
    again = Results("a", "task", tmp_path)
    assert (again.get("key"), again.get("torn")) == (1, None)
    again.add("torn", 3)
    assert Results("a", "task", tmp_path).get("torn") == 3


def test_table_compares_medians_to_kerasweep() -> None:
    found = {"peer": Times([9.0, 12.0, 30.0], [20.0], [0.5, 0.7]), "kerasweep": Times([2.0], [3.0], [0.6])}
    assert table_of(found).splitlines()[2:] == [
        "| peer | 12.0 (9.0–30.0) | 6.0 | 20 | 0.600 ± 0.100 |",
        "| kerasweep | 2.0 (2.0–2.0) | 1.0 | 3 | 0.600 ± 0.000 |",
    ]


def test_a_section_replaces_its_older_version(published: Path) -> None:
    for text in ("former", "later"):
        page.publish("a", f"## A\n\n{text} \\1")
        page.publish("b", "## B")
    text = published.read_text()
    assert text.startswith("# Benchmarks") and "former" not in text
    assert re.findall(r"^## (.)", text, re.MULTILINE) == ["A", "B"]
    assert "<!-- python -m benchmarks a -->\n\n## A\n\nlater \\1\n\n<!-- end of a -->" in text


@pytest.mark.usefixtures("forked")
def test_throughput_and_single_publish_their_results(
    published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throughput, "usable_cores", lambda: 1)
    throughput.run(repeats=1, images=64, filters=(4,))
    single.run(repeats=1, grid=SMALL)
    text = published.read_text()
    rows = re.findall(
        r"^\| (.*), one process \| [\d,]+ \| [\d.]+ \| [\d,]+ \| ([\d.]+) \|", text, re.MULTILINE
    )
    assert [name for name, _ in rows] == list(throughput.NAMES.values()) and rows[-1][1] == "1.00"
    assert re.search(r"\| difference \| [+-][\d.]+ \|", text)


@pytest.mark.usefixtures("forked")
def test_photographs_publish_their_results(published: Path) -> None:
    photographs.run(repeats=1, images=40)
    rows = re.findall(r"^\| (.*?) \| [\d,]+ \| ([\d.]+) \|", published.read_text(), re.MULTILINE)
    assert [name for name, _ in rows] == list(photographs.NAMES.values()) and rows[-1][1] == "1.00"


def test_photographs_compare_speed_and_memory() -> None:
    speeds = {"first": 100, "later": 200, "cpu_later": 100}
    peers = {name: {**speeds, "mb": 300} for name in ("cached", "uint8", "decoded")}
    own = {"program": {"first": 150, "later": 300, "cpu_later": 400, "mb": 100}}
    rows = [line.split(" | ")[1:] for line in photographs.table_of(peers | own).splitlines()[2:]]
    assert rows[:3] == 3 * [["100", "1.50", "200", "1.50", "100", "4.00", "300", "3.00 |"]]
    assert rows[3] == ["150", "1.00", "300", "1.00", "400", "1.00", "100", "1.00 |"]


def test_throughput_compares_equal_numbers_of_processes() -> None:
    """A sweep has two processes here, and the best model.fit of one process trains 400 images a second."""
    single = {("numpy", 1): (100, 50), ("dataset", 1): (400, 100), ("onednn", 1): (200, 200)}
    pair = {("numpy", 2): (300, 150), ("dataset", 2): (600, 300), ("onednn", 2): (900, 450)}
    own = {("program", 1): (800, 400), ("program", 2): (1200, 900)}
    assert [
        line.split(" | ")[1:] for line in throughput.table_of(single | pair | own, 2).splitlines()[2:]
    ] == [
        ["100", "8.00", "50", "8.00 |"],
        ["400", "2.00", "100", "4.00 |"],
        ["200", "4.00", "200", "2.00 |"],
        ["800", "1.00", "400", "1.00 |"],
        ["300", "4.00", "150", "6.00 |"],
        ["600", "2.00", "300", "3.00 |"],
        ["900", "1.33", "450", "2.00 |"],
        ["1,200", "1.00", "900", "1.00 |"],
        ["–", "3.00", "–", "4.50 |"],
    ]


def test_memory_is_that_of_a_worker(published: Path) -> None:
    memory.run(trials=2)
    held = re.search(r"after 20 trials (\d+) MB, after 2 (\d+) MB: 1\.000 ×", published.read_text())
    assert held and held[1] == held[2] and int(held[1]) > 200  # TensorFlow alone takes as much


def test_processor_time_includes_processes_that_a_command_leaves_behind(tmp_path: Path) -> None:
    """A parent process ends at once; its child uses half a second of processor time."""
    burn = "import time\nwhile time.process_time() < 0.5: pass"
    leave = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {burn!r}])"
    times = race([Contender("leaving", [sys.executable, "-c", leave], lambda folder: [])], repeats=1)
    assert times["leaving"].cpu_seconds[0] >= 0.5


@pytest.mark.parametrize(
    ("regularizer", "strength", "downsampling", "dropout"),
    [
        ("none", None, "max", 0.0),
        ("l1", 0.5, "max", 0.3),
        ("l2", 0.25, "stride", 0.0),
        ("l1_l2", 0.125, "stride", 0.3),
    ],
)
def test_peers_train_the_default_network(
    regularizer: str,
    strength: float | None,
    downsampling: str,
    dropout: float,
    configured: Callable[..., DictConfig],
) -> None:
    penalty = f"regularizer.strength={strength or 'null'}"
    chosen = (f"regularizer={regularizer}", penalty, "initializer=he_normal", "model.kernel_size=5")
    parts = (f"model.downsampling={downsampling}", f"model.dropout={dropout}")
    cfg = configured("model.filters=[16,32]", *chosen, *parts)
    own = build_model(cfg.model, StockParts(cfg.initializer, cfg.regularizer, 0), (28, 28, 1), 10)
    shape = (28, 28, 1)
    peers = network(5, regularizer, "he_normal", strength, shape, downsampling=downsampling, dropout=dropout)
    seen = [[_described(layer) for layer in model.layers] for model in (own, peers)]
    assert seen[0] == seen[1] and own.count_params() == peers.count_params()


def _described(layer: keras.Layer) -> dict[str, object]:
    """Returns a layer's config without its name and its seed, in which contenders differ."""
    config = layer.get_config() | {"name": "", "seed": "", "class": type(layer).__name__}
    if config.get("kernel_initializer"):
        config["kernel_initializer"] = type(layer.kernel_initializer).__name__
    return config


def test_rank_correlation_averages_tied_ranks_and_is_nan_for_constants() -> None:
    tied, rising, equal = np.array([1, 2, 2, 3]), np.array([1, 2, 3, 4]), np.ones(4)
    assert rank_correlation(tied, rising) == pytest.approx(4.5 / math.sqrt(4.5 * 5))
    assert rank_correlation(rising, -rising) == pytest.approx(-1)
    assert math.isnan(rank_correlation(rising, equal)) and math.isnan(rank_correlation(equal, rising))


def test_a_long_trial_scores_the_mean_of_its_last_five_epochs() -> None:
    accuracies = np.array([[[0.9, 0.1, 0.2, 0.3, 0.4, 0.5]]])
    assert settled(accuracies).tolist() == [[0.3]]


def test_tables_compare_short_trials_with_long_ones() -> None:
    """The case has two seeds, three configurations and seven epochs.

    In the second seed, the first epoch ranks the configurations backwards.
    """
    short = np.array([[[0.1], [0.3], [0.5]], [[0.3], [0.3], [0.0]]])
    middle = np.array([[[0.6], [0.7], [0.8]], [[0.6], [0.7], [0.8]]])
    late = np.array([[[0.9], [0.8], [0.7]], [[0.7], [0.8], [0.9]]])
    found = {"one": np.concatenate([short, *[middle] * 5, late], axis=2)}
    assert accuracy_table(found).splitlines() == [
        "| mean ± spread | epoch 1 | epoch 2 | epoch 3 | epoch 7 |",
        "| --- | --- | --- | --- | --- |",
        "| one | 0.250 ± 0.152 | 0.700 ± 0.082 | 0.700 ± 0.082 | 0.800 ± 0.082 |",
    ]
    assert rank_table(found).splitlines() == [
        "| rank correlation with | epochs 3–7, each seed | epochs 3–7, seeds' mean "
        "| epoch 7, each seed | epoch 7, seeds' mean |",
        "| --- | --- | --- | --- | --- |",
        "| one, epoch 1 | 0.07 (-0.87 to 1.00) | 0.50 | -0.93 (-1.00 to -0.87) | nan |",
        "| one, epoch 2 | 1.00 (1.00 to 1.00) | 1.00 | 0.00 (-1.00 to 1.00) | nan |",
        "| one, epoch 3 | 1.00 (1.00 to 1.00) | 1.00 | 0.00 (-1.00 to 1.00) | nan |",
        "| one, another seed | 1.00 (1.00 to 1.00) | – | -1.00 (-1.00 to -1.00) | – |",
    ]


@pytest.mark.usefixtures("forked")
def test_honest_reads_every_epoch_of_kerasweep() -> None:
    grid = replace(SMALL, regularizer=("none", "l1"), seed=(0, 1), epochs=3, filters=(16, 32))
    found = honest.accuracies(grid, "kerasweep", honest.ours(grid), honest.recorded)
    assert found.shape == (2, 2, 3)
    assert (found[:, :, 2] > 0.8).all()  # with Keras's moving averages it stays lower
    assert not np.array_equal(found[0], found[1])


def test_honest_arranges_trials_by_seed_and_configuration(tmp_path: Path) -> None:
    grid = Grid(
        kernel_size=(3, 5), batch_size=(32,), regularizer=("l1",), initializer=("he_normal",), seed=(0, 1)
    )
    common = {
        "batch_size": 32,
        "regularizer": "l1",
        "initializer": "he_normal",
        "downsampling": "max",
        "dropout": 0.0,
    }
    trials = [
        {"kernel_size": kernel_size, "seed": seed, "val_accuracy": [kernel_size / 10, seed / 10], **common}
        for kernel_size, seed in ((5, 1), (3, 0), (5, 0), (3, 1))
    ]
    (tmp_path / "histories.json").write_text(json.dumps(trials))
    records = honest.written(tmp_path)
    assert honest.arranged(grid, records).tolist() == [
        [[0.3, 0.0], [0.5, 0.0]],
        [[0.3, 0.1], [0.5, 0.1]],
    ]
    with pytest.raises(KeyError):
        honest.arranged(grid, records[1:])


def test_score_table_pairs_the_seeds() -> None:
    """The peer is worse by 0.02 and 0.04: by 0.03 ± 12.7062 × 0.01, Student's t of one degree of freedom."""
    own = [Score(0.90, 10, 40, 61.2), Score(0.94, 11, 44, 60.0)]
    peer = [Score(0.88, 4, 20, 60.0), Score(0.90, 5, 30, 60.0)]
    assert score_table({"peer": peer, "own": own}, "own").splitlines() == [
        "| search | test accuracy, 95 % | own is better by, 95 % | better in | configurations | epochs "
        "| seconds, most |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        "| peer | 0.8900 (0.7629 to 1.0171) | +0.0300 (-0.0971 to +0.1571) | 2 of 2 | 4 | 25 | 60 |",
        "| own | 0.9200 (0.6659 to 1.1741) | – | – | 10 | 42 | 61 |",
    ]


def test_fashion_searches_the_space_of_the_study(tmp_path: Path) -> None:
    fashion.export(tmp_path / "task.npz", DataConf(source="digits", limit=100), epochs=4)
    with np.load(tmp_path / "task.npz") as task:
        given = {name: task[name].tolist() for name in task.files if name[:2] not in ("x_", "y_")}
        images = {name: task[name].shape for name in task.files if name.startswith("x_")}
    assert given == {
        "kernel_size": [3, 5, 7],
        "batch_size": [8, 16, 32, 64, 128, 256],
        "regularizer": ["none", "l1", "l2", "l1_l2"],
        "strength": [1e-6, 1e-2],
        "initializer": ["glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "lecun_normal"],
        "epochs": 4,
    }
    assert images == {"x_train": (80, 8, 8, 1), "x_validation": (20, 8, 8, 1), "x_test": (100, 8, 8, 1)}


def test_fashion_switches_off_one_advantage_at_a_time(configured: Callable[..., DictConfig]) -> None:
    searches = fashion.ours(DataConf(source="digits"), minutes=10, epochs=3)
    cfgs = {search.name: configured(*search.command(1)[4:]) for search in searches}
    settings = {
        name: (cfg.workers, cfg.model.normalization.moving_statistics, cfg.sampler.name, cfg.pruner.name)
        for name, cfg in cfgs.items()
    }
    assert settings == {
        "kerasweep": ("auto", "warmup", "tpe", "asha"),
        "kerasweep, one worker": (1, "warmup", "tpe", "asha"),
        "kerasweep, Keras's averaging": ("auto", "keras", "tpe", "asha"),
        "kerasweep, random sampler": ("auto", "warmup", "random", "asha"),
        "kerasweep, no pruning": ("auto", "warmup", "tpe", "none"),
    }


@pytest.mark.usefixtures("forked")
def test_fashion_reads_the_test_of_the_winner() -> None:
    """Ten minutes are more than three trials need, so the number of trials ends the search."""
    one_graph = ("model.kernel_size=3", "training.batch_size=64", "model.filters=[4]")
    search, *_ = fashion.ours(DataConf(source="digits", limit=500, split_seed=1), minutes=10, epochs=3)
    few = replace(search, command=lambda seed: [*search.command(seed), "study.trials=3", *one_graph])
    score = searched(few, 1, minutes=10)
    assert score.configurations == 3 and 3 * 2 <= score.epochs <= 3 * 3  # asha asks at epoch 2
    images = 359
    assert 0 < score.test_accuracy <= 1
    assert score.test_accuracy * images == pytest.approx(round(score.test_accuracy * images))


def test_an_endless_search_is_stopped_and_then_tested() -> None:
    """It writes two epochs of one configuration and sleeps for an hour."""
    program = (
        "import json, sys, time\n"
        "with open('epochs.jsonl', 'w') as file:\n"
        "    for accuracy in (0.2, 0.3):\n"
        "        line = {'accuracy': accuracy, 'configuration': {'seed': int(sys.argv[1])}}\n"
        "        file.write(json.dumps(line) + '\\n')\n"
        "time.sleep(3600)\n"
    )

    def result(folder: Path, seed: int) -> tuple[float, int, int]:
        (folder / "test.json").write_text(f"0.{seed}")
        return fashion.written(folder)

    search = Search("peer", lambda seed: [sys.executable, "-c", program, str(seed)], False, result)
    score = searched(search, 7, minutes=0.05)
    assert replace(score, seconds=0) == Score(0.7, 1, 2, 0) and 3 <= score.seconds < 60


def test_a_failed_search_raises_an_error() -> None:
    failing = Search(
        "peer", lambda seed: [sys.executable, "-c", "raise SystemExit(3)"], False, fashion.recorded
    )
    with pytest.raises(subprocess.CalledProcessError):
        searched(failing, 1, minutes=1)


@pytest.mark.usefixtures("forked")
def test_compare_measures_a_page_over_recorded_runs(published: Path) -> None:
    compare.run(repeats=1, runs=15)
    text = published.read_text()
    assert "over 3 configurations of 4 axes with 5 seeds each" in text
    assert re.search(r"the table appears after [\d.]+ s, the page after [\d.]+ s, with \d+ MB", text)


def test_copied_runs_are_compared_as_recorded_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three rates of dropout for ten recorded runs: the copies have their own rate, number and accuracy."""
    monkeypatch.setattr(compare, "MAX_RECORDED", 10)
    compare.record(tmp_path, 30)
    runs = find_runs(TrackingConf(uri=f"sqlite:///{tmp_path}/mlruns/mlflow.db"), {"kind": "trial"})
    assert sorted(int(run.tags["trial"]) for run in runs) == list(range(30))
    by_trial = {int(run.tags["trial"]): run for run in runs}
    assert [by_trial[number].tags["dropout"] for number in (0, 10, 29)] == ["0.0", "0.05", "0.1"]
    recorded, copied = by_trial[7], by_trial[27]
    assert copied.run_id == f"x2{recorded.run_id[2:]}"
    assert copied.metrics["objective"] == pytest.approx(recorded.metrics["objective"] - 0.002)
    assert copied.params == recorded.params and len(copied.params) == 42


@pytest.mark.usefixtures("forked")
def test_a_study_is_measured_with_the_settings_of_its_file(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(studies, "README", published)
    file = Path(shutil.copy(studies.STUDIES / "feature_scaling.yaml", tmp_path))
    monkeypatch.setattr(studies, "STUDIES", tmp_path)
    monkeypatch.setattr(studies, "names", lambda: ["feature_scaling"])
    studies.run("data.limit=200", "model.filters=[4]", "workers=1", "study.repeats=2")
    row = re.search(r"^\| `feature_scaling` .*$", published.read_text(), re.MULTILINE)
    assert row is not None
    cells = [cell.strip() for cell in row[0].strip("|").split("|")]
    claim = "Scaled inputs converge faster, so a short training gets further with them."
    assert cells[:6] == ["`feature_scaling`", "`data.scaling`", claim, "grid, 3", "5", "3"]
    seconds = int(cells[6].removesuffix(" s"))
    found = re.search(r"about (\d+) seconds on 2 cores with digits", file.read_text())
    assert found is not None and abs(int(found[1]) - seconds) <= 3


@pytest.mark.parametrize(
    "line", ["about 20 seconds on 2 cores with digits.", "about 20\n# seconds on 2 cores"]
)
def test_the_cost_in_a_study_is_rounded_to_five_seconds(line: str, tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(f"# Two trials: {line} with digits.\nstudy: {{epochs: 20}}\n")
    studies.write_cost(file, 87.6)
    assert file.read_text() == f"# Two trials: {line} with digits.\nstudy: {{epochs: 20}}\n".replace(
        "about 20", "about 90"
    )


@pytest.mark.parametrize("name", studies.names())
def test_the_table_of_studies_agrees_with_their_files(name: str) -> None:
    begins = f"| {' | '.join(studies.said(name))} | "
    assert [line for line in studies.README.read_text().splitlines() if line.startswith(begins)]


def test_both_flavors_of_a_served_model_answer_alike_and_in_turns(
    copy_database: Callable[[Path], Path], tmp_path: Path
) -> None:
    shape = (8, 8, 1)
    addresses = serving.record(f"sqlite:///{copy_database(tmp_path)}", shape)
    asks = serving.asks_of_pyfunc(addresses, np.full((1, *shape), 7, np.uint8))
    serving.check(list(asks.values()), asks["kerasweep"]())
    rates = serving.alternate(asks, requests=3)
    assert list(rates) == ["kerasweep", "mlflow.keras"]
    assert rates["kerasweep"] > 3 * rates["mlflow.keras"]


def test_table_of_served_models_has_medians_and_ratios() -> None:
    small = (8, 8, 1)
    rates = {
        (small, "pixels", "kerasweep"): [30.0, 10.0, 20.0],
        (small, "pixels", "mlflow.keras"): [4.0, 4.0, 5.0],
        (small, "file", "kerasweep"): [7.0],
    }
    assert serving.table_of(rates).splitlines()[2:] == [
        "| 8×8×1 | HTTP, pixels in JSON | 4 (4–5) | 20 (10–30) | 5.0 |",
        "| 8×8×1 | HTTP, a PNG file in base64 | not possible | 7 (7–7) | – |",
    ]
