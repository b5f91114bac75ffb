"""`src.compare` prints recorded runs by their axes and writes them as CSV."""

import csv
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from kerasweep.commands.compare import compare, quoted
from kerasweep.config.folders import config_folder
from kerasweep.config.search import TrackingConf
from kerasweep.errors import ConfigError, TrackingError
from kerasweep.tracking.writer import Tracker, open_tracker
from tests import processes
from tests.processes import call, run_new

ROOT = Path(__file__).resolve().parents[2]
ACCURACIES = {("3", "8"): 0.5, ("3", "32"): 0.75, ("5", "8"): 0.25, ("5", "32"): 0.125}


@pytest.fixture(scope="session")
def folder(copy_database: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Makes a working directory with a single run and two sweeps, one with failed runs."""
    folder = tmp_path_factory.mktemp("compared")
    tracker = open_tracker(TrackingConf(uri=f"sqlite:///{copy_database(folder)}"))
    own = {"study": "filter_size", "sweep": "filter_size-1", "dataset": "digits"}
    tracker.start(own["sweep"], {**own, "kind": "study", "axes": "kernel_size,batch_size"}, {})
    for (kernel_size, batch_size), accuracy in ACCURACIES.items():
        axes = {"kernel_size": kernel_size, "batch_size": batch_size}
        record(tracker, accuracy, {**own, **axes, "kind": "trial"}, "complete")
    for state in ("failed", "pruned"):
        record(tracker, 0.0, {**own, "kernel_size": "3", "batch_size": "8", "kind": "trial"}, state)
    record(tracker, 0.5, {"dataset": "mnist", "kind": "run"}, "complete")
    other = {"study": "other", "sweep": "other-1", "dataset": "mnist", "kind": "trial"}
    record(tracker, 0.25, other, "complete")
    claimed(tracker, "claimed")
    return folder


@pytest.fixture(scope="session")
def unfinished(copy_database: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory) -> str:
    """Returns overrides for two sweeps with a claim: a stopped sweep, and one with pruned trials."""
    uri = f"sqlite:///{copy_database(tmp_path_factory.mktemp('unfinished'))}"
    tracker = open_tracker(TrackingConf(uri=uri))
    claimed(tracker, "stopped", trials="3")
    pruned = claimed(tracker, "cut")
    for kernel_size, state in (("3", "complete"), ("5", "pruned")):
        for seed in range(5):
            tags = {**pruned, "kernel_size": kernel_size, "batch_size": "8", "trial": f"1{kernel_size}"}
            record(tracker, 0.5, {**tags, "kind": "trial"}, state, {"training.seed": str(seed)})
    return f"tracking.uri={uri}"


def claimed(tracker: Tracker, study: str, **tags: str) -> dict[str, str]:
    """Records a sweep of five seeds a trial with a claim that its numbers support; returns its tags."""
    own = {"study": study, "sweep": f"{study}-1", "dataset": "digits"}
    axes = {"axes": "kernel_size,batch_size" if study == "cut" else "kernel_size"}
    parent = tracker.start(own["sweep"], {**own, **axes, **tags, "kind": "study"}, {})
    side = "{of: {model.kernel_size: 5}, relation: higher, than: {model.kernel_size: 3}}"
    text = f"study: {{claim: {{text: Large filters are better., comparisons: [{side}]}}}}"
    tracker.log_text(parent, text, "config.yaml")
    for trial, (kernel_size, mean) in enumerate({"3": 0.5, "5": 0.75}.items()):
        tags = {**own, "kernel_size": kernel_size, "trial": str(trial)}
        tags |= {"batch_size": "32"} if study == "cut" else {}
        record(tracker, mean, {**tags, "kind": "trial"}, "complete")
        for seed in range(5):
            value = mean + 0.01 * seed * (1 + 0.1 * trial)
            record(tracker, value, {**tags, "kind": "repeat"}, "complete", {"training.seed": str(seed)})
    return own


def record(
    tracker: Tracker, accuracy: float, tags: dict[str, str], state: str, params: dict[str, str] | None = None
) -> None:
    run_id = tracker.start("run", {**tags, "objective": "val_accuracy maximize"}, params or {})
    tracker.log_metrics(run_id, {"objective": accuracy, "parameters": 100, "seconds": 2})
    tracker.finish(run_id, state)


@pytest.fixture
def run(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., list[str]]:
    """Returns a function that composes and compares; it returns the printed lines."""

    def compared(*overrides: str) -> list[str]:
        monkeypatch.chdir(tmp_path)
        uri = f"tracking.uri=sqlite:///{folder}/mlruns/mlflow.db"
        with initialize_config_dir(config_folder("conf"), version_base="1.3"):
            compare(compose("compare", [uri, *overrides]))
        return capsys.readouterr().out.splitlines()

    return compared


def test_sweep_is_ranked_by_its_axes(run: Callable[..., list[str]], tmp_path: Path) -> None:
    lines = run("tags.study=filter_size")
    cells = [[cell.strip() for cell in line.split("│")[1:6]] for line in lines if line.startswith("│")]
    assert cells == [
        ["3", "32", "0.7500", "1", "100"],
        ["3", "8", "0.5000", "1", "100"],
        ["5", "8", "0.2500", "1", "100"],
        ["5", "32", "0.1250", "1", "100"],
    ]
    assert lines[-6:] == [
        "6 runs: 4 complete, 1 failed, 1 pruned",
        "note: 1 pruned run is excluded from the means, which favours configurations with pruned runs",
        "note: failed, and excluded from the means: 1 trial",
        "note: the claim of filter_size-1 cannot be read",
        "written: mlruns/compare-filter_size.csv",
        "written: mlruns/compare-filter_size.html",
    ]
    with open(tmp_path / "mlruns" / "compare-filter_size.csv", newline="") as file:
        rows = [(row["kernel_size"], row["batch_size"], row["state"]) for row in csv.DictReader(file)]
    assert len(rows) == 6
    assert [row[:2] for row in rows if row[2] == "complete"] == [
        *(("3", "8"), ("3", "32"), ("5", "8"), ("5", "32")),
    ]


def test_several_studies_are_ranked_together(run: Callable[..., list[str]]) -> None:
    lines = run("study=[filter_size,claimed-1]", "group_by=[kernel_size]")
    cells = [[cell.strip() for cell in line.split("│")[1:4]] for line in lines if line.startswith("│")]
    assert [row[0] for row in cells] == ["5", "3"]
    assert lines[-1] == "written: mlruns/compare-filter_size-claimed-1-by-kernel_size.html"
    assert not any("the claim" in line for line in lines)
    assert run("study=[filter_size,filter_size]") == run("study=filter_size")


def test_csv_has_the_tuned_values(
    run: Callable[..., list[str]], copy_database: Callable[[Path], Path], tmp_path: Path
) -> None:
    uri = f"sqlite:///{copy_database(tmp_path)}"
    tracker = open_tracker(TrackingConf(uri=uri))
    own = {"study": "tuned", "sweep": "tuned-1", "dataset": "digits"}
    tracker.start(
        "tuned-1",
        {**own, "kind": "study", "axes": "kernel_size", "nuisance": "learning_rate,regularizer"},
        {},
    )
    for kernel_size, rate in (("3", "0.01"), ("5", "0.002")):
        tags = {**own, "kernel_size": kernel_size, "learning_rate": rate, "regularizer": "l2"}
        record(tracker, 0.5, {**tags, "kind": "trial"}, "complete")
    run(f"tracking.uri={uri}", "study=tuned")
    with open(tmp_path / "mlruns" / "compare-tuned.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    columns = ("kernel_size", "learning_rate", "regularizer")
    assert [tuple(row[column] for column in columns) for row in rows] == [
        ("3", "0.01", "l2"),
        ("5", "0.002", "l2"),
    ]


def test_seeds_are_ranked_and_the_claim_is_judged(run: Callable[..., list[str]]) -> None:
    """The differences of 0.250 to 0.254 have mean 0.252, standard error 0.000707 and t(0.975, 4) = 2.7764."""
    lines = run("study=claimed")
    cells = [[cell.strip() for cell in line.split("│")[1:6]] for line in lines if line.startswith("│")]
    assert [row[:2] + row[3:4] for row in cells] == [["5", "0.7720", "5"], ["3", "0.5200", "5"]]
    assert cells[0][4] == "best" and cells[1][4].startswith("-0.2520, worse, p ")
    assert lines[-9:] == [
        "significantly worse than the best (Holm, 5 %): 1 of 1 other",
        "10 runs: 10 complete",
        "verdict: supported",
        "  of claimed-1: Large filters are better.",
        "  holds: val_accuracy is higher with model.kernel_size=5 than with model.kernel_size=3",
        "    difference +0.252 (95 %: +0.25 to +0.254), 5 seeds; "
        "such runs can detect a difference of 0.0027 or more (uncertain: 0.0016 to 0.0076)",
        "note: all seeds validate on the same images: intervals cover the chance in weights and order, not "
        "the chance in the choice of images",
        "written: mlruns/compare-claimed.csv",
        "written: mlruns/compare-claimed.html",
    ]


def test_a_sweep_that_has_not_ended_decides_nothing(run: Callable[..., list[str]], unfinished: str) -> None:
    lines = run("study=stopped", unfinished)
    assert "note: unfinished or missing trials of stopped-1: 1" in lines
    assert "verdict: not decided by these runs" in lines
    assert "    not tested: unfinished or missing trials: 1 of 3" in lines


def test_selected_part_is_complete(run: Callable[..., list[str]], unfinished: str) -> None:
    lines = run("tags.study=stopped", "tags.kernel_size=5", unfinished)
    assert not any("missing trials" in line for line in lines)


def test_claim_is_undecided_after_pruning(run: Callable[..., list[str]], unfinished: str) -> None:
    lines = run("study=cut", unfinished)
    assert "verdict: not decided by these runs" in lines
    reason = "in 1 of 2 settings a side was pruned, failed, has not ended"
    assert any(line.startswith(f"    not tested: {reason}") for line in lines)


def test_other_axes_are_averaged_over(run: Callable[..., list[str]], tmp_path: Path) -> None:
    lines = run("tags.study=filter_size", "group_by=[kernel_size]", "csv=sub/runs.csv")
    cells = [[cell.strip() for cell in line.split("│")[1:4]] for line in lines if line.startswith("│")]
    assert cells == [["3", "0.6250", "2"], ["5", "0.1875", "2"]]
    assert (tmp_path / "sub" / "runs.csv").exists()
    assert not (tmp_path / "mlruns").exists()


def test_page_of_a_part_does_not_replace_the_page_of_all_runs(run: Callable[..., list[str]]) -> None:
    assert run("study=claimed", "group_by=[model.kernel_size]")[-2:] == [
        "written: mlruns/compare-claimed-by-model.kernel_size.csv",
        "written: mlruns/compare-claimed-by-model.kernel_size.html",
    ]
    assert (
        run("study=claimed", "where=['kernel_size==5']")[-1] == "written: mlruns/compare-claimed-picked.html"
    )


def test_several_tags_select_together(run: Callable[..., list[str]]) -> None:
    assert run("tags.dataset=digits", "tags.kernel_size=5", "tags.batch_size=8")[-3:] == [
        "1 run: 1 complete",
        "written: mlruns/compare-digits-5-8.csv",
        "written: mlruns/compare-digits-5-8.html",
    ]


def test_a_choice_of_runs_across_sweeps_has_no_verdict(run: Callable[..., list[str]]) -> None:
    assert not any("verdict" in line for line in run("tags.dataset=digits"))


def test_data_sets_are_not_averaged(run: Callable[..., list[str]]) -> None:
    with pytest.raises(TrackingError, match="come from different data sets: digits, mnist"):
        run("group_by=[state]")
    assert run("group_by=dataset") == run("group_by=[dataset]")
    assert "18 runs: 16 complete, 1 failed, 1 pruned" in run("group_by=[dataset]")


def test_sweeps_in_one_mean_are_noted(run: Callable[..., list[str]]) -> None:
    note = "note: means mix the runs of other-1, single runs; study=NAME selects one"
    assert note in run("tags.dataset=mnist")
    assert note not in run("tags.dataset=mnist", "tags.study=other")


def test_a_selection_by_results_has_no_verdict(run: Callable[..., list[str]]) -> None:
    lines = run("study=claimed", "where=['objective>0.6']")
    assert "5 runs: 5 complete" in lines
    assert not any("verdict" in line for line in lines)


def test_runs_that_all_failed_have_no_table(run: Callable[..., list[str]]) -> None:
    lines = run("tags.state=failed")
    assert lines == [
        "1 run: 1 failed",
        "note: failed, and excluded from the means: 1 trial",
        "written: mlruns/compare-failed.csv",
        "written: mlruns/compare-failed.html",
    ]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["csv=out.html"], "csv and html both name out.html. Name two files"),
        (["csv=same.x", "html=same.x"], "csv and html both name same.x. Name two files"),
        (["runs=[]"], r"runs=\[\] names none. Name ids"),
        (
            ["study=[claimed,other]", "runs=[67f485]"],
            r"study=\[claimed,other\] and runs both choose runs. Leave",
        ),
    ],
)
def test_contradictory_selections_are_refused(
    run: Callable[..., list[str]], tmp_path: Path, overrides: list[str], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        run("study=claimed", *overrides)
    assert list(tmp_path.iterdir()) == []


def test_no_match_names_the_known_values_and_writes_nothing(
    run: Callable[..., list[str]], tmp_path: Path
) -> None:
    with pytest.raises(TrackingError) as raised:
        run("tags.study=depth")
    assert str(raised.value) == "No run has study=depth. There is study=claimed, filter_size, other."
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("runs=12e45678", "runs='12e45678'"),
        ("runs=null", "runs=null"),
        ("where=a > 'b'", "where='a > \\'b\\''"),
        ("where=['a>1']", "where=['a>1']"),
        ("where='a>1'", "where='a>1'"),
        ("runs=[67f485f8,12e45678]", "runs=['67f485f8','12e45678']"),
        ("runs=[ 1e9 , 22 ]", "runs=[ '1e9' , '22' ]"),
        ("runs=['67f485f8']", "runs=['67f485f8']"),
        ("study=12e4", "study=12e4"),
    ],
)
def test_ids_and_expressions_are_quoted(typed: str, expected: str) -> None:
    assert quoted(typed) == expected


def test_command_finds_the_study_and_leaves_only_its_files(folder: Path) -> None:
    ended = processes.run(folder, "compare", "study=filter_size", "csv=runs.csv")
    assert (ended.code, ended.stderr) == (0, "")
    assert ended.stdout.splitlines()[-2:] == ["written: runs.csv", "written: runs.html"]
    assert {path.name for path in folder.iterdir()} == {"mlruns", "runs.csv", "runs.html"}
    assert "python -m src.compare study=filter_size csv=runs.csv" in (folder / "runs.html").read_text()


def test_command_takes_a_number_for_a_study(folder: Path) -> None:
    ended = call(folder, "compare", "study=2024")
    assert (ended.code, ended.stdout) == (2, "")
    assert ended.stderr == "error: No run has study=2024. There is study=claimed, filter_size, other.\n"


def test_command_refuses_in_one_line(tmp_path: Path) -> None:
    ended = processes.run(tmp_path, "compare", "study=filter_size")
    assert (ended.code, ended.stdout) == (2, "")
    assert ended.stderr.startswith("error: No runs are recorded yet: there is no ")
    assert len(ended.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_help_shows_examples_without_heavy_libraries(tmp_path: Path) -> None:
    ended = run_new(tmp_path, "compare", "--help")
    assert ended.code == 0
    assert "python -m src.compare study=filter_size" in ended.stdout
    program = (
        "import sys, src.compare, src.predict;"
        "print(*(name for name in ('tensorflow', 'keras', 'mlflow') if name in sys.modules))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert loaded.stdout.strip() == ""
