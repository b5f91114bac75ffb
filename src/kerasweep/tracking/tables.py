"""Reads runs from the tables of MLflow's database, ten times as fast as MLflow's client.

The client makes an object of each tag, param and metric: 1.4 ms per run, 14 s for 10,000. A server can be
read by the client only; see `kerasweep.tracking.reader`.
"""

import math
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from kerasweep.tracking.run_record import RunRecord, seconds_between

# Values per statement; every database takes this many.
MAX_NAMED = 500


def is_database(uri: str) -> bool:
    """Whether the URI is a database, whose tables can be read."""
    from mlflow.store.db.db_types import DATABASE_ENGINES

    return urlsplit(uri).scheme.partition("+")[0] in DATABASE_ENGINES


def read_runs(
    uri: str,
    experiment_id: str,
    tags: Mapping[str, str],
    status: str | None = None,
    max_runs: int | None = None,
    id_prefix: str = "",
    lifecycle: str = "active",
) -> list[RunRecord]:
    """Returns the runs of an experiment that have all of these tags, newest first.

    Args:
        uri: The database.
        experiment_id: The experiment.
        tags: Tags that a run must have.
        status: MLflow's status that a run must have; None for any.
        max_runs: The largest number of runs to return; None for all.
        id_prefix: The beginning of their ids.
        lifecycle: MLflow's stage of the runs: active or deleted.

    Raises:
        SQLAlchemyError: The database cannot be read.
    """
    from mlflow.store.tracking.dbmodels.models import SqlLatestMetric, SqlParam, SqlRun, SqlTag
    from sqlalchemy import create_engine, select
    from sqlalchemy.pool import NullPool

    chosen: Any = select(SqlRun.run_uuid).where(
        SqlRun.experiment_id == int(experiment_id), SqlRun.lifecycle_stage == lifecycle
    )
    for key, value in tags.items():
        tagged: Any = select(SqlTag.run_uuid).where(SqlTag.key == key, SqlTag.value == value)
        chosen = chosen.where(SqlRun.run_uuid.in_(tagged))
    if status is not None:
        chosen = chosen.where(SqlRun.status == status)
    if id_prefix:
        chosen = chosen.where(SqlRun.run_uuid.startswith(id_prefix, autoescape=True))
    if max_runs is not None:
        chosen = chosen.order_by(SqlRun.start_time.desc(), SqlRun.run_uuid).limit(max_runs)
    ids = chosen.subquery()
    texts: dict[Any, dict[str, dict[str, str]]] = {SqlTag: defaultdict(dict), SqlParam: defaultdict(dict)}
    metrics: dict[str, dict[str, float]] = defaultdict(dict)
    with create_engine(uri, poolclass=NullPool).connect() as connection:

        def rows(table: Any, *columns: Any) -> Any:
            return connection.execute(
                select(table.run_uuid, *columns).join(ids, ids.c.run_uuid == table.run_uuid)
            )

        infos = rows(SqlRun, SqlRun.name, SqlRun.status, SqlRun.start_time, SqlRun.end_time).all()
        for table, by_run in texts.items():
            for run_id, key, value in rows(table, table.key, table.value):
                by_run[run_id][sys.intern(key)] = sys.intern(value)
        last = rows(SqlLatestMetric, SqlLatestMetric.key, SqlLatestMetric.value, SqlLatestMetric.is_nan)
        for run_id, key, value, is_nan in last:
            metrics[run_id][sys.intern(key)] = math.nan if is_nan else value
    infos.sort(key=lambda info: (-info.start_time, info.run_uuid))
    return [
        RunRecord(
            run_id=info.run_uuid,
            name=info.name or texts[SqlTag][info.run_uuid].get("mlflow.runName", ""),
            status=info.status,
            tags=texts[SqlTag][info.run_uuid],
            params=texts[SqlParam][info.run_uuid],
            metrics=metrics[info.run_uuid],
            start_time=info.start_time / 1000,
            seconds=seconds_between(info.start_time, info.end_time),
        )
        for info in infos
    ]


def read_histories(uri: str, run_ids: Sequence[str], metric: str) -> dict[str, list[tuple[int, int, float]]]:
    """Returns the logged (step, time in milliseconds, value) of a metric by run."""
    from mlflow.store.tracking.dbmodels.models import SqlMetric
    from sqlalchemy import create_engine, select
    from sqlalchemy.pool import NullPool

    found: dict[str, list[tuple[int, int, float]]] = {run_id: [] for run_id in run_ids}
    with create_engine(uri, poolclass=NullPool).connect() as connection:
        for first in range(0, len(run_ids), MAX_NAMED):
            logged: Any = select(
                SqlMetric.run_uuid, SqlMetric.step, SqlMetric.timestamp, SqlMetric.value, SqlMetric.is_nan
            ).where(SqlMetric.key == metric, SqlMetric.run_uuid.in_(run_ids[first : first + MAX_NAMED]))
            for run_id, step, moment, value, is_nan in connection.execute(logged):
                found[run_id].append((step, moment, math.nan if is_nan else value))
    return found
