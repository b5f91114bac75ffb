"""Trains 50 recorded runs of every kind again, and counts how many are equal to the last bit.

python -m benchmarks reruns      writes a section of docs/reliability.md (half an hour on two slow cores)
"""

import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run

from benchmarks.chaos.page import PAGE
from benchmarks.page import publish
from benchmarks.race import environment
from benchmarks.results import Results

WORKERS = 2  # reruns at a time
MAX_SECONDS = 300
NETWORK = """
import keras


def small(shape, classes, width):
    dense = keras.layers.Dense(classes, activation="softmax")
    return keras.Sequential(
        [
            keras.Input(shape),
            keras.layers.Conv2D(width, 3, activation="gelu"),
            keras.layers.Dropout(0.2),
            keras.layers.Flatten(),
            dense,
        ]
    )
"""
SHARED = ("training.deterministic=true", "data.limit=400")
SHORT = (*SHARED, "training.epochs=4")
SCHEDULES = "schedule=constant,plateau,cosine,exponential,step,warmup_cosine"
AUGMENTED = ("augment=none,flip_crop", "augment.crop_padding=1")
PRECISIONS = "training.precision=float32,mixed_float16,mixed_bfloat16"
CUSTOM = ("model=custom", "model.target=nets:small", "model.kwargs.width=4,8")
KERNELS = "model.kernel_size=3,5,7"


@dataclass(frozen=True)
class Kind:
    """Some runs of one command."""

    name: str
    count: int  # how many of its runs are trained again
    arguments: Sequence[str]  # of src.train
    record: Callable[[Path, Sequence[str]], None]
    is_one: Callable[[Run], bool]  # whether a run of the command is one of this kind


def _run(folder: Path, arguments: Sequence[str]) -> None:
    """Runs src.train to its end."""
    done = subprocess.run(
        [sys.executable, "-m", "src.train", *arguments],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"src.train {' '.join(arguments)}: {done.stdout[-2000:]}{done.stderr[-2000:]}")


def _kill_then_run(folder: Path, arguments: Sequence[str]) -> None:
    """Kills the sweep once each of its workers has a checkpoint, and continues it to its end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "src.train", *arguments],
        cwd=folder,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    began = time.monotonic()
    while len(list(folder.glob("mlruns/jobs/*/*/checkpoints/state.npz"))) < WORKERS:
        if process.poll() is not None or time.monotonic() - began > MAX_SECONDS:
            raise RuntimeError("The sweep ended before it was killed.")
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    _run(folder, arguments)


def _is_trial(run: Run) -> bool:
    return run.data.tags.get("kind") == "trial" and run.data.tags.get("state") == "complete"


def _is_seed(run: Run) -> bool:
    return run.data.tags.get("kind") == "repeat" and run.data.tags.get("state") == "complete"


def _is_pruned(run: Run) -> bool:
    return run.data.tags.get("kind") == "trial" and run.data.tags.get("state") == "pruned"


def _is_resumed(run: Run) -> bool:
    return _is_trial(run) and "restored_epochs" in run.data.tags


def _is_single(run: Run) -> bool:
    return run.data.tags.get("kind") == "run"


PRUNING = ("pruner=median", "sampler=random", "optimizer.learning_rate=tag(log,interval(1e-5,1e-1))")
KINDS = (
    Kind(
        "optimizers × schedules",
        24,
        ("-m", "optimizer=adam,adamw,sgd,rmsprop", SCHEDULES, *SHORT),
        _run,
        _is_trial,
    ),
    Kind("augmentation × precision", 6, ("-m", *AUGMENTED, PRECISIONS, *SHORT), _run, _is_trial),
    Kind("custom network", 2, ("-m", *CUSTOM, *SHORT), _run, _is_trial),
    Kind(
        "seeds with their own splits",
        6,
        ("-m", "model.kernel_size=3,5", "study.repeats=3", *SHORT),
        _run,
        _is_seed,
    ),
    Kind("on a Ray cluster", 3, ("-m", KERNELS, "hydra/launcher=ray", *SHORT), _run, _is_trial),
    Kind(
        "resumed from a checkpoint",
        2,
        (
            "-m",
            "model.kernel_size=3,5",
            "workers=2",
            "training.checkpoint.enabled=true",
            "training.epochs=150",
            *SHARED,
        ),
        _kill_then_run,
        _is_resumed,
    ),
    Kind("pruned", 3, ("-m", *PRUNING, "study.trials=12", *SHARED, "training.epochs=6"), _run, _is_pruned),
    Kind("single run, all cores", 1, SHORT, _run, _is_single),
    Kind(
        "single run, early stopping",
        1,
        ("training=early_stopping", *SHARED, "training.epochs=20"),
        _run,
        _is_single,
    ),
    Kind("single run, dropout, L2", 1, ("model.dropout=0.3", "regularizer=l2", *SHORT), _run, _is_single),
    Kind(
        "single run, z-score, one-hot labels",
        1,
        ("data.scaling=z_score", "data.labels=one_hot", *SHORT),
        _run,
        _is_single,
    ),
)


def again(folder: Path, run_id: str) -> str:
    """Returns the sentence on a run that is trained again."""
    done = subprocess.run(
        [sys.executable, "-m", "src.rerun", f"run_id={run_id}"],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[-1] if lines else f"exit code {done.returncode}"


def measure(kind: Kind) -> list[str]:
    """Records runs of a kind in a new folder, trains some again, and returns the verdict on each."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "nets.py").write_text(NETWORK)
        kind.record(folder, kind.arguments)
        client = MlflowClient(f"sqlite:///{folder}/mlruns/mlflow.db")
        experiment = client.get_experiment_by_name("kerasweep")
        found = [
            run.info.run_id for run in client.search_runs([experiment.experiment_id]) if kind.is_one(run)
        ]
        if len(found) < kind.count:
            raise RuntimeError(f"{kind.name}: {len(found)} runs instead of {kind.count}")
        with ThreadPoolExecutor(WORKERS) as pool:
            return list(pool.map(lambda run_id: again(folder, run_id), found[: kind.count]))


def run(is_fresh: bool = False) -> None:
    """Measures each kind that has no result yet, and publishes the table."""
    results = Results("reruns", "src.rerun")
    if is_fresh:
        results.clear()
    rows, different = [], []
    for kind in KINDS:
        if results.get(kind.name) is None:
            results.add(kind.name, measure(kind))
        sentences = results.get(kind.name)
        equal = sum(sentence.startswith("equal") for sentence in sentences)
        print(f"{kind.name}: {equal} of {len(sentences)}", flush=True)
        rows.append((kind.name, len(sentences), equal))
        different += [f"{kind.name}: {text}" for text in sentences if not text.startswith("equal")]
    print("\n".join(different), flush=True)
    publish("reruns", _section(rows, different, results.machine()), PAGE)


def _section(rows: Sequence[tuple[str, int, int]], different: Sequence[str], machine: str) -> str:
    total, equal = sum(row[1] for row in rows), sum(row[2] for row in rows)
    lines = [f"| {name} | {count} | {same} |" for name, count, same in (*rows, ("all", total, equal))]
    return "\n".join(
        [
            "## Runs trained again",
            "",
            "`python -m src.rerun run_id=ID` for runs of every kind, each in a new process on the machine",
            "that recorded it, with `training.deterministic=true`. Equal means that all metrics of all",
            "epochs and the weights have the same bits.",
            "",
            "| runs | trained again | equal |",
            "| --- | --- | --- |",
            *lines,
            "",
            *(f"- {text}" for text in different),
            f"{machine}.",
        ]
    )
