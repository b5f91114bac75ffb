"""Reads what was done with the winner of a sweep: runs of the same training, refits, promotions, exports."""

from collections.abc import Iterator
from dataclasses import dataclass

from kerasweep.config.search import TrackingConf
from kerasweep.report.groups import by_dataset
from kerasweep.report.reading import Report
from kerasweep.report.summary import score_text, winner_run
from kerasweep.results import State
from kerasweep.tracking.links import run_links, version_link
from kerasweep.tracking.reader import find_runs
from kerasweep.tracking.run_record import RunRecord
from kerasweep.tracking.tags import (
    ENSEMBLE,
    EXPORT,
    PROMOTION,
    REFIT_OF,
    REGISTERED_MODEL,
    REGISTERED_VERSION,
    RERUN_OF,
    RERUN_VERDICT,
)

WINNER = "winner"


@dataclass(frozen=True)
class Step:
    """Something that was done with a winner."""

    kind: str  # such as `refit`
    name: str  # the run's or the model's
    link: str  # to it in MLflow's UI
    result: str
    result_run: str = ""  # the id of its run


def read_steps(cfg: TrackingConf, report: Report) -> list[Step]:
    """Returns the winner of each data set, and what was done with it, the oldest first."""
    winners = [winner_run(groups) for groups in by_dataset(report.candidates).values()]
    return [step for winner in winners if winner is not None for step in _steps(cfg, winner)]


def _steps(cfg: TrackingConf, winner: RunRecord) -> Iterator[Step]:
    link = run_links(cfg)
    reruns = find_runs(cfg, {RERUN_OF: winner.run_id})
    refits = find_runs(cfg, {REFIT_OF: winner.run_id, "state": State.COMPLETE})
    done = [
        (WINNER, winner, score_text(winner)),
        *(("run again", run, _verdict(run)) for run in reversed(reruns)),
        *((_kind_of_refit(run), run, score_text(run)) for run in reversed(refits)),
    ]
    for kind, run, result in done:
        yield Step(kind, run.run_id[:8], link(run.run_id), result, run.run_id)
        if REGISTERED_MODEL in run.tags:
            name, version = run.tags[REGISTERED_MODEL], run.tags.get(REGISTERED_VERSION, "")
            address = version_link(cfg, name, version)
            yield Step("registered", f"{name}, version {version}", address, run.tags.get(PROMOTION, ""))
        for tag, text in sorted(run.tags.items()):
            if tag.startswith(EXPORT):
                yield Step("exported", tag.removeprefix(EXPORT), link(run.run_id), text)


def _verdict(rerun: RunRecord) -> str:
    """Returns the verdict on a rerun; of a variation also its test score."""
    verdict, score = rerun.tags.get(RERUN_VERDICT, rerun.status.lower()), score_text(rerun)
    is_scored = score and verdict.startswith("a variation")
    return f"{verdict}; on the test set: {score}" if is_scored else verdict


def _kind_of_refit(run: RunRecord) -> str:
    if ENSEMBLE in run.tags:
        return f"ensemble of {len(run.tags[ENSEMBLE].split())}"
    return f"refit, training.seed={run.params.get('training.seed')}"
