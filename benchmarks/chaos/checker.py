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


def breaches(left: Left, total: int) -> Iterator[str]:
    """Yields a sentence for each promise that is broken."""
    yield from _of_trials(left, total)
    yield from _of_trainings(left)
    yield from _of_runs(left)
    yield from _of_model(left)


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
        if trial.state is TrialState.COMPLETE and trial.value != value_of(trial.params[AXIS]):
            yield f"trial {trial.number} has the value {trial.value} of another configuration"


def _of_trainings(left: Left) -> Iterator[str]:
    """A configuration is trained again only if its training did not end, or ended without a saved result."""
    done = {
        trial.params[AXIS]: trial.datetime_complete.timestamp()
        for trial in left.trials
        if trial.state is TrialState.COMPLETE and trial.datetime_complete is not None
    }
    for event in left.trainings:
        if event["event"] == "begin" and event["time"] > done.get(event["rate"], math.inf):
            yield f"trial {event['trial']} trained a configuration that was complete"
    trained = Counter(event["rate"] for event in left.trainings if event["event"] == "begin")
    for trial in left.counted:
        if trial.state is TrialState.COMPLETE and not trained[trial.params[AXIS]]:
            yield f"trial {trial.number} is complete, and was never trained"


def _of_runs(left: Left) -> Iterator[str]:
    running = [run.info.run_id for run in left.runs if run.info.status == "RUNNING"]
    if running:
        yield f"{len(running)} runs are RUNNING"
    parents = [run for run in left.runs if run.data.tags.get("kind") == "study"]
    if [run.info.status for run in parents] != ["FINISHED"]:
        yield f"the sweep has runs of its own with {[run.info.status for run in parents]}"
    finished: dict[int, list[Run]] = {}
    for run in left.runs:
        if run.data.tags.get("kind") == "trial" and run.info.status == "FINISHED":
            finished.setdefault(int(run.data.tags["trial"]), []).append(run)
    complete = [trial for trial in left.counted if trial.state is TrialState.COMPLETE]
    strangers = finished.keys() - {trial.number for trial in complete}
    if strangers:
        yield f"runs of trials {sorted(strangers)} are finished, the trials are not complete"
    for trial in complete:
        runs = finished.get(trial.number, [])
        if len(runs) != 1:
            yield f"trial {trial.number} has {len(runs)} finished runs"
        for run in runs:
            yield from (f"trial {trial.number}: {what}" for what in _of_run(left, trial, run))


def _of_run(left: Left, trial: FrozenTrial, run: Run) -> Iterator[str]:
    rate, value = trial.params[AXIS], trial.value
    if run.data.tags.get("state") != "complete":
        yield f"its run has the state {run.data.tags.get('state')}"
    if float(run.data.params.get(AXIS, "nan")) != rate:
        yield f"its run has the learning rate {run.data.params.get(AXIS)}, not {rate}"
    if run.data.metrics.get("objective") != value:
        yield f"its run has the objective {run.data.metrics.get('objective')}, not {value}"
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


def _of_model(left: Left) -> Iterator[str]:
    """The best trial has one model, with the weights that it saved, and a test score."""
    complete = [trial for trial in left.counted if trial.state is TrialState.COMPLETE]
    best = max(complete, key=lambda trial: trial.value or 0.0)
    runs = [
        run
        for run in left.runs
        if run.data.tags.get("kind") == "trial"
        and run.info.status == "FINISHED"
        and run.data.tags["trial"] == str(best.number)
    ]
    for run in runs:
        if "test_accuracy" not in run.data.metrics:
            yield f"the best trial {best.number} was not tested"
        models = [left.client.get_logged_model(each.model_id) for each in run.outputs.model_outputs]
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
