"""Reads how metrics of runs went, epoch by epoch."""

from collections.abc import Iterable

from src.config.search import TrackingConf
from src.tracking.connect import open_client, patiently
from src.tracking.location import resolve_uri


def histories(cfg: TrackingConf, run_ids: Iterable[str], metric: str) -> dict[str, list[float]]:
    """Of each run the metric's values in the order of its epochs; empty where it has none.

    A run that went on from a checkpoint has some epochs twice: the later value counts.
    """
    uri = resolve_uri(cfg.uri)
    client = open_client(uri, create=False)
    found = {}
    for run_id in run_ids:
        logged = patiently(uri, client.get_metric_history, run_id, metric)
        by_epoch = {one.step: one.value for one in sorted(logged, key=lambda one: one.timestamp)}
        found[run_id] = [by_epoch[step] for step in sorted(by_epoch)]
    return found
