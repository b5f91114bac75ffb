"""`import kerasweep` offers train, sweep, dry_run, compare and load."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas
import psutil
import pytest
from mlflow import MlflowClient

import kerasweep
from kerasweep.errors import ConfigError, DataError, KerasweepError, TrackingError
from tests.processes import Command, environment, run_script

INSTANT = ["trial.target=benchmarks.targets:instant", "hydra/launcher=basic"]
RATES = "optimizer.learning_rate=0.001,0.01,0.1"
# No `if __name__ == "__main__"`: workers do not execute the program again.
PROGRAM = """
import kerasweep, os, psutil, signal
def state():
    return dict(os.environ), os.getcwd(), [signal.getsignal(number) for number in (1, 2, 15)]
before = state()
small = ["debug=fast", "model.filters=[4]"]
for _ in range(2):
    sweep = kerasweep.sweep(overrides=[*small, "model.kernel_size=3,5"])
    assert state() == before
    named = [" ".join(child.cmdline()) for child in psutil.Process().children(recursive=True)]
    assert all("resource_tracker" in name for name in named), named
model = kerasweep.load(sweep.best.run_id)
runs = [kerasweep.train(small) for _ in range(2)]
assert runs[0].objective == runs[1].objective and runs[0].run_id != runs[1].run_id
assert state() == before
print("trials", len(sweep.trials), model.output_shape)
"""
SLEEPING = """
import kerasweep
rates = "optimizer.learning_rate=0.001,0.01,0.1,0.2"
target = "trial.target=benchmarks.targets:sleeping"
try:
    kerasweep.sweep(overrides=[rates, target, "workers=2"])
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.fixture(autouse=True)
def _in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def test_import_is_instant() -> None:
    program = (
        "import sys, kerasweep;"
        "heavy = ('hydra', 'numpy', 'rich', 'tensorflow', 'keras', 'optuna', 'mlflow', 'pandas');"
        "print(*(name for name in heavy if name in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""


def test_sweep_is_a_function_also_after_its_namesakes_import() -> None:
    import kerasweep.sweep.summary  # noqa: F401
    from kerasweep.sweep import summary

    assert kerasweep.sweep.__module__ == "kerasweep.api.sweeping"
    assert summary.__name__ == "kerasweep.sweep.summary"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'kerasweep' has no attribute 'tune'"):
        _ = kerasweep.tune  # type: ignore[attr-defined]


def test_a_sweep_has_a_best_trial_a_frame_and_optunas_study() -> None:
    sweep = kerasweep.sweep(overrides=[RATES, *INSTANT])
    assert sweep.best is not None
    assert (sweep.best.trial, sweep.best.value, sweep.best.params) == (1, 1.0, {"learning_rate": 0.01})
    assert (sweep.best.overrides, sweep.best.test_accuracy) == (("optimizer.learning_rate=0.01",), None)
    frame = sweep.trials
    columns = ["number", "state", "value", "params_learning_rate", "seconds", "run_id"]
    assert (list(frame.columns), list(frame["number"])) == (columns, [0, 1, 2])
    assert list(frame["params_learning_rate"]) == [0.001, 0.01, 0.1]
    assert sweep.study.best_value == 1.0
    assert frame.loc[1, "run_id"] == sweep.best.run_id


def save_images(level: int) -> str:
    """Saves 40 images of one brightness and two classes, and returns the override that names them."""
    images, labels = np.full((40, 8, 8), level, np.uint8), np.arange(40) % 2
    np.savez("images.npz", x_train=images, y_train=labels, x_test=images[:10], y_test=labels[:10])
    return "data.path=images.npz"


def test_images_that_changed_are_read_again_by_the_next_call() -> None:
    small = ["debug=fast", "data=npz", "model.filters=[4]", "data.limit=null"]
    runs = [kerasweep.train([*small, save_images(level)]) for level in (0, 7)]
    digests = [MlflowClient("sqlite:///mlruns/mlflow.db").get_run(run.run_id).inputs for run in runs]
    datasets = [inputs.dataset_inputs[0].dataset.digest for inputs in digests]
    assert datasets[0] != datasets[1]


def test_a_sweep_notices_images_that_changed_since_its_last_call() -> None:
    overrides = [RATES, *INSTANT, "data=npz"]
    kerasweep.sweep(overrides=[*overrides, save_images(0)])
    with pytest.raises(DataError, match="^The data of .* has changed since it began: its digest was "):
        kerasweep.sweep(overrides=[*overrides, save_images(7)])


def test_resume_continues_the_sweep_with_changes() -> None:
    wide = "optimizer.learning_rate=interval(0.001,0.1)"
    first = kerasweep.sweep(
        overrides=[wide, *INSTANT, "sampler=random", "study.trials=2", "study.fresh=true"]
    )
    second = first.resume(study__trials=4)
    assert (second.name, len(first.trials), len(second.trials)) == (first.name, 2, 4)
    pandas.testing.assert_frame_equal(second.trials[:2], first.trials)


def test_resume_takes_any_value() -> None:
    first = kerasweep.sweep(overrides=["model.kernel_size=int(interval(1,9))", *INSTANT, "study.trials=1"])
    texts = ["model.kernel_size < 7", "model.kernel_size != 2 and model.kernel_size in [1, 3, 5]"]
    second = first.resume(study__constraints=texts, study__trials=2)
    assert len(second.trials) == 2 and set(second.trials["params_kernel_size"]) <= {1, 3, 5}


@pytest.mark.parametrize("where", ["", "def load():\n    "])
def test_a_users_code_that_ends_the_process_is_named(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"mine{len(where)}"
    Path(f"{name}.py").write_text(f"import sys\n{where}sys.exit('no licence')\n")
    with pytest.raises(DataError, match=f"data.target={name}:load.* raised SystemExit: no licence"):
        kerasweep.train(["data=custom", f"data.target={name}:load"])


def test_failed_trials_have_no_value() -> None:
    Path("fails.py").write_text("def train(*given):\n    raise ValueError('no luck')\n")
    sweep = kerasweep.sweep(overrides=[RATES, "trial.target=fails:train", "hydra/launcher=basic"])
    assert (sweep.best, list(sweep.trials["state"])) == (None, ["failed"] * 3)
    assert sweep.trials["value"].isna().all()


def test_the_front_of_two_objectives() -> None:
    objectives = (
        "objective=[{metric: val_accuracy, direction: maximize}, {metric: seconds, direction: minimize}]"
    )
    Path("two.py").write_text(
        "from kerasweep import Outcome\n"
        "def train(cfg, ref, *given):\n"
        "    rate = cfg.optimizer.learning_rate\n"
        "    return Outcome('complete', ref.run_id, (rate, 1 + rate), {'val_accuracy': rate})\n"
    )
    sweep = kerasweep.sweep(overrides=[RATES, objectives, "trial.target=two:train", "hydra/launcher=basic"])
    assert sorted(sweep.result.front) == [0, 1, 2]
    assert list(sweep.trials["values_val_accuracy"]) == [0.001, 0.01, 0.1]
    assert list(sweep.trials["values_seconds"]) == [1.001, 1.01, 1.1]


def test_compare_gives_frames_and_the_page() -> None:
    sweep = kerasweep.sweep(overrides=[RATES, *INSTANT])
    comparison = kerasweep.compare(sweep.name)
    assert list(comparison.groups["learning_rate"]) == ["0.01", "0.001", "0.1"]
    assert comparison.groups.loc[0, "mean"] == 1.0
    assert sorted(comparison.runs["objective"]) == sorted(sweep.trials["value"])
    assert comparison.verdicts.empty
    page = comparison.page()
    assert "data:image/svg+xml" in page and f"<pre>kerasweep-compare study={sweep.name}</pre>" in page
    assert "3 runs: 3 complete" in str(comparison)
    assert not list(Path("mlruns").glob("compare-*"))
    narrow = kerasweep.compare(tags={"learning_rate": 0.1})
    assert len(narrow.runs) == 1


def test_show_needs_a_notebook() -> None:
    kerasweep.sweep(overrides=[RATES, *INSTANT])
    with pytest.raises(ConfigError, match=r"show\(\) needs a notebook, but this is none\. "):
        kerasweep.compare().show()


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (
            lambda: kerasweep.sweep(overrides=["model.kernel_sizes=3,5"]),
            ConfigError,
            "There is no key model.kernel_sizes. Did you mean model.kernel_size?",
        ),
        (lambda: kerasweep.sweep("quick"), ConfigError, "There is no study=quick. Did you mean quickstart?"),
        (
            lambda: kerasweep.sweep(overrides="sampler=tpe"),
            ConfigError,
            "overrides must be a list of texts, but got 'sampler=tpe'. Write it as in "
            "overrides=['model.kernel_size=3,5', 'training.epochs=5'].",
        ),
        (
            lambda: kerasweep.sweep(overrides={"study.trials": 2}),  # type: ignore[arg-type]
            ConfigError,
            "overrides must be a list of texts, but got {'study.trials': 2}. Write it as in ",
        ),
        (
            lambda: kerasweep.compare(["a", "b"]),  # type: ignore[arg-type]
            ConfigError,
            "study must be the name of a study or of a sweep, but got ['a', 'b']. Name several by a tag ",
        ),
        (
            lambda: kerasweep.train(["--config-dir=x"]),
            ConfigError,
            "An override is written key=value, but got --config-dir=x. A folder of your own config files is "
            "named by config_dir.",
        ),
        (
            lambda: kerasweep.train(["study=quickstart"]),
            ConfigError,
            "kerasweep.train trains one network, but got study=quickstart. kerasweep.sweep takes it.",
        ),
        (
            lambda: kerasweep.train(["++hydra.mode=MULTIRUN", "model.kernel_size=3,5"]),
            ConfigError,
            "kerasweep.train trains one network, but got ++hydra.mode=MULTIRUN. kerasweep.sweep takes it.",
        ),
        (
            lambda: kerasweep.sweep(overrides=[RATES, "study.dry_run=true", *INSTANT]),
            ConfigError,
            "study.dry_run=true trains nothing. kerasweep.dry_run returns what it shows.",
        ),
        (
            lambda: kerasweep.compare(where="a>1"),
            ConfigError,
            "where must be a list of texts, but got 'a>1'. Write it as where=['a>1'].",
        ),
        (lambda: kerasweep.train(["data=npz", "data.path=absent.npz"]), DataError, "absent.npz"),
        (lambda: kerasweep.train(["model.kernel_size=a"]), ConfigError, "could not be converted to Integer"),
        (lambda: kerasweep.train(config_dir="absent"), ConfigError, "Additional config directory"),
        (lambda: kerasweep.compare("absent"), TrackingError, "No runs are recorded yet"),
        (lambda: kerasweep.load("abcdef12"), TrackingError, "No runs are recorded yet"),
    ],
)
def test_a_mistake_of_the_user_is_raised(
    call: "object", kind: type[KerasweepError], message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(kind) as raised:
        call()  # type: ignore[operator]
    assert message in str(raised.value)
    assert "error:" not in capfd.readouterr().err


def test_a_script_sweeps_twice_loads_and_trains(tmp_path: Path) -> None:
    (tmp_path / "three.py").write_text(PROGRAM)
    done = run_script(tmp_path, "three.py")
    assert done.code == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "trials 2 (None, 10)"


def started_workers(command: Command) -> list[psutil.Process]:
    """Waits for the first epoch, or the first trial, and returns all processes of the program."""
    for line in command.stdout:
        if line.startswith("  optimizer.learning_rate"):
            break
    parent = psutil.Process(command.pid)
    while not any(child.name() != "" and child.cpu_times().user > 0 for child in parent.children(True)):
        time.sleep(0.05)
    time.sleep(1)
    return parent.children(recursive=True)


def test_ctrl_c_raises_after_the_running_trials(tmp_path: Path) -> None:
    command = Command(tmp_path, ["-c", SLEEPING], environment(), None)
    workers = started_workers(command)
    command.send_signal(signal.SIGINT)
    stdout, stderr = command.communicate(timeout=120)
    assert (command.returncode, stdout.splitlines()[-1]) == (0, "interrupted"), stderr
    assert "stopping: the trials under way are trained to their end" in stdout
    assert psutil.wait_procs(workers, timeout=10)[1] == []


def test_a_killed_kernel_leaves_no_worker(tmp_path: Path) -> None:
    command = Command(tmp_path, ["-c", SLEEPING], environment(), None)
    workers = started_workers(command)
    assert workers
    os.kill(command.pid, signal.SIGKILL)
    command.communicate(timeout=30)
    assert psutil.wait_procs(workers, timeout=10)[1] == []


def test_random_numbers_of_the_caller_go_on() -> None:
    np.random.seed(3)
    expected = np.random.rand(2)
    np.random.seed(3)
    first = np.random.rand()
    kerasweep.sweep(overrides=[RATES, *INSTANT])
    assert [first, np.random.rand()] == list(expected)
