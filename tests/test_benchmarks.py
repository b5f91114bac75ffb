"""A miniature of each benchmark: that it measures what it says, never how long that takes."""

import re
import sys
from pathlib import Path

import pytest

from benchmarks import memory, page, single, throughput
from benchmarks.race import Times, race
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
