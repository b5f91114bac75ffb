"""Checks what a campaign left behind, with plain Optuna and MLflow: nothing of kerasweep reads it."""

import json
import math
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import h5py
import numpy as np
import optuna
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.entities import Run
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from benchmarks.chaos.trial import EPOCHS, METRICS, NOTES
from benchmarks.targets import value_of

AXIS = "optimizer.learning_rate"


@dataclass(frozen=True)
class Left:
    """What a campaign left, see `read`."""

    trials: Sequence[FrozenTrial]
    runs: Sequence[Run]  # all of the experiment
    trainings: Sequence[dict]  # type: ignore[type-arg]  # begins and ends, in their order
    client: MlflowClient
    uri: str

    @property
    def counted(self) -> list[FrozenTrial]:
        """The trials that count towards the total."""
        return [
            trial
            for trial in self.trials
            if trial.state is not TrialState.FAIL or not {"rejected", "lost"} & trial.user_attrs.keys()
        ]


def read(project: Path, storage_url: str, tracking_url: str, log: Path) -> Left:
    """Reads the only sweep of a storage, its runs, and the log of its trainings."""
    storage: BaseStorage
    if storage_url:
        storage = RDBStorage(storage_url)
    else:
        (journal,) = (project / "mlruns" / "studies").glob("*.journal")
        storage = JournalStorage(JournalFileBackend(str(journal)))
    (summary,) = optuna.get_all_study_summaries(storage)
    trials = optuna.load_study(study_name=summary.study_name, storage=storage).trials
    uri = tracking_url or f"sqlite:///{project}/mlruns/mlflow.db"
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("kerasweep")
    runs = list(client.search_runs([experiment.experiment_id], max_results=50_000))
    return Left(trials, runs, [json.loads(line) for line in log.read_text().splitlines()], client, uri)


def breaches(left: Left, total: int, repeats: int = 1) -> Iterator[str]:
    """Yields a sentence for each promise that is broken. repeats: `study.repeats` of the sweep."""
    yield from _of_trials(left, total)
    yield from _of_trainings(left, repeats)
    yield from _of_runs(left, repeats)
    yield from _of_model(left, repeats)


def _of_trials(left: Left, total: int) -> Iterator[str]:
    if len(left.counted) != total:
        yield f"{len(left.counted)} trials count, not {total}"
    open_trials = [trial.number for trial in left.trials if not trial.state.is_finished()]
    if open_trials:
        yield f"trials {open_trials} are open"
    rates = Counter(trial.params.get(AXIS) for trial in left.counted)
    for rate, count in rates.items():
        if count > 1:
            yield f"the learning rate {rate} counts {count} times"
    for trial in left.counted:
        if trial.state is TrialState.COMPLETE and not _is(trial.value, value_of(trial.params[AXIS])):
            yield f"trial {trial.number} has the value {trial.value} of another configuration"


def _is(value: float | None, expected: float) -> bool:
    """Whether a value is the expected one; the last digit of a mean may differ."""
    return value is not None and math.isclose(value, expected, rel_tol=1e-12)


def _of_trainings(left: Left, repeats: int) -> Iterator[str]:
    """A configuration is trained again only if its training did not end, or ended without a saved result."""
    done = {
        trial.params[AXIS]: trial.datetime_complete.timestamp()
        for trial in left.trials
        if trial.state is TrialState.COMPLETE and trial.datetime_complete is not None
    }
    for event in left.trainings:
        if event["event"] == "begin" and event["time"] > done.get(event["rate"], math.inf):
            yield f"trial {event['trial']} trained a configuration that was complete"
    trained = {(event["rate"], event["repeat"]) for event in left.trainings if event["event"] == "begin"}
    for trial in left.counted:
        wanted = {(trial.params[AXIS], repeat) for repeat in range(repeats)}
        if trial.state is TrialState.COMPLETE and not wanted <= trained:
            yield f"trial {trial.number} is complete, and was never trained"


def _of_runs(left: Left, repeats: int) -> Iterator[str]:
    running = [run.info.run_id for run in left.runs if run.info.status == "RUNNING"]
    if running:
        yield f"{len(running)} runs are RUNNING"
    parents = [run for run in left.runs if run.data.tags.get("kind") == "study"]
    if [run.info.status for run in parents] != ["FINISHED"]:
        yield f"the sweep has runs of its own with {[run.info.status for run in parents]}"
    finished = _finished(left, "trial")
    complete = [trial for trial in left.counted if trial.state is TrialState.COMPLETE]
    strangers = finished.keys() - {trial.number for trial in complete}
    if strangers:
        yield f"runs of trials {sorted(strangers)} are finished, the trials are not complete"
    for trial in complete:
        runs = finished.get(trial.number, [])
        if len(runs) != 1:
            yield f"trial {trial.number} has {len(runs)} finished runs"
        for run in runs:
            found = [*_of_run(trial, run)]
            found += _of_repeats(left, trial, run, repeats) if repeats > 1 else _of_training(left, trial, run)
            yield from (f"trial {trial.number}: {what}" for what in found)


def _finished(left: Left, kind: str) -> dict[int, list[Run]]:
    """Returns the finished runs of a kind, by their trial."""
    finished: dict[int, list[Run]] = {}
    for run in left.runs:
        if run.data.tags.get("kind") == kind and run.info.status == "FINISHED":
            finished.setdefault(int(run.data.tags["trial"]), []).append(run)
    return finished


def _of_run(trial: FrozenTrial, run: Run) -> Iterator[str]:
    rate, value = trial.params[AXIS], trial.value
    if run.data.tags.get("state") != "complete":
        yield f"its run has the state {run.data.tags.get('state')}"
    if float(run.data.params.get(AXIS, "nan")) != rate:
        yield f"its run has the learning rate {run.data.params.get(AXIS)}, not {rate}"
    if value is None or not _is(run.data.metrics.get("objective"), value):
        yield f"its run has the objective {run.data.metrics.get('objective')}, not {value}"


def _of_repeats(left: Left, trial: FrozenTrial, run: Run, repeats: int) -> Iterator[str]:
    """A complete trial has each repeat once, below its run; none was trained again once it was recorded."""
    runs = _finished(left, "repeat").get(trial.number, [])
    numbers = sorted(int(repeat.data.tags["repeat"]) for repeat in runs)
    if numbers != list(range(repeats)):
        yield f"it has the finished repeats {numbers}"
    for repeat in runs:
        number = int(repeat.data.tags["repeat"])
        found = [*_of_run(trial, repeat), *_of_training(left, trial, repeat)]
        if repeat.data.tags.get("mlflow.parentRunId") != run.info.run_id:
            found.append("its run lies below another one")
        again = {"event": "begin", "rate": trial.params[AXIS], "repeat": number}
        ended = repeat.info.end_time / 1000
        if any(event["time"] > ended and event.items() >= again.items() for event in left.trainings):
            found.append("it was trained again after its run ended")
        yield from (f"repeat {number}: {what}" for what in found)


def _of_training(left: Left, trial: FrozenTrial, run: Run) -> Iterator[str]:
    rate = trial.params[AXIS]
    for name in METRICS:
        history = left.client.get_metric_history(run.info.run_id, name)
        epochs = {each.step: each.value for each in history if each.step > 0}
        if epochs != {epoch: value_of(rate) * epoch / EPOCHS for epoch in range(1, EPOCHS + 1)}:
            yield f"its run has the epochs {sorted(epochs)} of {name}, or other values"
    artifacts = {each.path for each in left.client.list_artifacts(run.info.run_id)}
    if NOTES not in artifacts:
        yield "its run lacks its notes"
    elif Path(_download(left, f"{run.info.artifact_uri}/{NOTES}")).read_text() != str(rate):
        yield "its run has the notes of another trial"


def _of_model(left: Left, repeats: int) -> Iterator[str]:
    """The best trial, or its best repeat, has one model with the weights that it saved, and a test score."""
    complete = [trial for trial in left.counted if trial.state is TrialState.COMPLETE]
    best = max(complete, key=lambda trial: trial.value or 0.0)
    runs = _finished(left, "repeat" if repeats > 1 else "trial").get(best.number, [])
    if not runs:
        return  # which `_of_runs` has said
    tested = sum("test_accuracy" in run.data.metrics for run in runs)
    if tested != 1:
        yield f"the best trial {best.number} was tested {tested} times"
    outputs = [each.model_id for run in runs for each in run.outputs.model_outputs]
    models = [left.client.get_logged_model(model) for model in outputs]
    ready = [model for model in models if str(model.status) == "READY"]
    if len(ready) != 1:
        yield f"the best trial {best.number} has {len(ready)} models"
    for model in ready:
        folder = _download(left, model.artifact_location)
        if not _has_weights(Path(folder, "data", "model.keras"), best.params[AXIS]):
            yield f"the model of the best trial {best.number} has the weights of another trial"


def _has_weights(file: Path, rate: float) -> bool:
    """Whether some layer's weights are all equal to the learning rate, as the trial saved them."""
    with zipfile.ZipFile(file) as archive:
        content = BytesIO(archive.read("model.weights.h5"))
    arrays: list[np.ndarray] = []
    with h5py.File(content) as weights:
        weights.visititems(
            lambda _, item: arrays.append(item[()]) if isinstance(item, h5py.Dataset) else None
        )
    return any(array.size > 1 and (array == np.float32(rate)).all() for array in arrays)


def _download(left: Left, location: str) -> str:
    return str(download_artifacts(artifact_uri=location, tracking_uri=left.uri))


def leftovers(root: Path, allowed: Sequence[str]) -> Iterator[str]:
    """Yields a sentence for each entry of a folder that no campaign makes."""
    for path in sorted(root.iterdir()):
        if path.name not in allowed:
            yield f"{path.name} was written outside of the project"
