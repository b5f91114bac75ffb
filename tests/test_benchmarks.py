"""A miniature of each benchmark: that it measures what it says, never how long that takes."""

import json
import math
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import honest, memory, page, single, throughput
from benchmarks.race import Times, race
from benchmarks.ranking import accuracy_table, rank_correlation, rank_table, settled
from benchmarks.trials import Grid, export, ours, script, table_of


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The page that benchmarks write to."""
    monkeypatch.setattr(page, "PAGE", tmp_path / "benchmarks.md")
    return tmp_path / "benchmarks.md"


def test_contenders_do_equal_work(tmp_path: Path) -> None:
    """Over the same grid, with accuracies that agree: Keras's own averaging lags in all of them."""
    grid = Grid(kernel_size=(3,), batch_size=(32,), initializer=("he_normal",), epochs=2)
    task = tmp_path / "task.npz"
    export(task, grid)
    loop = script("loop", "bare_keras.py", sys.executable, task)
    _, alone, retracing = ours(grid)
    found = race([loop, alone, retracing], repeats=1)
    assert {len(times.accuracies) for times in found.values()} == {grid.size} == {3}
    means = {name: sum(times.accuracies) / 3 for name, times in found.items()}
    assert means[alone.name] == means[retracing.name] == pytest.approx(means["loop"], abs=0.15)
    assert all(times.cpu_seconds[0] > 0 for times in found.values())


def test_table_compares_medians_to_kerasweep() -> None:
    found = {"peer": Times([9.0, 12.0, 30.0], [20.0], [0.5, 0.7]), "kerasweep": Times([2.0], [3.0], [0.6])}
    assert table_of(found).splitlines()[2:] == [
        "| peer | 12.0 (9.0–30.0) | 6.0 | 20 | 0.600 ± 0.100 |",
        "| kerasweep | 2.0 (2.0–2.0) | 1.0 | 3 | 0.600 ± 0.000 |",
    ]


def test_a_section_takes_the_place_of_its_former_self(published: Path) -> None:
    for text in ("former", "later"):
        page.publish("a", f"## A\n\n{text} \\1")
        page.publish("b", "## B")
    text = published.read_text()
    assert text.startswith("# Benchmarks") and "former" not in text
    assert re.findall(r"^## (.)", text, re.MULTILINE) == ["A", "B"]
    assert "<!-- python -m benchmarks a -->\n\n## A\n\nlater \\1\n\n<!-- end of a -->" in text


def test_throughput_single_and_memory_publish_what_they_found(published: Path) -> None:
    throughput.run(repeats=1, images=128)
    single.run(repeats=1)
    memory.run(trials=3)
    text = published.read_text()
    assert re.search(r"\| ratio \| [\d.]+ \| [\d.]+ \|", text)
    assert re.search(r"\| difference \| [+-][\d.]+ \|", text)
    assert re.search(r"after 20 trials [\d,]+ MB, after 3 [\d,]+ MB: 1\.000 ×", text)


def test_rank_correlation_shares_ranks_and_knows_no_ranking_of_equals() -> None:
    tied, rising, equal = np.array([1, 2, 2, 3]), np.array([1, 2, 3, 4]), np.ones(4)
    assert rank_correlation(tied, rising) == pytest.approx(4.5 / math.sqrt(4.5 * 5))
    assert rank_correlation(rising, -rising) == pytest.approx(-1)
    assert math.isnan(rank_correlation(rising, equal)) and math.isnan(rank_correlation(equal, rising))


def test_a_long_trial_comes_to_the_mean_of_its_last_five_epochs() -> None:
    accuracies = np.array([[[0.9, 0.1, 0.2, 0.3, 0.4, 0.5]]])
    assert settled(accuracies).tolist() == [[0.3]]


def test_tables_compare_short_trials_with_long_ones() -> None:
    """Two seeds, three configurations, seven epochs: the second seed's first epoch ranks them backwards."""
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


def test_honest_reads_every_epoch_of_kerasweep() -> None:
    grid = Grid(kernel_size=(3,), batch_size=(32,), regularizer=("none", "l1"), seed=(0, 1), epochs=3)
    found = honest.accuracies(grid, "kerasweep", honest.ours(grid), honest.recorded)
    assert found.shape == (2, 4, 3)
    assert (found[:, :, 2] > 0.8).all()  # the default's warm-up; Keras's own averaging lags below
    assert not np.array_equal(found[0], found[1])


def test_honest_arranges_trials_by_seed_and_configuration(tmp_path: Path) -> None:
    grid = Grid(
        kernel_size=(3, 5), batch_size=(32,), regularizer=("l1",), initializer=("he_normal",), seed=(0, 1)
    )
    common = {"batch_size": 32, "regularizer": "l1", "initializer": "he_normal"}
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
