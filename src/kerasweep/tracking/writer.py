"""Writes runs to MLflow through its client: start, log, finish."""

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from itertools import islice, zip_longest
from typing import Any, TypeVar, assert_never

from kerasweep.config.passwords import with_reference, without_reference
from kerasweep.config.search import TrackingConf
from kerasweep.errors import TrackingError, UnreachableError
from kerasweep.results import State
from kerasweep.tracking.client import experiment_id, open_client
from kerasweep.tracking.entries import (
    Dataset,
    Entry,
    File,
    Metrics,
    Model,
    Params,
    Tags,
    Text,
    Values,
    now,
)
from kerasweep.tracking.failures import AGAIN, HELD, TOO_MANY
from kerasweep.tracking.keras_model import log_keras_model
from kerasweep.tracking.location import default_uri, resolve_uri
from kerasweep.tracking.recorder import Recorder
from kerasweep.tracking.retry import at_once, with_retries, without_retries

MAX_PER_BATCH, MAX_METRICS_PER_BATCH = 100, 800  # 1,000 in all
MAX_NAME_CHARACTERS = 250
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 10.0
MAX_PARAM_CHARACTERS = 6000
MAX_TAG_CHARACTERS = 8000
T = TypeVar("T")


def open_tracker(cfg: TrackingConf) -> "Tracker":
    """Opens MLflow, and creates the database and the experiment if they are missing.

    Raises:
        TrackingError: MLflow cannot be used; see `client`.
    """
    uri = resolve_uri(cfg.uri)
    client = open_client(uri, create=True)
    experiment = experiment_id(client, uri, cfg.experiment, create=True)
    assert experiment is not None
    return Tracker(client, uri, experiment)


def tag_run(cfg: TrackingConf, run_id: str, tags: Mapping[str, str]) -> None:
    """Sets tags of a recorded run, whatever its experiment.

    Raises:
        TrackingError: MLflow cannot be used, or there is no such run.
    """
    uri = resolve_uri(cfg.uri)
    client = open_client(uri, create=False)
    for key, text in tags.items():
        with_retries(uri, client.set_tag, run_id, key, text)


def _reopen(uri: str, experiment: str) -> "Tracker":
    uri = without_reference(uri)
    return Tracker(open_client(uri, create=False), uri, experiment)


class Tracker(Recorder):
    """Writes runs of an open experiment; each call returns once MLflow has stored its entry.

    After retries on a server that is away have failed, further calls fail at once. MLflow's errors are
    raised as TrackingError.
    """

    def __init__(self, client: Any, uri: str, experiment: str) -> None:
        self.client = client
        self.uri = uri
        self.experiment_id = experiment
        self._away: UnreachableError | None = None  # why MLflow or its artifact store is away
        self._ask: Callable[[], Any] = self._ask_server  # succeeds once it is back
        self._store_failed = False  # whether the last artifact was not taken
        self._asks_often = False
        self._pause, self._asks_from = FIRST_PAUSE_SECONDS, 0.0  # until it is asked again

    def __reduce__(self) -> Any:
        """Pickles as URI, without its password, and experiment: another process opens its own client."""
        return _reopen, (with_reference("tracking.uri", self.uri), self.experiment_id)

    @property
    def is_default(self) -> bool:
        """Whether this is the database that commands use by default."""
        return self.uri == default_uri()

    def start(
        self,
        name: str,
        tags: Mapping[str, str],
        params: Mapping[str, str],
        parent: str | None = None,
        begun: int | None = None,
    ) -> str:
        """Opens a run and returns its id.

        Names, tags and params that are longer than MLflow allows are cut.

        Args:
            name: The run's name.
            tags: Its tags.
            params: Its params.
            parent: The id of the run that it is shown under.
            begun: When it began, in milliseconds since 1970; None for now.
        """
        nested = {**tags, "mlflow.parentRunId": parent} if parent else dict(tags)
        first = dict(islice(nested.items(), MAX_PER_BATCH))
        run = self._call(
            self.client.create_run,
            self.experiment_id,
            start_time=now() if begun is None else begun,
            run_name=_cut(name, MAX_NAME_CHARACTERS),
            tags={key: _cut(value, MAX_TAG_CHARACTERS) for key, value in first.items()},
        )
        run_id = str(run.info.run_id)
        rest = {key: value for key, value in nested.items() if key not in first}
        self.write_values(run_id, [Params(params), Tags(rest)])
        return run_id

    def write(self, run_id: str, entry: Entry) -> None:
        """Writes an entry: the one place that knows how MLflow takes each kind."""
        match entry:
            case Metrics() | Tags() | Params():
                self.write_values(run_id, [entry])
            case Dataset():
                self._call(self.client.log_inputs, run_id, [_dataset_input(entry)])
            case Text(text, path):
                self._save(self.client.log_text, run_id, _storable(text), path)
            case File(file, folder):
                self._save(self.client.log_artifact, run_id, str(file), folder or None)
            case Model(model, class_names, conversion):
                with self._noting_loss(self._ask_server):
                    log_keras_model(self.client, self.uri, run_id, model, class_names, conversion)
            case _:
                assert_never(entry)

    def write_values(self, run_id: str, entries: Iterable[Values]) -> None:
        """Writes metrics, tags and params in as few calls as possible; the last tag of a key counts."""
        from mlflow.entities import Metric, Param, RunTag

        params: dict[str, Param] = {}
        tags: dict[str, RunTag] = {}
        metrics: list[Metric] = []
        for entry in entries:
            match entry:
                case Metrics(values, step, timestamp):
                    metrics += [Metric(name, value, timestamp, step) for name, value in values.items()]
                case Tags(values):
                    tags |= {key: RunTag(key, _cut(text, MAX_TAG_CHARACTERS)) for key, text in values.items()}
                case Params(values):
                    params |= {
                        key: Param(key, _cut(text, MAX_PARAM_CHARACTERS)) for key, text in values.items()
                    }
        if len(tags) == 1 and not params and not metrics:  # a batch takes three sessions of the database
            (tag,) = tags.values()
            self._call(self.client.set_tag, run_id, tag.key, tag.value)
            return
        chunks = zip_longest(
            _chunks(list(params.values()), MAX_PER_BATCH),
            _chunks(list(tags.values()), MAX_PER_BATCH),
            _chunks(metrics, MAX_METRICS_PER_BATCH),
            fillvalue=(),
        )
        for some_params, some_tags, some_metrics in chunks:
            self._call(
                self.client.log_batch, run_id, params=some_params, tags=some_tags, metrics=some_metrics
            )

    @contextmanager
    def without_waiting(self) -> Iterator[None]:
        """Makes calls fail at once while the server is away; it is asked from time to time if it is back."""
        self._asks_often = True
        try:
            yield
        finally:
            self._asks_often = False

    def outage(self) -> str | None:
        """Returns why MLflow is away, None if it is not; it is asked again if it is time.

        Raises:
            TrackingError: It answers again, and refuses.
        """
        if self._away is None or (self._asks_often and self._is_back()):
            return None
        text = str(self._away)
        for advice in (AGAIN, HELD, TOO_MANY):
            text = text.removesuffix(advice)
        return text.rstrip(". ")

    def resume(self, run_id: str) -> None:
        """Shows a closed run as running again."""
        self._call(self.client.update_run, run_id, status=State.RUNNING.mlflow)

    def finish(self, run_id: str, state: str, reason: str | None = None, ended: int | None = None) -> None:
        """Closes a run with its state, and tags it with state and reason.

        A server that was away is asked once more: it may be back.

        Args:
            run_id: The run.
            state: `complete`, `pruned`, `failed` or `cancelled`.
            reason: Why it ended, if it needs an explanation.
            ended: When it ended, in milliseconds since 1970; None for now.
        """
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
        away, self._away = self._away, None
        with self._once() if away else nullcontext():
            self.set_tags(run_id, {"state": state, **({"reason": reason} if reason else {})})
            end = now() if ended is None else ended
            self._call(self.client.set_terminated, run_id, status=State(state).mlflow, end_time=end)

    def _call(self, call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        with self._noting_loss(self._ask_server), at_once() if self._asks_often else nullcontext():
            return with_retries(self.uri, call, *arguments, **options)

    def _save(self, call: Callable[..., Any], run_id: str, *arguments: Any) -> None:
        """Saves an artifact.

        Raises:
            TrackingError: Its store answers again and still takes nothing, such as on a full disk.
        """

        def ask_store() -> None:
            self.client.list_artifacts(run_id)

        try:
            with self._noting_loss(ask_store), at_once() if self._asks_often else nullcontext():
                with_retries(self.uri, call, run_id, *arguments)
        except UnreachableError as error:
            if self._store_failed and self._away is error:
                self._away = None
                raise TrackingError(str(error)) from error
            self._store_failed = self._store_failed or self._away is error
            raise
        self._store_failed = False

    @contextmanager
    def _noting_loss(self, ask: Callable[[], Any]) -> Iterator[None]:
        """Raises at once while MLflow is away; notes when it goes, and how to ask whether it is back."""
        if self._away is not None and not (self._asks_often and self._is_back()):
            raise UnreachableError(str(self._away))
        try:
            yield
        except UnreachableError as error:
            self._away, self._ask = error, ask
            self._pause, self._asks_from = FIRST_PAUSE_SECONDS, time.monotonic() + FIRST_PAUSE_SECONDS
            raise

    @contextmanager
    def _once(self) -> Iterator[None]:
        """Makes calls ask a server or database that was away once, for a few seconds."""
        with without_retries(), at_once():
            yield

    def _ask_server(self) -> None:
        self.client.get_experiment(self.experiment_id)

    def _is_back(self) -> bool:
        """Asks again what was away, after pauses that grow, and waits for a few seconds only.

        Raises:
            TrackingError: The server answers and refuses: its database is another one, or access has ended.
                No RefusedError, since no entry is to blame: all are kept.
        """
        if time.monotonic() < self._asks_from:
            return False
        try:
            with self._once():
                with_retries(self.uri, self._ask)
        except UnreachableError:
            return False
        except TrackingError as error:
            if self._ask == self._ask_server:  # a store may take what it does not list
                raise TrackingError(str(error)) from error
        finally:
            self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)
            self._asks_from = time.monotonic() + self._pause
        self._away = None
        return True


def _chunks(items: list[T], size: int) -> Iterator[list[T]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _dataset_input(entry: Dataset) -> Any:
    from mlflow.entities import Dataset as MlflowDataset
    from mlflow.entities import DatasetInput, InputTag

    is_code = entry.source == entry.name
    origin = {"tags": {"mlflow.source.name": entry.name}} if is_code else {"uri": entry.source}
    dataset = MlflowDataset(
        name=entry.name,
        digest=entry.digest,
        source_type="code" if is_code else "local",
        source=json.dumps(origin),
        profile=entry.profile,
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])


def _cut(value: str, length: int) -> str:
    value = _storable(value)
    return value if len(value) <= length else value[: length - 1] + "…"


def _storable(text: str) -> str:
    """Escapes characters that UTF-8 cannot encode, as in errors about odd file names."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
