"""Each launcher trains trials in real processes, without TensorFlow."""

import time
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import yaml

from kerasweep.config.search import TrackingConf
from kerasweep.tracking.reader import find_runs
from kerasweep.tracking.run_record import RunRecord
from tests.processes import Command, Done, call, environment, forking, run

WORK = '''
import os
from kerasweep.results import Outcome

def train(cfg, ref, recorder, report, folder):
    """Scores rise with the batch size and a little with the seed; batch size 3 fails with seed 1."""
    if cfg.training.batch_size == 3 and cfg.training.seed == 1:
        raise ValueError("unlucky")
    score = cfg.training.batch_size + 0.01 * cfg.training.seed
    recorder.set_tags(ref.run_id, {"pid": str(os.getpid()), "threads": os.environ["OMP_NUM_THREADS"]}
        if "OMP_NUM_THREADS" in os.environ else {"pid": str(os.getpid())})
    (folder / "notes.txt").write_text("kept")
    recorder.log_file(ref.run_id, folder / "notes.txt", "notes")
    for epoch in (1, 2, 3):
        recorder.log_epoch(ref.run_id, epoch, {"val_accuracy": score})
        if report(epoch, score):
            return Outcome("pruned", ref.run_id, (score,), {"val_accuracy": score}, epoch, 0.1)
    return Outcome("complete", ref.run_id, (score,), {"val_accuracy": score}, 3, 0.1)

def deadly(cfg, ref, recorder, report, folder):
    """Batch size 3 kills its process."""
    if cfg.training.batch_size == 3:
        os._exit(3)
    return train(cfg, ref, recorder, report, folder)
'''
TARGET = "trial.target=work:train"


@pytest.fixture(scope="module")
def make_folder(
    tmp_path_factory: pytest.TempPathFactory, copy_database: Callable[[Path], Path]
) -> Callable[[], Path]:
    """Returns a function that makes a folder with an empty database and `work.py`."""

    def make() -> Path:
        folder = tmp_path_factory.mktemp("engine")
        copy_database(folder)
        (folder / "work.py").write_text(WORK)
        return folder

    return make


@pytest.fixture
def folder(make_folder: Callable[[], Path]) -> Path:
    return make_folder()


def sweep(folder: Path, *arguments: str, **variables: str) -> Done:
    done = run(folder, "train", "-m", TARGET, *arguments, **variables)
    assert done.code == 0, done
    return done


def runs(folder: Path, kind: str = "trial") -> dict[str, RunRecord]:
    """Returns the runs of a kind, by the number of their trial and, for a repeat, its index."""
    found = find_runs(TrackingConf(uri=f"sqlite:///{folder}/mlruns/mlflow.db"), {"kind": kind})
    return {"-".join([one.tags["trial"], *filter(None, [one.tags.get("repeat")])]): one for one in found}


@pytest.fixture(scope="module")
def swept(make_folder: Callable[[], Path]) -> Callable[[str], Path]:
    """Returns a function that runs a sweep with a launcher, once. Returns its folder.

    Processes that submitit starts are forked; joblib starts new Pythons.
    """

    @cache
    def sweep_with(launcher: str) -> Path:
        folder = make_folder()
        sweep(
            folder,
            f"hydra/launcher={launcher}",
            "training.batch_size=1,3,4",
            "study.repeats=2",
            "pruner=threshold",
            "pruner.lower=1.5",
            "workers=2",
            OMP_NUM_THREADS="3",
            **(forking(folder) if launcher == "submitit_local" else {}),
        )
        return folder

    return sweep_with


@pytest.mark.parametrize("launcher", ["workers", "basic", "joblib", "submitit_local"])
def test_every_launcher_trains_prunes_and_repeats(launcher: str, swept: Callable[[str], Path]) -> None:
    folder = swept(launcher)
    trials, seeds = runs(folder), runs(folder, "repeat")
    assert [trials[number].tags["state"] for number in "012"] == ["pruned", "failed", "complete"]
    assert trials["2"].metrics["objective"] == pytest.approx(4.005)
    assert trials["2"].metrics["seeds"] == 2
    assert trials["1"].tags["reason"] == "repeat 1 failed: ValueError: unlucky"
    assert seeds["0-0"].tags["state"] == "pruned" and seeds["1-1"].tags["state"] == "failed"
    assert {seeds[key].metrics["val_accuracy"] for key in ("2-0", "2-1")} == {4.0, 4.01}
    assert {seeds[key].tags["mlflow.parentRunId"] for key in ("2-0", "2-1")} == {trials["2"].run_id}
    assert not [one for one in [*trials.values(), *seeds.values()] if one.status == "RUNNING"]
    artifacts = folder / "mlruns/artifacts" / seeds["2-1"].run_id / "artifacts/notes/notes.txt"
    assert artifacts.read_text() == "kept"
    pids = [one.tags["pid"] for one in seeds.values() if "pid" in one.tags]
    most = {"basic": 1, "workers": 2, "joblib": 2, "submitit_local": len(pids)}[launcher]
    assert 1 <= len(set(pids)) <= most
    assert launcher != "submitit_local" or len(set(pids)) == most  # it starts a process for each job
    assert (folder / "mlruns/jobs").exists()


def test_a_job_that_kills_its_process_fails_alone(folder: Path) -> None:
    """joblib then returns nothing of its batch; the other trials come again in batches of their own."""
    target, axis = "trial.target=work:deadly", "training.batch_size=1,3,4"
    done = run(folder, "train", "-m", target, axis, "hydra/launcher=joblib", "workers=3")
    assert (done.code, "Traceback" in done.stderr) == (0, False), done
    assert "its batch ended without its result: TerminatedWorkerError: " in done.stdout
    ends = Counter((one.tags["batch_size"], one.tags["state"]) for one in runs(folder).values())
    assert {end: count for end, count in ends.items() if end[1] != "cancelled"} == {
        ("1", "complete"): 1,
        ("3", "failed"): 1,
        ("4", "complete"): 1,
    }
    (failed,) = [one for one in runs(folder).values() if one.tags["state"] == "failed"]
    assert failed.tags["reason"].endswith(", in 3 attempts")
    assert not list((folder / "mlruns/jobs").rglob(".batch-*"))


def test_a_launcher_that_starts_no_job_ends_the_command_with_a_sentence(folder: Path) -> None:
    options = ("hydra/launcher=joblib", "hydra.launcher.pre_dispatch=nothing")
    done = call(folder, "train", "-m", TARGET, "training.batch_size=1,4", *options)
    assert done.code == 2
    assert "JoblibLauncher cannot start jobs: ValueError: 'nothing' is not" in done.stderr
    assert {one.tags["state"] for one in runs(folder).values()} == {"cancelled"}


def test_wilcoxon_drops_a_loser_after_fewer_seeds_and_says_so(folder: Path) -> None:
    done = sweep(
        folder, "training.batch_size=9,1", "study.repeats=8", "pruner=wilcoxon", "workers=1", "sampler=grid"
    )
    trials, seeds = runs(folder), runs(folder, "repeat")
    assert (trials["0"].tags["state"], trials["0"].metrics["seeds"]) == ("complete", 8)
    assert trials["1"].tags["state"] == "pruned"
    dropped = int(trials["1"].metrics["seeds"])
    assert 2 < dropped < 8
    assert trials["1"].metrics["objective"] == pytest.approx(1 + 0.01 * (dropped - 1) / 2)
    assert trials["1"].tags["reason"] == f"dropped after {dropped} of 8 seeds"
    assert Counter(key.partition("-")[0] for key in seeds) == {"0": 8, "1": dropped}
    assert f"dropped after {dropped} of 8 seeds" in done.stdout


def test_workers_have_their_share_of_the_cores(swept: Callable[[str], Path]) -> None:
    seeds = [one.tags for one in runs(swept("workers"), "repeat").values() if "pid" in one.tags]
    assert {tags["threads"] for tags in seeds} == {"3"}
    assert len({tags["pid"] for tags in seeds}) == 2


def test_edited_config_files_do_not_change_queued_trials(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(folder)
    groups = folder / "own/optimizer"
    groups.mkdir(parents=True)
    for name, rate in (("slow", 0.01), ("fast", 0.1)):
        text = f"defaults: [/schema/optimizer/adam@_here_, _self_]\nname: adam\nlearning_rate: {rate}\n"
        (groups / f"{name}.yaml").write_text(text)
    (folder / "spoil.py").write_text(
        "import pathlib\nfrom kerasweep.results import Outcome\n"
        "def train(cfg, ref, *others):\n"
        "    for path in pathlib.Path('own/optimizer').iterdir():\n"
        "        path.write_text('name: spoiled')\n"
        "    return Outcome('complete', ref.run_id, (1.0,))\n"
    )
    target = "trial.target=spoil:train"
    done = call(
        folder, "train", "-m", "--config-dir", "own", target, "optimizer=slow,fast", "hydra/launcher=basic"
    )
    assert done.code == 0, done
    rates = {one.tags["optimizer"]: one.params["optimizer.learning_rate"] for one in runs(folder).values()}
    assert rates == {"slow": "0.01", "fast": "0.1"}
    assert (groups / "fast.yaml").read_text() == "name: spoiled"
    for path in (folder / "mlruns/jobs").glob("*/*/.hydra/config.yaml"):
        assert yaml.safe_load(path.read_text())["optimizer"]["learning_rate"] in (0.01, 0.1)


APP = """
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf
from kerasweep.results import Outcome

OmegaConf.register_new_resolver("twice", lambda value: 2 * value)
LOUD = {"set": "by the module"}

def train(cfg, ref, recorder, report, folder):
    job = HydraConfig.get()
    recorder.set_tags(ref.run_id, {
        "stddev": str(cfg.model.kwargs.twice),
        "module": LOUD["set"],
        "num": str(job.job.num),
        "task": " ".join(job.overrides.task),
        "mode": str(job.mode).rpartition(".")[2],
        "output": job.runtime.output_dir,
    })
    return Outcome("complete", ref.run_id, (1.0,))

if __name__ == "__main__":
    LOUD["set"] = "by the main program"
    from kerasweep.commands.train import main
    main()
"""


def test_worker_has_the_resolvers_and_hydra_settings_of_a_single_run(folder: Path) -> None:
    (folder / "app.py").write_text(APP)
    arguments = ["-m", "trial.target=__main__:train", "training.batch_size=2,4", "workers=1"]
    started = Command(folder, ["app.py", *arguments, "+model.kwargs.twice='${twice:4}'"], environment())
    _, stderr = started.communicate(timeout=60)
    assert started.returncode == 0, stderr
    found = runs(folder)
    assert set(found) == {"0", "1"}
    for number, size in (("0", 2), ("1", 4)):
        tags = found[number].tags
        assert (tags["stddev"], tags["num"], tags["mode"]) == ("8", number, "MULTIRUN")
        assert tags["task"].endswith(f"training.batch_size={size}")
        assert Path(tags["output"]).parts[-1] == number
        assert (Path(tags["output"]) / ".hydra/overrides.yaml").exists()


def test_worker_that_cannot_start_ends_the_sweep_with_a_sentence(folder: Path) -> None:
    (folder / "broken.py").write_text(
        "import os\nfrom work import train as trained\n"
        "def train(*given): return trained(*given)\n"
        "def warm_up(cfg):\n    os._exit(9)\n"
    )
    began = time.monotonic()
    done = run(folder, "train", "-m", "trial.target=broken:train", "training.batch_size=1,2", "workers=1")
    assert done.code == 2 and "Workers ended before they were ready, 3 times in a row" in done.stderr
    assert time.monotonic() - began < 60
    assert {one.status for one in runs(folder).values()} <= {"KILLED"}
