"""Reads how metrics of runs went, epoch by epoch."""

from collections.abc import Sequence

from kerasweep.config.search import TrackingConf
from kerasweep.tracking.connect import open_client
from kerasweep.tracking.location import resolve_uri
from kerasweep.tracking.retry import with_retries
from kerasweep.tracking.tables import is_database, read_histories


def histories(cfg: TrackingConf, run_ids: Sequence[str], metric: str) -> dict[str, list[float]]:
    """Of each run the metric's values in the order of its epochs; empty where it has none.

    A run that went on from a checkpoint has some epochs twice: the later value counts.
    """
    uri = resolve_uri(cfg.uri)
    client = open_client(uri, create=False)
    if is_database(uri):
        logged = with_retries(uri, read_histories, uri, run_ids, metric)
    else:
        logged = {
            run_id: [
                (one.step, one.timestamp, one.value)
                for one in with_retries(uri, client.get_metric_history, run_id, metric)
            ]
            for run_id in run_ids
        }
    return {run_id: _in_order(values) for run_id, values in logged.items()}


def _in_order(logged: Sequence[tuple[int, int, float]]) -> list[float]:
    by_epoch = {step: value for step, _, value in sorted(logged, key=lambda one: one[1])}
    return [by_epoch[step] for step in sorted(by_epoch)]
